#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Speed and harm, always beside a peer or the kernel's own floor: both run alternately in
one go (A B A B ...), and what is reported is the median of the ratios of neighbours."""

import argparse
import contextlib
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import textwrap
import threading

import fleet
import heaps
import leakers

HARM_MS = 4000


def run(argv):
    """Runs a command, output to nowhere."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE)
    # 1: a finding, 3: limited by permission. Anything else did not do the work.
    if done.returncode not in (0, 1, 3):
        sys.exit(f"bench: {' '.join(argv)}: exit {done.returncode}: "
                 f"{done.stderr.decode()}")


class Pair:
    """Two commands, measured alternately by bench/pairs."""

    def __init__(self, options, ours, peer, rounds):
        done = subprocess.run([options.build / "bench" / "pairs", str(rounds), *ours, "--",
                               *peer], stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(f"bench: {' '.join(ours)}, {' '.join(peer)}: failed")
        seen = [[int(word) / 1e9 for word in line.split()]
                for line in done.stdout.splitlines()]
        self.ours, self.ours_cpu, self.peer, self.peer_cpu = (
            statistics.median(round_[i] for round_ in seen) for i in range(4))
        ratios = sorted(round_[2] / round_[0] for round_ in seen)
        self.faster = statistics.median(ratios)
        self.low, self.high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]


@contextlib.contextmanager
def target(build, name, *args):
    """A bench target, ready."""
    child = subprocess.Popen([build / "bench" / name, *args], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)
    try:
        if child.stdout.readline() != b"ready\n":
            sys.exit(f"bench: {name} did not start")
        yield child
    finally:
        child.stdin.close()
        child.wait()


def ms(seconds):
    return f"{seconds * 1e3:.1f}" if seconds >= 0.01 else f"{seconds * 1e3:.2f}"


def speed_row(options, title, ours, peer, aim, slower=False, times=1):
    """One row; `slower`: the ratio is ours/peer (an upper bound), else peer/ours."""
    pair = Pair(options, ours, peer, times * options.rounds)
    ratio, low, high = pair.faster, pair.low, pair.high
    if slower:
        ratio, low, high = 1 / ratio, 1 / high, 1 / low
    good = aim and (ratio <= aim if slower else ratio >= aim)
    sign = "≤" if slower else "≥"
    row = (title, f"{ms(pair.ours)} ({ms(pair.ours_cpu)})",
           f"{ms(pair.peer)} ({ms(pair.peer_cpu)})",
           f"{ratio:.2f} ({low:.2f}–{high:.2f})", f"{sign} {aim}" if aim else "",
           "yes" if good else "**no**" if aim else "")
    print("  ".join(row), file=sys.stderr, flush=True)
    return row


def floor_row(options, pid, what):
    """How fast the kernel lets anybody be who asks for pages, in one thread."""
    return speed_row(options, f"{what}: floor, reading maps and pagemap alone / `pmap -x`",
                     [str(options.build / "bench" / "readpages"), pid],
                     ["pmap", "-x", pid], None)


def rows_of_many_mappings(options):
    with target(options.build, "vmas60k") as child:
        pid, floor = str(child.pid), str(options.build / "bench" / "readfile")
        all_of = [str(options.memwhy), "map", pid, "--all"]
        pages = [*all_of, "--engine", "pages"]
        what = "60,000 mappings: `map --all --engine"
        yield floor_row(options, pid, "60,000 mappings")
        yield speed_row(options, f"{what} pages --jobs 2` / `pmap -x`",
                        [*pages, "--jobs", "2"], ["pmap", "-x", pid], 6)
        yield speed_row(options, f"{what} pages --jobs 1` / `pmap -x`",
                        [*pages, "--jobs", "1"], ["pmap", "-x", pid], None)
        yield speed_row(options, f"{what} pages`, with its pauses / `pmap -x`",
                        pages, ["pmap", "-x", pid], None)
        yield speed_row(options, f"{what} pages --jobs 2`, with exact Pss / `pmap -X`",
                        [*pages, "--jobs", "2"], ["pmap", "-X", pid], 10)
        yield speed_row(options, f"{what} pages --jobs 1`, with exact Pss / `pmap -X`",
                        [*pages, "--jobs", "1"], ["pmap", "-X", pid], None)
        yield speed_row(options, f"{what} smaps` / reading smaps",
                        [*all_of, "--engine", "smaps"], [floor, f"/proc/{pid}/smaps"],
                        1.15, slower=True)
        yield speed_row(options, "60,000 mappings: `map --summary --engine smaps`, without"
                        " printing each / reading smaps",
                        [str(options.memwhy), "map", pid, "--summary", "--engine", "smaps"],
                        [floor, f"/proc/{pid}/smaps"], 1.15, slower=True)


        yield speed_row(options, "60,000 mappings: `map --pmap -X` / `pmap -X`",
                        [str(options.memwhy), "map", "--pmap", "-X", pid],
                        ["pmap", "-X", pid], 4)


