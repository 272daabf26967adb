# SPDX-License-Identifier: MIT
"""`memwhy leaks` on a program that drops, keeps and hides blocks as it is told
(heap/dropper.c): what is found, how it is told, and what ends how."""

import csv
import io
import json
import os
import pathlib
import signal
import subprocess

import heaps
import live


class Dropper(heaps.Speaker):
    def __init__(self, **kw):
        super().__init__([heaps.program("dropper")], **kw)


def look(pid, *args, codes=(0, 1), **kw):
    return live.memwhy("leaks", pid, "--json", *args, codes=codes, **kw).json


def groups_of(answer, size):
    return [g for g in answer["groups"] if g["size"] == size]


def sums(groups):
    return sum(g["blocks"] for g in groups), sum(g["bytes"] for g in groups)


@live.case
def exact():
    """blocks that were dropped are found, no more and no fewer; the status is 1"""
    with Dropper() as target:
        clean = look(target.pid, codes=(0,))
        live.check_equal(clean["leaked"], {"blocks": 0, "bytes": 0}, "at first")
        live.check_equal(clean["possible"], {"blocks": 0, "bytes": 0}, "at first")
        target.ask("keep 500 200")
        live.check_equal(look(target.pid, codes=(0,))["leaked"]["blocks"], 0, "kept")
        target.ask("drop 300 1000")
        target.ask("drop 7 3000000")     # with mappings of their own
        found = look(target.pid, codes=(1,))
        live.check_equal(sums(groups_of(found, 1000)), (300, 300000), "dropped")
        mapped = [g for g in found["groups"] if g["size"] >= 3000000]
        live.check_equal(sums(mapped)[0], 7, "with mappings")
        live.check(all(g["arena"] is None for g in mapped), f"an arena in {mapped}")
        live.check_equal(found["leaked"]["blocks"], 307, "leaked")
        live.check_equal(found["live"]["blocks"], clean["live"]["blocks"] + 807, "live")


@live.case
def shapes():
    """a chain has one direct block, a circle too; what hangs below is owned once"""
    with Dropper() as target:
        target.ask("list 100 264")
        target.ask("ring 50 328")
        answer = look(target.pid, codes=(1,))
        for size, n in (264, 100), (328, 50):
            groups = groups_of(answer, size)
            direct = [g for g in groups if g["direct"]]
            live.check_equal(sums(groups), (n, n * size), f"of {size}")
            live.check_equal(sums(direct)[0], 1, f"direct ones of {size}")
            live.check_equal((direct[0]["owned_blocks"], direct[0]["owned_bytes"]),
                             (n - 1, (n - 1) * size), f"owned ones of {size}")
        live.check_equal(answer["direct"]["blocks"], 2, "direct")
        live.check_equal(answer["indirect"]["blocks"], 148, "indirect")
        order = [g["bytes"] + g["owned_bytes"] for g in answer["groups"]]
        live.check_equal(order, sorted(order, reverse=True), "order")


@live.case
def symbols():
    """objects are told by the table that they begin with, leaked ones and live ones"""
    with Dropper() as target:
        target.ask("object 40 120")
        answer = look(target.pid, codes=(1,))
        group, = groups_of(answer, 120)
        live.check_equal(group["symbol"], "vtable for app::Node", "symbol")
        live.check_equal(group["object"], str(heaps.program("dropper")), "object")
        named = [g for g in answer["live_groups"] if g["symbol"] == group["symbol"]]
        live.check_equal(sums(named), (40, 40 * 120), "live")
        text = live.memwhy("leaks", target.pid, codes=(1,)).text
        live.check("vtable for app::Node" in text, text)


@live.case
def possible():
    """what only a tagged value leads to is possible: no finding, but with --possible"""
    with Dropper() as target:
        target.ask("box 25 152")
        answer = look(target.pid, codes=(0,))
        live.check_equal(answer["possible"], {"blocks": 25, "bytes": 25 * 152}, "boxed")
        live.check_equal(answer["leaked"]["blocks"], 0, "leaked")
        answer = look(target.pid, "--possible", codes=(1,))
        live.check_equal(answer["leaked"]["blocks"], 25, "with --possible")


@live.case
def threshold():
    """--threshold: the status is 1 only above it"""
    with Dropper() as target:
        target.ask("drop 10 1000")
        look(target.pid, "--threshold", 9999, codes=(1,))
        look(target.pid, "--threshold", 10000, codes=(0,))
        live.memwhy("leaks", target.pid, "--threshold", "x", codes=(2,))


