# SPDX-License-Identifier: MIT
"""Leaks whose number is known: in heap/leaky.c, and planted in real programs; and how
many of them memwhy, LSan and valgrind find."""

import collections
import contextlib
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import heaps
import live
import targets

PLANT_SIZE, PLANT_BLOCKS = 488, 20000     # as in heap/plant.c


@dataclasses.dataclass(frozen=True)
class Kind:
    name: str
    size: int
    blocks: int
    truth: str


class Leaky(heaps.Speaker):
    def __init__(self, argv=None, **kw):
        super().__init__(argv or [heaps.program("leaky")], **kw)
        self.kinds = [Kind(f["name"], int(f["size"]), int(f["blocks"]), f["truth"])
                      for f in self.facts("kind")]


class Score:
    """What one tool found: blocks by their size, and how sure it is."""

    def __init__(self, tool, kinds):
        self.tool = tool
        self.kinds = kinds
        self.blocks = collections.Counter()     # (size, confidence) -> n

    def add(self, size, confidence, n):
        self.blocks[size, confidence] += n

    def found(self, kind, *confidences):
        return sum(n for (size, confidence), n in self.blocks.items()
                   if size == kind.size and (not confidences or confidence in confidences))

    def confidences(self, kind):
        return {confidence for (size, confidence), n in self.blocks.items()
                if size == kind.size and n}


# --- memwhy -------------------------------------------------------------------------

def look(pid, *args, **kw):
    return heaps.leaks_json(pid, *args, **kw)


def score_memwhy(target, *args):
    score = Score("memwhy", target.kinds)
    for group in look(target.pid, *args)["groups"]:
        score.add(group["size"], group["confidence"], group["blocks"])
    return score


def leaked_of(pid, size=PLANT_SIZE):
    return sum(group["blocks"] for group in look(pid)["groups"] if group["size"] == size)


# --- the others ---------------------------------------------------------------------

def score_lsan():
    program = heaps.program("leaky-lsan")
    with tempfile.TemporaryFile() as log:
        with Leaky([program], stderr=log,
                   env=dict(os.environ, LSAN_OPTIONS="max_leaks=0")) as target:
            target.ask("check")
        log.seek(0)
        text = log.read().decode(errors="replace")
    score = Score("LSan", target.kinds)
    for found in re.finditer(r"leak of (\d+) byte\(s\) in (\d+) object", text):
        size, n = int(found[1]) // int(found[2]), int(found[2])
        score.add(size, "leaked", n)
    live.check(score.blocks, f"LSan says nothing: {text[-400:]}")
    return score


LOST = re.compile(r"==\s+([\d,]+) (?:\(([\d,]+) direct, [\d,]+ indirect\) )?bytes in "
                  r"([\d,]+) blocks are (definitely|indirectly|possibly) lost")


def number(text):
    return int(text.replace(",", ""))


def score_valgrind():
    live.need_program("valgrind")
    with tempfile.TemporaryDirectory(prefix="memwhy-live-") as place:
        log = pathlib.Path(place) / "log"
        command = ["valgrind", "--leak-check=full", "--show-leak-kinds=all",
                   "--leak-resolution=high", f"--log-file={log}", "--num-callers=20"]
        with Leaky([*command, heaps.program("leaky")], seconds=120) as target:
            target.ask("check")
            text = log.read_text(errors="replace")
    score = Score("valgrind", target.kinds)
    for total, direct, blocks, confidence in LOST.findall(text):
        n = number(blocks)
        score.add(number(direct or total) // n, confidence, n)
    live.check(score.blocks, f"valgrind says nothing: {text[-400:]}")
    return score


# --- planted in real programs -------------------------------------------------------

@dataclasses.dataclass
class Found:
    planted: int
    before: int     # leaked blocks of that size, before any was planted
    after: int


def helper():
    return heaps.program("libplant.so")


PYTHON = f"""
import ctypes, os
kept = [str(i) * 3 for i in range(200000)]
malloc = ctypes.CDLL(None).malloc
malloc.restype = ctypes.c_void_p
os.write(1, b"ready\\n")
os.read(0, 1)
for i in range({PLANT_BLOCKS}):
    malloc({PLANT_SIZE})
os.write(1, b"planted\\n")
os.read(0, 1)
"""
NODE = """
const kept = [];
for (let i = 0; i < 200000; i++) kept.push({ i, s: 'n' + i });
process.stdin.once('data', () => {
  try { require('os').getPriority(424242); } catch (e) { }
  console.log('planted');
});
console.log('ready');
"""
PERL = """
$| = 1; my %h = map { $_ => 'x' x 100 } 1 .. 50000; print qq(ready\\n); <STDIN>;
opendir(my $d, '/memwhy-plant'); print qq(planted\\n); <STDIN>
"""
BASH = "x=$(seq 50000); echo ready; read y; for f in /memwhy-plant/*; do :; done;" \
       " echo planted; read y"


def in_script(argv, preload):
    """A program that prints `ready`, plants at a line on stdin, and prints `planted`."""
    live.need_program(argv[0])
    with live.scratch() as place:
        env = targets.environment(place)
        if preload:
            env["LD_PRELOAD"] = str(helper())
        with live.Target(argv, env=env, cwd=place) as target:
            heaps.resting(target.pid)
            before = leaked_of(target.pid)
            os.write(target.process.stdin.fileno(), b"\n")
            target._read_until(b"planted", 60)
            heaps.resting(target.pid)
            return Found(PLANT_BLOCKS, before, leaked_of(target.pid))


@contextlib.contextmanager
def session(place):
    """psql in a database: ask(SQL) gives the first line of the answer."""
    live.need_program("psql", "postgresql-client")
    process = subprocess.Popen(
        ["psql", "-h", place, "-U", "mw", "-d", "postgres", "-XAtq"], text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def ask(sql):
        process.stdin.write(f"{sql};\n\\echo done\n")
        process.stdin.flush()
        lines = []
        while (line := process.stdout.readline().strip()) != "done":
            live.check(line or process.poll() is None, f"psql ended at {sql}")
            lines.append(line)
        return lines[0] if lines else ""
    try:
        yield ask
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def in_postgres():
    with live.scratch(0o755) as library:
        copy = shutil.copy(helper(), library)
        with targets.postgres_server(LD_PRELOAD=str(copy)) as (_, place), \
                session(place) as ask:
            pid = int(ask("SELECT pg_backend_pid()"))
            ask("SELECT count(*) FROM pg_class, pg_attribute")
            heaps.resting(pid)
            before = leaked_of(pid)
            # It fails, as there is no such directory; by then the blocks are lost.
            ask("SELECT pg_ls_dir('/memwhy-plant')")
            heaps.resting(pid)
            return Found(PLANT_BLOCKS, before, leaked_of(pid))


PLANTED = {
    "python3": lambda: in_script(["/usr/bin/python3", "-c", PYTHON], False),
    "node": lambda: in_script(["node", "-e", NODE], True),
    "perl": lambda: in_script(["perl", "-e", PERL], True),
    "bash": lambda: in_script(["bash", "--norc", "-c", BASH], True),
    "postgres": in_postgres,
}
