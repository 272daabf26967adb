# SPDX-License-Identifier: MIT
"""Real programs whose allocators report about themselves: how each is started, what it
says, and what of memwhy's answer that must equal. Nothing is called inside a target by
a debugger; each is asked by the means it has."""

import contextlib
import dataclasses
import re
import socket
import subprocess

import heaps
import leaks
import live
import targets


@dataclasses.dataclass
class Total:
    """One figure had twice: what memwhy calls it, what the program says, and by how
    much they may differ, because the program allocates to say it."""

    what: str
    found: int
    said: int
    slack: int = 0

    def holds(self):
        return abs(self.found - self.said) <= self.slack


@dataclasses.dataclass
class Running:
    pid: int
    totals: object = lambda heap: []      # [Total] of an answer


def allocator(heap, name):
    found = [a for a in heap["allocators"] if a["name"] == name]
    live.check(found, f"no {name} among {[a['name'] for a in heap['allocators']]}")
    return found[0]


def plain(start):
    """A program that says nothing about its heap."""
    @contextlib.contextmanager
    def run():
        with start() as pids:
            pid = next(iter(pids.values()))
            heaps.resting(pid)
            yield Running(pid)
    return run


# --- python3 ------------------------------------------------------------------------

PYTHON = """
import os, sys
kept = [str(i) * 3 for i in range(300000)]
kept = kept[::3] + [bytes(300000) for i in range(20)]
%s
sys._debugmallocstats()
os.write(1, b"ready\\n")
os.read(0, 1)
"""
THREADS = """
import threading
go = threading.Event()
ready = threading.Barrier(5)
def work():
    mine = [str(i) * 40 for i in range(20000)]
    ready.wait()
    go.wait()
for i in range(4):
    threading.Thread(target=work, daemon=True).start()
ready.wait()
"""
# os.read() makes the bytes it returns before it reads, its argument and a frame.
PYTHON_SAYING = 1024


def python_said(text):
    used = re.search(r"# bytes in allocated blocks\s+=\s+([\d,]+)", text)
    live.check(used, f"no totals in {text[-500:]!r}")
    rows = re.findall(r"^ +\d+ +\d+ +\d+ +(\d+) +\d+$", text, re.M)
    blocks = sum(map(int, rows))
    return blocks, int(used[1].replace(",", ""))


def python(more):
    @contextlib.contextmanager
    def run():
        with live.scratch() as place, open(place / "log", "w+b") as log:
            with live.Target(["/usr/bin/python3", "-c", PYTHON % more], stderr=log,
                             env=targets.environment(place)) as target:
                heaps.resting(target.pid)
                blocks, used = python_said((place / "log").read_text())

                def totals(heap):
                    mine = allocator(heap, "pymalloc")["live"]
                    return [Total("pymalloc: live blocks", mine["blocks"], blocks, 16),
                            Total("pymalloc: live bytes", mine["bytes"], used,
                                  PYTHON_SAYING)]
                yield Running(target.pid, totals)
    return run


# --- redis ---------------------------------------------------------------------------

