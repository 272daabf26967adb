# SPDX-License-Identifier: MIT
"""Leaks in a heap of 1 GiB: beside valgrind's own search in the same program."""

import json
import shutil
import statistics
import subprocess
import time

TEXT = """The same program as above in size, with two pointers in each block, and 100,000 blocks
that nothing leads to. `memwhy leaks` is timed from its start to its end, a process that
nobody prepared; valgrind's search alone, in the program that ran under it from the start.
Both run in turn, {rounds} times; times are medians in seconds, in brackets user + system, the
ratio is the median of the ratios of neighbours. The pointers follow the order in which
blocks were allocated, or none at all. Peak is memwhy's, for each byte of heap. Of other tools that
find leaks from outside, chap is not in Debian, and nothing else there looks into a
running process."""

HEAD = ("pointers", "`leaks`", "target stopped", "aim", "met", "peak", "aim", "met",
        "valgrind's search", "ratio", "aim", "met")
PLANTED = 100_000
ROUNDS = 3      # valgrind takes its time


def once(options, pid):
    """Wall and CPU seconds, the stop in seconds, peak bytes for each byte of heap."""
    argv = [str(options.build / "bench" / "peak"), str(options.memwhy), "leaks", "--json",
            "--max-stop", "60000", str(pid)]
    begin = time.monotonic()
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wall = time.monotonic() - begin
    answer = json.loads(done.stdout)
    if done.returncode != 1 or answer["leaked"]["blocks"] != PLANTED:
        raise SystemExit(f"bench: {answer['leaked']} leaked, {PLANTED} planted")
    cpu_ns, peak = (int(word) for word in done.stderr.split()[-2:])
    return wall, cpu_ns / 1e9, answer["stop_ms"] / 1e3, peak / answer["live"]["bytes"]


def valgrind(options, graph):
    """Seconds of one search, printed by the program itself."""
    done = subprocess.run(["valgrind", "--leak-check=full", "--log-file=/dev/null",
                           str(options.build / "bench" / "leaks10m"), graph],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    if done.returncode or not done.stdout.split()[0].isdigit():
        raise SystemExit(f"bench: valgrind: {done.returncode}: {done.stdout}")
    return int(done.stdout.split()[0]) / 1e9


def yes(met):
    return "yes" if met else "**no**"


def row(options, graph, target):
    ours, theirs = [], []
    for i in range(ROUNDS + 1):
        with target(options.build, "leaks10m", graph) as child:
            seen = once(options, child.pid)
        if i:                   # the first one does not count
            ours.append(seen)
            theirs.append(valgrind(options, graph))
    wall, cpu, stop, peak = (statistics.median(column) for column in zip(*ours))
    ratio = statistics.median(b / a[0] for a, b in zip(ours, theirs))
    return (graph, f"{wall:.2f} ({cpu:.2f})", f"{stop:.2f}", "≤ 3", yes(stop <= 3),
            f"{peak:.3f}", "≤ 0.2", yes(peak <= 0.2), f"{statistics.median(theirs):.1f}",
            f"{ratio:.1f}", "≥ 8", yes(ratio >= 8))


def rows(options, target):
    """One row a graph; `target` is the context manager that starts a program."""
    if not shutil.which("valgrind"):
        raise SystemExit("bench: valgrind is not installed")
    return [row(options, graph, target) for graph in ("ordered", "random")]
