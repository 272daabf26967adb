#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""`memwhy heap` as a command: what is asked for is shown, what cannot be had is a limit,
and the target is left as it was."""

import csv
import ctypes
import io
import json
import os
import re
import shutil
import signal
import threading
import time

import live
import targets

TABLES = ("--arenas", "--sizes", "--threads", "--pins", "--checks")
PTRACE_DETACH, PTRACE_SEIZE = 17, 0x4206


def keeper(**kw):
    return live.Target([live.HELPERS / "heap/keeper"], **kw)


def heap_json(pid, *args, **kw):
    return live.memwhy("heap", pid, "--json", *args, **kw).json


def check_heap(answer):
    """The promises every answer of `memwhy heap --json` keeps."""
    live.check_equal(answer["schema"], "memwhy.heap/1", "schema")
    for allocator in answer["allocators"]:
        kept = allocator["free"]
        if allocator["depth"] == "walked":
            live.check_equal(kept["trimmable"] + kept["pinned"] + kept["untrimmable"],
                             kept["resident"], f"{allocator['name']}: kept")
        for arena in allocator["arenas"]:
            if allocator["name"] != "glibc":
                continue
            parts = sum(arena[part]["bytes"] for part in ("live", "tcache", "fast", "bins"))
            parts += arena["top"] + arena["overhead"] + arena["unknown"]
            live.check_equal(parts, arena["system"], f"arena {arena['address']}")
        for check in allocator["checks"]:
            live.check(check["ok"] or not answer["settled"], f"settled, but {check}")


def is_free(pid):
    fields = live.status(pid)
    return fields["State"][0] not in "Tt" and fields["TracerPid"] == "0"


@live.case
def everything():
    """a settled heap, the same in every format"""
    with keeper() as target:
        answer = heap_json(target.pid)
        check_heap(answer)
        live.check(answer["settled"], [a["checks"] for a in answer["allocators"]])
        live.check(answer["stop_ms"] > 0, "it was not stopped")
        arenas = answer["allocators"][0]["arenas"]
        live.check_equal(len(arenas), 4, "arenas")
        rows = [json.loads(line) for line in
                live.memwhy("heap", target.pid, "--ndjson").text.splitlines()]
        table = list(csv.DictReader(io.StringIO(
            live.memwhy("heap", target.pid, "--csv").text)))
        for arena, row, line in zip(arenas, rows, table, strict=True):
            for got in row, line:
                live.check_equal(got["address"], arena["address"], "address")
                live.check_equal(int(got["live_bytes"]), arena["live"]["bytes"], "live")
                live.check_equal(int(got["pinned"]), arena["free"]["pinned"], "pinned")
        live.check(is_free(target.pid), "it is still held")


@live.case
def tables():
    """each table shows what its option says, and two exclude each other"""
    words = {"--arenas": "thread", "--sizes": "112 B", "--threads": str(os.getpid()),
             "--pins": "of keeper", "--checks": "chunks sum to system_mem"}
    with keeper() as target:
        words["--threads"] = str(target.pid)
        for option, word in words.items():
            said = live.memwhy("heap", target.pid, option).text
            live.check(word in said, f"{option}: no {word!r} in {said}")
            live.check("target stopped" in said, f"{option}: {said}")
        hidden = live.memwhy("heap", target.pid, "--pins", "--no-contents").text
        live.check("of keeper" not in hidden, hidden)
        live.memwhy("heap", target.pid, "--pins", "--sizes", codes=(2,))
        live.memwhy("heap", target.pid, "--stop", "--no-stop", codes=(2,))


@live.case
def terminals():
    """narrow, without colour, without UTF-8: nothing is lost, nothing is raw"""
    with keeper() as target:
        for columns in 1, 20, 40, 300:
            for option in ("-v", *TABLES):
                env = dict(os.environ, COLUMNS=str(columns), NO_COLOR="1", LC_ALL="C")
                said = live.memwhy("heap", target.pid, option, env=env)
                live.check("\033" not in said.text, f"{columns}: {said.text}")
                live.check(said.out.isascii(), f"{columns} {option}: {said.text}")
                live.check(len(said.text) > 200, f"{columns} {option}: {said.text}")


@live.case
def many_arenas():
    """hundreds of arenas: each a row, and the sum is the whole"""
    program = ("import threading, time\n"
               "stop = threading.Event()\n"
               "threading.stack_size(256 << 10)\n"
               "for i in range(300):\n"
               "    threading.Thread(target=stop.wait, daemon=True).start()\n"
               "print('ready', flush=True)\n"
               "input()\n")
    env = dict(os.environ, GLIBC_TUNABLES="glibc.malloc.arena_max=1000",
               PYTHONMALLOC="malloc")
    with live.Target(["/usr/bin/python3", "-c", program], env=env) as target:
        answer = heap_json(target.pid)
        check_heap(answer)
        glibc = answer["allocators"][0]
        live.check(len(glibc["arenas"]) > 250, f"{len(glibc['arenas'])} arenas")
        live.check_equal(glibc["live"]["bytes"],
                         sum(a["live"]["bytes"] for a in glibc["arenas"]) +
                         glibc["mmapped"]["bytes"], "live bytes")
        said = live.memwhy("heap", target.pid, "--arenas").text
        live.check(said.count(" thread ") > 250, f"{said.count(' thread ')} rows")
        why = live.why_json(target.pid)
        live.check_why(why)


@live.case
def running():
    """--no-stop holds nothing; the checks say what that is worth"""
    with keeper() as target:
        answer = heap_json(target.pid, "--no-stop")
        check_heap(answer)
        live.check_equal(answer["stop_ms"], 0, "stop_ms")
        live.check(answer["settled"], "a resting process does not settle")


@live.case
def copied():
    """--snapshot answers as a stop does, and leaves no child behind"""
    with keeper() as target:
        still = heap_json(target.pid)
        copy = heap_json(target.pid, "--snapshot")
        check_heap(copy)
        live.check_equal(copy["process"], still["process"], "whose it is")
        if any("fork" in limit["why"] for limit in copy["limits"]):
            raise live.Skip(f"no fork here: {copy['limits']}")
        for key in "live", "mmapped", "overhead":
            live.check_equal(copy["allocators"][0][key], still["allocators"][0][key], key)
        live.check_equal(live.children(target.pid), [], "children")
        live.check(is_free(target.pid), "it is still held")


@live.case
def traced():
    """another tracer: it is read as it runs, and a limit names the reason"""
    libc = ctypes.CDLL(None, use_errno=True)
    with keeper() as target:
        live.check(libc.ptrace(PTRACE_SEIZE, target.pid, None, None) == 0, "PTRACE_SEIZE")
        answer = heap_json(target.pid, codes=(0, 3))
        check_heap(answer)
        why = live.why_json(target.pid, "--stop", codes=(0, 3))
        for got in answer, why:
            told = [limit for limit in got["limits"] if "traced" in limit["why"]]
            live.check(told, f"no limit says so: {got['limits']}")
            live.check_equal(got["stop_ms"], 0, "stop_ms")
        live.check(answer["allocators"][0]["live"]["blocks"] > 0, "nothing was read")
        libc.ptrace(PTRACE_DETACH, target.pid, None, None)


@live.case
def too_short():
    """--max-stop that is too short: it runs on, what was read is shown, and it is said"""
    program = ("x = [bytes(40) for i in range(3000000)]; print('ready', flush=True);"
               " input()")
    env = dict(os.environ, PYTHONMALLOC="malloc")
    with live.Target(["/usr/bin/python3", "-c", program], env=env) as target:
        answer = heap_json(target.pid, "--max-stop", "1")
        # It ran on too early, or could not be stopped at all in so short a time.
        live.check([limit for limit in answer["limits"]
                    if limit["what"] == "the target at rest"], answer["limits"])
        live.check(is_free(target.pid), "it is still held")


@live.case
def busy():
    """a process that allocates all the time settles within a few short stops"""
    program = ("import random\nx = [None] * 5000\nprint('ready', flush=True)\n"
               "while True:\n    x[random.randrange(5000)] = bytes(random.randrange(9000))\n")
    with live.Target(["/usr/bin/python3", "-c", program]) as target:
        settled = 0
        for _ in range(5):
            answer = heap_json(target.pid)
            check_heap(answer)
            settled += answer["settled"]
            live.check_why(live.why_json(target.pid))
        live.check(settled >= 4, f"{settled} of 5 settled")
        live.check(is_free(target.pid), "it is still held")


@live.case
def growing():
    """a process that takes new pages all the time: most stops find its top half moved"""
    with live.Target([live.HELPERS / "heap/dropper"]) as target:
        target.process.stdin.write(b"drop 4000000 200\n")
        target.process.stdin.flush()
        settled = 0
        for _ in range(4):
            answer = heap_json(target.pid)
            check_heap(answer)
            settled += answer["settled"]
            running = heap_json(target.pid, "--no-stop")["allocators"][0]
            live.check(running["live"]["bytes"] > running["system"] / 2,
                       f"as it runs: {running['live']} of {running['system']}")
        live.check(settled >= 3, f"{settled} of 4 settled")


@live.case
def vanished():
    """a process that ends meanwhile is gone, or was read before; never anything else"""
    for delay in range(12):
        with keeper() as target:
            killer = threading.Timer(delay / 1000, os.kill, (target.pid, signal.SIGKILL))
            killer.start()
            said = live.memwhy("heap", target.pid, codes=(0, 4))
            killer.join()
            live.check(not said.out if said.code else
                       " live in " in said.text or "no memory" in said.text,
                       f"{said} {said.text}")
            target.process.wait()
            live.memwhy("heap", target.pid, codes=(4,))


@live.case
def denied():
    """a foreign process: no figures, a remedy, status 3"""
    live.need_root()
    live.need_program("setpriv", "util-linux")
    with live.scratch(0o755) as place, keeper() as target:
        shutil.copy(live.MEMWHY, place / "memwhy")
        (place / "memwhy").chmod(0o755)
        kept, live.MEMWHY = live.MEMWHY, str(place / "memwhy")
        try:
            said = live.memwhy("heap", target.pid, user=live.NOBODY, codes=(3,))
            answer = heap_json(target.pid, user=live.NOBODY, codes=(3,))
        finally:
            live.MEMWHY = kept
        live.check("may not be read" in said.text, said.text)
        live.check("0 B" not in said.text, said.text)
        live.check_equal(answer["allocators"], [], "allocators")
        live.check(any(limit["remedy"] for limit in answer["limits"]), answer["limits"])


@live.case
def unprivileged():
    """the process's own user needs no privilege"""
    live.need_root()
    with live.scratch(0o755) as place:
        for name in live.MEMWHY, live.HELPERS / "heap/keeper":
            copy = shutil.copy(name, place)
            os.chmod(copy, 0o755)
        kept, live.MEMWHY = live.MEMWHY, str(place / os.path.basename(live.MEMWHY))
        try:
            with live.Target([place / "keeper"], user=live.NOBODY, cwd="/") as target:
                answer = heap_json(target.pid, user=live.NOBODY)
        finally:
            live.MEMWHY = kept
        check_heap(answer)
        live.check(answer["settled"], answer)


