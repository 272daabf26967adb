#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What test_bad_input.py asks of the account and the map, asked of `map --pmap`, `free`,
`top`, `size` and `page`: no such process, refusals, processes that end, hostile names,
absurd terminals, outputs that are closed or full."""

import fcntl
import os
import pathlib
import pty
import select
import struct
import subprocess
import termios
import time

import live

MISSING = 999999999


def commands(pid, address):
    """One of each kind; without a process first."""
    page = int(address, 16)
    return ([["free"], ["free", "-w", "-l"], ["free", "--cgroup"], ["free", "--json"],
             ["top", "--once"], ["top", "--once", "--by", "user"], ["top", "--json"],
             ["top", "--once", "--tree"], ["top", "--csv"],
             ["size", "/bin/ls"], ["size", "-A", "/bin/ls"], ["size", "--json", "/bin/ls"],
             ["size", "--segments", "/bin/ls"], ["size", "--vs", "/bin/cat", "/bin/ls"]],
            [["map", "--pmap", pid], ["map", "--pmap", "-x", pid],
             ["map", "--pmap", "-X", pid], ["size", "--live", pid], ["page", pid, address],
             ["page", pid, f"{page:x}..{page + 4 * live.PAGE:x}"],
             ["page", "--same", pid, pid, address], ["page", pid, address, "--json"]])


def of_holder(look):
    """Runs look(command) for each command, about one process that stands still."""
    with live.holder("pages", 10) as target:
        address = hex(live.smaps(target.pid, "maps")[0]["start"])
        for command in sum(commands(target.pid, address), []):
            look(command)


def said(answer, codes):
    live.check(answer.code in codes and answer.err.strip() and not answer.out.strip(),
               f"{answer}: {answer.out[:200]}")


@live.case
def no_such_process():
    """a pid that does not exist: status 4, of pmap 42"""
    for command in commands(MISSING, "0x1000")[1]:
        if "--pmap" in command:
            live.check_equal(live.memwhy(*command, codes=None).code, 42, command)
        else:
            said(live.memwhy(*command, codes=None), (4,))
    said(live.memwhy("free", f"--cgroup={MISSING}", codes=None), (4,))
    live.check_equal(live.memwhy("top", "-f", MISSING, "--json", codes=None)
                     .json["processes"], [], "top")


@live.case
def refused():
    """another user's process: status 3, of pmap 1, and in words what is refused"""
    live.need_root()
    with live.holder("zero", 1) as target:
        address = hex(live.smaps(target.pid, "maps")[0]["start"])
        for command in commands(target.pid, address)[1]:
            answer = live.memwhy(*command, codes=None, user=live.NOBODY)
            live.check_equal(answer.code, 1 if "--pmap" in command else 3, str(answer))
            live.check("ermission denied" in answer.err + answer.text, str(answer))
        answer = live.memwhy("free", f"--cgroup={target.pid}", "--json", codes=None,
                             user=live.NOBODY)
        if "cgroup" in answer.json:
            live.check_equal(answer.code, 3, str(answer))
            live.check(answer.json["bridge_denied"] > 0, answer.json)


@live.case
def ended():
    """zombies, kernel threads, and processes that end while they are looked at"""
    with live.holder("zombie") as target:
        pids = [target.facts("zombie")[0]["pid"]]
        if pathlib.Path("/proc/2").exists() and "VmSize" not in live.status(2):
            pids.append(2)
        for pid in pids:
            for command in commands(pid, "0x1000")[1]:
                answer = live.memwhy(*command, codes=(0, 3, 4))
                live.check(answer.text or answer.err, command)
    for i in range(64):
        child = subprocess.Popen(["/bin/sh", "-c", "read x"], stdin=subprocess.PIPE)
        kinds = commands(child.pid, "0x555555554000")[1]
        command = [live.MEMWHY, *map(str, kinds[i % len(kinds)])]
        run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(0.0002 * i)
        child.stdin.close()
        child.wait()
        out, err = run.communicate(timeout=60)
        live.check(run.returncode in (0, 1, 3, 4, 42) and b"Sanitizer" not in err,
                   f"{command}: {run.returncode} {err}")
        live.check(out or err or run.returncode == 42, f"{command}: silent")