@live.case
def suppressed():
    """--suppressions: what a rule matches is no finding; rules that match nothing are
    told, and a bad one ends it before the target is touched"""
    with live.scratch() as place, Dropper() as target:
        rules = pathlib.Path(place, "rules")
        target.ask("drop 10 1000")
        target.ask("object 5 120")
        rules.write_text("# known\nsize=1000 arena=main\nsymbol=vtable for a?p::*\n"
                         "object=/nowhere/*\n")
        done = live.memwhy("leaks", target.pid, "--json", "--suppressions", rules)
        live.check_equal(done.json["suppressed"],
                         {"blocks": 15, "bytes": 10 * 1000 + 5 * 120}, "suppressed")
        live.check_equal(done.json["leaked"]["blocks"], 0, "leaked")
        live.check("object=/nowhere/*" in done.err and "size" not in done.err, done.err)
        rules.write_text("size=1000\n")
        answer = look(target.pid, "--suppressions", rules, codes=(1,))
        live.check_equal(answer["leaked"]["blocks"], 5, "left")
        for bad in "sizes=1", "\x1b[2J":
            rules.write_text(bad)
            done = live.memwhy("leaks", 999999999, "--suppressions", rules, codes=(2,))
            live.check("\x1b" not in done.err, repr(done.err))
        live.memwhy("leaks", target.pid, "--suppressions", place / "none", codes=(2,))


@live.case
def grew():
    """--diff: what grew though it is reachable, and what leaked since"""
    with live.scratch() as place, Dropper() as target, Dropper() as other:
        before = pathlib.Path(place, "before.json")
        target.ask("keep 1000 200")
        target.ask("drop 10 72")
        before.write_text(live.memwhy("leaks", target.pid, "--json", codes=(1,)).text)
        target.ask("keep 5000 200")
        target.ask("drop 90 72")
        answer = look(target.pid, "--diff", before, codes=(1,))
        live.check(answer["earlier"]["same_process"], "another process")
        top = answer["changes"][0]
        live.check_equal((top["what"], top["blocks"], top["bytes"]),
                         ("live", 5000, 5000 * 200), "grew most")
        leaked = [c for c in answer["changes"] if c["what"] == "leaked"]
        live.check_equal([(c["blocks"], c["blocks_now"], c["bytes"]) for c in leaked],
                         [(90, 100, 90 * 72)], "leaked")
        text = live.memwhy("leaks", "--diff", before, target.pid, codes=(1,)).text
        live.check("what is live grew by" in text.splitlines()[0], text)
        answer = look(other.pid, "--diff", before, codes=(0,))
        live.check(not answer["earlier"]["same_process"], "the same process")
        live.check("another process" in answer["headline"], answer["headline"])
        live.check(answer["changes"][-1]["bytes"] < 0, "nothing shrank")
        for bad in "{}", "[", '{"schema": "memwhy.map/1"}', \
                '{"schema": "memwhy.leaks/1", "process": {"pid": -1}}':
            before.write_text(bad)
            done = live.memwhy("leaks", target.pid, "--diff", before, codes=(5,))
            live.check(str(before) in done.err, done.err)


@live.case
def hostile_contents():
    """what a block begins with can do nothing to a terminal, and is left out on request"""
    evil = b"\x1b]0;evil\x07\x9b2J\xe2\x80\xae<b>,\"x\"\n"
    with Dropper() as target:
        target.ask(f"text {evil.hex()}")
        target.ask("drop 20 600")
        text = live.memwhy("leaks", target.pid, codes=(1,))
        live.check(not set(text.out) & {0x1b, 0x07, 0x9b}, repr(text.out))
        rows = live.memwhy("leaks", target.pid, "--csv", codes=(1,)).text
        row = next(csv.DictReader(io.StringIO(rows, newline="")))
        live.check_equal(bytes.fromhex(row["contents"])[:len(evil)], evil, "contents")
        group, = groups_of(look(target.pid), 600)
        live.check_equal(bytes.fromhex(group["contents"])[:len(evil)], evil, "contents")
        live.check_equal(len(group["contents"]), 128, "how much of it")
        for args in [], ["--json"], ["--csv"], ["--ndjson"]:
            shown = live.memwhy("leaks", target.pid, "--no-contents", *args,
                                codes=(1,)).out
            live.check(b"evil" not in shown and evil[:8].hex().encode() not in shown,
                       f"{args}: {shown!r}")


