#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""`free` beside procps' free over the same meminfo, and what it adds."""

import json
import os
import pathlib
import subprocess

import live

OPTIONS = ("-k", "-b", "-m", "-g", "--tebi", "--pebi", "--kilo", "--mega", "--giga",
           "--tera", "--peta", "-h", "-h --si", "--si", "-l", "-t", "-v", "-w",
           "-w -l -t -v -h", "-w -l -t -v --mega", "-h -b", "--si -k", "--si -b",
           "--si -m", "-h -t --si", "-s 0.05 -c 2", "-c 1 -w", "-l -t -g")

# As kernels of other machines say it: much memory, swap in use, huge pages, more
# committed than there is; high memory (32 bits); no MemAvailable (before 3.14).
MACHINES = {
    "this machine": None,
    "swap": """MemTotal:       131072000 kB
MemFree:          1234567 kB
MemAvailable:    98765432 kB
Buffers:            12345 kB
Cached:          90123456 kB
SwapCached:          1234 kB
SwapTotal:        8388604 kB
SwapFree:         8000001 kB
AnonPages:       20000000 kB
Shmem:             777777 kB
Slab:             5000000 kB
SReclaimable:     4444444 kB
SUnreclaim:        555556 kB
KernelStack:        12000 kB
PageTables:         90000 kB
CommitLimit:     73924604 kB
Committed_AS:    80488604 kB
HugePages_Total:     1024
Hugepagesize:       2048 kB
Hugetlb:          2097152 kB
""",
    "high memory": """MemTotal:        4000000 kB
MemFree:          100000 kB
MemAvailable:     900000 kB
Buffers:           20000 kB
Cached:           800000 kB
SwapCached:            0 kB
HighTotal:       3100000 kB
HighFree:          50000 kB
LowTotal:         900000 kB
LowFree:           50000 kB
SwapTotal:             0 kB
SwapFree:              0 kB
AnonPages:       2900000 kB
Shmem:              1000 kB
Slab:              70000 kB
SReclaimable:      40000 kB
SUnreclaim:        30000 kB
CommitLimit:     2000000 kB
Committed_AS:    1000000 kB
""",
}
# Recorded machines: swap in zram and on disk, huge pages; several nodes.
TREES = pathlib.Path(__file__).resolve().parents[1] / "trees"
MACHINES |= {path.parents[1].name: path.read_text()
             for path in sorted(TREES.glob("linux-*/proc/meminfo"))}


def in_namespace(meminfo, commands):
    """What commands print where meminfo is another file."""
    script = 'mount --bind "$1" /proc/meminfo || exit 77; shift\n' \
             'for c; do printf "@@ "; $c 2>&1; done'
    done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", meminfo, *commands],
                          capture_output=True, check=False)
    answers = done.stdout.decode().split("@@ ")[1:]
    if not answers:
        raise live.Skip("no mount over /proc/meminfo is possible here: "
                        + done.stderr.decode(errors="replace").strip())
    live.check_equal(len(answers), len(commands), "answers")
    return answers


@live.cases_for(MACHINES.items(), lambda item: item[0])
def as_procps(item):
    """every option as procps prints it"""
    live.need_root()
    live.need_program("free", "procps")
    with live.scratch(0o755) as place:
        meminfo = place / "meminfo"
        meminfo.write_text(item[1] or pathlib.Path("/proc/meminfo").read_text())
        want = in_namespace(meminfo, [f"free {options}" for options in OPTIONS])
        got = in_namespace(meminfo, [f"{live.MEMWHY} free {options}"
                                     for options in OPTIONS])
        for options, theirs, ours in zip(OPTIONS, want, got):
            live.check_equal(ours, theirs, options)


@live.cases_for(MACHINES.items(), lambda item: item[0])
def one_line(item):
    """-L, which procps-ng has since 4.0.4: the same figures in one line"""
    live.need_root()
    with live.scratch(0o755) as place:
        meminfo = place / "meminfo"
        meminfo.write_text(item[1] or pathlib.Path("/proc/meminfo").read_text())
        table, line, twice = in_namespace(meminfo, [
            f"{live.MEMWHY} free -b", f"{live.MEMWHY} free -L -b",
            f"{live.MEMWHY} free -L -s 0.01 -c 2"])
        memory, swap = (row.split() for row in table.splitlines()[1:3])
        live.check_equal(line.split(), ["SwapUse", swap[2], "CachUse", memory[5], "MemUse",
                                        memory[2], "MemFree", memory[3]], "the line")
        live.check_equal(twice.count("\n"), 2, "lines")


