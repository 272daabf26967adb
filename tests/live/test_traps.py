#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The kernel interfaces' known traps: each once gave somebody a wrong number."""

import os

import live


def rss_of(answer, fact):
    start, end = int(fact["start"], 16), int(fact["end"], 16)
    return live.total(r["rss"] for r in live.inside(answer["regions"], start, end))


def check_ranges(target, *args):
    """Every range the holder printed is resident as it said; the total is the kernel's."""
    answer = live.map_json(target.pid, *args)
    for fact in target.facts("range"):
        live.check_equal(rss_of(answer, fact), int(fact["rss"]), f"rss of {fact}")
    live.check_equal(answer["totals"]["rss"], live.resident(target.pid), "total")
    return answer


@live.case
def zero_page():
    """the zero page is present in a page map, and is not resident memory"""
    with live.holder("zero", 64) as target, live.stopped(target.pid):
        for engine in ("pages", "smaps"):
            check_ranges(target, "--engine", engine)


@live.case
def stale_walk_end():
    """more ranges than PAGEMAP_SCAN returns at once are counted once each"""
    with live.holder("stripes", 128) as target, live.stopped(target.pid):
        for jobs in (1, 2):
            check_ranges(target, "--engine", "pages", "--jobs", jobs)


@live.case
def reserved_terabytes():
    """terabytes of address space without memory are answered, and rightly"""
    with live.holder("reserve", 1024) as target, live.stopped(target.pid):
        answer = check_ranges(target, "--engine", "pages")
        none = target.facts("none")[0]
        start, end = int(none["start"], 16), int(none["end"], 16)
        classes = {r["class"] for r in live.inside(answer["regions"], start, end)}
        live.check_equal(classes, {"reserved"}, "class of inaccessible memory")
        live.check_why(live.why_json(target.pid))


@live.case
def truncated_pss():
    """Pss of 20,000 one-page mappings of 3 processes is not cut to kB for each"""
    n = 20000
    with live.holder("pages", n) as target:
        pids = [target.pid, *live.children(target.pid)]
        live.check_equal(len(pids), 3, "processes that share the pages")
        with live.stopped(*pids):
            kernel = live.rollup(target.pid)["Pss"]
            rows = sum(mapping["Pss"] for mapping in live.smaps(target.pid))
            # The trap is there: what smaps prints per mapping does not add up.
            live.check(rows < kernel * 0.85, f"smaps sums to {rows} of {kernel}")
            # Sharers of the C library come and go: its part may differ.
            pss, slack = live.why_json(target.pid)["pss"], 256 * 1024
            live.check(abs(pss - kernel) < slack, f"pss {pss}, rollup {kernel}")
            if os.geteuid() != 0:
                return
            answer = live.map_json(target.pid, "--engine", "pages")
            total = answer["totals"]["pss"]
            live.check(abs(total - kernel) < slack, f"map {total}, rollup {kernel}")
            rows = sum(r["pss"] for r in answer["regions"])
            live.check(abs(rows - total) <= len(answer["regions"]) / 2 + 1,
                       f"regions' pss {rows}, total {total}")


@live.case
def huge_map_counts():
    """a mapping's pages shared by many are shared, not private"""
    with live.holder("pages", 64) as target:
        pids = [target.pid, *live.children(target.pid)]
        with live.stopped(*pids):
            answer = live.map_json(target.pid, "--engine", "pages")
            fact = target.facts("range")[0]
            start, end = int(fact["start"], 16), int(fact["end"], 16)
            mine = live.inside(answer["regions"], start, end)
            live.check_equal(live.total(r["private"] for r in mine), 0, "private")
            live.check_equal(live.total(r["shared"] for r in mine), 64 * live.PAGE,
                             "shared")


@live.case
def merged_with_the_loader():
    """what a program maps beside the loader's own pages is not the loader's"""
    with live.holder("beside", 3) as target:
        start, end = (int(target.facts("range")[0][key], 16) for key in ("start", "end"))
        if not any(r["start"] <= start < end < r["end"]
                   for r in live.smaps(target.pid, "maps")):
            raise live.Skip("the kernel put it elsewhere: nothing merged")
        answer = live.map_json(target.pid)
        classes = {r["class"] for r in live.inside(answer["regions"], start, end)}
        live.check("loader.data" not in classes, f"{classes}")
        live.check(any(r["class"] == "loader.data" and r["name"] == "link maps"
                       for r in answer["regions"]), "the loader's own pages")


live.main()
