#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""`memwhy leaks` against blocks of known kinds (heap/leaky.c): all that is leaked is found,
and nothing is called leaked that the program can reach, but for declared kinds whose
pointers are no pointers. Planted leaks in programs that nobody here wrote."""

import sys

import leaks
import live

# Kinds that are reachable only through what is no pointer in readable memory, and that
# memwhy is known not to see; each stands in its list of blind spots.
BLIND = {"high-tag", "nan-box", "xor", "flip", "offset", "compressed", "unaligned",
         "half-aligned", "pipe"}
# Of these a hint is in memory, so that they are called possible, not more.
HINTED = {"high-tag", "nan-box", "unaligned", "half-aligned"}


def scored():
    with leaks.Leaky() as target:
        return leaks.score_memwhy(target)


@live.cases_for([(), ("--snapshot",)], lambda args: args[0] if args else "stopped")
def all_found(args):
    """every leaked block of every leaked kind is found"""
    with leaks.Leaky() as target:
        score = leaks.score_memwhy(target, *args)
    missed = {kind.name: kind.blocks - score.found(kind)
              for kind in score.kinds if kind.truth == "leaked"}
    live.check_equal({name: n for name, n in missed.items() if n}, {}, "not found")


@live.case
def none_invented():
    """what a plain pointer leads to is never called leaked"""
    score = scored()
    wrong = {kind.name: score.found(kind) for kind in score.kinds
             if kind.truth != "leaked" and kind.name not in BLIND and score.found(kind)}
    live.check_equal(wrong, {}, "called leaked")


@live.case
def hinted():
    """where memory holds a hint of a pointer, a leak is called possible"""
    score = scored()
    wrong = {kind.name: score.confidences(kind) for kind in score.kinds
             if kind.name in HINTED and score.confidences(kind) - {"possible"}}
    live.check_equal(wrong, {}, "not called possible")


@live.case
def sums():
    """groups sum to what leaked; the exit status says that something did"""
    with leaks.Leaky() as target:
        answer = leaks.look(target.pid, codes=(1,))
        for total, confidences in (("leaked", {"certain", "likely"}),
                                   ("possible", {"possible"})):
            for key in ("blocks", "bytes"):
                groups = sum(group[key] for group in answer["groups"]
                             if group["confidence"] in confidences)
                live.check_equal(groups, answer[total][key], f"{total} {key}")
        for key in ("blocks", "bytes"):
            live.check_equal(answer["direct"][key] + answer["indirect"][key],
                             answer["leaked"][key], f"direct and indirect {key}")
        live.check(answer["blind"], "no blind spots listed")


@live.cases_for([p for p in leaks.PLANTED if len(sys.argv) < 2 or p in sys.argv[1:]], str)
def planted(name):
    """planted leaks are found, and none before"""
    found = leaks.PLANTED[name]()
    live.check(found.before == 0,
               f"{found.before} leaked blocks of that size before any was planted")
    live.check(found.after - found.before >= found.planted * 0.99,
               f"{found.after - found.before} of {found.planted} found")
    live.check(found.after - found.before <= found.planted,
               f"{found.after - found.before} found, {found.planted} planted")


live.main()