@live.cases_for(MACHINES.items(), lambda item: item[0])
def adds_up(item):
    """parts sum to MemTotal, to the byte"""
    live.need_root()
    with live.scratch(0o755) as place:
        meminfo = place / "meminfo"
        meminfo.write_text(item[1] or pathlib.Path("/proc/meminfo").read_text())
        answer = json.loads(in_namespace(meminfo, [f"{live.MEMWHY} free --json"])[0])
        total = sum(part["bytes"] for part in answer["parts"])
        live.check_equal(total - answer["overcount"], answer["total"], "parts")
        live.check(answer["stage"] in ("free", "cache", "swap", "tight", "oom"),
                   answer["stage"])


@live.case
def stages():
    """the place on the way to killing follows the figures"""
    live.need_root()
    base = {"MemTotal": 1000000, "Cached": 100, "Buffers": 0, "Shmem": 0}
    cases = (
        ("free", {"MemFree": 500000, "MemAvailable": 600000, "SwapTotal": 0,
                  "SwapFree": 0}),
        ("cache", {"Cached": 590000, "MemFree": 20000, "MemAvailable": 600000, "SwapTotal": 0,
                   "SwapFree": 0}),
        ("swap", {"MemFree": 20000, "MemAvailable": 100000, "SwapTotal": 1000,
                  "SwapFree": 500}),
        ("tight", {"MemFree": 20000, "MemAvailable": 30000, "SwapTotal": 1000,
                   "SwapFree": 500}),
        ("oom", {"MemFree": 5000, "MemAvailable": 6000, "SwapTotal": 1000,
                 "SwapFree": 10}),
    )
    with live.scratch(0o755) as place:
        for stage, values in cases:
            meminfo = place / "meminfo"
            meminfo.write_text("".join(f"{key}: {value} kB\n"
                                       for key, value in (base | values).items()))
            answer = json.loads(in_namespace(meminfo,
                                             [f"{live.MEMWHY} free --json"])[0])
            live.check_equal(answer["stage"], stage, values)
            if stage == "cache":
                live.check("Only 19.5 MiB is free, because 576 MiB serves as cache" in
                           answer["headline"], answer["headline"])


@live.case
def hostile():
    """a meminfo without sense is an error; nothing crashes"""
    live.need_root()
    with live.scratch(0o755) as place:
        meminfo = place / "meminfo"
        for text in ("", "MemTotal:\n", "MemTotal: 99999999999999999999999 kB\n",
                     "MemTotal: 1 kB", "\0" * 100, "MemTotal: 18446744073709551615 kB\n"):
            meminfo.write_text(text)
            said = in_namespace(meminfo, [f"{live.MEMWHY} free", f"{live.MEMWHY} free -h"])
            live.check(all("how much memory" in part for part in said), said)


@live.case
def usage():
    """errors of usage"""
    for args in (["--cgroup", "-k"], ["--cgroup", "-h"], ["--watch", "-w"], ["-b", "-k"], ["-s", "0"], ["-s", "x"], ["-c", "0"], ["-c", "x"],
                 ["--watch=x"], ["operand"], ["-z"]):
        live.memwhy("free", *args, codes=(2,))


@live.case
def again():
    """--watch and -c: as many looks as asked for, rates from the second on"""
    answer = live.memwhy("free", "--watch=0.05", "--count", "3").text
    live.check_equal(answer.count("can be had"), 3, "looks")
    live.check_equal(live.memwhy("free", "-s", "0.05", "-c", "3").text.count("Mem:"), 3,
                     "procps' looks")
    rows = live.memwhy("free", "--ndjson").text.splitlines()
    live.check("unaccounted" in [json.loads(row)["part"] for row in rows], rows)


@live.case
def closed_pipe():
    """a reader that has enough is no failure"""
    reader, writer = os.pipe()
    os.close(reader)
    live.memwhy("free", stdout=writer)
    os.close(writer)


@live.case
def cgroup():
    """the cgroup's own figures are those of the kernel"""
    answer = live.memwhy("free", "--json").json
    if "cgroup" not in answer:
        live.check(any(limit["what"] == "memory cgroup" for limit in answer["limits"]),
                   answer["limits"])
        raise live.Skip("no memory cgroup can be seen here")
    live.check(answer["cgroup"]["usage"] > 0, answer["cgroup"])
    with live.holder("zero", 1) as target:
        for option in ("--cgroup", f"--cgroup={target.pid}"):
            answer = live.memwhy("free", option, "--json").json
            steps = [row["bytes"] for row in answer["bridge"]]
            live.check_equal(sum(steps[:-1]), steps[-1], "the bridge")
            live.check(answer["bridge_processes"] >= 1, "no process")
    live.memwhy("free", "--cgroup=999999999", codes=(4,))


live.main()