@live.case
def nothing_there():
    """a kernel thread and a zombie have no heap; that is an answer"""
    with live.Target(["sh", "-c", "sleep 0 & echo ready; exec sleep 60"]) as target:
        live.wait_until(lambda: [c for c in live.children(target.pid)
                                 if live.state(c) == "Z"], "a zombie")
        zombie = live.children(target.pid)[0]
        live.check("no memory" in live.memwhy("heap", zombie).text, "zombie")
    for pid in live.children(2)[:1]:  # of kthreadd
        live.memwhy("heap", pid, codes=(0, 3))


@live.case
def recorded():
    """a recording with --memory says of the heap what the process did"""
    with keeper() as target, live.scratch() as place:
        now = heap_json(target.pid)
        live.memwhy("capture", "--stop", "--memory", target.pid, place / "with")
        live.memwhy("capture", "--stop", target.pid, place / "without")
        then = heap_json(target.pid, "--root", place / "with")
        live.check_equal(then["allocators"], now["allocators"], "allocators")
        live.check_equal(then["stop_ms"], 0, "stop_ms")
        bare = heap_json(target.pid, "--root", place / "without")
        live.check(any("not in this recording" in limit["why"] for limit in bare["limits"]),
                   bare["limits"])
        account = live.why_json(target.pid, "--root", place / "with")
        live.check_why(account)
        live.check(any(row["cause"] == "heap-live" for row in account["account"]),
                   account["account"])


