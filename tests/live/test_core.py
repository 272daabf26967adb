#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Core files tell what the process told while it lived: gcore's, gdb's and the kernel's
own, whole, cut short, and with the program somewhere else."""

import contextlib
import os
import pathlib
import re
import resource
import shutil
import signal
import struct
import subprocess
import time

import live

PATTERN = pathlib.Path("/proc/sys/kernel/core_pattern")
# What a core does not know: residency, and what follows from it.
RESIDENCY = {"resident", "trimmable", "pinned", "untrimmable", "pins", "pinning"}


def dumped(place, before=()):
    """The target, from a copy of its program that a test may take away."""
    program = place / "dumped"
    if not program.exists():
        shutil.copy(live.HELPERS / "dumped", program)
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)

    def allow():
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_CORE, unlimited)
    return live.Target([*before, program], preexec_fn=allow, cwd="/")


def gdb(*args):
    live.need_program("gdb")
    done = subprocess.run(["gdb", "--nx", "--batch", *args], capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=120)
    live.check(done.returncode == 0, f"gdb {args}: {done.stderr[-500:]!r}")


def by_gcore(target, place):
    live.need_program("gcore", "gdb")
    subprocess.run(["gcore", "-o", place / "gcore", str(target.pid)], check=True,
                   capture_output=True, stdin=subprocess.DEVNULL, timeout=120)
    return place / f"gcore.{target.pid}"


def by_gdb(target, place):
    core = place / "gdb.core"
    gdb("-p", str(target.pid), "-ex", f"generate-core-file {core}")
    return core


@contextlib.contextmanager
def core_pattern(pattern):
    """Another pattern for a moment. A child puts the old one back when its input ends:
    at the end of the block, and also if this process is killed inside it."""
    before = PATTERN.read_text().rstrip("\n")
    keeper = subprocess.Popen(
        ["sh", "-c", 'cat >/dev/null; printf %s "$1" >"$2"', "sh", before, PATTERN],
        stdin=subprocess.PIPE, start_new_session=True)
    try:
        PATTERN.write_text(pattern)
        yield
    except PermissionError as error:
        raise live.Skip(f"{PATTERN}: {error}")
    finally:
        keeper.stdin.close()
        keeper.wait(60)
        live.check_equal(PATTERN.read_text().rstrip("\n"), before, "core_pattern")


def by_kernel(target, place):
    """The target dies of it."""
    live.need_root()
    with core_pattern(str(place / "kernel.core")):
        os.kill(target.pid, signal.SIGABRT)
        target.process.wait(60)
    found = list(place.glob("kernel.core*"))
    live.check(len(found) == 1, f"the kernel wrote {found}")
    return found[0]


WRITERS = {"gcore": by_gcore, "gdb": by_gdb, "the kernel": by_kernel}


def mappings(pid):
    """(start, end, perms, name) of every mapping."""
    return [(r["start"], r["end"], r["perms"], r["name"].decode())
            for r in live.smaps(pid, "maps")]


def strip(value):
    """The same without what only a live process knows."""
    if isinstance(value, list):
        return [strip(item) for item in value]
    if isinstance(value, dict):
        return {key: strip(item) for key, item in value.items() if key not in RESIDENCY}
    return value


def differences(one, other, where=""):
    """Where two answers differ, as lines."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [line for key in sorted(one.keys() | other.keys())
                for line in differences(one.get(key), other.get(key), f"{where}.{key}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [line for i, pair in enumerate(zip(one, other))
                for line in differences(*pair, f"{where}[{i}]")]
    return [] if one == other else [f"{where}: {one!r} and {other!r}"]


def check_same(core, live_one, what):
    found = differences(core, live_one)
    live.check(not found, f"{what}: core and process differ: {found[:8]}")


def heap_of(*args):
    answer = live.memwhy("heap", *args, "--json").json
    for allocator in answer["allocators"]:
        for check in allocator["checks"]:
            live.check(check["ok"], f"heap {args}: {check}")
    return answer


def heap_facts(answer):
    """What does not depend on residency; checks of it are left out with it."""
    facts = strip(answer["allocators"])
    for allocator in facts:
        allocator["checks"] = [check for check in allocator["checks"]
                               if "resident" not in check["name"]]
    return facts


def leaks_of(*args):
    return live.memwhy("leaks", *args, "--json", codes=(0, 1)).json


def leak_facts(answer):
    # A core has pages that were never resident: more zeros are looked through.
    ignored = {"limits", "stop_ms", "stop_cut", "process", "next", "settled",
               "root_bytes"}
    return {key: value for key, value in answer.items() if key not in ignored}


