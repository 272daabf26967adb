#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Compares heaps with the truth of the programs (pattern.c), totals with what real
programs report, scores leaks beside LSan and valgrind on the same program (leaky.c),
plants leaks in real programs, and writes the tables of docs/heap-proof.md.

usage: MEMWHY=… MEMWHY_HELPERS=…/tests/live score.py [--write]

With --write the parts of the page between marks are replaced; else they are printed."""

import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import heaps             # noqa: E402
import leaks             # noqa: E402
import realheaps         # noqa: E402
import test_heap_exact   # noqa: E402

PAGE = HERE.parents[2] / "docs" / "heap-proof.md"
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


def patterns_table():
    """Every pattern with every tunable, in three states each."""
    out = [row(["pattern", "live blocks", "live bytes", "looks", "exact",
                "largest fall of Rss at malloc_trim(0), as predicted"]),
           row(["---"] * 6)]
    for name in test_heap_exact.NAMES:
        n, exact, most = 0, 0, 0
        for label, text in test_heap_exact.TUNABLES.items():
            with heaps.Pattern(name, **test_heap_exact.tunable(text)) as target:
                filled = target.truth
                for _, wrong, fell in test_heap_exact.looks(target, label):
                    n, exact, most = n + 1, exact + (not wrong), max(most, fell)
        out.append(row([name, *(f"{sum(t[key] for t in filled):,}"
                                for key in ("blocks", "bytes")),
                        str(n), str(exact), f"{most // 1024:,} KiB"]))
    return out


def real_table():
    out = [row(["program", "what", "memwhy", "the program says", "off by"]),
           row(["---"] * 5)]
    for name, run in realheaps.PROGRAMS.items():
        with run() as running:
            heap = heaps.heap_json(running.pid)
            checks = [c for a in heap["allocators"] for c in a["checks"]]
            held = sum(c["ok"] for c in checks)
            out.append(row([name, "identities that hold", f"{held} of {len(checks)}", "",
                            ""]))
            out += [row([name, t.what, f"{t.found:,}", f"{t.said:,}",
                         f"{t.found - t.said:+,}"]) for t in running.totals(heap)]
    return out


def versions():
    valgrind = heaps.version_of(["valgrind", "--version"])
    gcc = heaps.version_of(["gcc", "-dumpfullversion"])
    libc = heaps.version_of(["getconf", "GNU_LIBC_VERSION"])
    memwhy = subprocess.run([leaks.live.MEMWHY, "--version"], stdout=subprocess.PIPE,
                            text=True).stdout.strip().splitlines()[0]
    return f"{memwhy}; LSan of gcc {gcc}; valgrind {valgrind}; glibc {libc}."


def scores_of_leaks():
    with leaks.Leaky() as target:
        mine = leaks.score_memwhy(target)
    return kinds_table([mine, leaks.score_lsan(), leaks.score_valgrind()])


# Each stands between <!-- NAME: begin --> and <!-- NAME: end -->.
TABLES = {
    "versions": lambda: [versions()],
    "patterns": patterns_table,
    "real": real_table,
    "kinds": scores_of_leaks,
    "planted": planted_table,
}


def main():
    page = PAGE.read_text()
    for name, make in TABLES.items():
        text = "\n".join(make())
        if sys.argv[1:] != ["--write"]:
            print(text, end="\n\n", flush=True)
            continue
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        before, _, rest = page.partition(begin)
        _, _, after = rest.partition(end)
        page = f"{before}{begin}\n{text}\n{end}{after}"
        PAGE.write_text(page)


main()
