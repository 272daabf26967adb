#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""`heap`, `leaks`, `page` and `free` on this kernel, and with swap: run in the virtual
machine. What lies in swap is never brought back to be looked at, so it is never guessed
either."""

import ctypes
import mmap
import os
import pathlib
import struct
import subprocess

import heaps
import leaks
import live
from swap import page_out, squeeze

# Shapes of heaps, arenas of threads, pages that were only read, and a forked one.
PATTERNS = ("frag", "pin", "threads8", "calloc", "untouched", "forked")
FREE = ("-b -w -l -t -v", "-h", "--mega -w -t", "-k -l")
HUGE_PAGES = pathlib.Path("/proc/sys/vm/nr_hugepages")
ZRAM = pathlib.Path("/sys/block/zram0")


def in_swap(pid):
    return live.status(pid)["VmSwap"]


def trimmable(heap):
    return sum(libc["free"]["trimmable"] for libc in heaps.glibcs(heap))


@live.cases_for(PATTERNS, str)
def exact(name):
    """every check holds; malloc_trim(0) gives what was foretold"""
    with heaps.Pattern(name) as target:
        heap = heaps.heap_json(target.looked_at)
        heaps.check_heap(heap, foreign=sum(t["foreign"] for t in target.truth))
        live.check(heap["settled"], f"not settled: {heap['limits']}")
        for args in (("--no-stop",), ("--snapshot",)):
            again = heaps.heap_json(target.looked_at, *args)
            live.check_equal(again["allocators"], heap["allocators"], args[0])
        live.check_equal(target.trimmed(), trimmable(heap), "what malloc_trim gave")
        live.check_equal(len(live.children(target.pid)), name == "forked", "children")


def lived(heap):
    return tuple(sum(libc[key][what] for libc in heaps.glibcs(heap))
                 for key in ("live", "mmapped") for what in ("blocks", "bytes"))


def check_stated(heap, truth, before):
    """An answer about a heap that cannot be read all: parts conserve, the rest is said to
    be unknown, and no more is live or kept than there is."""
    heaps.check_heap(heap, exact=False)
    unknown = sum(a["unknown"] for a in heap["allocators"])
    live.check(unknown > 0, f"nothing unknown: {heap['headline']}")
    live.check(not heap["settled"], "settled, with parts in swap")
    live.check(heap["limits"], "no limit tells of it")
    live.check(all(limit["what"] and limit["why"] for limit in heap["limits"]),
               heap["limits"])
    want = (sum(t["blocks"] for t in truth), sum(t["bytes"] for t in truth))
    live.check(lived(heap)[0] <= want[0] and lived(heap)[1] <= want[1],
               f"{lived(heap)} live, there are {want}")
    live.check(trimmable(heap) <= trimmable(before), "more trimmable than was resident")


def is_heap(mapping):
    """malloc's main arena, or one of a thread."""
    return mapping["perms"] == "rw-p" and (
        mapping["name"] == b"[heap]"
        or (mapping["start"] % (64 << 20) == 0 and not mapping["name"]))


def swap_in(pid):
    """Reads what is in swap; so it comes back."""
    for mapping in live.smaps(pid):
        if mapping["Swap"]:
            with open(f"/proc/{pid}/mem", "rb") as file:
                file.seek(mapping["start"])
                file.read(mapping["end"] - mapping["start"])


@live.cases_for([("frag", 1), ("pin", 1), ("threads8", 1), ("threads8", 0)], str)
def heap_in_swap(item):
    """a heap with pages in swap (from the first-th on): unknown, and left there"""
    name, first = item
    with heaps.Pattern(name) as target:
        before = heaps.heap_json(target.pid)
        page_out(target.pid, 7, first, is_heap)
        swapped = in_swap(target.pid)
        live.check(swapped >= 64 << 10, f"only {swapped} bytes in swap")
        for args in ((), ("--no-stop",), ("--snapshot",)):
            heap = heaps.heap_json(target.pid, *args)
            live.check_equal(in_swap(target.pid), swapped, f"VmSwap after heap {args}")
            print(f"# {args}: {heap['headline']} {heap['limits']}"[:700], flush=True)
            check_stated(heap, target.truth, before)
            # Behind a page in swap the walk goes on where glibc knows a chunk.
            unknown, system = (sum(libc[key] for libc in heaps.glibcs(heap))
                               for key in ("unknown", "system"))
            live.check(name != "frag" or unknown < system // 2,
                       f"{unknown} of {system} unknown")
        live.check_why(live.why_json(target.pid, codes=(0, 1, 3)))
        live.check_equal(in_swap(target.pid), swapped, "VmSwap after why")
        swap_in(target.pid)
        live.check_equal(in_swap(target.pid), 0, "VmSwap after all was read")
        heap = heaps.heap_json(target.pid)
        heaps.check_heap(heap)
        live.check_equal(target.trimmed(), trimmable(heap), "what malloc_trim gave")