@live.case
def formats():
    """CSV and NDJSON have the same groups as JSON"""
    with Dropper() as target:
        target.ask("drop 20 600")
        target.ask("object 20 120")
        groups = look(target.pid)["groups"]
        lines = live.memwhy("leaks", target.pid, "--ndjson", codes=(1,)).text
        live.check_equal([json.loads(line) for line in lines.splitlines()], groups,
                         "NDJSON")
        rows = list(csv.DictReader(io.StringIO(
            live.memwhy("leaks", target.pid, "--csv", codes=(1,)).text, newline="")))
        live.check_equal([int(row["bytes"]) for row in rows],
                         [g["bytes"] for g in groups], "CSV")


ALLOCATORS = {"libjemalloc.so.2": "libjemalloc2", "libmimalloc.so.2": "libmimalloc2.0",
              "libtcmalloc_minimal.so.4": "libgoogle-perftools4"}


@live.cases_for(ALLOCATORS, str)
def other_allocators(library):
    """leaks in the heap of another allocator"""
    found = [p for p in pathlib.Path("/usr/lib").glob(f"*/{library}*")]
    if not found:
        raise live.Skip(f"{library} is not installed (package {ALLOCATORS[library]})")
    with Dropper(env=dict(os.environ, LD_PRELOAD=str(found[0]))) as target:
        live.check_equal(look(target.pid, codes=(0,))["leaked"]["blocks"], 0, "at first")
        target.ask("keep 500 200")
        target.ask("drop 300 1024")
        target.ask("list 100 320")
        answer = look(target.pid, codes=(1,))
        # Some keep what was dropped last in a cache of theirs: it stays reachable.
        live.check(398 <= answer["leaked"]["blocks"] <= 400, answer["headline"])
        live.check(98 <= answer["indirect"]["blocks"] <= 99, answer["headline"])


@live.case
def how_it_is_held():
    """stopped, copied or running: what is found, and how sure it is"""
    with Dropper() as target:
        target.ask("drop 50 1000")
        for args, counted in ([], "leaked"), (["--snapshot"], "leaked"), \
                (["--no-stop"], "possible"):
            answer = look(target.pid, *args)
            live.check_equal(answer[counted]["blocks"], 50, f"{args}")
            live.check((answer["stop_ms"] > 0) == (counted == "leaked"),
                       f"{args}: stopped {answer['stop_ms']} ms")
        live.check(any(l["what"] == "certainty" for l in answer["limits"]), "no limit")
        live.check_equal(live.status(target.pid)["TracerPid"], "0", "tracer")


@live.case
def recorded():
    """a recording with memory gives the same leaks"""
    with live.scratch() as place, Dropper() as target:
        target.ask("drop 50 1000")
        target.ask("list 10 264")
        live.memwhy("capture", "--stop", "--memory", target.pid, place / "tree")
        want, got = look(target.pid), look(target.pid, "--root", place / "tree")
        for key in "leaked", "possible", "groups", "live_groups", "edges":
            live.check_equal(got[key], want[key], key)


@live.case
def from_a_core():
    """a core file of gcore gives the same leaks"""
    live.need_program("gcore", "gdb")
    with live.scratch() as place, Dropper() as target:
        target.ask("drop 50 1000")
        target.ask("object 20 120")
        want = look(target.pid)
        subprocess.run(["gcore", "-o", place / "core", str(target.pid)], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        done = live.memwhy("leaks", "--core", place / f"core.{target.pid}", "--json",
                           codes=(1,)).json
        for key in "leaked", "possible", "live":
            live.check_equal(done[key], want[key], key)
        live.check_equal([(g["blocks"], g["size"], g["symbol"]) for g in done["groups"]],
                         [(g["blocks"], g["size"], g["symbol"]) for g in want["groups"]],
                         "groups")


@live.case
def what_ends_how():
    """a target that is gone, a zombie, one that may not be read"""
    with Dropper() as target:
        pid = target.pid
        target.ask("drop 5 100")
        if os.geteuid() == 0:
            denied = live.memwhy("leaks", pid, user=live.NOBODY, codes=(3,))
            live.check("its heap may not be read" in denied.text, denied.text)
        os.kill(pid, signal.SIGKILL)
        live.memwhy("leaks", pid, codes=(0, 4))
    live.memwhy("leaks", pid, codes=(4,))
    live.memwhy("leaks", 2, codes=(0,))


live.main()