@live.case
def agrees_with_why():
    """heap and why divide the same bytes alike"""
    with keeper() as target:
        heap, why = heap_json(target.pid), live.why_json(target.pid)
        live.check_why(why)
        row = {row["cause"]: row["bytes"] for row in why["account"]}
        kept = heap["allocators"][0]["free"]
        live.check_equal(row["heap-trimmable"], kept["trimmable"], "trimmable")
        live.check_equal(row["heap-kept"], kept["pinned"] + kept["untrimmable"], "kept")
        live.check("heap" not in row, f"a part of the heap is not told apart: {row}")


@live.case
def static_program():
    """a static program keeps its thread's storage in the first page of its heap"""
    with targets.busybox() as pids:
        for pid in pids.values():
            why = live.why_json(pid)
            live.check_why(why)
            row = {row["cause"]: row["bytes"] for row in why["account"]}
            live.check(row.get("heap-live"), f"nothing is live: {row}")
            live.check(row.get("heap", 0) < 4096, f"not told apart: {row}")


@live.case
def quick():
    """why stays within its second on a heap that takes longer, and says what to do"""
    program = ("x = [bytes(i % 60) for i in range(4000000)]; print('ready', flush=True);"
               " input()")
    env = dict(os.environ, PYTHONMALLOC="malloc")
    with live.Target(["/usr/bin/python3", "-c", program], env=env) as target:
        begin = time.monotonic()
        usage = os.times().children_user + os.times().children_system
        why = live.why_json(target.pid)
        used = os.times().children_user + os.times().children_system - usage
        live.check_why(why)
        live.check(used < 4, f"{used} s of processor, {time.monotonic() - begin} s in all")
        causes = {row["cause"] for row in why["account"]}
        told = any("heap" in limit["what"] for limit in why["limits"])
        live.check("heap-live" in causes or told, f"{causes} {why['limits']}")


@live.case
def untouched():
    """nothing of the process changes by being looked at"""
    with keeper() as target:
        before = live.rollup(target.pid)
        for args in [], ["--no-stop"], ["--pins"]:
            live.memwhy("heap", target.pid, *args)
        after = live.rollup(target.pid)
        # A stop may wake it: pages of its code, of files, may come in by its own doing.
        for key in "Anonymous", "Private_Dirty", "Shared_Dirty":
            live.check_equal(after[key], before[key], key)


live.main()