@live.case
def all_in_swap():
    """a program with all it wrote in swap: nothing is said of its heap but that"""
    with heaps.Pattern("frag") as target:
        page_out(target.pid)
        swapped = in_swap(target.pid)
        for args in ((), ("--no-stop",), ("--snapshot",)):
            heap = heaps.heap_json(target.pid, *args)
            live.check(heap["limits"], "no limit tells of it")
            live.check("was found" not in heap["headline"], heap["headline"])
            live.check_equal(lived(heap)[0], 0, "live blocks that nobody saw")
        live.check_why(live.why_json(target.pid, codes=(0, 1, 3)))
        text = live.memwhy("leaks", target.pid, codes=(0, 3)).text
        live.check("swap" in text, text)
        # A thread that goes on after a stop needs its stack and its thread block.
        back = swapped - in_swap(target.pid)
        print(f"# {back} bytes came back from swap")
        live.check(back < 64 << 10, f"{back} bytes came back from swap")


@live.cases_for([(), ("--snapshot",)], lambda args: args[0] if args else "stopped")
def lost(args):
    """every lost block is found; with pages of the heap in swap none is called sure"""
    with leaks.Leaky() as target:
        score = leaks.score_memwhy(target, *args)
        missed = {kind.name: kind.blocks - score.found(kind)
                  for kind in score.kinds if kind.truth == "leaked"}
        live.check_equal({name: n for name, n in missed.items() if n}, {}, "not found")
        page_out(target.pid, 9, 1, is_heap)
        swapped = in_swap(target.pid)
        live.check(swapped >= 16 << 10, f"only {swapped} bytes in swap")
        answer = leaks.look(target.pid, *args)
        live.check_equal(in_swap(target.pid), swapped, "VmSwap after leaks")
        print(f"# {answer['headline']} {answer['limits']}"[:900], flush=True)
        sure = [g for g in answer["groups"] if g["confidence"] != "possible"]
        live.check_equal(sure, [], "sure of it, though not all was seen")
        live.check(answer["limits"], "no limit tells of it")


