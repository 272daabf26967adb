#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""`top` beside the kernel's own files: a family of processes that stand still, other
users, budgets, groups, every format."""

import csv
import io
import os
import pathlib
import pwd
import signal
import sys
import time

import live
from live import check, check_equal, memwhy

# A parent and three children with 4, 8, 12 MiB of their own beside 16 MiB together.
FAMILY = """
import ctypes, mmap, os, sys, time
shared = mmap.mmap(-1, 16 << 20)
for at in range(0, 16 << 20, 4096): shared[at] = 1
n = 0
for n in (1, 2, 3, 0):
    if n and not os.fork(): break
own = mmap.mmap(-1, (n + 1) << 22, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for at in range(0, len(own), 4096): own[at] = 1
for at in range(0, 16 << 20, 4096): shared[at]
name = sys.argv[2].encode() if len(sys.argv) > 2 else b"family%d" % n
ctypes.CDLL(None).prctl(15, name, 0, 0, 0)
if n == 0:
    time.sleep(0.3)
    print("ready", flush=True)
time.sleep(600)
"""


class Family(live.Target):
    """Stopped, all of it."""

    def __init__(self, *names, **kw):
        self.mark = f"mwfamily-{os.getpid()}-{time.monotonic_ns()}"
        super().__init__(["/usr/bin/python3", "-c", FAMILY, self.mark, *names], **kw)
        self.pids = [self.pid, *live.children(self.pid)]
        for pid in self.pids:
            os.kill(pid, signal.SIGSTOP)
        live.wait_until(lambda: all(live.state(p) == "T" for p in self.pids), "stops")

    def settled(self, look, rows=None):
        """What `look` gives while no other process changes what is shared. One that came
        and went between two readings shows in neither: so the shares of `rows` are
        compared as well, and only the last look's may differ, for the case to tell."""
        for _ in range(200):
            before = {pid: live.rollup(pid) for pid in self.pids}
            answer = look()
            if before == {pid: live.rollup(pid) for pid in self.pids} and \
                    (rows is None or agrees(answer[rows], before)):
                break
            time.sleep(0.02)
        return answer, before


def agrees(rows, rolls):
    """Each process has its Pss; groups have all of it together."""
    if "pid" in rows[0]:
        return all(row["pss"] == rolls[row["pid"]]["Pss"] for row in rows)
    return sum(row["pss"] for row in rows) == sum(roll["Pss"] for roll in rolls.values())


def top(*args, **kw):
    # In another locale memwhy maps a file of it, as the family does: one sharer more.
    kw.setdefault("env", dict(os.environ, LC_ALL="C"))
    return memwhy("top", "--json", *args, **kw).json


@live.case
def sums():
    """Pss, USS, swap, Rss of a stopped family are smaps_rollup's"""
    with Family() as family:
        got, want = family.settled(lambda: top("-f", family.mark, "--budget", 60000),
                                   "processes")
        rows = {row["pid"]: row for row in got["processes"]}
        check_equal(sorted(rows), sorted(family.pids), "pids")
        for pid, roll in want.items():
            row = rows[pid]
            check_equal(row["pss"], roll["Pss"], "Pss")
            check_equal(row["uss"], roll["Private_Clean"] + roll["Private_Dirty"], "USS")
            check_equal(row["swap"], roll["Swap"], "swap")
            statm = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
            check_equal(row["rss"], statm * live.PAGE, "Rss")
            status = live.status(pid)
            check_equal(row["page_tables"], status["VmPTE"], "page tables")
            check_equal(row["threads"], int(status["Threads"]), "threads")
            stat = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            check_equal(row["faults"], int(stat[7]) + int(stat[9]), "faults")
            check_equal(row["ppid"], int(stat[1]), "parent")
            check(row["age_s"] is not None and row["age_s"] < 600, "age")
        check_equal(got["totals"]["pss"], sum(r["Pss"] for r in want.values()), "total")
        check_equal(got["cost"]["proven"], True, "proven")


@live.case
def largest_by_share():
    """The first rows by Pss are the largest of all, though only some were read"""
    with Family() as family:
        few, want = family.settled(lambda: top("-n", 1, "-f", family.mark,
                                               "--budget", 60000), "processes")
        check_equal(few["processes"][0]["pss"], max(r["Pss"] for r in want.values()), "1")
        check_equal(few["totals"]["processes"], 4, "all of them count")
        check(few["cost"]["proven"], "proven")


@live.case
def sorting():
    """Every key puts rows in its order, and --reverse turns it round"""
    with Family() as family:
        keys = {"pss": "pss", "uss": "uss", "rss": "rss", "swap": "swap", "age": "age_s",
                "pagetables": "page_tables", "faults": "faults_per_s"}
        for key, column in keys.items():
            rows = top("-s", key, "-f", family.mark, "--budget", 60000)["processes"]
            values = [row[column] for row in rows]
            check_equal(values, sorted(values, reverse=True), key)
        for key, column in {"pid": "pid", "name": "name"}.items():
            values = [r[column] for r in top("-s", key, "-f", family.mark)["processes"]]
            check_equal(values, sorted(values), key)
        back = top("-r", "-s", "rss", "-f", family.mark)["processes"]
        values = [row["rss"] for row in back]
        check_equal(values, sorted(values), "reverse")
        check_equal(memwhy("top", "-s", "beauty", codes=None).code, 2, "no such key")


@live.case
def groups():
    """Users, commands and cgroups add up what their processes have"""
    with Family("sameface") as family:
        for by, key in ("user", "user"), ("command", "command"), ("cgroup", "cgroup"):
            got, want = family.settled(lambda: top("--by", by, "-f", family.mark,
                                                   "--budget", 60000), "groups")
            check_equal(len(got["groups"]), 1, by)
            row = got["groups"][0]
            check_equal(row["processes"], 4, "processes")
            check_equal(row["unread"], 0, "unread")
            check_equal(row["pss"], sum(r["Pss"] for r in want.values()), by)
            name = {"user": pwd.getpwuid(os.geteuid()).pw_name,
                    "command": "sameface"}.get(by, row[key])
            check_equal(row[key], name, by)
        paths = pathlib.Path(f"/proc/{family.pid}/cgroup").read_text().splitlines()
        check(any(line.split(":", 2)[2] == row["cgroup"] for line in paths), paths)


@live.case
def files():
    """By file: the sums of every readable smaps, by name"""
    with live.scratch(0o755) as place:
        only = place / "only here"
        only.write_bytes(b"x" * (3 << 20))
        program = ("import mmap,sys,time\nf=open(sys.argv[1],'rb')\n"
                   "m=mmap.mmap(f.fileno(),0,prot=mmap.PROT_READ)\n"
                   "sum(m[i] for i in range(0,len(m),4096))\n"
                   "print('ready',flush=True)\ntime.sleep(600)")
        argv = ["/usr/bin/python3", "-c", program, only]
        with live.Target(argv), live.Target(argv):
            rows = top("--by", "file", "-f", "only here", "--budget", 60000)["groups"]
            check_equal(len(rows), 1, "rows")
            check_equal(rows[0]["processes"], 2, "processes")
            check_equal(rows[0]["pss"], 3 << 20, "Pss")
            check_equal(rows[0]["rss"], 6 << 20, "Rss")
            check_equal(rows[0]["file"], str(only), "name")


@live.case
def tree():
    """--tree puts children right below their parent"""
    with Family() as family:
        rows = top("--tree", "-f", family.mark)["processes"]
        check_equal(rows[0]["pid"], family.pid, "the parent first")
        check_equal({r["ppid"] for r in rows[1:]}, {family.pid}, "children")
        check_equal(memwhy("top", "-t", "--by", "user", codes=None).code, 2, "usage")


@live.case
def denied():
    """What is another user's is null, never 0, and cheap files still count"""
    live.need_root()
    with Family() as family:
        got = top("-f", family.mark, user=live.NOBODY, codes=(0, 3))
        check_equal(len(got["processes"]), 4, "rows")
        for row in got["processes"]:
            check_equal((row["pss"], row["uss"]), (None, None), "denied")
            check(row["rss"] > 0 and row["page_tables"] > 0, "cheap files")
        check_equal(got["cost"]["denied"], 4, "counted")
        check_equal(got["totals"]["pss"], None, "no sum of nothing")
        check(any("denied" in l["why"].lower() for l in got["limits"]), got["limits"])
        text = memwhy("top", "-f", family.mark, user=live.NOBODY, codes=(3,)).text
        check(" -  " in text or "–" in text, text)


@live.case
def budget():
    """A budget of 0 reads no page tables, and says how many rows lack them"""
    with Family() as family:
        got = top("-f", family.mark, "--budget", 0)
        check_equal([r["pss"] for r in got["processes"]], [None] * 4, "Pss")
        check_equal(got["cost"]["late"], 4, "late")
        check_equal(got["cost"]["walk_us"], 0, "no time")
        check_equal(got["cost"]["proven"], False, "proven")
        values = [r["rss"] for r in got["processes"]]
        check_equal(values, sorted(values, reverse=True), "by Rss then")
        check("4 left without" in " ".join(memwhy("top", "--budget", 0, "-f",
                                                  family.mark).text.split()), "said")


@live.case
def formats():
    """CSV and NDJSON have the rows of JSON"""
    with Family() as family:
        pids = sorted(family.pids)
        table = list(csv.DictReader(io.StringIO(
            memwhy("top", "--csv", "-f", family.mark).text)))
        check_equal(sorted(int(r["pid"]) for r in table), pids, "CSV")
        lines = memwhy("top", "--ndjson", "-f", family.mark).text.splitlines()
        check_equal(sorted(live.json.loads(l)["pid"] for l in lines), pids, "NDJSON")
        row = top("-p", "-f", family.mark)["processes"][0]
        total = top()["memory_total"]
        check(abs(row["rss_share"] - row["rss"] / total) < 0.0002, "share")
        check_equal(len(top("-n", 2, "-f", family.mark)["processes"]), 2, "rows")


@live.case
def columns():
    """--columns gives these columns in this order; one that is none names all"""
    header = memwhy("top", "--csv", "-c", "pss,pid name,age").text.splitlines()[0]
    check_equal(header, "pss,pid,name,age_s", "header")
    rows = memwhy("top", "--json", "-c", "uss,threads").json["processes"]
    check(rows and all(list(row) == ["uss", "threads"] for row in rows), rows[:2])
    title = memwhy("top", "-1", "-p", "-c", "threads,rss").text.splitlines()[2]
    check_equal(title.split(), ["threads", "Rss"], "title")
    said = memwhy("top", "-c", "pss,nothing", codes=(2,)).err
    check("nothing is none of" in said and " pss_share" not in said, said)


@live.case
def hostile_names():
    """Names that hold parentheses, controls and quotes"""
    for name in ") R 1 (", "a\nb\x1b[2J", "\xff\"',;", "\u202eevil":
        with Family(name) as family:
            got = top("-f", family.mark)
            check_equal(len(got["processes"]), 4, repr(name))
            text = memwhy("top", "-f", family.mark).out
            check(b"\x1b" not in text and b"\xe2\x80\xae" not in text, text)
            check_equal(len(list(csv.DictReader(io.StringIO(
                memwhy("top", "--csv", "-f", family.mark).text)))), 4, "CSV")


@live.case
def growth():
    """Two looks tell growth and faults a second; the first has no growth"""
    program = ("import mmap,time\nm=mmap.mmap(-1,64<<20,mmap.MAP_PRIVATE)\n"
               "print('ready',flush=True)\nfor i in range(0,64<<20,4096):\n"
               " m[i]=1\n if i%(1<<20)==0: time.sleep(0.05)\ntime.sleep(600)")
    with live.Target(["/usr/bin/python3", "-c", program]) as target:
        lines = memwhy("top", "--watch=1", "--count", 2, "--ndjson", "-f",
                       target.pid).text.splitlines()
        first, second = map(live.json.loads, lines)
        check_equal(first["growth_per_min"], None, "first")
        check(100 << 20 < second["growth_per_min"] < 6 << 30, second)
        check(second["faults_per_s"] > 500, second)


@live.case
def vanishing():
    """Processes that come and go all the time are no failure"""
    churn = live.Target(["/bin/sh", "-c", "echo ready; while :; do /bin/true & done"])
    with churn:
        for _ in range(20):
            got = top("--budget", 2000)
            check(got["totals"]["processes"] > 1, "rows")
            for row in got["processes"]:
                check(row["rss"] is not None, row)


@live.case
def kernel_threads():
    """Kernel threads appear with --kernel only"""
    names = {r["name"] for r in top("--kernel")["processes"]}
    check("kthreadd" in names or not pathlib.Path("/proc/2/comm").exists() or
          pathlib.Path("/proc/2/comm").read_text().strip() != "kthreadd", names)
    check("kthreadd" not in {r["name"] for r in top()["processes"]}, "without")


if __name__ == "__main__":
    sys.exit(live.main())
