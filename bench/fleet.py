# SPDX-License-Identifier: MIT
"""`top` of 300 processes beside smem and beside reading every smaps_rollup, in a pid
namespace of their own: nothing else that runs on the machine is in the figures."""

import shutil
import statistics
import subprocess
import sys

TEXT = """300 idle processes in a pid namespace of their own (200 `sleep`, 60 `bash`, 40
`python3`). Milliseconds of CPU, user + system, each command with its start; medians of
{rounds} rounds of neighbours. `top` reads smaps_rollup of what it shows and of what could be
as large; sorted by Rss it is of what it shows alone."""

HEAD = ("what", "memwhy, CPU ms", "beside, CPU ms", "ratio", "aim", "met")

FLEET = """
import subprocess, sys
fleet = [["sleep", "3600"]] * 200 + [["bash", "-c", "read x"]] * 60 + \\
        [["/usr/bin/python3", "-c", "import json, time; time.sleep(3600)"]] * 40
started = [subprocess.Popen(argv, stdin=subprocess.PIPE) for argv in fleet]
import time
time.sleep(5)
print("ready", flush=True)
sys.stdin.read()
"""


def child_of(pid):
    done = subprocess.run(["pgrep", "-P", str(pid)], stdout=subprocess.PIPE, text=True,
                          check=True)
    return done.stdout.split()[0]


def pair(options, inside, ours, peer):
    """CPU seconds of both, alternately, seen from within the namespace."""
    done = subprocess.run(["nsenter", "-t", inside, "-p", "-m",
                           str(options.build / "bench" / "pairs"), str(options.rounds),
                           *ours, "--", *peer],
                          stdout=subprocess.PIPE, text=True, check=True)
    seen = [[int(word) / 1e9 for word in line.split()] for line in done.stdout.splitlines()]
    return [(round_[1], round_[3]) for round_ in seen]


def row(options, inside, what, ours, peer, aim):
    seen = pair(options, inside, [str(options.memwhy), "top", "--once", *ours], peer)
    ratio = statistics.median(b / a for a, b in seen)
    mine, theirs = (statistics.median(column) * 1e3 for column in zip(*seen))
    met = ("yes" if ratio >= aim else "**no**") if aim else ""
    return (what, f"{mine:.1f}", f"{theirs:.1f}", f"{ratio:.1f}",
            f"≥ {aim}" if aim else "", met)


def rows(options):
    if not shutil.which("smem"):
        raise SystemExit("bench: smem is not installed")
    smem = ["smem", "-c", "pid user command swap uss pss rss"]
    rollup = ["sh", "-c", "cat /proc/[0-9]*/smaps_rollup 2>/dev/null; true"]
    space = subprocess.Popen(["unshare", "-p", "-f", "--mount-proc", "--kill-child",
                              sys.executable, "-c", FLEET], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)
    try:
        if space.stdout.readline() != b"ready\n":
            raise SystemExit("bench: the fleet did not start")
        inside = child_of(space.pid)
        return [
            row(options, inside, "`top` by Pss, 20 rows / `smem`", [], smem, 20),
            row(options, inside, "`top -s rss`, 20 rows / `smem`", ["-s", "rss"], smem, 20),
            row(options, inside, "`top -n 0`, Pss of all / `smem`", ["-n", "0"], smem, None),
            row(options, inside, "`top --budget 0`, ranking only / `cat` of every "
                "smaps_rollup", ["--budget", "0"], rollup, 5),
        ]
    finally:
        space.stdin.close()
        space.kill()
        space.wait()
