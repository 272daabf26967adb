#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Sum up what Meson's test runs found, in one line.

usage: summary.py [--failed=WHAT]... BUILD_DIR...
       summary.py --self-test

Reads meson-logs/testlog.json of each build folder. A test that speaks TAP counts once
for each of its points, any other once; a TAP test that died between two points has
failed once more. A folder without a log (its build failed, its run never began) counts
as one failure, once, whether or not --failed names it too. Exits 1 if anything failed.
"""
import argparse
import json
import os
import re
import sys
import tempfile

PLAN = re.compile(r"^1\.\.(\d+)", re.M)
POINT = re.compile(r"^(not )?ok\b([^\n]*)", re.M)
SKIP = re.compile(r"#\s*skip", re.I)
LAST_LINES = 6
GOOD = {"OK", "EXPECTEDFAIL"}


def count(test):
    """(passed, failed, skipped) of one line of the log."""
    result = test.get("result")
    text = test.get("stdout") or ""
    plan = PLAN.search(text)
    points = POINT.findall(text) if plan else []
    if not points:
        return (result in GOOD, result not in GOOD and result != "SKIP",
                result == "SKIP")
    skipped = sum(1 for no, rest in points if SKIP.search(rest))
    failed = sum(1 for no, rest in points if no and not SKIP.search(rest))
    passed = len(points) - skipped - failed
    # cmocka 1.1 says "not ok" of a skipped test, which Meson takes for a failure.
    whole = len(points) == int(plan.group(1))
    only_skipped = whole and any(no and SKIP.search(rest) for no, rest in points)
    if result not in GOOD and result != "SKIP" and not failed and not only_skipped:
        failed = 1
    return passed, failed, skipped


def complaints(test):
    """The failed points of a TAP test, each with the end of what it says about them:
    Meson shows neither."""
    found = []
    for line in (test.get("stdout") or "").splitlines():
        if re.match(r"(not )?ok\b", line):
            failed = line.startswith("not") and not SKIP.search(line)
            found.append([line] if failed else None)
        elif found and found[-1] and line.startswith("#"):
            found[-1].append(line)
    return ["  " + line for block in found if block
            for line in block[:1] + block[1:][-LAST_LINES:]]


def read(build):
    """The tests of a folder's last run, or None."""
    path = os.path.join(build, "meson-logs", "testlog.json")
    try:
        with open(path, encoding="utf-8", errors="replace") as log:
            return [json.loads(line) for line in log if line.strip()]
    except (OSError, ValueError):
        return None


def sum_up(builds, failed_builds):
    total = [0, 0, 0]
    notes = [f"failed: {what}" for what in failed_builds]
    missing = 0
    for build in builds:
        tests = read(build)
        if not tests:
            missing += 1
            notes.append(f"no results: {build}")
            continue
        for test in tests:
            counts = count(test)
            total = [a + b for a, b in zip(total, counts)]
            if counts[1]:
                notes.append(f"failed: {test['name']} ({build})")
                notes += complaints(test)
            if counts[2]:
                notes.append(f"skipped: {test['name']} ({build})")
                notes += ["  " + line for line in (test.get("stdout") or "").splitlines()
                          if SKIP.search(line)]
    total[1] += max(missing, len(failed_builds))
    return total, notes


def self_test():
    tap = "1..4\nok 1 - a\nnot ok 2 - b\nok 3 - c # SKIP needs root\nok 4 - d\n"
    cases = [
        ({"result": "OK", "stdout": ""}, (1, 0, 0)),
        ({"result": "FAIL", "stdout": ""}, (0, 1, 0)),
        ({"result": "TIMEOUT"}, (0, 1, 0)),
        ({"result": "SKIP"}, (0, 0, 1)),
        ({"result": "FAIL", "stdout": tap}, (2, 1, 1)),
        ({"result": "ERROR", "stdout": "1..2\nok 1 - a\n"}, (1, 1, 0)),
        ({"result": "FAIL", "stdout": "1..1\nnot ok 1 # SKIP x\n"}, (0, 0, 1)),
        ({"result": "ERROR", "stdout": "1..2\nok 1 # SKIP x\n"}, (0, 1, 1)),
        ({"result": "OK", "stdout": "ok but not TAP\n"}, (1, 0, 0)),
    ]
    assert complaints(cases[4][0]) == ["  not ok 2 - b"]
    for test, want in cases:
        got = tuple(int(n) for n in count(test))
        assert got == want, (test, got, want)
    with tempfile.TemporaryDirectory() as there:
        assert sum_up([there], [])[0] == [0, 1, 0]
        assert sum_up([there], ["build"])[0] == [0, 1, 0]
        os.mkdir(os.path.join(there, "meson-logs"))
        with open(os.path.join(there, "meson-logs", "testlog.json"), "w") as log:
            for test, _ in cases:
                log.write(json.dumps(dict(test, name="x")) + "\n")
        assert sum_up([there], [])[0] == [5, 5, 4]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--failed", action="append", default=[])
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("builds", nargs="*")
    args = parser.parse_args()
    if args.self_test:
        self_test()
        return 0
    total, notes = sum_up(args.builds, args.failed)
    for note in notes:
        print(note)
    print(f"{total[0]} passed, {total[1]} failed, {total[2]} skipped")
    return 1 if total[1] else 0


if __name__ == "__main__":
    sys.exit(main())
