#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Programs that nobody here wrote: the account conserves, the classes that must be
there are there, little stays unexplained, and a recording answers as the process did."""

import re
import sys

import live
import targets

EXE = {"exe.text", "exe.rodata", "exe.data", "stack.main", "stack.args"}
LIBC = {"lib.text", "lib.rodata", "lib.relro", "lib.data", "loader.text", "heap.brk"}
# The share of Rss that may stay unexplained: a libc of another build may keep a page.
FEW = 0.005
# Program: what must be seen in it, and how much of Rss may stay unexplained.
PROGRAMS = {
    "bash": (targets.bash, EXE | LIBC, FEW),
    "perl": (targets.perl, EXE | LIBC, FEW),
    "python": (targets.python, EXE | LIBC | {"python.arena"}, FEW),
    "node": (targets.node, EXE | LIBC | {"v8.heap", "stack.thread", "tls"}, FEW),
    "java": (targets.java, {"jvm.heap", "jvm.code", "jvm.metaspace", "jvm.cds",
                            "stack.thread", "tls", "heap.arena", "lib.text"}, FEW),
    "redis": (targets.redis, EXE | {"heap.jemalloc", "stack.thread", "lib.text"}, FEW),
    "postgres": (targets.postgres, EXE | LIBC | {"shm.anon"}, FEW),
    "nginx": (targets.nginx, EXE | LIBC, FEW),
    "prometheus": (targets.prometheus, {"exe.text", "exe.rodata", "go.heap", "go.runtime",
                                        "stack.main"}, FEW),
    "chromium": (targets.chromium, {"exe.text", "exe.rodata", "stack.thread", "lib.text",
                                    "stack.main"}, 0.01),
    "busybox": (targets.busybox, {"exe.text", "exe.rodata", "heap.brk", "stack.main"}, FEW),
    "jemalloc": (targets.jemalloc, EXE | {"heap.jemalloc"}, FEW),
    "tcmalloc": (targets.tcmalloc, EXE | {"heap.tcmalloc"}, FEW),
    "mimalloc": (targets.mimalloc, EXE | {"heap.mimalloc"}, FEW),
    "musl": (targets.musl, {"exe.text", "heap.musl", "stack.main"}, FEW),
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


# What depends on who else maps the same files just now: it was another moment when the
# recording was made. Of findings, the wording may hold such a figure.
SHARING = ("pss", "uss", "private", "shared")


def without_root(command):
    """What is recommended on a recording names it."""
    return re.sub(r" --root \S+", "", command)


def without_sharing(value):
    if isinstance(value, list):
        return [without_sharing(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "claim" in value:
        return value["id"], value["confidence"], without_root(value["next"])
    if "next" in value:
        value = dict(value, next=without_root(value["next"]))
    return {key: without_sharing(item) for key, item in value.items()
            if key not in (*SHARING, "headline", "stop_ms")}


def check_recording(pid, live_why, live_map):
    with live.scratch() as place:
        live.memwhy("capture", "--memory", pid, place / "tree", codes=(0, 3))
        root = ("--root", place / "tree")
        why = live.why_json(pid, *root, codes=(0, 1, 3))
        answer = live.map_json(pid, *root, codes=(0, 3))
    live.check_why(why)
    # From the clock and the uptime, so that it may fall on this second or the next.
    started = [answer["process"].pop("start_time") for answer in (why, live_why)]
    live.check(abs(started[0] - started[1]) <= 1, f"start_time {started}")
    for each in (answer, live_map):
        each["process"].pop("start_time")
    compare("why", without_sharing(why), without_sharing(live_why))
    compare("map", without_sharing(answer), without_sharing(live_map))
    for got, want in ((why, live_why), (answer["totals"], live_map["totals"])):
        pss, slack = want["pss"], want["rss"] / 50 + 65536
        live.check(abs(got["pss"] - pss) < slack, f"pss {got['pss']} recorded, {pss}")


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
        live.check(classes <= seen,
                   f"{name}: no {sorted(classes - seen)} in {sorted(seen)}")
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
