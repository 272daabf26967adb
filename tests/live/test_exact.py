#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""On a stopped process every counter agrees with smaps, for every mapping, to the page."""

import os

import live

PROGRAMS = {
    "zoo": lambda: live.zoo(),
    "holder pages": lambda: live.holder("pages", 2000),
    "holder zero": lambda: live.holder("zero", 8),
    "python3": lambda: live.Target(
        ["/usr/bin/python3", "-c",
         "x = [str(i) for i in range(200000)]; print('ready', flush=True); input()"]),
    "bash": lambda: live.Target(
        [live.need_program("bash"), "--norc", "-c", "x=$(seq 50000); echo ready; read"]),
    "perl": lambda: live.Target(
        [live.need_program("perl"), "-e",
         "$| = 1; my %h = map { $_ => 'x' x 50 } 1 .. 50000; print qq(ready\\n); <STDIN>"]),
}
# Our counter, and the columns of smaps that make it. Of a library's pages another
# process may become or cease to be a sharer at any time; the sum stays.
SAME = {
    "rss": ("Rss",),
    "private": ("Private_Clean", "Private_Dirty"),
    "shared": ("Shared_Clean", "Shared_Dirty"),
    "swap": ("Swap",),
}


def group(regions, mappings):
    """The segments of each mapping: they tile it, in order."""
    segments, at = [], 0
    for mapping in mappings:
        mine, next_start = [], mapping["start"]
        while at < len(regions) and live.address(regions[at]["start"]) < mapping["end"]:
            live.check_equal(live.address(regions[at]["start"]), next_start, "a gap")
            next_start = live.address(regions[at]["end"])
            mine.append(regions[at])
            at += 1
        live.check_equal(next_start, mapping["end"], "the mapping's end")
        segments.append(mine)
    live.check_equal(at, len(regions), "segments outside every mapping")
    return segments


def compare_counters(segments, mapping, whole_only):
    """Returns whether anything could be compared."""
    if whole_only and len(segments) > 1:
        return False
    where = f"{mapping['start']:#x} {mapping['name']!r}"
    for key, columns in SAME.items():
        got = live.total(s[key] for s in segments)
        live.check_equal(got, sum(mapping[c] for c in columns), f"{key} of {where}")
    return True


def others_slack(mapping):
    """How far the Pss of a file's pages may move between two looks: processes that map
    the same library come and go, and memwhy, while it looks, is one more of them."""
    others = mapping["Shared_Clean"] + mapping["Shared_Dirty"]
    anonymous = not mapping["name"] or mapping["name"] in (b"[heap]", b"[stack]")
    return 0 if anonymous or not others else 2048 + mapping["Pss"] // 10


def compare_pss(pid, answer, mappings):
    """smaps truncates to whole kB; each segment of ours is rounded to a byte."""
    wrong, total_slack = [], 1024
    for segments, mapping in zip(group(answer["regions"], mappings), mappings):
        pss, slack = live.total(s["pss"] for s in segments), others_slack(mapping)
        total_slack += slack
        low, high = mapping["Pss"] - slack, mapping["Pss"] + 1024 + slack
        if pss is None or not low - len(segments) <= pss < high + len(segments):
            wrong.append((f"{mapping['start']:#x}", mapping["name"], pss, mapping["Pss"]))
    live.check(not wrong, f"pss differs: {wrong}")
    pss, kernel = answer["totals"]["pss"], live.rollup(pid)["Pss"]
    live.check(abs(pss - kernel) <= total_slack, f"pss {pss}, rollup {kernel}")


def compare_pss_somewhen(pid):
    """Once in a few looks nobody else starts or ends in between."""
    for left in reversed(range(10)):
        try:
            return compare_pss(pid, live.map_json(pid, "--engine", "pages"), live.smaps(pid))
        except AssertionError:
            if not left:
                raise


def compare_totals(answer, pid):
    totals, kernel, status = answer["totals"], live.rollup(pid), live.status(pid)
    live.check_equal(totals["rss"], kernel["Rss"], "rss and smaps_rollup")
    live.check_equal(totals["rss"], status["VmRSS"], "rss and VmRSS")
    live.check_equal(totals["private"],
                     kernel["Private_Clean"] + kernel["Private_Dirty"], "private")
    live.check_equal(totals["swap"], kernel["Swap"], "swap")


@live.cases_for(PROGRAMS, str)
def pages_engine(name):
    """page maps agree with smaps"""
    with PROGRAMS[name]() as target, live.stopped(target.pid):
        answer = live.map_json(target.pid, "--engine", "pages")
        mappings = live.smaps(target.pid)
        for segments, mapping in zip(group(answer["regions"], mappings), mappings):
            compare_counters(segments, mapping, False)
        compare_totals(answer, target.pid)
        if os.geteuid() == 0:
            compare_pss_somewhen(target.pid)


@live.cases_for(PROGRAMS, str)
def smaps_engine(name):
    """smaps engine agrees with smaps"""
    with PROGRAMS[name]() as target, live.stopped(target.pid):
        answer = live.map_json(target.pid, "--engine", "smaps")
        mappings = live.smaps(target.pid)
        compared = 0
        for segments, mapping in zip(group(answer["regions"], mappings), mappings):
            compared += compare_counters(segments, mapping, True)
        live.check(compared > 5, f"only {compared} mappings were whole segments")
        compare_totals(answer, target.pid)


@live.cases_for(PROGRAMS, str)
def same_answer_by_both(name):
    """both engines classify the same and give the same totals"""
    with PROGRAMS[name]() as target, live.stopped(target.pid):
        pages = live.map_json(target.pid, "--engine", "pages")
        smaps = live.map_json(target.pid, "--engine", "smaps")
        for key in ("rss", "private", "shared", "swap"):
            live.check_equal(pages["totals"][key], smaps["totals"][key], key)
        for name in ("pages", "smaps"):
            live.check_why(live.why_json(target.pid, "--engine", name))


live.main()
