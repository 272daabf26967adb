#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Whatever is asked for or met, the answer is a clear one: never a crash or a hang."""

import os
import pathlib
import random
import shutil
import subprocess
import time

import live

KINDS = ([], ["map"])


def unused_pid():
    pid = int(pathlib.Path("/proc/sys/kernel/pid_max").read_text()) - 1
    while pathlib.Path(f"/proc/{pid}").exists():
        pid -= 1
    return pid


def check_error(answer, code, *words):
    """An error says what failed, on stderr only, with the right exit status."""
    live.check_equal(answer.code, code, str(answer))
    live.check(answer.err.strip(), f"silent: {answer}")
    live.check(not answer.out.strip(), f"data beside an error: {answer.out[:200]}")
    for word in words:
        live.check(word in answer.err, f"{word!r} not in {answer}")


@live.case
def no_such_pid():
    """a pid that does not exist"""
    pid = unused_pid()
    for kind in KINDS:
        check_error(live.memwhy(*kind, pid, codes=None), 4, str(pid))


@live.case
def nonsense():
    """arguments that mean nothing are usage errors"""
    with live.holder("zero", 1) as target:
        pid = target.pid
        for args in (["map"], ["--no-such-option"], ["map", pid, "--sort", "nonsense"],
                     ["map", pid, "--class", "nonsense"], ["map", pid, "--at", "zzz"],
                     [pid, "--engine", "steam"], [pid, "--jobs", "-1"],
                     [pid, "--max-stop", "99999999999999999999"], ["capture", pid],
                     [pid, "--root", ""], [pid, pid, pid]):
            check_error(live.memwhy(*args, codes=None), 2)


@live.case
def kernel_thread():
    """a kernel thread has no memory of its own"""
    pid = 2
    if not pathlib.Path(f"/proc/{pid}").exists() or "VmSize" in live.status(pid):
        raise live.Skip("no kernel threads are visible here")
    for kind in KINDS:
        said = live.memwhy(*kind, pid, codes=None)
        live.check("kernel thread" in said.text + said.err, str(said) + said.text)


@live.case
def zombie():
    """a zombie has given its memory back"""
    with live.holder("zombie") as target:
        pid = target.facts("zombie")[0]["pid"]
        for kind in KINDS:
            said = live.memwhy(*kind, pid, codes=None)
            live.check("zombie" in said.text + said.err, str(said) + said.text)
            live.check(said.code in (0, 3, 4), str(said))


