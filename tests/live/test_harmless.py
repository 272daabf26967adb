#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Looking leaves the target as it was: its memory, who shares it, its registers, its
children. What would be seen if it did not is part of the test."""

import ctypes
import hashlib
import os
import pathlib
import random
import re
import struct
import subprocess
import time

import live

MIB = 1 << 20
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
LIBC.ptrace.restype = ctypes.c_long
SEIZE, INTERRUPT, DETACH, GETREGSET = 0x4206, 0x4207, 17, 0x4204
NT_PRSTATUS, NT_XSTATE = 1, 0x202
WALL = 0x40000000

# Every way to look that reads memory.
LOOKS = (
    ("heap", "--stop"), ("heap", "--no-stop"), ("heap", "--snapshot"),
    ("heap", "--pins", "--stop"), ("heap", "--threads", "--snapshot"),
    ("leaks", "--stop"), ("leaks", "--snapshot"), ("why", "--stop"), ("why",),
)


def quiet(*args, **kw):
    return live.Target([live.HELPERS / "quiet", *args], **kw)


def look(pid, words, **kw):
    """One look; what it found does not matter here, but it must have worked."""
    command = [] if words[0] == "why" else [words[0]]
    return live.memwhy(*command, pid, "--json", "--max-stop", 20000, *words[1:],
                       codes=(0, 1), **kw)


def name(words):
    return " ".join(words)


def no_refusal(answer, what):
    limits = answer.json["limits"]
    live.check(not any("at rest" in limit["what"] for limit in limits), f"{what}: {limits}")


# --- who shares ------------------------------------------------------------------------

def anon_pages():
    text = pathlib.Path("/proc/meminfo").read_text()
    return int(re.search(r"AnonPages:\s*(\d+) kB", text)[1]) * 1024


def shared_dirty(*pids):
    return sum(live.rollup(pid)["Shared_Dirty"] for pid in pids)


FAMILY = 160

# A resumed thread touches its stack and its thread block: a page or two each.
TOUCHED = 64 << 10


@live.cases_for(LOOKS, name)
def family(words):
    """a forked family shares what it shared"""
    with quiet("family", FAMILY) as target:
        kin = int(target.facts("kin")[0]["pid"])
        before = shared_dirty(target.pid, kin)
        live.check(before > 2 * (FAMILY - 8) * MIB, f"Shared_Dirty {before}")
        grew = []
        # Others on this machine come and go: the least growth is ours, if any is.
        for _ in range(5):
            machine = anon_pages()
            no_refusal(look(target.pid, words), name(words))
            grew.append(anon_pages() - machine)
            if grew[-1] < FAMILY * MIB // 4:
                break
        after = shared_dirty(target.pid, kin)
        live.check(before - after <= TOUCHED * (4 if "--snapshot" in words else 2) *
                   len(grew), f"Shared_Dirty: {before}, then {after}")
        live.check(min(grew) < FAMILY * MIB // 4, f"AnonPages grew by {grew}")


class _Span(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


def read_the_other_way(pid, start, length):
    """process_vm_readv() over a range."""
    room = ctypes.create_string_buffer(MIB)
    for at in range(start, start + length, MIB):
        here = _Span(ctypes.addressof(room), MIB)
        there = _Span(at, min(MIB, start + length - at))
        here.len = there.len
        got = LIBC.process_vm_readv(pid, ctypes.byref(here), ctypes.c_ulong(1),
                                    ctypes.byref(there), ctypes.c_ulong(1),
                                    ctypes.c_ulong(0))
        live.check(got == there.len, f"process_vm_readv: {got}")


@live.case
def family_would_tell():
    """the same counter falls when a family is read without care"""
    with quiet("family", FAMILY) as target:
        kin = int(target.facts("kin")[0]["pid"])
        before = shared_dirty(target.pid, kin)
        large = max(live.smaps(target.pid), key=lambda r: r.get("Shared_Dirty", 0))
        read_the_other_way(target.pid, large["start"], large["end"] - large["start"])
        fell = before - shared_dirty(target.pid, kin)
        if fell < 16 * MIB:
            raise live.Skip("this kernel's process_vm_readv un-shares nothing")


# --- byte for byte -----------------------------------------------------------------------

def writable(pid):
    return [r for r in live.smaps(pid) if "w" in r["perms"] and r["perms"][3] == "p"]


def present(pid, regions):
    """Per region, which of its pages are there, the zero page too."""
    sets = []
    with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pagemap:
        for region in regions:
            pages = (region["end"] - region["start"]) // live.PAGE
            words = os.pread(pagemap.fileno(), pages * 8, region["start"] // live.PAGE * 8)
            sets.append([i for i, (word,) in enumerate(struct.iter_unpack("Q", words))
                         if word >> 63])
    return sets


def digests(pid):
    """What every present page of writable memory holds; reads no others."""
    regions = writable(pid)
    found = {}
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for region, pages in zip(regions, present(pid, regions)):
            for page in pages:
                at = region["start"] + page * live.PAGE
                found[at] = hashlib.sha1(os.pread(memory.fileno(), live.PAGE, at)).digest()
    return found


class _Regset(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


def registers(pid):
    """Of every thread, all of them, as another tracer sees them."""
    found = {}
    for tid in sorted(map(int, os.listdir(f"/proc/{pid}/task"))):
        live.check(LIBC.ptrace(SEIZE, tid, None, None) == 0,
                   f"PTRACE_SEIZE {tid}: {os.strerror(ctypes.get_errno())}")
        LIBC.ptrace(INTERRUPT, tid, None, None)
        os.waitpid(tid, WALL)
        for kind in (NT_PRSTATUS, NT_XSTATE):
            room = ctypes.create_string_buffer(16384)
            regset = _Regset(ctypes.addressof(room), len(room))
            if LIBC.ptrace(GETREGSET, tid, kind, ctypes.addressof(regset)) == 0:
                found[tid, kind] = room.raw[:regset.len]
        LIBC.ptrace(DETACH, tid, None, None)
    live.check(len(found) >= 3, f"registers of {len(found)}")
    return found


def own_sum(target):
    target.process.stdin.write(b"\n")
    target.process.stdin.flush()
    return target.process.stdout.readline()


@live.cases_for(LOOKS, name)
def identical(words):
    """memory and registers are the same to the byte"""
    # On one processor: which one it runs on is written into its memory by the kernel.
    cpu = min(os.sched_getaffinity(0))
    with quiet("sums", preexec_fn=lambda: os.sched_setaffinity(0, {cpu})) as target:
        first = own_sum(target)
        with live.stopped(target.pid):
            regs, memory = registers(target.pid), digests(target.pid)
            live.check(sum(map(bool, memory)) > 1000, "hardly any memory")
            no_refusal(look(target.pid, words), name(words))
            live.wait_until(lambda: live.state(target.pid) == "T", "the stop to come back")
            after = digests(target.pid)
            live.check_equal(set(after), set(memory), "present pages")
            live.check_equal([hex(at) for at in memory if after[at] != memory[at]], [],
                             "pages that differ")
            live.check_equal(registers(target.pid), regs, "registers")
        live.check_equal(own_sum(target), first, "the target's own sum")


@live.cases_for(LOOKS, name)
def absent(words):
    """pages that are not there stay away"""
    with quiet("sums") as target:
        # After a first look, so that what the target touches when resumed is there.
        look(target.pid, words)
        with live.stopped(target.pid):
            regions = [r for r in live.smaps(target.pid) if r["name"] != b"[vsyscall]"]
            pages, rss = present(target.pid, regions), live.rollup(target.pid)["Rss"]
            hollow = sum((r["end"] - r["start"]) // live.PAGE - len(p)
                         for r, p in zip(regions, pages))
            live.check(hollow > 1000, f"only {hollow} absent pages")
            look(target.pid, words)
            live.check_equal(present(target.pid, regions), pages, "present pages")
            live.check_equal(live.rollup(target.pid)["Rss"], rss, "Rss")


# --- whatever happens ----------------------------------------------------------------

def is_free(pid):
    fields = live.status(pid)
    return fields["State"][0] not in "Tt" and fields["TracerPid"] == "0"


def check_free(pid):
    live.wait_until(lambda: is_free(pid), f"{pid} to be let go", 10)
    live.wait_until(lambda: not live.children(pid), f"{pid} to have no child", 10)


@live.cases_for((("heap", "--snapshot"), ("leaks", "--snapshot"), ("heap", "--stop"),
                 ("leaks", "--stop")), name)
def killed(words):
    """memwhy killed at any moment: the target runs on, alone"""
    dice = random.Random(7)
    with quiet("sums") as target:
        first = own_sum(target)
        begin = time.monotonic()
        look(target.pid, words)
        usual = time.monotonic() - begin
        for _ in range(25):
            run = subprocess.Popen([live.MEMWHY, words[0], str(target.pid), *words[1:]],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(dice.random() * usual)
            run.kill()
            run.wait()
            check_free(target.pid)
        live.check_equal(own_sum(target), first, "the target's own sum")


@live.case
def no_trace_of_a_copy():
    """a copied target gets no signal and has no child that it can wait for"""
    source = ("import os, signal, sys\n"
              "signal.signal(signal.SIGCHLD, lambda *_: os._exit(3))\n"
              "print('ready', flush=True)\n"
              "for line in sys.stdin.buffer:\n"
              "    try: print(os.waitpid(-1, os.WNOHANG), flush=True)\n"
              "    except ChildProcessError: print('none', flush=True)\n")
    with live.Target(["/usr/bin/python3", "-c", source]) as target:
        for _ in range(5):
            no_refusal(look(target.pid, ("heap", "--snapshot")), "heap --snapshot")
            check_free(target.pid)
            live.check_equal(own_sum(target), b"none\n", "its children")


@live.cases_for((("heap", "--stop"), ("heap", "--snapshot"), ("leaks", "--stop"),
                 ("leaks", "--snapshot")), name)
def other_tracer(words):
    """another tracer is attached: said, and looked at without a stop if at all"""
    with quiet("sums") as target:
        live.check(LIBC.ptrace(SEIZE, target.pid, None, None) == 0, "PTRACE_SEIZE")
        answer = live.memwhy(words[0], target.pid, "--json", *words[1:], codes=(0, 1, 3, 5))
        said = answer.err + answer.text
        live.check(f"already traced, by process {os.getpid()}" in said, said[:2000])
        live.check_equal(live.status(target.pid)["TracerPid"], str(os.getpid()), "tracer")
        live.check(not live.children(target.pid), "a child is left")


@live.case
def debugger():
    """gdb is attached: said, and the debugger keeps its hold"""
    gdb = live.need_program("gdb")
    with quiet("sums") as target:
        run = subprocess.Popen([gdb, "-nx", "-q", "-p", str(target.pid)],
                               stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
        try:
            live.wait_until(lambda: live.state(target.pid) == "t", "gdb to attach", 60)
            answer = live.memwhy("heap", target.pid, "--json", "--snapshot",
                                 codes=(0, 1, 3, 5))
            live.check("already traced" in answer.err + answer.text, str(answer))
            live.check_equal(live.state(target.pid), "t", "state")
        finally:
            run.communicate(b"detach\nquit\n", timeout=60)
        check_free(target.pid)


@live.case
def seccomp():
    """a target that dies of a fork is not made to fork"""
    with quiet("seccomp") as target:
        answer = live.memwhy("heap", target.pid, "--json", "--snapshot",
                             codes=(0, 1, 3, 5))
        live.check("seccomp" in answer.err + answer.text, str(answer))
        check_free(target.pid)
        # To be stopped it minds not.
        no_refusal(look(target.pid, ("heap", "--stop")), "heap --stop")
        check_free(target.pid)


GROW = "x = [bytes(300) for _ in range(60000)]\n"


@live.case
def no_room():
    """a target that may have no more processes is not copied"""
    live.need_root()
    # As a cgroup's pids.max does, this makes the fork fail with EAGAIN; root has no limit.
    source = f"import resource, sys\n{GROW}" \
             "resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))\n" \
             "print('ready', flush=True)\nsys.stdin.read()\n"
    with live.Target(["/usr/bin/python3", "-c", source], user=live.NOBODY) as target:
        answer = live.memwhy("heap", target.pid, "--json", "--snapshot",
                             codes=(0, 1, 3, 5))
        live.check("limit of processes" in answer.err + answer.text, str(answer))
        check_free(target.pid)


@live.cases_for((("heap", "--stop"), ("heap", "--snapshot"), ("heap", "--no-stop"),
                 ("leaks", "--stop"), ("leaks", "--snapshot")), name)
def ends_meanwhile(words):
    """a target that exits or starts another program meanwhile is no crash"""
    dice = random.Random(3)
    for i in range(14):
        last = ("import os; os.execv('/bin/sleep', ['sleep', '30'])" if i % 2
                else "raise SystemExit(0)")
        source = f"import time\n{GROW}print('ready', flush=True)\n" \
                 f"time.sleep({dice.random() * 0.25})\n{last}\n"
        with live.Target(["/usr/bin/python3", "-c", source]) as target:
            answer = live.memwhy(words[0], target.pid, "--json", *words[1:],
                                 codes=(0, 1, 3, 4, 5))
            live.check(answer.out or answer.err, f"nothing said: {answer}")
            if i % 2:
                check_free(target.pid)


live.main()
