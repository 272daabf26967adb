# SPDX-License-Identifier: MIT
"""What the tests of `heap` and `leaks` share: talking to the programs in heap/ (their
heads say how), reading malloc_info, and the promises that every answer keeps."""

import os
import re
import select
import subprocess
import time
import xml.etree.ElementTree

import live

PROGRAMS = live.HELPERS / "heap"
# What starts a pattern with another libc than this machine's: see tests/libcs.
LOADER = os.environ.get("MEMWHY_LOADER", "").split()


def program(name):
    path = PROGRAMS / name
    if not path.exists():
        raise live.Skip(f"{name} could not be built here")
    return path


def pattern_names(binary="pattern"):
    """All patterns the program has; it prints them when it is given none."""
    done = subprocess.run([PROGRAMS / binary], stdout=subprocess.PIPE, text=True)
    return [line.split()[1] for line in done.stdout.splitlines()]


class Speaker(live.Target):
    """A target that answers commands, a line each, until it says `done`."""

    def __init__(self, argv, **kw):
        super().__init__(argv, **kw)
        self.pending = b""

    def _more(self, seconds):
        fd = self.process.stdout.fileno()
        live.check(select.select([fd], [], [], seconds)[0],
                   f"{self.process.args}: no answer in {seconds} s")
        chunk = os.read(fd, 1 << 20)
        live.check(chunk, f"{self.process.args}: ended before it answered")
        self.pending += chunk

    def _line(self):
        while b"\n" not in self.pending:
            self._more(60)
        line, _, self.pending = self.pending.partition(b"\n")
        return line.decode(errors="replace")

    def _bytes(self, n):
        while len(self.pending) < n:
            self._more(60)
        got, self.pending = self.pending[:n], self.pending[n:]
        return got

    def tell(self, command):
        """A command that the next one answers."""
        os.write(self.process.stdin.fileno(), command.encode() + b"\n")

    def ask(self, command):
        """[(word, {key: value})] of the lines that answer it."""
        self.tell(command)
        answer = []
        while (line := self._line()) != "done":
            if not line:
                continue
            word, _, rest = line.partition(" ")
            fields = dict(pair.split("=", 1) for pair in rest.split())
            if word == "info":
                fields["xml"] = self._bytes(int(fields["len"])).decode()
            answer.append((word, fields))
        return answer


class Pattern(Speaker):
    """pattern NAME, standing."""

    def __init__(self, name, argv=None, **env):
        argv = argv or [*LOADER, program("pattern")]
        super().__init__([*argv, name], env=dict(os.environ, LC_ALL="C", **env))
        child = self.facts("child")
        self.looked_at = int(child[0]["pid"]) if child else self.pid
        self.truth = self._truths(("truth", fields) for fields in self.facts("truth"))

    @staticmethod
    def _truths(answer):
        return [{key: int(value) for key, value in fields.items()}
                for word, fields in answer if word == "truth"]

    def change(self, command):
        """A command that changes the truth."""
        self.truth = self._truths(self.ask(command))

    def trimmed(self):
        """Bytes by which Rss falls at malloc_trim(0)."""
        return sum(int(fields["rss_before"]) - int(fields["rss_after"])
                   for word, fields in self.ask("trim") if word == "trim")

    def info(self):
        """[malloc_info of each libc], and mallinfo2 or None."""
        answer = self.ask("info")
        infos = [Info(fields["xml"]) for word, fields in answer if word == "info"]
        mallinfo = [{key: int(value) for key, value in fields.items()}
                    for word, fields in answer if word == "mallinfo"]
        return infos, mallinfo[0] if mallinfo else None


class Info:
    """malloc_info() of one libc. glibc adds up size words with their lowest bit, so it
    counts one byte too many for each chunk in a bin; that is taken off here."""

    def __init__(self, text):
        root = xml.etree.ElementTree.fromstring(text)
        self.arenas = sorted(self._arena(heap) for heap in root.findall("heap"))
        mapped = root.find("total[@type='mmap']")
        self.mapped = int(mapped.get("count"))

    @staticmethod
    def _arena(heap):
        def of(tag, kind, key="size"):
            found = heap.find(f"{tag}[@type='{kind}']")
            return int(found.get(key)) if found is not None else 0
        bins = max(of("total", "rest", "count") - 1, 0)
        return (of("system", "current"), of("total", "fast", "count"),
                of("total", "fast"), bins, of("total", "rest") - bins)