@live.case
def exits_in_between():
    """a process that exits while it is looked at"""
    codes = set()
    for i in range(60):
        child = subprocess.Popen(["/bin/sh", "-c", "read x; exit 0"],
                                 stdin=subprocess.PIPE)
        run = subprocess.Popen([live.MEMWHY, *KINDS[i % 2], str(child.pid), "--json"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(0.0002 * i)
        child.stdin.close()
        child.wait()
        out, err = run.communicate(timeout=60)
        codes.add(run.returncode)
        live.check(run.returncode in (0, 1, 3, 4), f"{run.returncode}: {err}")
        if run.returncode == 4:
            live.check(err and not out, f"{err} {out[:200]}")
    live.check(0 in codes or 3 in codes, f"never an answer: {codes}")


@live.case
def pid_namespace():
    """a process in another pid namespace, from outside and from inside"""
    live.need_root()
    live.need_program("unshare", "util-linux")
    # In a plain chroot "/" is no mount point, and its propagation cannot be changed.
    probe = subprocess.run(["unshare", "-p", "-f", "--mount-proc", "true"],
                           capture_output=True, timeout=60)
    if probe.returncode:
        raise live.Skip(f"unshare cannot mount /proc here: {probe.stderr.decode().strip()}")
    inner = [live.HELPERS / "holder", "pages", "100"]
    with live.Target(["unshare", "-p", "-f", "--mount-proc", *inner]) as target:
        pid = target.pid
        while live.children(pid):
            pid = live.children(pid)[0]
            if live.status(pid)["Name"] == "holder":
                break
        live.check_equal(live.status(pid)["Name"], "holder", "the process inside")
        with live.stopped(pid):
            why = live.why_json(pid)
            live.check_why(why)
            live.check_equal(why["rss"], live.resident(pid), "rss")
    inside = subprocess.run(["unshare", "-p", "-f", "--mount-proc", live.MEMWHY, "--json",
                             "1"], capture_output=True, timeout=60)
    live.check(b"memwhy.why/1" in inside.stdout, f"{inside}")


@live.case
def names():
    """a name that one, many or no process has"""
    check_error(live.memwhy("no-such-name-xyzzy", codes=None), 4, "no-such-name-xyzzy")
    with live.scratch() as place:
        shutil.copy(live.HELPERS / "holder", place / "mw-unique-name")
        run = [place / "mw-unique-name", "pages", "10"]
        with live.Target(run) as one:
            # Its two children have the same name: the kernel's own word for many.
            pids = [one.pid, *live.children(one.pid)]
            said = live.memwhy("mw-unique-name", codes=None)
            live.check_equal(said.code, 2, str(said))
            for pid in pids:
                live.check(str(pid) in said.err, f"{pid} is not listed: {said}")
        shutil.copy(live.HELPERS / "holder", place / "mw-only-one")
        with live.Target([place / "mw-only-one", "zero", "1"]) as one:
            live.check_equal(live.why_json("mw-only-one")["process"]["pid"], one.pid, "pid")


@live.case
def strange_paths():
    """paths with newlines, escapes, 1,000 bytes and more, and deleted ones"""
    with live.scratch() as place:
        deep = place
        while len(str(deep)) < 1500:
            deep /= "d" * 200
        deep.mkdir(parents=True)
        named = [place / "new\nline", place / "\x1b[31mred\x1b[0m",
                 place / "back\\012slash", place / "tab\tand \"quotes\"", place / "file (deleted)", deep / "deep",
                 pathlib.Path(os.fsdecode(bytes(place) + b"/not-\xff\xfe-utf8")),
                 place / "<script>&amp;,;"]
        gone = place / "gone"
        for path in (*named, gone):
            path.write_bytes(b"x" * live.PAGE)
        with live.holder("files", *named, gone) as target:
            gone.unlink()
            with live.stopped(target.pid):
                answer = live.map_json(target.pid)
                check_paths(answer, named, gone)
                for args in (["map", target.pid, "-a"], ["map", target.pid, "-a", "--csv"],
                             [target.pid, "-v"], ["map", target.pid, "--ndjson"]):
                    out = live.memwhy(*args).out
                    live.check(b"\x1b[31m" not in out, f"{args}: an escape got through")


def check_paths(answer, named, gone):
    seen = {r["name"] for r in answer["regions"]}
    for path in named:
        # JSON is UTF-8: bytes that are not may be replaced, but the rest stays. And the
        # kernel writes a newline as \\012, but a backslash as itself: they are one.
        text = str(path)
        ok = text in seen or text.replace("\\012", "\n") in seen or "\udcff" in text and \
            any(name.startswith(text.split("\udcff")[0]) for name in seen)
        live.check(ok, f"{text[-60:]!r} is not in the map")
    live.check(any(name.startswith(str(gone)) for name in seen), "the deleted file")


@live.case
def many_mappings():
    """as many mappings as the kernel allows"""
    with live.holder("fill") as target, live.stopped(target.pid):
        answer = live.map_json(target.pid)
        live.check(len(answer["regions"]) > 65000, f"{len(answer['regions'])} regions")
        live.check_equal(answer["totals"]["rss"], live.resident(target.pid), "rss")
        live.check_why(live.why_json(target.pid, codes=(0, 1)))
        lines = live.memwhy("map", target.pid, "-a", "--ndjson").out.count(b"\n")
        live.check(lines > 65000, f"{lines} lines")


def damage(tree, rng):
    """Cuts or overwrites one file of a recorded tree."""
    files = sorted(p for p in tree.rglob("*") if p.is_file() and p.stat().st_size)
    path = rng.choice(files)
    data = bytearray(path.read_bytes())
    kind = rng.randrange(4)
    if kind == 0:
        data = data[:rng.randrange(len(data))]
    elif kind == 1:
        for _ in range(8):
            data[rng.randrange(len(data))] = rng.randrange(256)
    elif kind == 2:
        at = rng.randrange(len(data))
        data[at:at] = b"99999999999999999999 -1 \xff\n"
    else:
        path.unlink()
        return path
    path.write_bytes(data)
    return path


@live.case
def damaged_trees():
    """recorded trees, truncated and corrupted"""
    rng = random.Random(2)
    with live.holder("pages", 50) as target, live.scratch() as place:
        with live.stopped(target.pid):
            live.memwhy("capture", target.pid, place / "good", codes=(0, 3))
        good = live.why_json(target.pid, "--root", place / "good", codes=(0, 1, 3))
        live.check_why(good)
        for i in range(120):
            bad = place / "bad"
            shutil.rmtree(bad, ignore_errors=True)
            shutil.copytree(place / "good", bad)
            hurt = damage(bad, rng)
            for kind in KINDS:
                said = live.memwhy(*kind, target.pid, "--root", bad, "--json", codes=None,
                                   timeout=30)
                live.check(said.code in (0, 1, 2, 3, 4, 5), f"{hurt}: {said}")
                live.check(said.out or said.err, f"{hurt}: silent {said}")
                if said.out and not kind:
                    live.check_why(said.json)


@live.case
def not_a_tree():
    """a --root that is no recorded tree"""
    with live.scratch() as place:
        for root in (place, place / "missing", "/dev/null"):
            said = live.memwhy("1", "--root", root, codes=None)
            live.check(said.code in (2, 3, 4, 5), str(said))
            live.check(str(root) in said.err, str(said))


@live.case
def full_disk():
    """capture to a disk that is full"""
    live.need_root()
    with live.scratch() as place, live.holder("fill") as target:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "mw", place])
        if done.returncode:
            raise live.Skip("cannot mount a small tmpfs")
        try:
            said = live.memwhy("capture", target.pid, place / "tree", codes=None)
            live.check(said.code not in (0, 4), str(said))
            live.check("No space left" in said.err, str(said))
        finally:
            subprocess.run(["umount", place], check=True)


