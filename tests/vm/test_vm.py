#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What only this kernel has, or only a machine with swap: run in the virtual machine."""

import contextlib
import os
import pathlib

import live
from swap import page_out

MM = pathlib.Path("/sys/kernel/mm")
# Half of everything is paged out, in stripes; the process says where it all lies.
SWAPPED = """
import mmap, sys
PAGEOUT, N = 21, 2048
private = mmap.mmap(-1, N * 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
shared = mmap.mmap(-1, N * 4096, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
for area in (private, shared):
    for i in range(N):
        area[i * 4096] = i % 255 + 1
    for i in range(0, N, 256):
        area.madvise(PAGEOUT, i * 4096, 128 * 4096)
print("ready", flush=True)
sys.stdin.read()
"""
PERL = "$| = 1; my %h = map { $_ => 'x' x 50 } 1 .. 50000; print qq(ready\\n); <STDIN>"
SAME = {"rss": ("Rss",), "private": ("Private_Clean", "Private_Dirty"),
        "shared": ("Shared_Clean", "Shared_Dirty"), "swap": ("Swap",)}


def compare(pid, engine):
    """Every mapping, and all of them, against the kernel's own word."""
    answer, mappings = live.map_json(pid, "--engine", engine), live.smaps(pid)
    for mapping in mappings:
        mine = live.inside(answer["regions"], mapping["start"], mapping["end"])
        for key, columns in SAME.items():
            got = live.total(r[key] for r in mine)
            if engine == "smaps" and len(mine) > 1 and got is None:
                continue
            live.check_equal(got, sum(mapping[c] for c in columns),
                             f"{key} of {mapping['start']:#x} {mapping['name']!r}")
    kernel = live.rollup(pid)
    for key, columns in SAME.items():
        live.check_equal(answer["totals"][key], sum(kernel.get(c, 0) for c in columns)
                         if key != "swap" else sum(m["Swap"] for m in mappings), key)
    return answer


def compare_both(pid):
    for engine in ("pages", "smaps"):
        compare(pid, engine)
        why = live.why_json(pid, "--engine", engine)
        live.check_why(why)
        swap = sum(m["Swap"] for m in live.smaps(pid))
        live.check_equal(why["swap"], swap, "swap")
        outside = {row["cause"]: row["bytes"] for row in why["outside"]}
        live.check_equal(outside.get("swap") or 0, swap, "swap beside the account")


def python(script, *args, user=None):
    """A program of its own libraries: who comes and goes does not share them."""
    return live.alone(["/usr/bin/python3", "-c", script, *args], user=user,
                      env={"PYTHONHOME": "/usr"})


def perl():
    return live.alone(["perl", "-e", PERL])


@live.case
def half_swapped():
    """a process with half its private and shared memory in swap"""
    with python(SWAPPED) as target:
        live.check(sum(m["Swap"] for m in live.smaps(target.pid)) > 7 << 20, "no swap")
        compare_both(target.pid)


@live.case
def by_default():
    """without --engine the same process has the same swap, and its segments"""
    with python(SWAPPED) as target:
        answer, why = live.map_json(target.pid), live.why_json(target.pid)
        swap = sum(m["Swap"] for m in live.smaps(target.pid))
        live.check_equal(answer["totals"]["swap"], swap, "swap of map")
        live.check_equal(why["swap"], swap, "swap of why")
        live.check_why(why)
        unknown = [r for r in answer["regions"] if r["rss"] is None]
        live.check(not unknown, f"segments without counters: {unknown}")


@live.case
def reclaimed():
    """a third of every mapping paged out, and what a control group gave up"""
    group = pathlib.Path("/sys/fs/cgroup/reclaimed")
    pathlib.Path("/sys/fs/cgroup/cgroup.subtree_control").write_text("+memory")
    group.mkdir(exist_ok=True)
    pathlib.Path("/proc/sys/vm/swappiness").write_text("60")
    for start in (perl, lambda: live.alone([live.HELPERS / "zoo"], env={"ZOO_PAD": "x"})):
        with start() as target:
            (group / "cgroup.procs").write_text(str(target.pid))
            page_out(target.pid, step=3)
            with contextlib.suppress(OSError):
                (group / "memory.reclaim").write_text(str(2 << 20))
            live.check(sum(m["Swap"] for m in live.smaps(target.pid)), "no swap")
            compare_both(target.pid)
    pathlib.Path("/proc/sys/vm/swappiness").write_text("0")


@live.case
def reads_without_swapping_in():
    """looking at a process brings nothing of it back from swap"""
    with perl() as target:
        page_out(target.pid)
        # The kernel reads the arguments from the stack, for ps as well.
        pathlib.Path(f"/proc/{target.pid}/cmdline").read_bytes()
        before = sum(m["Swap"] for m in live.smaps(target.pid))
        live.check(before > 4 << 20, f"only {before} bytes in swap")
        for engine in ("pages", "smaps"):
            live.map_json(target.pid, "--engine", engine)
            live.why_json(target.pid, "--engine", engine)
        live.why_json(target.pid)
        after = sum(m["Swap"] for m in live.smaps(target.pid))
        live.check_equal(after, before, "bytes in swap after looking")


@live.case
def half_swapped_unprivileged():
    """the owner without capabilities sees the same swap"""
    with python(SWAPPED, user=live.NOBODY) as target:
        swap = sum(m["Swap"] for m in live.smaps(target.pid))
        for engine in ("pages", "smaps"):
            answer = live.map_json(target.pid, "--engine", engine, user=live.NOBODY,
                                   codes=(0, 3))
            live.check_equal(answer["totals"]["swap"], swap, f"swap, {engine}")
            live.check_equal(answer["totals"]["rss"], live.rollup(target.pid)["Rss"],
                             f"rss, {engine}")