def arena_row(arena):
    """The same figures as Info._arena()."""
    return (arena["system"], arena["fast"]["blocks"], arena["fast"]["bytes"],
            arena["bins"]["blocks"], arena["bins"]["bytes"] + arena["top"])


def heap_json(pid, *args, **kw):
    kw.setdefault("codes", (0, 3))
    return live.memwhy("heap", pid, "--json", *args, **kw).json


def leaks_json(pid, *args, **kw):
    kw.setdefault("codes", (0, 1, 3))
    return live.memwhy("leaks", pid, "--json", *args, **kw).json


def glibcs(heap):
    return [a for a in heap["allocators"] if a["name"] == "glibc"]


class Wrong(list):
    """Collects what differs, so that one look says all of it."""

    def equal(self, got, want, what):
        if got != want:
            self.append(f"{what}: {got}, should be {want} ({self._off(got, want)})")

    @staticmethod
    def _off(got, want):
        return f"off by {got - want:+}" if isinstance(got, int) else "differs"

    def true(self, condition, what):
        if not condition:
            self.append(what)

    def settle(self):
        live.check(not self, "; ".join(self[:12]) + (f"; and {len(self) - 12} more"
                                                     if len(self) > 12 else ""))


def check_arena(wrong, arena, where):
    """What an arena is divided into conserves."""
    parts = (arena["live"]["bytes"] + arena["tcache"]["bytes"] + arena["fast"]["bytes"]
             + arena["bins"]["bytes"] + arena["top"] + arena["overhead"]
             + arena["unknown"])
    wrong.equal(parts, arena["system"], f"{where}: parts of the arena")
    check_kept(wrong, arena["free"], where)


def check_kept(wrong, kept, where):
    parts = kept["trimmable"] + kept["pinned"] + kept["untrimmable"]
    wrong.equal(parts, kept["resident"], f"{where}: resident parts of what is kept")
    wrong.true(kept["resident"] <= kept["bytes"], f"{where}: kept {kept}")


def check_heap(heap, wrong=None, exact=True, foreign=0):
    """The promises every answer of `heap --json` keeps; `exact`: of a target at rest,
    of whose heap all is understood but what is `foreign`."""
    mine = Wrong() if wrong is None else wrong
    mine.equal(heap["schema"], "memwhy.heap/1", "schema")
    mine.true(heap["stop_ms"] >= 0, "stop_ms")
    mine.equal(heap["settled"], all(check["ok"] for a in heap["allocators"]
                                    for check in a["checks"]), "settled")
    for at, allocator in enumerate(heap["allocators"]):
        where = f"{allocator['name']} {at}"
        for check in allocator["checks"]:
            mine.true(check["ok"] or not exact, f"{where}: {check}")
        if allocator["name"] != "glibc":
            continue
        for arena in allocator["arenas"]:
            check_arena(mine, arena, f"{where} {arena['address']}")
        for key in ("bytes", "resident", "trimmable", "pinned", "untrimmable"):
            mine.equal(sum(arena["free"][key] for arena in allocator["arenas"]),
                       allocator["free"][key], f"{where}: {key} of all arenas")
    if exact:
        mine.equal(sum(a["unknown"] for a in heap["allocators"]), foreign, "unknown")
    if wrong is None:
        mine.settle()


def resting(pid, seconds=30):
    """Waits until no thread of a program runs any more."""
    def ticks():
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().rpartition(")")[2].split()[11:13]
    end = time.monotonic() + seconds
    before = None
    while (now := ticks()) != before:
        live.check(time.monotonic() < end, f"{pid} does not come to rest")
        before = now
        time.sleep(0.3)


def version_of(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    found = re.search(r"\d+\.\d+(\.\d+)?", done.stdout)
    return found[0] if found else "?"
