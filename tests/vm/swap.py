# SPDX-License-Identifier: MIT
"""Puts memory of another process into swap."""

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


def page_out(pid, step=1):
    """Pages out every step-th page of what another process may write."""
    ranges = [str(number) for m in live.smaps(pid) if m["perms"].startswith("rw")
              and m["Rss"] for number in (m["start"], m["end"])]
    subprocess.run(["/usr/bin/python3", "-c", PAGE_OUT, str(pid), str(step), *ranges],
                   check=True)