def ask_redis(path, *words):
    """One command, and the text of its bulk reply."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(path))
        s.sendall(b"*%d\r\n" % len(words) + b"".join(
            b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
        got = b""
        while b"\r\n" not in got:
            got += s.recv(65536)
        head, _, got = got.partition(b"\r\n")
        need = int(head[1:])
        while len(got) < need:
            got += s.recv(65536)
        return got[:need].decode(errors="replace")


# The connection's buffers, and the statistics themselves while they are written.
REDIS_SAYING = 256 << 10


@contextlib.contextmanager
def redis():
    server = live.need_program("redis-server")
    with live.scratch() as place:
        path = place / "s"
        with live.Target([server, "--port", "0", "--unixsocket", path, "--save", "",
                          "--dir", place, "--daemonize", "no"], ready=None,
                         env=targets.environment(place)) as target:
            live.wait_until(lambda: targets.answers(path, b"PING\r\n", b"+PONG"), "redis")
            targets.fill_redis(path)

            def totals(heap):
                text = ask_redis(path, b"MEMORY", b"MALLOC-STATS")
                mine = allocator(heap, "jemalloc")
                said = re.search(r"^Allocated: (\d+)", text, re.M)
                live.check(said, f"no totals in {text[:300]!r}")
                return [Total("jemalloc: live and cached bytes",
                              mine["live"]["bytes"] + mine["tcache"]["bytes"],
                              int(said[1]), REDIS_SAYING)]
            yield Running(target.pid, totals)


# --- postgres ------------------------------------------------------------------------

@contextlib.contextmanager
def postgres():
    """A backend, that knows what its memory contexts have from malloc: nearly all."""
    with targets.postgres_server() as (_, place), leaks.session(place) as ask:
        pid = int(ask("SELECT pg_backend_pid()"))
        ask("SET work_mem = '256MB'")
        ask("DECLARE kept CURSOR WITH HOLD FOR SELECT repeat('x', 1000)"
            " FROM generate_series(1, 40000)")
        said = int(ask("SELECT sum(total_bytes) FROM pg_backend_memory_contexts"))
        heaps.resting(pid)

        def totals(heap):
            found = allocator(heap, "glibc")["live"]["bytes"]
            # Contexts kept for later use are in no list; libraries have own blocks.
            return [Total("glibc: live bytes, memory contexts", found, said, 2 << 20)]
        yield Running(pid, totals)


# --- node, java ----------------------------------------------------------------------

NODE = """
const kept = [];
for (let i = 0; i < 300000; i++) kept.push({ i, s: 'n' + i });
const spaces = require('v8').getHeapSpaceStatistics();
const fs = require('fs');
fs.writeSync(1, spaces.map(s => `space name=${s.space_name} size=${s.space_size}` +
  ` used=${s.space_used_size}`).join('\\n') + '\\nready\\n');
process.stdin.on('data', () => console.log(kept.length));
"""


@contextlib.contextmanager
def node():
    live.need_program("node", "nodejs")
    with live.scratch() as place:
        with live.Target(["node", "-e", NODE], env=targets.environment(place),
                         cwd=place) as target:
            heaps.resting(target.pid)
            spaces = target.facts("space")
            live.check(spaces, "node said nothing")
            size = sum(int(space["size"]) for space in spaces)

            def totals(heap):
                # The heap may grow or shrink by some chunks after it was asked.
                return [Total("v8: bytes from the kernel", allocator(heap, "v8")["system"],
                              size, 4 << 20)]
            yield Running(target.pid, totals)


JAVA_PROGRAM = """
public class Hold {
    static byte[][] kept = new byte[400][];
    public static void main(String[] a) throws Exception {
        for (int i = 0; i < kept.length; i++) {
            kept[i] = new byte[100000];
            java.util.Arrays.fill(kept[i], (byte) 1);
        }
        System.gc();
        Runtime all = Runtime.getRuntime();
        System.out.println("java used=" + (all.totalMemory() - all.freeMemory())
            + " total=" + all.totalMemory());
        System.out.println("ready");
        System.in.read();
    }
}
"""


@contextlib.contextmanager
def java():
    run = live.need_program("java", "default-jdk-headless")
    compiler = live.need_program("javac", "default-jdk-headless")
    with live.scratch() as place:
        (place / "Hold.java").write_text(JAVA_PROGRAM)
        subprocess.run([compiler, "-d", place, place / "Hold.java"], check=True,
                       env=targets.environment(place))
        with live.Target([run, "-XX:+UseSerialGC", "-Xmx256m", "-cp", place, "Hold"],
                         env=targets.environment(place)) as target:
            heaps.resting(target.pid)
            said = {key: int(value) for key, value in target.facts("java")[0].items()}

            def totals(heap):
                # Printing allocates, and eden's fill is published now and then.
                return [Total("jvm: live bytes", allocator(heap, "jvm")["live"]["bytes"],
                              said["used"], 4 << 20)]
            yield Running(target.pid, totals)


PROGRAMS = {
    "python3": python(""),
    "python3, threads": python(THREADS),
    "node": node,
    "perl": plain(targets.perl),
    "bash": plain(targets.bash),
    "postgres": postgres,
    "redis": redis,
    "nginx": plain(targets.nginx),
    "java": java,
}
