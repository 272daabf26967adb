#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""--stop holds the target still, for a bounded time, and always lets it go."""

import contextlib
import os
import signal
import subprocess
import time

import live

# Sleeps a millisecond at a time and remembers its longest sleep.
TICKER = """
import select, sys, time
longest, last = 0, time.monotonic()
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0.001)[0]:
    now = time.monotonic()
    longest, last = max(longest, now - last), now
print("longest", longest * 1000, flush=True)
"""


def is_free(pid):
    """Neither stopped nor traced."""
    fields = live.status(pid)
    return fields["State"][0] not in "Tt" and fields["TracerPid"] == "0"


def check_free(pid, seconds=5):
    live.wait_until(lambda: is_free(pid), f"{pid} to be let go", seconds)


@live.case
def exact():
    """a process that never rests is exact while it is held"""
    with live.holder("churn") as target:
        for _ in range(5):
            answer = live.map_json(target.pid, "--stop", "--engine", "pages")
            live.check(all(r["rss"] is not None for r in answer["regions"]), "unknown rss")
            rows = sum(r["rss"] for r in answer["regions"])
            live.check_equal(rows, answer["totals"]["rss"], "regions and total")
            why = live.why_json(target.pid, "--stop")
            live.check_why(why)
            live.check(why["stop_ms"] > 0, f"stop_ms {why['stop_ms']}")
            live.check(not any("drift" in limit["what"].lower() for limit in why["limits"]),
                       f"drift under --stop: {why['limits']}")
            check_free(target.pid)


@live.case
def not_stopped_without():
    """without --stop the target is never held"""
    with live.holder("pages", 2000) as target:
        why = live.why_json(target.pid)
        live.check(not why["stop_ms"], f"stop_ms {why['stop_ms']}")


@live.case
def all_threads():
    """all threads of the zoo run on afterwards"""
    with live.zoo() as target:
        live.check(live.why_json(target.pid, "--stop")["stop_ms"] > 0, "stop_ms")
        for tid in os.listdir(f"/proc/{target.pid}/task"):
            check_free(f"{target.pid}/task/{tid}")


def felt_and_said():
    """How long a stop was for the target, and how long memwhy says it was; ms."""
    with live.Target(["/usr/bin/python3", "-c", TICKER]) as target:
        stop_ms = live.why_json(target.pid, "--stop")["stop_ms"]
        target.process.stdin.write(b"\n")
        target.process.stdin.flush()
        felt = float(target.process.stdout.readline().split()[1])
        live.check(stop_ms > 0, f"stop_ms {stop_ms}")
        check_free(target.pid)
        return felt, stop_ms


@live.case
def printed_length():
    """the printed length is not shorter than what the target felt"""
    # A busy machine lets the target sleep longer than anybody stopped it: try again.
    tries = []
    for _ in range(10):
        felt, said = felt_and_said()
        tries.append((felt, said))
        if felt <= said + 1.5:
            return
    raise AssertionError(f"felt and said, ms: {tries}")


@live.case
def bounded():
    """--max-stop bounds the stop, however long the walk takes"""
    with live.holder("fill") as target:
        free = live.memwhy(target.pid, "--stop", "--json", codes=(0, 1, 3)).json["stop_ms"]
        done = live.memwhy(target.pid, "--stop", "--max-stop", 1, "--json",
                           codes=(0, 1, 3, 5))
        check_free(target.pid)
        if done.code == 5:
            live.check("did not stop in time" in done.err, str(done))
            raise live.Skip("a millisecond is too short here even to stop a process")
        why = done.json
        live.check(0 < why["stop_ms"] < max(100, free), f"stop_ms {why['stop_ms']}, {free}")
        live.check(any("stop" in (limit["what"] + limit["why"]).lower()
                       for limit in why["limits"]) or why["stop_ms"] <= 5,
                   f"cut short, and not said: {why['limits']}")
        live.check_why(why)
        check_free(target.pid)


def held(pid):
    with contextlib.suppress(FileNotFoundError):
        return not is_free(pid)
    return False


def kill_while_held(target, victims):
    """Kills what `victims` picks of memwhy's processes while it holds the target."""
    run = subprocess.Popen([live.MEMWHY, "map", str(target.pid), "--all", "--json",
                            "--stop", "--max-stop", "60000"],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    hit = False
    while run.poll() is None and not hit:
        if held(target.pid):
            hit = True
            for pid in victims(run.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
    if hit and run.pid not in victims(run.pid):
        run.wait(60)
    elif run.poll() is None:
        run.kill()
    run.wait()
    return hit


def kill_often(victims):
    with live.holder("fill") as target:
        hits = 0
        for _ in range(40):
            hits += kill_while_held(target, victims)
            check_free(target.pid)
            if hits == 5:
                return
        live.check(hits, "never saw the target held")


@live.case
def killed():
    """memwhy killed with SIGKILL while it holds the target: the target runs on"""
    kill_often(lambda pid: [pid])


@live.case
def child_killed():
    """memwhy's helper processes killed: the target runs on"""
    with live.holder("fill") as target:
        run = subprocess.Popen([live.MEMWHY, str(target.pid), "--stop", "--max-stop",
                                "60000"], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
        seen = set()
        while run.poll() is None:
            seen.update(live.children(run.pid))
            time.sleep(0.0005)
        check_free(target.pid)
        if not seen:
            raise live.Skip("memwhy uses no helper process here")
    kill_often(lambda pid: live.children(pid))


@live.case
def everything_killed():
    """the whole session of memwhy killed at once: the target runs on"""
    kill_often(lambda pid: [*live.children(pid), pid])


@live.case
def already_stopped():
    """a target that somebody else stopped stays stopped"""
    with live.holder("pages", 100) as target, live.stopped(target.pid):
        live.check_why(live.why_json(target.pid, "--stop"))
        time.sleep(0.05)
        live.check_equal(live.state(target.pid), "T", "state")


live.main()
