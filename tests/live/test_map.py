#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What `map` says of one address, and of two looks."""

import copy
import json
import os
import subprocess

import live


def headline(*args, **kw):
    return live.memwhy("map", *args, **kw).text.splitlines()[0]


@live.case
def at():
    """an address is described by what holds it, or by nothing"""
    with live.holder("zero", 1) as target:
        pid = target.pid
        stack = next(r for r in live.smaps(pid) if r["name"] == b"[stack]")
        said = headline(pid, "--at", hex(stack["end"] - 16))
        live.check(said.endswith("arguments and environment, 0xff0 from its start."), said)
        live.check(headline(pid, "--at", "0x10") == "10 is not mapped.", "low")
        said = headline(pid, "--at", "0xffff888000000000")
        live.check("kernel" in said and "not mapped" in said, said)
        answer = live.memwhy("map", pid, "--at", "0x10", "--json", "--stop").json
        live.check_equal(answer["process"]["pid"], pid, "process")
        live.check_equal(answer["mapped"], False, "mapped")
        # Shares by frames are root's; nothing else is closed to us.
        limits = [limit for limit in answer["limits"] if "frames" not in limit["what"]]
        live.check_equal(limits, [], "limits")
        live.check(answer["stop_ms"] > 0, "a stop is told")


@live.case
def denied():
    """what could not be read is neither unmapped nor gone"""
    live.need_root()
    with live.holder("zero", 1) as target, live.scratch(0o755) as place:
        pid = target.pid
        kept = place / "map.json"
        kept.write_bytes(live.memwhy("map", pid, "--json").out)
        kept.chmod(0o644)
        answer = live.memwhy("map", pid, "--at", "0x10", "--json", codes=(3,),
                             user=live.NOBODY).json
        live.check_equal(answer["mapped"], None, "mapped")
        live.check(answer["limits"], "no limits")
        refused = live.memwhy("map", pid, "--diff", kept, codes=(3,), user=live.NOBODY)
        live.check("maps" in refused.err and not refused.out, str(refused))


def look_and_change(place, pid, change):
    """An earlier answer, changed as a broken or foreign one might be."""
    answer = live.memwhy("map", pid, "--json").json
    change(answer)
    path = place / "map.json"
    path.write_text(json.dumps(answer))
    return path


def set_in_row(key, value):
    return lambda answer: answer["regions"][2].update({key: value})


BROKEN = [("start", "zz"), ("start", 5), ("end", "0x1"), ("rss", "x"), ("rss", -5),
          ("rss", 1.5), ("rss", 10 ** 30), ("class", None), ("name", 7)]


@live.case
def broken():
    """an earlier answer that is broken is refused by name"""
    with live.holder("zero", 1) as target, live.scratch() as place:
        for key, value in BROKEN:
            path = look_and_change(place, target.pid, set_in_row(key, value))
            answer = live.memwhy("map", target.pid, "--diff", path, codes=(5,))
            live.check(str(path) in answer.err and not answer.out, str(answer))
        for change in (lambda a: a.update(regions=[]), lambda a: a.update(regions=[1]),
                       lambda a: a["regions"].insert(0, copy.copy(a["regions"][0])),
                       lambda a: a.update(schema="memwhy.map/9")):
            path = look_and_change(place, target.pid, change)
            live.memwhy("map", target.pid, "--diff", path, codes=(5,))
        live.memwhy("map", target.pid, "--diff", "/dev/zero", codes=(5,))
        os.mkfifo(place / "pipe")
        live.memwhy("map", target.pid, "--diff", place / "pipe", codes=(5,), timeout=20)


@live.case
def unknown():
    """a figure that was not read then makes its change unknown, not large"""
    with live.holder("zero", 1) as target, live.scratch() as place:
        path = look_and_change(place, target.pid, set_in_row("rss", None))
        answer = live.memwhy("map", target.pid, "--diff", path, "--json").json
        live.check_equal(answer["totals"]["rss"], None, "rss")
        live.check_equal(answer["totals"]["swap"], 0, "swap")
        live.check(answer["limits"], "no limits")
        live.check("could not be compared" in answer["headline"], answer["headline"])


@live.case
def other_process():
    """two processes are told apart, by pid and by start"""
    with live.holder("zero", 1) as target, live.holder("zero", 2) as other, \
            live.scratch() as place:
        path = look_and_change(place, other.pid, lambda _: None)
        said = headline(target.pid, "--diff", path)
        live.check(f"beside holder ({other.pid})" in said, said)
        live.memwhy("capture", other.pid, place / "tree")
        said = headline(target.pid, "--diff", place / "tree")
        live.check(f"beside holder ({other.pid})" in said, said)
        path = look_and_change(place, target.pid,
                               lambda a: a["process"].update(start_ticks=1))
        said = headline(target.pid, "--diff", path)
        live.check("an earlier process" in said, said)
        path = look_and_change(place, target.pid, lambda a: a.pop("process"))
        said = headline(target.pid, "--diff", path)
        live.check("beside" not in said, said)


@live.case
def diff_of_a_class():
    """--class takes from both sides"""
    with live.holder("zero", 1) as target, live.scratch() as place:
        with live.stopped(target.pid):
            path = look_and_change(place, target.pid, lambda _: None)
            answer = live.memwhy("map", target.pid, "--diff", path, "--class", "stack",
                                 "--json").json
        live.check_equal(answer["changes"], [], "changes")


@live.case
def folded_permissions():
    """a folded object does not look writable and executable at once"""
    with live.holder("zero", 1) as target:
        text = live.memwhy("map", target.pid).text
        folded = [line for line in text.splitlines() if "  exe.*  " in line]
        live.check(len(folded) == 1 and "  r**p  " in folded[0], folded)
        live.check("rwxp" not in text, text)


GROWS = """
import mmap
area = mmap.mmap(-1, 64 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
print("ready", flush=True)
input()
for page in range(0, 32 << 20, 4096):
    area[page] = 1
print("grown", flush=True)
input()
"""


def deltas(*args):
    """The changes that the second look of --watch tells, while the target grows."""
    with live.Target(["/usr/bin/python3", "-c", GROWS]) as target:
        run = subprocess.Popen([live.MEMWHY, "map", str(target.pid), "--watch=1",
                                "--count", "2", "--ndjson", *args],
                               stdout=subprocess.PIPE)
        first = json.loads(run.stdout.readline())
        target.process.stdin.write(b"\n")
        target.process.stdin.flush()
        rows = [json.loads(line) for line in run.stdout]
        run.stdout.close()
        live.check_equal(run.wait(60), 0, "exit")
    live.check_equal(first["rss_delta"], None, "the first look's change")
    return [row["rss_delta"] for row in rows if row["rss_delta"]]


@live.case
def watch():
    """--watch tells what changed, of segments and of classes"""
    for args in ([], ["--summary"], ["--sort", "rss"]):
        found = deltas(*args)
        live.check(32 << 20 <= sum(found) < 34 << 20, f"{args}: {found}")


if __name__ == "__main__":
    live.main()