ZERO = """
import mmap, sys
flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
area = mmap.mmap(-1, 8 << 20, flags=flags)
area.madvise(15)  # no huge pages
total = sum(area[i * 4096] for i in range(1024))
for i in range(512, 600):
    area[i * 4096] = 1
print("ready", flush=True)
sys.stdin.read()
"""


@live.case
def zero_pages():
    """zero pages beside written ones are told apart, with frames and without"""
    for user in (None, live.NOBODY):
        with python(ZERO, user=user) as target:
            answer = live.map_json(target.pid, "--engine", "pages", user=user,
                                   codes=(0, 3))
            live.check_equal(answer["totals"]["rss"], live.rollup(target.pid)["Rss"],
                             f"rss for user {user}")


HUGE = """
import mmap, os, sys
size = 24 << 20
areas = [mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)]
read_only = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
areas.append(mmap.mmap(-1, size, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS))
for area in areas + [read_only]:
    area.madvise(14)  # huge pages
for area in areas:
    for i in range(0, size - (4 << 20), 4096):
        area[i] = 1
sum(read_only[i] for i in range(0, size, 2 << 20))  # the huge zero page
if len(sys.argv) > 1 and os.fork() == 0:
    import signal, ctypes
    ctypes.CDLL(None).prctl(1, 9)
    signal.pause()
print("ready", flush=True)
sys.stdin.read()
"""


@live.case
def huge_pages():
    """huge pages, private, shared and zero, of one process and of two"""
    (MM / "transparent_hugepage/enabled").write_text("always")
    (MM / "transparent_hugepage/shmem_enabled").write_text("advise")
    for forks in ([], ["fork"]):
        with python(HUGE, *forks) as target:
            live.check_equal(len(live.children(target.pid)), len(forks), "children")
            mappings = live.smaps(target.pid)
            for column in ("AnonHugePages", "ShmemPmdMapped"):
                huge = sum(m[column] for m in mappings)
                live.check(huge >= 16 << 20, f"only {huge} of {column}")
            compare_both(target.pid)
            check_kinds(target.pid)


def check_kinds(pid):
    """Shared memory is never taken for anonymous memory, also where it is huge."""
    pages = live.memwhy("map", pid, "--engine", "pages", "--pages", "--json").json["pages"]
    for mapping in live.smaps(pid):
        if not mapping["ShmemPmdMapped"]:
            continue
        mine = live.inside(pages, mapping["start"], mapping["end"])
        live.check(mine and all("file" in row["state"] for row in mine), str(mine)[:500])


@live.case
def merged_pages():
    """pages that KSM merged"""
    script = ZERO.replace("area.madvise(15)", "area.madvise(12)").replace(
        "for i in range(512, 600)", "for i in range(0, 2048)")
    (MM / "ksm/run").write_text("1")
    (MM / "ksm/pages_to_scan").write_text("5000")
    try:
        with python(script) as target:
            live.wait_until(lambda: int((MM / "ksm/pages_sharing").read_text()) > 1000,
                            "pages to be merged")
            (MM / "ksm/run").write_text("0")
            compare_both(target.pid)
    finally:
        (MM / "ksm/run").write_text("2")


# Takes the lock of a process' mappings for writing, again and again.
CONTEND = """
import sys
path = f"/proc/{sys.argv[1]}/clear_refs"
print("ready", flush=True)
while True:
    with open(path, "w") as file:
        file.write("4")
"""


@live.case
def rollup_that_skips():
    """a smaps_rollup that left mappings out is not believed"""
    with live.alone([live.HELPERS / "holder", "pages", "4000"]) as target, \
            live.Target(["/usr/bin/python3", "-c", CONTEND, str(target.pid)]):
        whole = sum(m["Rss"] for m in live.smaps(target.pid))
        low = sum(live.rollup(target.pid)["Rss"] < whole for _ in range(200))
        print(f"# {low} of 200 times smaps_rollup left something out")
        for _ in range(20):
            why = live.why_json(target.pid, "--engine", "smaps")
            live.check_equal(why["rss"], whole, "rss")
            exact = sum(m["Pss"] for m in live.smaps(target.pid))
            live.check(why["pss"] >= exact, f"pss {why['pss']}, smaps' sum {exact}")


@live.case
def features():
    """doctor tells what this kernel has"""
    seen = {row["feature"]: row["present"] for row in live.memwhy("doctor", "--json")
            .json["features"]}
    release = tuple(map(int, os.uname().release.split(".")[:2]))
    live.check_equal(release, (6, 1), "kernel")
    want = {"pagemap-scan": False, "procmap-query": False, "madv-guard": False,
            "frames": True, "kpagecount": True, "kpageflags": True, "soft-dirty": True}
    live.check_equal({key: seen[key] for key in want}, want, "features")


@live.case
def soft_dirty():
    """soft-dirty pages are shown, and only those written since they were cleared"""
    script = ZERO.replace("sys.stdin.read()",
                          "sys.stdin.readline()\nfor i in range(520, 530):\n"
                          "    area[i * 4096] = 2\nprint('again', flush=True)\n"
                          "sys.stdin.read()")
    with live.Target(["/usr/bin/python3", "-c", script]) as target:
        pathlib.Path(f"/proc/{target.pid}/clear_refs").write_text("4")
        target.process.stdin.write(b"\n")
        target.process.stdin.flush()
        target._read_until(b"again", 60)
        with live.stopped(target.pid):
            text = live.memwhy("map", target.pid, "--pages", "--engine", "pages").text
            live.check("dirty" in text, text[:3000])


live.main()
