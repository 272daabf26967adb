#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Records the trees linux-6.1-* inside the virtual machine; vm.py copies them out."""

import pathlib
import subprocess

import live
from swap import page_out

RESULTS = pathlib.Path("/srv/results")
# Small: few modules; one private and one shared area, the first half of each in swap; and
# one that was mostly only read: zero pages.
HALF = """
import mmap, sys
for flags in (mmap.MAP_PRIVATE, mmap.MAP_SHARED):
    area = mmap.mmap(-1, 1 << 20, flags=flags | mmap.MAP_ANONYMOUS)
    area.write(b"x" * (1 << 20))
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
    "linux-6.1-swapped": ["/usr/bin/python3", "-I", "-S", "-c", HALF],
}


def record(name):
    """recorded"""
    with live.Target(TREES[name], env={"LC_ALL": "C", "PATH": "/usr/bin"}) as target:
        if name == "linux-6.1-swapped":
            page_out(target.pid, step=64)
        live.memwhy("capture", "--stop", "--scrub", target.pid, RESULTS / name)
    size = int(subprocess.run(["du", "-sk", RESULTS / name], check=True,
                              capture_output=True).stdout.split()[0])
    live.check(size < 400, f"{size} KiB")


live.cases_for(TREES, str)(record)
live.main()
