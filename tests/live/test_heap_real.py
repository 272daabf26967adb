#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Heaps of programs that nobody here wrote: every identity holds, the totals are those
that the program itself reports, no more pages are attributed than are resident, and
the account of `memwhy PID` still sums to Rss."""

import sys

import heaps
import live
import realheaps

CHOSEN = sys.argv[1:]
GLIBC = {"python3", "python3, threads", "node", "perl", "bash", "postgres", "nginx",
         "java"}


def resident_kept(heap):
    return sum(a["free"]["resident"] for a in heap["allocators"] if not a["nested"])


def check_attributed(wrong, heap, rss):
    for a in heap["allocators"]:
        where = a["name"]
        wrong.true(a["free"]["resident"] <= rss, f"{where}: more kept than Rss {rss}")
        if a["depth"] == "walked":
            wrong.true(a["live"]["blocks"] > 0, f"{where}: nothing live")
            wrong.true(a["live"]["bytes"] <= a["system"], f"{where}: more live than it has")
    wrong.true(resident_kept(heap) <= rss, "allocators keep more than Rss, together")


def check_account(wrong, pid, kept):
    """The buckets of the heap are there, and all buckets are Rss."""
    with live.stopped(pid):
        why = live.why_json(pid, codes=(0, 1, 3))
        live.check_why(why)
        wrong.equal(why["rss"], live.rollup(pid)["Rss"], "rss of the account")
    causes = " ".join(row["cause"] for row in why["account"])
    wrong.true("heap" in causes or not kept, f"no heap among {causes}")


@live.cases_for([p for p in realheaps.PROGRAMS if not CHOSEN or p in CHOSEN], str)
def real(name):
    """identities, own totals, account"""
    wrong = heaps.Wrong()
    with realheaps.PROGRAMS[name]() as running:
        heap = heaps.heap_json(running.pid)
        again = heaps.heap_json(running.pid, "--no-stop")
        heaps.check_heap(heap, wrong)
        heaps.check_heap(again, wrong)
        if name in GLIBC:
            libc = realheaps.allocator(heap, "glibc")
            wrong.true(libc["checks"], "glibc: nothing was checked")
            wrong.equal(libc["depth"], "walked", "glibc: depth")
        for total in running.totals(heap):
            print(f"# {name}: {total.what}: {total.found}, it says {total.said}",
                  flush=True)
            wrong.true(total.holds(), f"{total.what}: {total.found}, the program says "
                       f"{total.said} (may differ by {total.slack})")
        check_attributed(wrong, heap, live.rollup(running.pid)["Rss"])
        check_account(wrong, running.pid, resident_kept(heap))
    wrong.settle()


if __name__ == "__main__":
    live.main()
