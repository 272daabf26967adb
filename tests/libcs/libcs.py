#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""`memwhy heap` on the libcs of other Debian suites, to the byte.

usage: libcs.py --build DIR --cache DIR [SUITE...]

Runs tests/live/test_heap_exact.py once for each suite, with the pattern program started
by that libc's own loader. The last line is `N passed, N failed, N skipped`; a suite that
the archive does not give now, and did not before, is one skip, visibly."""

import argparse
import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import fetch    # noqa: E402

TEST = pathlib.Path(__file__).resolve().parents[1] / "live" / "test_heap_exact.py"



class Tally:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def point(self, line):
        if re.search(r"# *skip\b", line, re.I):
            self.skipped += 1
        elif line.startswith("not ok"):
            self.failed += 1
        else:
            self.passed += 1

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def run_tests(build, libc, tally):
    """TAP, each point with the libc in front; a run that breaks off has failed."""
    env = dict(os.environ, MEMWHY=str(build / "memwhy"),
               MEMWHY_HELPERS=str(build / "tests" / "live"),
               MEMWHY_LOADER=" ".join(libc.argv()))
    plan, seen = None, 0
    with subprocess.Popen([sys.executable, "-B", str(TEST)], env=env, text=True,
                          stdout=subprocess.PIPE) as process:
        for line in process.stdout:
            line = line.rstrip("\n")
            if line.startswith("1.."):
                plan = int(line[3:])
            elif re.match(r"(not )?ok\b", line):
                seen += 1
                tally.point(line)
                print(f"{libc.version}: {line}", flush=True)
            else:
                print(line, flush=True)
    if plan is None or seen != plan:
        tally.failed += 1
        print(f"{libc.version}: not ok - broke off after {seen} of {plan}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True, type=pathlib.Path)
    parser.add_argument("--cache", required=True, type=pathlib.Path)
    parser.add_argument("suites", nargs="*", default=fetch.SUITES, metavar="SUITE")
    args = parser.parse_args()
    tally, done = Tally(), {}
    for suite in args.suites:
        try:
            libc = fetch.libc_of(args.cache, suite)
        except fetch.Unavailable as why:
            tally.skipped += 1
            print(f"{suite}: ok - libc6 # SKIP not to be had: {why}", flush=True)
            continue
        if libc.version in done:
            print(f"{suite}: the same libc6 as {done[libc.version]}", flush=True)
            continue
        done[libc.version] = suite
        print(f"== libc6 {libc}", flush=True)
        run_tests(args.build.resolve(), libc, tally)
    print(tally)
    sys.exit(1 if tally.failed else 0)


main()
