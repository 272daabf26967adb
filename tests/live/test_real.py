#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Programs that nobody here wrote: the account conserves, the classes that must be
there are there, little stays unexplained, and a recording answers as the process did."""

import sys

import live
import targets

EXE = {"exe.text", "exe.rodata", "exe.data", "stack.main", "stack.args"}
LIBC = {"lib.text", "lib.rodata", "lib.relro", "lib.data", "loader.text", "heap.brk"}
# Program: what must be seen in it, and how much of Rss may stay unexplained.
PROGRAMS = {
    "bash": (targets.bash, EXE | LIBC, 0.02),
    "perl": (targets.perl, EXE | LIBC, 0.02),
    "python": (targets.python, EXE | LIBC | {"python.arena"}, 0.03),
    "node": (targets.node, EXE | LIBC | {"v8.heap", "stack.thread", "tls"}, 0.05),
    "java": (targets.java, {"jvm.heap", "jvm.code", "jvm.metaspace", "jvm.cds",
                            "stack.thread", "tls", "heap.arena", "lib.text"}, 0.05),
    "redis": (targets.redis, EXE | {"heap.jemalloc", "stack.thread", "lib.text"}, 0.03),
    "postgres": (targets.postgres, EXE | LIBC | {"shm.anon"}, 0.02),
    "nginx": (targets.nginx, EXE | LIBC, 0.02),
    "prometheus": (targets.prometheus, {"exe.text", "exe.rodata", "go.heap", "go.runtime",
                                        "stack.main"}, 0.05),
    "chromium": (targets.chromium, {"exe.text", "exe.rodata", "stack.thread", "lib.text",
                                    "stack.main"}, 0.10),
    "busybox": (targets.busybox, {"exe.text", "exe.rodata", "heap.brk", "stack.main"}, 0.02),
    "jemalloc": (targets.jemalloc, EXE | {"heap.jemalloc"}, 0.03),
    "tcmalloc": (targets.tcmalloc, EXE | {"heap.tcmalloc"}, 0.03),
    "mimalloc": (targets.mimalloc, EXE | {"heap.mimalloc"}, 0.03),
    "musl": (targets.musl, {"exe.text", "heap.musl", "stack.main"}, 0.05),
}
# Beside its main process, of a program with several: these have no such class.
OF_MAIN_ONLY = {"stack.args"}


def check_rest(name, why, answer, bound):
    rest, rss = why["rest"], why["rss"]
    unknown = sorted(((r["rss"], r["start"], r["size"], r["name"], r["evidence"])
                      for r in answer["regions"] if r["class"] == "unknown" and r["rss"]),
                     reverse=True)
    live.check(rest <= bound * rss, f"{name}: {rest} of {rss} bytes unexplained "
               f"({rest / rss:.1%} > {bound:.0%}): {unknown[:12]}")


def check_recording(pid, live_why, live_map):
    with live.scratch() as place:
        live.memwhy("capture", pid, place / "tree", codes=(0, 3))
        root = ("--root", place / "tree")
        why = live.why_json(pid, *root, codes=(0, 1, 3))
        answer = live.map_json(pid, *root, codes=(0, 3))
    compare("why", live.drop_volatile(why), live.drop_volatile(live_why))
    compare("map", live.drop_volatile(answer), live.drop_volatile(live_map))


def compare(what, got, want):
    """Says the first difference, not two megabytes."""
    live.check_equal(sorted(got), sorted(want), f"{what}: keys")
    for key, value in want.items():
        if got[key] == value:
            continue
        if isinstance(value, list) and len(value) == len(got[key]):
            for mine, other in zip(got[key], value):
                live.check_equal(mine, other, f"{what}: {key} recorded")
        live.check_equal(str(got[key])[:1500], str(value)[:1500], f"{what}: {key} recorded")


def look(name, pid, classes, bound):
    with live.stopped(pid):
        kernel = live.rollup(pid)["Rss"]
        rows = sum(mapping["Rss"] for mapping in live.smaps(pid))
        why = live.why_json(pid, codes=(0, 1, 3))
        answer = live.map_json(pid, codes=(0, 3))
        live.check_why(why)
        live.check_equal(why["rss"], kernel, f"{name}: rss and smaps_rollup")
        live.check_equal(why["rss"], rows, f"{name}: rss and smaps")
        live.check_equal(answer["totals"]["rss"], kernel, f"{name}: map's rss")
        seen = {r["class"] for r in answer["regions"]}
        live.check(classes <= seen, f"{name}: no {sorted(classes - seen)} in {sorted(seen)}")
        check_rest(name, why, answer, bound)
        check_recording(pid, why, answer)


@live.cases_for([p for p in PROGRAMS if len(sys.argv) < 2 or p in sys.argv[1:]], str)
def explained(program):
    """explained, and the same from a recording"""
    start, classes, bound = PROGRAMS[program]
    with start() as pids:
        for at, (name, pid) in enumerate(pids.items()):
            look(name, pid, classes - OF_MAIN_ONLY if at else classes, bound)


live.main()