class Both:
    """A target's word about itself, and its core."""

    def __init__(self, write, place, before=()):
        with dumped(place, before) as target:
            self.target = target
            self.pid = target.pid
            self.maps = mappings(target.pid)
            self.map = live.map_json(target.pid)
            self.heap = heap_of(target.pid)
            self.leaks = leaks_of(target.pid)
            self.core = write(target, place)


@contextlib.contextmanager
def both(writer):
    with live.scratch(0o755) as place:
        yield Both(WRITERS[writer], place)


def check_process(both):
    answer = live.map_json(None, "--core", both.core)
    live.check_equal(answer["process"]["pid"], both.pid, "pid")
    live.check_equal(answer["process"]["name"], "dumped", "name")
    live.check_equal(answer["process"]["threads"], 5, "threads")
    live.check_equal(answer["process"]["exe"], both.map["process"]["exe"], "exe")
    live.check(any("residency" in limit["why"] for limit in answer["limits"]),
               f"no limit on residency: {answer['limits']}")
    live.check(all(row["rss"] is None for row in answer["regions"]), "a core's Rss")
    return answer


def inferred(name):
    return name.startswith("[") and not name.startswith("[anon")


CLASS_OF = {"[heap]": "heap.brk", "[stack]": "stack.main", "[vdso]": "vdso"}


def check_mapping(rows, start, end, perms, name):
    """The rows that fill a mapping: with no hole, and nothing over its borders."""
    inside = live.inside(rows, start, end)
    where = f"{start:x}-{end:x} {name}"
    live.check(inside, f"{where}: not in the core")
    live.check_equal(live.address(inside[0]["start"]), start, f"{where}: start")
    live.check_equal(live.address(inside[-1]["end"]), end, f"{where}: end")
    for row, after in zip(inside, inside[1:]):
        live.check_equal(row["end"], after["start"], f"{where}: a hole")
    for row in inside:
        live.check_equal(row["perms"], perms, f"{where}: permissions")
    if name in CLASS_OF:
        live.check_equal(inside[0]["class"], CLASS_OF[name], f"{where}: class")
    if name and not inferred(name):
        live.check_equal(inside[0]["name"], name, f"{where}: name")


def check_maps(both, rows):
    for start, end, perms, name in both.maps:
        # gdb leaves the kernel's data pages out.
        if name.startswith("[vvar") and not live.inside(rows, start, end):
            continue
        check_mapping(rows, start, end, perms, name.replace("\\012", "\n"))


TOLD_BY_MEMORY = re.compile(r"heap\.|stack\.thread|stack\.main|tls|guard|exe\.|lib\.|"
                            r"loader\.|vdso|vsyscall")


def classes(answer):
    return [(r["start"], r["end"], r["class"]) for r in answer["regions"]
            if TOLD_BY_MEMORY.match(r["class"])]


def check_classes(both, answer):
    """What memory proves in the process, it proves in the core."""
    # Where the kernel put arguments, no core says: they are part of the stack there.
    want = [(start, end, name) for start, end, name in classes(both.map)
            if name != "stack.main"]
    got = [row for row in classes(answer) if row[2] != "stack.main"]
    live.check_equal(sorted(set(got) ^ set(want)), [], "classes")


@live.cases_for(WRITERS, str)
def same(writer):
    """maps, threads, heap and leaks of a core are those of the process"""
    with both(writer) as pair:
        answer = check_process(pair)
        check_maps(pair, answer["regions"])
        check_classes(pair, answer)
        heap = heap_of("--core", pair.core)
        check_same(heap_facts(heap), heap_facts(pair.heap), "heap")
        live.check(heap["allocators"][0]["free"]["resident"] is None, "residency")
        leaks = leaks_of("--core", pair.core)
        check_same(leak_facts(leaks), leak_facts(pair.leaks), "leaks")
        # Blocks that registers alone lead to are in use.
        lost = pair.target.facts("lost")[0]
        live.check_equal(leaks["leaked"]["blocks"], int(lost["n"]), "leaked blocks")


def loader():
    """The program that starts dynamic programs, and may be run as one itself."""
    found = next((region for region in live.smaps("self", "maps")
                  if b"/ld-linux" in region["name"]), None)
    if not found:
        raise live.Skip("no ld-linux here")
    return found["name"].decode()


@live.cases_for(["the same addresses each time", "a loader run as a program"], str)
def places(how):
    """heap and stack are found wherever the kernel put them"""
    if how.startswith("the same"):
        before = [live.need_program("setarch", "util-linux"), "-R"]
    else:
        before = [loader()]
    with live.scratch(0o755) as place:
        pair = Both(by_gcore, place, before)
        answer = live.map_json(None, "--core", pair.core)
        check_maps(pair, answer["regions"])
        check_same(heap_facts(heap_of("--core", pair.core)), heap_facts(pair.heap),
                   "heap")


