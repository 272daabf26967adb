# SPDX-License-Identifier: MIT
"""A heap of 1 GiB, walked from outside: beside reading the same bytes, and by itself."""

import json
import statistics
import subprocess

TEXT = """A program with ten million live blocks in 1 GiB of heap, all in small pages. `memwhy heap`
stops it, walks every block, and lets it go; the floor reads the same bytes through
`/proc/PID/mem` and does nothing with them. The other figures are medians of {rounds} runs."""

HEAD = ("what", "measured", "aim", "met")


def once(options, argv):
    """One run: its answer, CPU seconds and peak resident bytes."""
    done = subprocess.run([str(options.build / "bench" / "peak"), *argv],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True)
    cpu_ns, peak = (int(word) for word in done.stderr.split()[-2:])
    return json.loads(done.stdout), cpu_ns / 1e9, peak


def row(what, measured, aim, met):
    return (what, measured, aim, "yes" if met else "**no**")


def rows(options, target):
    """What one walk takes; `target` is the context manager that starts a program."""
    with target(options.build, "heap10m") as child:
        argv = [str(options.memwhy), "heap", str(child.pid), "--json"]
        seen = [once(options, argv) for _ in range(options.rounds + 1)][1:]
    heap = seen[0][0]["allocators"][0]
    if any(not check["ok"] for check in heap["checks"]):
        raise SystemExit("bench: the walk of the heap does not hold")
    blocks = heap["live"]["blocks"]
    cpu = statistics.median(s[1] for s in seen)
    rss = statistics.median(s[2] for s in seen)
    stop = statistics.median(s[0]["stop_ms"] for s in seen)
    return [
        row(f"live blocks a second of CPU, all of memwhy counted ({blocks:,} blocks)",
            f"{blocks / cpu / 1e6:.1f} million", "≥ 35 million", blocks / cpu >= 35e6),
        row("memwhy's own peak RSS", f"{rss / (1 << 20):.1f} MiB", "< 32 MiB",
            rss < 32 << 20),
        row("the program stood still", f"{stop:.0f} ms", "≤ 600 ms", stop <= 600),
    ]
