#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""`memwhy heap` against a program that knows its heap: every pattern with every tunable,
to the byte. What is compared with what:

  live, mmapped   the program's own tally (every call of malloc, libc's own ones too)
  fast, bins, top malloc_info() of each arena
  all kept        mallinfo2()
  trimmable       the fall of Rss at malloc_trim(0)
  a tcache        what a thread put into it"""

import re
import subprocess
import sys

import heaps
import live

TUNABLES = {
    "default": "",
    "no tcache": "glibc.malloc.tcache_count=0",
    "long tcache": "glibc.malloc.tcache_count=200",
    "small tcache": "glibc.malloc.tcache_max=200",
    "no fastbins": "glibc.malloc.mxfast=0",
    "hugetlb": "glibc.malloc.hugetlb=1",
    "two arenas": "glibc.malloc.arena_max=2",
    "perturb": "glibc.malloc.perturb=165",
    "check": "glibc.malloc.check=3",
}
NAMES = heaps.pattern_names() if (heaps.PROGRAMS / "pattern").exists() else []
STATIC = heaps.pattern_names("pattern-static") \
    if (heaps.PROGRAMS / "pattern-static").exists() and not heaps.LOADER else []


def tunable(text):
    return {"GLIBC_TUNABLES": text} if text else {}


def compare_live(wrong, heap, truth):
    """Live blocks of each libc, in any order."""
    def row(of):
        return (of["live"]["blocks"], of["live"]["bytes"], of["mmapped"]["blocks"],
                of["mmapped"]["bytes"])
    want = [(t["blocks"], t["bytes"], t["mapped_blocks"], t["mapped_bytes"])
            for t in truth]
    got = [row(libc) for libc in heaps.glibcs(heap)]
    wrong.equal(sorted(got), sorted(want), "live blocks, bytes, mmapped blocks, bytes")


def compare_info(wrong, heap, target):
    infos, mallinfo = target.info()
    libcs = heaps.glibcs(heap)
    got = sorted(heaps.arena_row(arena) for libc in libcs for arena in libc["arenas"])
    want = sorted(row for info in infos for row in info.arenas)
    wrong.equal(got, want, "arenas: system, fast n, fast, bins n, bins and top")
    wrong.equal(sum(libc["mmapped"]["blocks"] for libc in libcs),
                sum(info.mapped for info in infos), "mmapped blocks and malloc_info")
    if mallinfo and len(libcs) == 1:
        kept = sum(row[2] + row[4] for row in got)
        wrong.equal(kept, mallinfo["fordblks"], "what is kept and fordblks")
        wrong.equal(sum(row[0] for row in got), mallinfo["arena"], "system and arena")


def compare_cached(wrong, heap, target):
    """Only with the default tunables does a thread know what stays in its cache."""
    threads = {t["tid"]: t for libc in heaps.glibcs(heap) for t in libc["threads"]}
    for fact in target.facts("cached"):
        tid = int(fact["tid"])
        wrong.true(tid in threads, f"thread {tid} is not listed")
        if tid in threads:
            wrong.equal(threads[tid]["cached"]["blocks"], int(fact["blocks"]),
                        f"blocks in the cache of thread {tid}")


def look(target, *args):
    """One look at a pattern that stands, compared with its truth."""
    wrong = heaps.Wrong()
    heap = heaps.heap_json(target.looked_at, *args)
    heaps.check_heap(heap, wrong, foreign=sum(t["foreign"] for t in target.truth))
    compare_live(wrong, heap, target.truth)
    return wrong, heap


def whole_look(target, cached):
    """What is wrong, as texts, and by how much Rss fell at malloc_trim(0)."""
    wrong, heap = look(target)
    compare_info(wrong, heap, target)
    if cached:
        compare_cached(wrong, heap, target)
    predicted = sum(libc["free"]["trimmable"] for libc in heaps.glibcs(heap))
    fell = target.trimmed()
    wrong.equal(fell, predicted, "what malloc_trim gave and the prediction")
    return list(wrong), fell


STEPS = ("filled", "free", "grow")


def looks(target, label, cached=False):
    """(label and step, what is wrong, fall of Rss) of a pattern in three states."""
    for step in STEPS:
        if step != "filled":
            target.change(step)
        yield f"{label}, {step}", *whole_look(target, cached and step == "filled")


def stands(wrong, target, label, cached=False):
    for where, texts, _ in looks(target, label, cached):
        wrong += [f"{where}: {text}" for text in texts]


def requested_sizes(target):
    """Up to 2.33 the check was part of malloc itself, and its malloc_usable_size() said
    what had been asked for, not what the block holds: then the program cannot tell."""
    return [int(n) for n in target.facts("libc")[0]["version"].split(".")] < [2, 34]


CHOSEN = sys.argv[1:]


def chosen(names):
    return [name for name in names if not CHOSEN or name in CHOSEN]


@live.cases_for(chosen(NAMES), str)
def exact(name):
    """every figure to the byte, with all tunables"""
    wrong = heaps.Wrong()
    for label, text in TUNABLES.items():
        with heaps.Pattern(name, **tunable(text)) as target:
            if label == "check" and requested_sizes(target):
                heaps.check_heap(heaps.heap_json(target.looked_at), wrong,
                                 foreign=sum(t["foreign"] for t in target.truth))
            else:
                stands(wrong, target, label, cached=not text)
    wrong.settle()


@live.cases_for(chosen(STATIC), str)
def static(name):
    """every figure to the byte, in a static program"""
    wrong = heaps.Wrong()
    with heaps.Pattern(name, [heaps.program("pattern-static")]) as target:
        stands(wrong, target, "static")
    wrong.settle()


@live.cases_for(chosen(NAMES), str)
def otherwise(name):
    """the same without a stop, and of a forked copy"""
    wrong = heaps.Wrong()
    with heaps.Pattern(name) as target:
        first, stopped = look(target)
        for args in (("--no-stop",), ("--snapshot",)):
            again, heap = look(target, *args)
            wrong += [f"{args[0]}: {text}" for text in again]
            wrong.true(heap["allocators"] == stopped["allocators"],
                       f"{args[0]}: another answer than of a stopped one")
        wrong += first
        live.wait_until(lambda: live.state(target.pid) == "S", "the target to wait")
    wrong.settle()


@live.cases_for(chosen(["simple", "threads8", "crossed", "two"]), str)
def stirred(name):
    """while it allocates and frees all the time: parts conserve, and exact again after"""
    wrong = heaps.Wrong()
    settled = 0
    with heaps.Pattern(name) as target:
        for _ in range(3):
            target.tell("churn")
            for args in (), (), ("--no-stop",), ("--snapshot",):
                heap = heaps.heap_json(target.looked_at, *args)
                # In the middle of a malloc something may not fit; then it is said.
                heaps.check_heap(heap, wrong, exact=heap["settled"])
                settled += heap["settled"]
            target.change("calm")
            wrong += look(target)[0]
    wrong.true(settled, "not one of 12 looks found a heap that fits")
    wrong.settle()


@live.cases_for(chosen(NAMES), str)
def accounted(name):
    """`memwhy PID` says the same as `memwhy heap PID`, and its account is Rss"""
    wrong = heaps.Wrong()
    with heaps.Pattern(name) as target:
        libcs = heaps.glibcs(heaps.heap_json(target.looked_at))
        with live.stopped(target.looked_at):
            why = live.why_json(target.looked_at, codes=(0, 1, 3))
            wrong.equal(why["rss"], live.rollup(target.looked_at)["Rss"], "rss")
        live.check_why(why)
        bytes_of = {row["cause"]: row["bytes"] for row in why["account"]}
        for cause, parts in (("heap-trimmable", ["trimmable"]),
                             ("heap-kept", ["pinned", "untrimmable"])):
            want = sum(libc["free"][part] for libc in libcs for part in parts)
            wrong.equal(bytes_of.get(cause, 0), want, cause)
        lived = sum(libc["live"]["bytes"] for libc in libcs)
        wrong.true(0 < bytes_of["heap-live"] <= lived, "more live resident than there is")
        for finding in why["findings"]:
            if finding["id"] == "heap-trimmable":
                wrong.equal(target.trimmed(), finding["bytes"], "what trimming gave")
    wrong.settle()


@live.case
def remedy():
    """a pinned mmap threshold returns what the finding says"""
    with heaps.Pattern("dynamic") as target:
        why = live.why_json(target.pid, codes=(0, 1, 3))
        before = live.rollup(target.pid)["Rss"]
        found = [f for f in why["findings"] if f["id"] == "heap-mmap-threshold"]
    live.check(found, f"no such finding: {[f['id'] for f in why['findings']]}")
    with heaps.Pattern("dynamic", MALLOC_MMAP_THRESHOLD_="131072") as target:
        saved = before - live.rollup(target.pid)["Rss"]
    # Headers of mappings, the part of a page at each end.
    live.check(abs(saved - found[0]["bytes"]) < 128 << 10,
               f"saved {saved}, predicted {found[0]['bytes']}")


@live.case
def old_libcs():
    """the pattern program asks for no symbol that glibc 2.31 does not have"""
    live.need_program("objdump", "binutils")
    done = subprocess.run(["objdump", "-T", heaps.program("pattern")], check=True,
                          stdout=subprocess.PIPE, text=True)
    versions = {tuple(map(int, found.split(".")))
                for found in re.findall(r"GLIBC_([\d.]+)", done.stdout)}
    live.check(versions and max(versions) <= (2, 31), f"versions {sorted(versions)}")


if __name__ == "__main__":
    live.main()