def word(pid, address):
    with open(f"/proc/{pid}/pagemap", "rb") as file:
        file.seek(address // live.PAGE * 8)
        return struct.unpack("<Q", file.read(8))[0]


def own_area(n):
    """Memory of this process: the map, and where it lies."""
    area = mmap.mmap(-1, n * live.PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    area.madvise(15)  # no huge pages
    for i in range(n):
        area[i * live.PAGE] = i + 1
    return area, ctypes.addressof(ctypes.c_char.from_buffer(area))


def page(address):
    return live.memwhy("page", os.getpid(), hex(address), "--json", codes=(0, 3)).json


@live.case
def page_in_swap():
    """a swapped page: its place in swap, and it stays there"""
    area, start = own_area(8)
    area.madvise(21, 0, 4 * live.PAGE)
    for i in range(8):
        before = word(os.getpid(), start + i * live.PAGE)
        live.check_equal(before >> 62 & 1, int(i < 4), f"page {i} in swap")
        answer = page(start + i * live.PAGE)
        entry = answer["entry"]
        live.check_equal(word(os.getpid(), start + i * live.PAGE), before, "the entry")
        live.check_equal((entry["present"], entry["swapped"]), (i >= 4, i < 4), entry)
        place = (before & 31, before >> 5 & (1 << 50) - 1) if i < 4 else (None, None)
        live.check_equal((entry["swap_type"], entry["swap_offset"]), place, "place")
        live.check_equal(answer["frame"]["pfn"] is None, i < 4, answer["frame"])
        if i < 4:
            live.check_equal(answer["value"], None, "the word of a page in swap")
    text = live.memwhy("page", os.getpid(), hex(start), codes=(0, 3)).text
    live.check("swap" in text.splitlines()[0], text)


@live.case
def page_soft_dirty():
    """soft-dirty is of those pages that were written since"""
    area, start = own_area(8)
    pathlib.Path("/proc/self/clear_refs").write_text("4")
    area[2 * live.PAGE] = 9
    for i in range(8):
        dirty = page(start + i * live.PAGE)["entry"]["soft_dirty"]
        live.check_equal(dirty, i == 2, f"page {i} soft-dirty")


def quiet_meminfo(place):
    """A meminfo that does not move on, for two programs to read."""
    meminfo = place / "meminfo"
    meminfo.write_text(pathlib.Path("/proc/meminfo").read_text())
    return meminfo


def in_namespace(meminfo, commands):
    script = 'mount --bind "$1" /proc/meminfo; shift; for c; do printf "@@ "; $c 2>&1; done'
    done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", meminfo, *commands],
                          capture_output=True, check=True)
    return done.stdout.decode().split("@@ ")[1:]


def check_free():
    """Parts, swap and pressure of this machine as its files and procps have them."""
    with live.scratch() as place:
        meminfo = quiet_meminfo(place)
        want = in_namespace(meminfo, [f"free {options}" for options in FREE])
        got = in_namespace(meminfo, [f"{live.MEMWHY} free {options}" for options in FREE])
        for options, theirs, ours in zip(FREE, want, got):
            live.check_equal(ours, theirs, f"free {options}")
    answer = live.memwhy("free", "--json", codes=(0, 3)).json
    live.check_equal(sum(part["bytes"] for part in answer["parts"]) - answer["overcount"],
                     answer["total"], "parts")
    live.check_equal(answer["swap"]["used"] + answer["swap"]["free"],
                     answer["swap"]["total"], "swap")
    vmstat = dict(line.split() for line in
                  pathlib.Path("/proc/vmstat").read_text().splitlines())
    live.check(answer["swap"]["out_pages"] <= int(vmstat["pswpout"]), "pages swapped out")
    live.check_equal(answer["pressure"] is not None,
                     pathlib.Path("/proc/pressure/memory").exists(), "pressure")
    return answer, {part["part"]: part["bytes"] for part in answer["parts"]}


@live.case
def free_with_swap():
    """parts add up with swap in use and huge pages reserved; procps' table"""
    before = HUGE_PAGES.read_text()
    HUGE_PAGES.write_text("16")
    try:
        with heaps.Pattern("frag") as target:
            page_out(target.pid)
            squeeze()
            answer, parts = check_free()
            live.check(answer["swap"]["used"] >= in_swap(target.pid) > 1 << 20, "swap")
            live.check(answer["swap"]["out_pages"] > 256, "pages swapped out")
            live.check_equal(parts["hugetlb"], 32 << 20, "reserved for huge pages")
            live.check(answer["pressure"]["some"]["total_us"] > 0, "pressure")
    finally:
        HUGE_PAGES.write_text(before)


@live.case
def free_with_zram():
    """compressed swap is a part of its own, as large as the device says"""
    if not ZRAM.exists():
        raise live.Skip("no zram in this kernel")
    (ZRAM / "disksize").write_text("64M")
    subprocess.run(["mkswap", "-q", "/dev/zram0"], check=True)
    subprocess.run(["swapon", "-p", "100", "/dev/zram0"], check=True)
    try:
        with heaps.Pattern("frag") as target:
            page_out(target.pid)
            size = int((ZRAM / "mm_stat").read_text().split()[2])
            live.check(size > 16 << 10, f"only {size} bytes in zram")
            _, parts = check_free()
            live.check_equal(parts["zram"], size, "zram")
    finally:
        subprocess.run(["swapoff", "/dev/zram0"], check=True)
        (ZRAM / "reset").write_text("1")


live.main()
