#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Records the trees linux-6.1-* inside the virtual machine; vm.py copies them out."""

import contextlib
import pathlib
import subprocess
import sys

import live
from swap import group, page_out, squeeze

RESULTS = pathlib.Path("/srv/results")
# Small: few modules; one private and one shared area, the first half of each in swap; and
# one that was mostly only read: zero pages. No page is one word again and again, which
# zram keeps without memory.
HALF = """
import mmap, sys
for flags in (mmap.MAP_PRIVATE, mmap.MAP_SHARED):
    area = mmap.mmap(-1, 1 << 20, flags=flags | mmap.MAP_ANONYMOUS)
    for i in range(256):
        area.write((b"%06d\\n" % i * 586)[:4096])
    area.madvise(21, 0, 1 << 19)
    globals()[f"area{flags}"] = area
zero = mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
total = sum(zero[i] for i in range(0, 1 << 19, 4096))
zero[8192] = 1
print("ready", flush=True)
sys.stdin.read()
"""
TREES = {
    "linux-6.1-perl": ["perl", "-e", "$| = 1; my %h = map { $_ => 'x' x 50 } 1 .. 9000; "
                       "print qq(ready\\n); <STDIN>"],
    # With vm.py --nodes 2.
    "linux-6.1-numa": ["perl", "-e", "$| = 1; print qq(ready\\n); <STDIN>"],
    "linux-6.1-swapped": ["/usr/bin/python3", "-I", "-S", "-c", HALF],
}
ZRAM = pathlib.Path("/sys/block/zram0")


@contextlib.contextmanager
def machine():
    """This machine with huge pages reserved, and swap in zram, as much as goes in; what
    comes later goes to the disk."""
    huge = pathlib.Path("/proc/sys/vm/nr_hugepages")
    huge.write_text("8")
    (ZRAM / "disksize").write_text("512K")
    subprocess.run(["mkswap", "-q", "/dev/zram0"], check=True)
    subprocess.run(["swapon", "-p", "100", "/dev/zram0"], check=True)
    try:
        yield
    finally:
        subprocess.run(["swapoff", "/dev/zram0"], check=True)
        (ZRAM / "reset").write_text("1")
        huge.write_text("0")


def record(name):
    """recorded"""
    swapped = name == "linux-6.1-swapped"
    nodes = pathlib.Path("/sys/devices/system/node")
    if name == "linux-6.1-numa" and not (nodes / "node1").exists():
        raise live.Skip("a machine of two nodes is wanted: vm.py --nodes 2")
    with machine() if swapped else contextlib.nullcontext(), \
            live.Target(TREES[name], env={"LC_ALL": "C", "PATH": "/usr/bin"}) as target:
        if swapped:
            # What it allocated before is not charged to the group.
            with group("limited", 64 << 20) as place:
                (place / "cgroup.procs").write_text(str(target.pid))
            page_out(target.pid, step=64)
            squeeze()
        live.memwhy("capture", "--stop", "--scrub", target.pid, RESULTS / name)
    size = int(subprocess.run(["du", "-sk", RESULTS / name], check=True,
                              capture_output=True).stdout.split()[0])
    live.check(size < 400, f"{size} KiB")


live.cases_for(sys.argv[1:] or TREES, str)(record)
live.main()