@live.case
def hostile_names():
    """what a process calls itself or maps steers no terminal"""
    with live.scratch() as place:
        names = ["red\x1b[31m", "\u202eevil", "\u009b31m", "bell\x07", "cr\rx", "new\nline"]
        for name in names:
            (place / name).write_bytes(pathlib.Path("/bin/ls").read_bytes())
        paths = [place / name for name in names]
        with live.holder("files", *paths) as target:
            mapped = [row for row in live.smaps(target.pid, "maps")
                      if str(place).encode() in row["name"]]
            live.check_equal(len(mapped), len(names), "mapped")
            asked = [["top", "--once", "-f", target.pid],
                     ["top", "--once", "--by", "file", "-f", place, "--budget", 5000],
                     ["size", *paths], ["size", "-A", *paths],
                     ["size", "--segments", paths[0]], ["size", "--vs", paths[0], paths[1]],
                     ["size", "--live", target.pid, paths[0]],
                     ["size", paths[0].with_name("none\x1b[31m")],
                     *(["map", "--pmap", mode, target.pid] for mode in ("-p", "-X", "-d")),
                     *(["page", target.pid, hex(row["start"])] for row in mapped)]
            for command in asked:
                answer = live.memwhy(*command, codes=None,
                                     env=dict(os.environ, LC_ALL="C.UTF-8"))
                for text in answer.text, answer.err:
                    live.check(not any(c in text for c in "\x1b\x07\r\u202e\u009b"),
                               f"{command}: {text!r}")


@live.case
def corrupt_objects():
    """a program whose section headers are nonsense: the kernel runs it all the same"""
    whole = (live.HELPERS / "holder").read_bytes()
    headers = struct.unpack_from("<Q", whole, 40)[0]
    with live.scratch(0o755) as place:
        for i, (at, byte) in enumerate([
                *((at, 0xff) for at in range(40, 48)), *((at, 0x7f) for at in range(58, 64)),
                *((headers + 64 * 9 + at, 0xff) for at in range(0, 64, 3))]):
            broken = bytearray(whole)
            broken[at] = byte
            path = place / f"broken{i}"
            path.write_bytes(broken)
            path.chmod(0o755)
            with live.Target([path, "zero", 1]) as target:
                text = next(row for row in live.smaps(target.pid, "maps")
                            if "x" in row["perms"])
                live.memwhy("page", target.pid, hex(text["start"]))
                for command in (["--live", target.pid], [path], ["-A", path],
                                ["--common", path], ["--segments", path],
                                ["--vs", "/bin/ls", path]):
                    answer = live.memwhy("size", *command, codes=(0, 5), timeout=20)
                    live.check(answer.code == 0 or answer.err, str(answer))


def on_terminal(command, rows, columns):
    """Status and output on a terminal of this size."""
    pid, fd = pty.fork()
    if not pid:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        env = {key: value for key, value in os.environ.items()
               if key not in ("COLUMNS", "LINES")}
        os.execve(live.MEMWHY, [live.MEMWHY, *map(str, command)], dict(env, TERM="xterm"))
    out, end = b"", time.monotonic() + 60
    while time.monotonic() < end:
        if not select.select([fd], [], [], 1)[0]:
            continue
        try:
            piece = os.read(fd, 65536)
        except OSError:
            break
        if not piece:
            break
        out += piece
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(fd)
    return status, out


@live.case
def absurd_terminals():
    """terminals of 1x1, 5x2, 0x0, 5000 columns, and COLUMNS without sense"""
    def look(command):
        for columns in "0", "1", "5", "5000", "100000", "-5", "x":
            answer = live.memwhy(*command, env=dict(os.environ, COLUMNS=columns))
            live.check(answer.out and not answer.err, f"{columns}: {answer}")
        for rows, columns in (1, 1), (2, 5), (0, 0), (1, 5000), (24, 80):
            status, out = on_terminal(command, rows, columns)
            live.check_equal(status, 0, f"{command} in {columns}x{rows}: {out[-300:]}")
    of_holder(look)


@live.case
def closed_outputs():
    """a reader that had enough is no failure; a closed or a full output is one"""
    def look(command):
        reader, writer = os.pipe()
        os.close(reader)
        answer = live.memwhy(*command, stdout=writer)
        os.close(writer)
        live.check(not answer.err, str(answer))
        with open("/dev/full", "wb") as full:
            answer = live.memwhy(*command, stdout=full, codes=(1, 5))
        live.check("No space left" in answer.err, str(answer))
        for streams, failed in (">&-", True), ("<&- >&-", True), ("<&- 2>&-", False):
            done = subprocess.run(["/bin/sh", "-c", f'exec "$@" {streams}', "sh",
                                   live.MEMWHY, *map(str, command)], timeout=60,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            live.check(done.returncode in ((1, 5) if failed else (0,)),
                       f"{command} {streams}: {done}")
            live.check(b"Sanitizer" not in done.stderr, done.stderr)
    of_holder(look)


@live.case
def first_line():
    """`| head -1`, also of what goes on for ever"""
    with live.holder("zero", 1) as target:
        for command in ("free -s 0.01", "free --watch=0.01", "top --watch=1 --once",
                        "top --watch=1 --ndjson", f"map --pmap -XX {target.pid}",
                        "size -A /bin/ls"):
            done = subprocess.run(["/bin/bash", "-c", f'"$0" {command} | head -n 1; '
                                   'exit ${PIPESTATUS[0]}', live.MEMWHY], timeout=60,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            live.check_equal((done.returncode, done.stderr), (0, b""), command)
            live.check_equal(done.stdout.count(b"\n"), 1, command)


live.main()
