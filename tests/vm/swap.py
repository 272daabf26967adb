# SPDX-License-Identifier: MIT
"""Puts memory of another process into swap, and makes one wait for memory."""

import contextlib
import pathlib
import subprocess

import live

PAGE_OUT = """
import ctypes, os, sys
pid, step, *ranges = map(int, sys.argv[1:])
libc = ctypes.CDLL(None, use_errno=True)
class Vec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_size_t), ("len", ctypes.c_size_t)]
fd = os.pidfd_open(pid)
for start, end in zip(ranges[::2], ranges[1::2]):
    for page in range(start, end, step * 4096):
        vec = Vec(page, 4096 if step > 1 else end - start)
        libc.syscall(440, fd, ctypes.byref(vec), 1, 21, 0)  # process_madvise, PAGEOUT
        if step == 1:
            break
"""


CGROUPS = pathlib.Path("/sys/fs/cgroup")
SWAPPINESS = pathlib.Path("/proc/sys/vm/swappiness")
SQUEEZED = """
import sys
with open(sys.argv[1], "w") as file:
    file.write("0")
kept = bytearray(12 << 20)
for _ in range(2):
    for i in range(0, len(kept), 4096):
        kept[i] += 1
"""


def page_out(pid, step=1, first=0, chosen=lambda m: m["perms"].startswith("rw")):
    """Pages out every step-th page, from the first-th on, of the mappings chosen."""
    ranges = [str(number) for m in live.smaps(pid) if chosen(m) and m["Rss"]
              for number in (m["start"] + first * live.PAGE, m["end"])]
    subprocess.run(["/usr/bin/python3", "-c", PAGE_OUT, str(pid), str(step), *ranges],
                   check=True)


@contextlib.contextmanager
def group(name, limit):
    """A memory cgroup of so many bytes; what is in it may be swapped."""
    (CGROUPS / "cgroup.subtree_control").write_text("+memory")
    place = CGROUPS / name
    place.mkdir(exist_ok=True)
    (place / "memory.max").write_text(str(limit))
    before = SWAPPINESS.read_text()
    SWAPPINESS.write_text("60")
    try:
        yield place
    finally:
        SWAPPINESS.write_text(before)


def squeeze():
    """A program that has too little memory, and waits for it again and again."""
    with group("squeezed", 10 << 20) as place:
        subprocess.run(["/usr/bin/python3", "-c", SQUEEZED, place / "cgroup.procs"],
                       check=True)