def notes_of(core):
    """(type, offset of the contents, their length) of every note of a core."""
    with core.open("rb") as file:
        head = file.read(64)
        phoff, phnum = struct.unpack_from("<Q", head, 32)[0], \
            struct.unpack_from("<H", head, 56)[0]
        file.seek(phoff)
        for _ in range(phnum):
            kind, _, offset, _, _, size = struct.unpack("<IIQQQQ", file.read(56)[:40])
            if kind == 4:  # PT_NOTE
                break
        file.seek(offset)
        notes, pos = file.read(size), 0
    while pos + 12 <= len(notes):
        name, desc, kind = struct.unpack_from("<III", notes, pos)
        pos += 12 + (name + 3 & ~3)
        yield kind, offset + pos, desc
        pos += desc + 3 & ~3


@live.case
def registers():
    """blocks that only registers lead to are lost when those are"""
    with both("gcore") as pair:
        with pair.core.open("r+b") as file:
            for kind, offset, size in notes_of(pair.core):
                if kind == 1:  # NT_PRSTATUS: all but rip, rsp and fs_base
                    for word in set(range(27)) - {16, 19, 21}:
                        os.pwrite(file.fileno(), bytes(8), offset + 112 + 8 * word)
                elif kind in (2, 0x202):  # NT_FPREGSET, NT_X86_XSTATE
                    os.pwrite(file.fileno(), bytes(size), offset)
        lost = int(pair.target.facts("lost")[0]["n"])
        live.check_equal(leaks_of("--core", pair.core)["leaked"]["blocks"], lost + 2,
                         "leaked blocks without registers")


@live.case
def elsewhere():
    """a program that is gone or another one is not read; --exe gives it"""
    with live.scratch(0o755) as place:
        pair = Both(by_gcore, place)
        program, moved = place / "dumped", place / "moved"
        program.rename(moved)
        gone = live.map_json(None, "--core", pair.core)
        live.check(any("is not here" in limit["why"] for limit in gone["limits"]),
                   f"limits: {gone['limits']}")
        shutil.copy("/bin/true", program)
        other = live.map_json(None, "--core", pair.core)
        live.check(any("another build" in limit["why"] for limit in other["limits"]),
                   f"limits: {other['limits']}")
        given = live.map_json(None, "--core", pair.core, "--exe", moved)
        check_classes(pair, given)
        wrong = live.memwhy("map", "--core", pair.core, "--exe", "/bin/true", codes=(5,))
        live.check("another build" in wrong.err, str(wrong))


@live.cases_for(["gcore", "the kernel"], str)
def cut_short(writer):
    """a core that was cut short gives less, and says so"""
    with both(writer) as pair:
        size = pair.core.stat().st_size
        for part in (0.9, 0.7, 0.5, 0.3, 0.1, 0.02, 0.001):
            os.truncate(pair.core, int(size * part))
            for command in ("map", "heap", "leaks"):
                answer = live.memwhy(command, "--core", pair.core, "--json",
                                     codes=(0, 1, 3, 5))
                if answer.code == 5:
                    live.check(answer.err.strip(), "no word on why")
                    continue
                live.check(any("cut short" in limit["why"]
                               for limit in answer.json["limits"]),
                           f"{command}: {part} of it, and no limit says so")
        os.truncate(pair.core, 40)
        live.check("no core file" in live.memwhy("heap", "--core", pair.core,
                                                 codes=(5,)).err, "40 bytes")


@live.case
def real_program():
    """the heap and the leaks of a core of Python are those of Python"""
    script = "import json, threading, time\n" \
             "kept = [str(n) * (n % 50) for n in range(50000)]\n" \
             "for _ in range(3): threading.Thread(target=time.sleep, args=(999,), " \
             "daemon=True).start()\n" \
             "print('ready', flush=True)\ninput()"
    with live.scratch() as place, \
            live.Target(["/usr/bin/python3", "-c", script]) as target:
        time.sleep(0.2)
        heap, leaks = heap_of(target.pid), leaks_of(target.pid)
        core = by_gcore(target, place)
        check_same(heap_facts(heap_of("--core", core)), heap_facts(heap), "heap")
        check_same(leak_facts(leaks_of("--core", core)), leak_facts(leaks), "leaks")


@live.case
def usage():
    """--core excludes a process and --root; --exe goes with it"""
    core = "/nowhere/core"
    for args, says in (((core, "1"), "exclude"), ((core, "--root", "/"), "exclude"),
                       ((core,), core)):
        answer = live.memwhy("heap", "--core", *args, codes=(2,))
        live.check(says in answer.err, str(answer))
    live.check("--core" in live.memwhy("heap", "--exe", "/bin/true", codes=(2,)).err,
               "--exe alone")
    answer = live.memwhy("heap", "--core", "/bin/true", codes=(5,))
    live.check("program or a library" in answer.err, str(answer))


if __name__ == "__main__":
    live.main()