def rows_of_many_pages(options):
    with target(options.build, "pages4g") as child:
        pid, floor = str(child.pid), str(options.build / "bench" / "readfile")
        all_of = [str(options.memwhy), "map", pid, "--all"]
        pages = [*all_of, "--engine", "pages"]
        what = "4 GiB in 4 KiB pages: `map --all --engine"
        yield floor_row(options, pid, "4 GiB in 4 KiB pages")
        for jobs, aim in ((1, 1.3), (2, 2)):
            yield speed_row(options, f"{what} pages --jobs {jobs}` / `pmap -x`",
                            [*pages, "--jobs", str(jobs)], ["pmap", "-x", pid], aim)
        yield speed_row(options, f"{what} pages`, with its pauses / `pmap -x`",
                        pages, ["pmap", "-x", pid], None)
        yield speed_row(options, f"{what} smaps` / reading smaps",
                        [*all_of, "--engine", "smaps"], [floor, f"/proc/{pid}/smaps"],
                        1.15, slower=True)


def rows_of_a_small_process(options):
    with subprocess.Popen(["sleep", "600"]) as sleeper:
        yield speed_row(options, "a small process: `memwhy PID` / `/bin/true`",
                        [str(options.memwhy), str(sleeper.pid)], ["/bin/true"], 2,
                        slower=True, times=20)
        yield speed_row(options, "a small process: `map --pmap -x` / `pmap -x`",
                        [str(options.memwhy), "map", "--pmap", "-x", str(sleeper.pid)],
                        ["pmap", "-x", str(sleeper.pid)], 1, times=20)
        sleeper.kill()
    yield speed_row(options, "the machine: `free -k` / procps' `free -k`",
                    [str(options.memwhy), "free", "-k"], ["free", "-k"], 1, times=20)
    yield speed_row(options, "the machine: `free` / procps' `free`",
                    [str(options.memwhy), "free"], ["free"], 1, times=20)


def rows_of_objects(options):
    """All objects below /usr/lib, or as many as fit one command line."""
    objects, room = [], 1_000_000
    for folder, _, names in os.walk("/usr/lib"):
        for path in (os.path.join(folder, name) for name in names):
            if not os.path.islink(path) and os.path.isfile(path) and len(path) < room:
                with open(path, "rb") as file:
                    if file.read(4) == b"\x7fELF":
                        objects.append(path)
                        room -= len(path) + 9
    yield speed_row(options, f"{len(objects)} objects of /usr/lib: `size` / binutils' `size`",
                    [str(options.memwhy), "size", *objects], ["size", *objects], 5)


def rows_of_a_heap(options):
    with target(options.build, "heap10m") as child:
        pid = str(child.pid)
        yield speed_row(options, "1 GiB heap of 10 million blocks: `heap` / reading it",
                        [str(options.memwhy), "heap", pid],
                        [str(options.build / "bench" / "readheap"), pid], 2, slower=True)


def speed_rows(options):
    return [*rows_of_many_mappings(options), *rows_of_many_pages(options),
            *rows_of_a_small_process(options), *rows_of_a_heap(options),
            *rows_of_objects(options)]


def looking(argv, stop):
    """Runs a command over and over until told to stop; gives how often."""
    count = 0
    while not stop.is_set():
        if argv:
            run(argv)
            count += 1
        else:
            stop.wait(0.05)
    return count


def harm_once(child, argv):
    """p50, p99 and maximum in µs of the target's mmap+munmap while `argv` loops."""
    stop, result = threading.Event(), []
    thread = threading.Thread(target=lambda: result.append(looking(argv, stop)))
    thread.start()
    child.stdin.write(b"%d\n" % HARM_MS)
    child.stdin.flush()
    p50, p99, longest, _ = (int(word) for word in child.stdout.readline().split())
    stop.set()
    thread.join()
    return p50 / 1e3, p99 / 1e3, longest / 1e3, result[0]


