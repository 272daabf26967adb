#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""`map --pmap` beside procps' pmap on programs that nobody here wrote, stopped: every
mode, every pair of options, with kernel names too where this pmap knows them."""

import subprocess
import sys

import live
import targets

PROGRAMS = ("bash", "perl", "python", "node", "java", "redis", "postgres", "nginx",
            "prometheus", "chromium", "busybox", "jemalloc", "tcmalloc", "mimalloc", "musl")
MODES = ([], ["-x"], ["-X"], ["-XX"], ["-d"])
MORE = ([], ["-q"], ["-p"], ["-q", "-p"])
TRIES = 20


def shares(head):
    """Of -X: the columns in which who else maps the same pages shows."""
    return [at for at, name in enumerate(head)
            if name.startswith(("Pss", "Shared_", "Private_"))]


def without_shares(out, columns):
    """Its rows as words, without these columns; the sums lack the five before them."""
    rows = []
    for line in out.decode(errors="replace").splitlines():
        words = line.split()
        if set(line) <= {" ", "="}:
            continue
        at = [c - 5 for c in columns] if words[-1:] == ["KB"] else columns
        rows.append([word for i, word in enumerate(words) if i not in at])
    return rows


def compare(name, pid, options):
    commands = (["pmap", *options, str(pid)], [live.MEMWHY, "pmap", *options, str(pid)])
    head, columns = ["pmap", *(o for o in options if o != "-q"), str(pid)], []
    for line in subprocess.run(head, capture_output=True, text=True, errors="replace",
                               check=True).stdout.splitlines()[:2]:
        columns = shares(line.split()) or columns
    for _ in range(TRIES):
        want, got = (subprocess.run(command, capture_output=True, check=True).stdout
                     for command in commands)
        if want == got:
            return
        # The pages of both programs' own libraries come and go with them.
        if columns and without_shares(want, columns) == without_shares(got, columns):
            return
    for a, b in zip(want.splitlines(), got.splitlines()):
        live.check_equal(b, a, f"{name} {options}")
    live.check_equal(got, want, f"{name} {options}")


@live.cases_for([p for p in PROGRAMS if len(sys.argv) < 2 or p in sys.argv[1:]], str)
def as_procps(program):
    """as procps' pmap has it"""
    live.need_program("pmap", "procps")
    with getattr(targets, program)() as pids:
        for name, pid in pids.items():
            with live.stopped(pid):
                for mode in MODES:
                    for more in MORE:
                        compare(name, pid, [*mode, *more])


live.main()