@live.case
def capture_over():
    """capture never writes over what is there"""
    with live.scratch() as place, live.holder("zero", 1) as target:
        (place / "mine").write_text("keep")
        said = live.memwhy("capture", target.pid, place, codes=None)
        live.check(said.code != 0 and said.err, str(said))
        live.check_equal((place / "mine").read_text(), "keep", "what was there")
        live.check_equal(len(list(place.iterdir())), 1, "files beside it")


@live.case
def closed_pipe():
    """a reader that goes away early"""
    with live.holder("fill") as target:
        for args in (["map", target.pid, "-a"], ["map", target.pid, "-a", "--json"],
                     ["map", target.pid, "--ndjson"], ["map", target.pid, "-a", "--csv"]):
            run = subprocess.Popen([live.MEMWHY, *map(str, args)], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
            run.stdout.read(1)
            run.stdout.close()
            err = run.stderr.read()
            run.stderr.close()
            run.wait(60)
            live.check(b"Sanitizer" not in err, err)
            # SIGPIPE's death is the convention; so is a quiet end.
            live.check(run.returncode in (-13, 0, 1, 3, 141) and err.count(b"\n") <= 1,
                       f"{args}: {run.returncode} {err[:300]}")


@live.case
def full_output():
    """output that cannot be written is an error"""
    with live.holder("pages", 1000) as target:
        for args in (["--json"], [], ["-v"]):
            with open("/dev/full", "wb") as full:
                said = live.memwhy(target.pid, *args, stdout=full, codes=None)
            live.check(said.code != 0, f"success with a full output: {said}")
            live.check("No space left" in said.err, str(said))


@live.case
def absurd_terminals():
    """absurd terminal widths, no colours, an ASCII locale"""
    with live.holder("pages", 10) as target:
        for columns in ("1", "0", "-5", "100000", "x"):
            env = dict(os.environ, COLUMNS=columns)
            for kind in KINDS:
                live.check(live.memwhy(*kind, target.pid, env=env).out, columns)
        env = dict(os.environ, LANG="C", LC_ALL="C", NO_COLOR="1")
        for kind in KINDS:
            out = live.memwhy(*kind, target.pid, env=env).out
            live.check(out.isascii() and b"\x1b" not in out, f"not plain: {out[:300]}")
        out = live.memwhy(target.pid, "--color=always").out
        live.check(b"\x1b[" in out, "--color always has no colour")


@live.case
def closed_streams():
    """standard streams closed by the caller"""
    with live.holder("pages", 10) as target:
        script = f'exec "$0" {target.pid} <&- >&-'
        done = subprocess.run(["/bin/sh", "-c", script, live.MEMWHY], timeout=60,
                              stderr=subprocess.PIPE)
        live.check(0 < done.returncode < 126, f"{done}")
        live.check(b"Sanitizer" not in done.stderr, done.stderr)


live.main()