def harm_rows(options):
    with target(options.build, "mmaploop") as child:
        pid = str(child.pid)
        lookers = {
            "nobody looks": None,
            "`memwhy PID`": [str(options.memwhy), pid],
            "`memwhy map PID`": [str(options.memwhy), "map", pid],
            "`memwhy map PID --jobs 2`": [str(options.memwhy), "map", pid, "--jobs", "2"],
            "`pmap -x`": ["pmap", "-x", pid],
            "`cat smaps_rollup`": ["cat", f"/proc/{pid}/smaps_rollup"],
        }
        seen = {name: [] for name in lookers}
        for _ in range(max(3, options.rounds // 2)):
            for name, argv in lookers.items():
                seen[name].append(harm_once(child, argv))
    rows, idle = [], seen["nobody looks"]
    for name, runs in seen.items():
        p50, p99, longest = (statistics.median(r[i] for r in runs) for i in range(3))
        ratio = statistics.median(r[1] / i[1] for r, i in zip(runs, idle))
        rows.append((name, f"{p50:.0f}", f"{p99:.0f}", f"{longest:.0f}", f"{ratio:.1f}",
                     str(sum(r[3] for r in runs))))
        print("  ".join(rows[-1]), file=sys.stderr, flush=True)
    return rows


def become_realtime():
    """
    On a machine that others use too, ordinary priority measures their load. Both sides
    of each pair and the targets inherit this one, so no ratio is favoured by it.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        return "Everything ran at ordinary priority."
    return ("Speed was measured at real-time priority (SCHED_RR) on both sides, so that "
            "other load waits; harm at ordinary priority.")


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def first_line(argv):
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True)
    return (done.stdout.splitlines() or ["?"])[0].strip()


def machine():
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo")
                if line.startswith("model name")), platform.machine())
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return (f"{os.cpu_count()} × {cpu}, {gib:.0f} GiB, Linux {platform.release()}, "
            f"{first_line(['pmap', '-V'])}, run as "
            f"{'root' if os.geteuid() == 0 else 'a user without privileges'}")


INTRO = """Measured by `./run bench --write docs/performance.md`, which runs every pair of
commands alternately in one go, {rounds} times (20 times as often for the small process),
after one run that does not count. Read the ratios; the times are those of one machine:
{machine}. Load average meanwhile: {load:.1f}. {priority}"""

PAGE = """# Performance

{intro}

## Speed

Wall milliseconds, in brackets user + system. The ratio is the median of the ratios of
neighbouring runs, in brackets its quartiles: how often memwhy's time goes into its peer's
(aims with ≥), or its peer's into memwhy's (aims with ≤). Without `--jobs`, memwhy pauses
after each page table for the sake of its target's memory calls, see below: that is the
default, and slower.

What bounds it: who asks for the state of each page waits for the kernel to print the
mappings and to look at each page, and the rows called floor do only that. `pmap -x` waits
for one pass over the same pages, so where there are few mappings little can be gained
without a second thread. A small process costs memwhy some 250 system calls; it is linked
statically and has no dynamic loader to wait for, as `/bin/true` has.

{speed}

## All processes

{fleet_text}

{fleet}

## Heaps

{heaps_text}

{heaps}

## Leaks

{leaks_text}

{leaks}

## Harm

A process with 2 GiB in small pages does an `mmap` + `munmap` each half millisecond. How
long one takes, in µs, while something looks at the process over and over; the last but
one column is p99 beside p99 when nobody looks. `--jobs` asks for speed and gives up the
pauses that `memwhy` otherwise makes for the target's sake.

{harm}
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True,
                        help="a release build of memwhy")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", choices=("speed", "fleet", "heap", "leaks", "harm"))
    parser.add_argument("--write", type=pathlib.Path, metavar="FILE",
                        help="also writes the page, docs/performance.md")
    options = parser.parse_args()
    options.build = options.build.resolve()
    options.memwhy = next(p for p in (options.build / "memwhy",
                                      options.build / "src/cli/memwhy") if p.exists())
    if not shutil.which("pmap"):
        sys.exit("bench: pmap is not installed (package procps)")
    priority = become_realtime()
    speed = speed_rows(options) if options.only in (None, "speed") else []
    many = fleet.rows(options) if options.only in (None, "fleet") else []
    heap = heaps.rows(options, target) if options.only in (None, "heap") else []
    leaks = leakers.rows(options, target) if options.only in (None, "leaks") else []
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    harm = harm_rows(options) if options.only in (None, "harm") else []
    intro = INTRO.format(rounds=options.rounds, machine=machine(),
                         load=os.getloadavg()[1], priority=priority)
    page = PAGE.format(
        intro=textwrap.fill(intro, 90, break_long_words=False, break_on_hyphens=False),
        fleet_text=textwrap.fill(fleet.TEXT.format(rounds=options.rounds), 90,
                                 break_long_words=False, break_on_hyphens=False),
        fleet=table(fleet.HEAD, many),
        heaps_text=textwrap.fill(heaps.TEXT.format(rounds=options.rounds), 90,
                                 break_long_words=False, break_on_hyphens=False),
        heaps=table(heaps.HEAD, heap),
        leaks_text=textwrap.fill(leakers.TEXT.format(rounds=leakers.ROUNDS), 90,
                                 break_long_words=False, break_on_hyphens=False),
        leaks=table(leakers.HEAD, leaks),
        speed=table(("what", "memwhy", "beside", "ratio", "aim", "met"), speed),
        harm=table(("who looks", "p50", "p99", "longest", "p99 beside idle", "looks"),
                   harm))
    print(page)
    if options.write:
        options.write.write_text(page)


if __name__ == "__main__":
    main()
