#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Scores memwhy beside LSan and valgrind on the same program (leaky.c), plants leaks in
real programs, and writes the tables of docs/heap-proof.md.

usage: MEMWHY=… MEMWHY_HELPERS=…/tests/live score.py [--write]

With --write the part of the page between its two marks is replaced; else it is printed."""

import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import heaps    # noqa: E402
import leaks    # noqa: E402

PAGE = HERE.parents[2] / "docs" / "heap-proof.md"
BEGIN, END = "<!-- scored: begin -->", "<!-- scored: end -->"
SURE = {"memwhy": ("certain", "likely"), "LSan": ("leaked",),
        "valgrind": ("definitely", "indirectly")}


def cell(score, kind):
    sure = score.found(kind, *SURE[score.tool])
    maybe = score.found(kind) - sure
    words = ([str(sure)] if sure else []) + ([f"{maybe} possible"] if maybe else [])
    return ", ".join(words) or "–"


def row(cells):
    return f"| {' | '.join(cells)} |"


def sums(scores, truths, what):
    """Two figures each: reported as sure, and only as possible."""
    kinds = [k for k in scores[0].kinds if k.truth in truths]
    cells = []
    for score in scores:
        sure = sum(score.found(k, *SURE[score.tool]) for k in kinds)
        maybe = sum(score.found(k) for k in kinds) - sure
        cells.append(f"**{sure}**" + (f" (+{maybe} possible)" if maybe else ""))
    return row([f"**{what}**", str(sum(k.blocks for k in kinds)), *cells])


def kinds_table(scores):
    out = [row(["kind", "what it is", *(s.tool for s in scores)]),
           row(["---"] * (2 + len(scores)))]
    for truth in ("leaked", "reachable", "hidden"):
        out += [row([k.name, truth, *(cell(s, k) for s in scores)])
                for k in scores[0].kinds if k.truth == truth]
    out += [sums(scores, ("leaked",), "leaked, found"),
            sums(scores, ("reachable",), "reachable, called leaked"),
            sums(scores, ("hidden",), "hidden, called leaked")]
    return out


def planted_table():
    out = [row(["program", "planted", "found", "of that size before"]), row(["---"] * 4)]
    for name, run in leaks.PLANTED.items():
        found = run()
        out.append(row([name, str(found.planted), str(found.after - found.before),
                        str(found.before)]))
    return out


def versions():
    valgrind = heaps.version_of(["valgrind", "--version"])
    gcc = heaps.version_of(["gcc", "-dumpfullversion"])
    libc = heaps.version_of(["getconf", "GNU_LIBC_VERSION"])
    memwhy = subprocess.run([leaks.live.MEMWHY, "--version"], stdout=subprocess.PIPE,
                            text=True).stdout.strip().splitlines()[0]
    return f"{memwhy}; LSan of gcc {gcc}; valgrind {valgrind}; glibc {libc}."


def tables():
    with leaks.Leaky() as target:
        mine = leaks.score_memwhy(target)
    scores = [mine, leaks.score_lsan(), leaks.score_valgrind()]
    return "\n".join([versions(), "", *kinds_table(scores), "", *planted_table()])


def main():
    text = tables()
    if sys.argv[1:] != ["--write"]:
        print(text)
        return
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


main()
