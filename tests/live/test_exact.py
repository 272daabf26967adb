#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""On a stopped process every counter agrees with smaps, for every mapping, to the page."""

import os

import live

# memwhy maps no locale files then: the zoo does.
os.environ["LC_ALL"] = "C"

PYTHON = "x = [str(i) for i in range(200000)]; print('ready', flush=True); input()"
PERL = "$| = 1; my %h = map { $_ => 'x' x 50 } 1 .. 50000; print qq(ready\\n); <STDIN>"
PROGRAMS = {
    "zoo": ([live.HELPERS / "zoo"], {"ZOO_PAD": "x" * 65536}),
    "holder pages": ([live.HELPERS / "holder", "pages", "2000"], {}),
    "holder zero": ([live.HELPERS / "holder", "zero", "8"], {}),
    "python3": (["/usr/bin/python3", "-c", PYTHON], {"PYTHONHOME": "/usr"}),
    "bash": (["bash", "--norc", "-c", "x=$(seq 50000); echo ready; read"], {}),
    "perl": (["perl", "-e", PERL], {}),
}


def start(name):
    argv, env = PROGRAMS[name]
    live.need_program(str(argv[0]))
    return live.alone(argv, env=env)


# Our counter, and the columns of smaps that make it.
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


def compare_pss(answer, mappings, pid):
    """smaps truncates to whole kB; each segment of ours is rounded to a byte."""
    for segments, mapping in zip(group(answer["regions"], mappings), mappings):
        pss, kernel = live.total(s["pss"] for s in segments), mapping["Pss"]
        where = f"{mapping['start']:#x} {mapping['name']!r}"
        live.check(pss is not None, f"no pss of {where}")
        live.check(kernel - len(segments) <= pss < kernel + 1024 + len(segments),
                   f"pss of {where}: got {pss}, want {kernel}")
    pss, kernel = answer["totals"]["pss"], live.rollup(pid)["Pss"]
    live.check(kernel <= pss + 1 < kernel + 1026, f"pss {pss}, smaps_rollup {kernel}")


def compare_totals(answer, pid):
    totals, kernel = answer["totals"], live.rollup(pid)
    live.check_equal(totals["rss"], live.resident(pid), "rss")
    live.check_equal(totals["private"],
                     kernel["Private_Clean"] + kernel["Private_Dirty"], "private")
    live.check_equal(totals["swap"], kernel["Swap"], "swap")


@live.cases_for(PROGRAMS, str)
def pages_engine(name):
    """page maps agree with smaps"""
    with start(name) as target:
        answer = live.map_json(target.pid, "--engine", "pages")
        mappings = live.smaps(target.pid)
        for segments, mapping in zip(group(answer["regions"], mappings), mappings):
            compare_counters(segments, mapping, False)
        compare_totals(answer, target.pid)
        if os.geteuid() == 0:
            compare_pss(answer, mappings, target.pid)


@live.cases_for(PROGRAMS, str)
def smaps_engine(name):
    """smaps engine agrees with smaps"""
    with start(name) as target:
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
    with start(name) as target:
        pages = live.map_json(target.pid, "--engine", "pages")
        smaps = live.map_json(target.pid, "--engine", "smaps")
        for key in ("rss", "private", "shared", "swap"):
            live.check_equal(pages["totals"][key], smaps["totals"][key], key)
        for name in ("pages", "smaps"):
            live.check_why(live.why_json(target.pid, "--engine", name))


live.main()
