#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""`memwhy lab`: its list, its ways of being run, what it makes of bad input. That what
labs say of the kernel is true is the suite `labs`."""

import contextlib
import errno
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import time

import live
from live import case, check, check_equal, memwhy

ESCAPE = b"\x1b"
SCRIPT = """#!/bin/sh
go() { head -c 1 <&4 >/dev/null; }
"""
STEPS = """Lab: {name}
Title: One of a test
Topic: test
Level: 3
Question: Does it?
Arguments: WORD...
Copies: nothing

Step: one
Ask: How many?
Answer: n
Expect: 5
Unit: KiB
Fact: {fact}
Because: It is so.
"""
BODY = r"""
printf 'step\tone\tsays how many\n' >&3; go
printf 'value\tn\t5\n' >&3
printf 'end\n' >&3; go
"""


@contextlib.contextmanager
def made_lab(name="made", fact="n == 5 | there are five", body=BODY, steps=None,
             mode=0o755, interpreter=SCRIPT):
    """A folder of labs with one in it, whose program is a script."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch, name)
        folder.mkdir()
        if steps is None:
            steps = STEPS.format(name=name, fact=fact).encode()
        (folder / "steps").write_bytes(steps)
        if body is not None:
            program = folder / name
            program.write_text(interpreter + body)
            program.chmod(mode)
        yield folder


@contextlib.contextmanager
def answers(text):
    with tempfile.NamedTemporaryFile("wb") as file:
        file.write(text if isinstance(text, bytes) else text.encode())
        file.flush()
        yield file.name


def labs():
    return memwhy("lab", "--json").json["labs"]


def steps_of(lab):
    return memwhy("lab", lab, "--json").json["steps"]


def read(path):
    return pathlib.Path(path).read_text()


def alive(pid):
    try:
        state = read(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_dead(pid):
    live.wait_until(lambda: not alive(pid), f"the end of {pid}")


class Terminal:
    """A memwhy on a terminal of its own."""

    def __init__(self, *args, width=80, height=24, env=None):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            clean = {k: v for k, v in os.environ.items()
                     if k not in ("NO_COLOR", "COLUMNS", "LINES", "LANG", "LC_ALL")}
            command = [live.MEMWHY, "lab", *map(str, args)]
            # What is typed before the size is set would be laid out for another one.
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
            os.execve(command[0], command, {"TERM": "xterm", "LC_ALL": "C.UTF-8",
                                            **clean, **(env or {})})
        self.bytes = b""
        self.status = None

    def more(self, seconds):
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            piece = os.read(self.fd, 65536)
        except OSError as error:
            check(error.errno == errno.EIO, str(error))
            piece = b""
        self.bytes += piece
        return bool(piece)

    @property
    def text(self):
        """What was written, without colours."""
        return re.sub(rb"\x1b\[[0-9;]*m", b"", self.bytes).decode(errors="replace")

    def until(self, pattern, seconds=30):
        """Waits until the pattern was written since the last one."""
        end = time.monotonic() + seconds
        while not re.search(pattern, self.text[self.seen:]):
            check(self.more(0.2) and time.monotonic() < end,
                  f"no {pattern!r} in:\n{self.text[self.seen:]}")
        found = re.search(pattern, self.text[self.seen:])
        self.seen += found.end()
        return found

    seen = 0

    def say(self, text, wait=r"(?:predict|Enter) +> "):
        """Answers the prompt."""
        self.until(wait)
        os.write(self.fd, text.encode() + b"\n")

    def end(self, seconds=30):
        """Waits for the end; its status as a shell has it."""
        limit = time.monotonic() + seconds
        while self.more(0.2):
            check(time.monotonic() < limit, f"it goes on:\n{self.text[-2000:]}")
        _, status = os.waitpid(self.pid, 0)
        self.status = os.waitstatus_to_exitcode(status)
        return self.status if self.status >= 0 else 128 - self.status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.status is None:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
        os.close(self.fd)


def program_of(terminal):
    """The lab's program, which its first lines name."""
    return int(terminal.until(r"memwhy map +(\d+)")[1])


# --- The list ----------------------------------------------------------------------

@case
def is_listed():
    """The list has every lab once, by topic and level; JSON, CSV and names agree."""
    found = labs()
    names = [lab["name"] for lab in found]
    check("demand" in names and len(set(names)) == len(names), f"{names}")
    check_equal(memwhy("lab", "--names").text.split(), names, "names")
    rows = memwhy("lab", "--csv").text.splitlines()
    check_equal(len(rows), len(names) + 1, "rows of CSV")
    topics = [lab["topic"] for lab in found]
    groups = [t for i, t in enumerate(topics) if not i or topics[i - 1] != t]
    check_equal(len(groups), len(set(topics)), "each topic stands together")
    for a, b in zip(found, found[1:]):
        check(a["topic"] != b["topic"] or a["level"] <= b["level"], f"{a} before {b}")
    text = memwhy("lab").text
    check(re.match(r"\d+ labs on \d+ topics: ", text), text[:200])
    for lab in found:
        check(re.search(rf"\b{lab['name']}\b +\d  ", text), f"{lab['name']} is not listed")


@case
def found_in_environment():
    """$MEMWHY_LABS comes first, may hide a lab and may name several folders."""
    with made_lab("demand") as mine, made_lab("other") as other:
        env = {**os.environ, "MEMWHY_LABS": f"/nonexistent:{mine.parent}::{other.parent}"}
        found = {lab["name"]: lab for lab in memwhy("lab", "--json", env=env).json["labs"]}
        check_equal(found["demand"]["dir"], str(mine), "the first one counts")
        check("other" in found and "where" in found, f"{list(found)}")
        answer = memwhy("lab", "demand", "--json", env=env).json
        check_equal(answer["lab"]["title"], "One of a test", "title")


@case
def broken_ones_are_told():
    """A lab that cannot be read is named on standard error, the others are listed."""
    with made_lab("bad", steps=b"Lab: bad\nNonsense\n") as bad:
        env = {**os.environ, "MEMWHY_LABS": str(bad.parent)}
        answer = memwhy("lab", env=env, codes=(5,))
        check("steps:2" in answer.err, answer.err)
        check("demand" in answer.text, answer.text)


@case
def works_beside_the_program():
    """`labs` beside the program is found wherever that lies; without it, the list is empty."""
    with tempfile.TemporaryDirectory() as scratch, made_lab("near") as near:
        program = shutil.copy(live.MEMWHY, scratch)
        os.mkdir(scratch + "/labs")
        shutil.copytree(near, scratch + "/labs/near")
        os.symlink(program, scratch + "/labs/link")
        for name in program, scratch + "/labs/link", "./memwhy":
            done = subprocess.run([name, "lab", "--names"], cwd=scratch, text=True,
                                  capture_output=True)
            check_equal(done.stdout, "near\n", name)


# --- Without a terminal ------------------------------------------------------------

@case
def auto():
    """--auto tells every step; so does a run without a terminal."""
    answer = memwhy("lab", "demand", "--auto")
    steps = steps_of("demand")
    check(answer.text.startswith("demand: When does memory"), answer.text[:100])
    for step in steps:
        check(f"\n{step['number']}/{len(steps)} {step['name']}\n" in answer.text,
              f"step {step['name']}")
    check(re.search(r"^\d+ facts held, none broken\.$", answer.text, re.M), answer.text)
    check(ESCAPE not in answer.out and "predict" not in answer.text, "no terminal")
    plain = memwhy("lab", "demand")
    check_equal(len(plain.text.splitlines()), len(answer.text.splitlines()), "lines")


@case
def json_sums():
    """The sums of --json are those of its steps."""
    answer = memwhy("lab", "demand", "--json").json
    verdicts = [fact["verdict"] for step in answer["steps"] for fact in step["facts"]]
    verdicts += [step["expected"] for step in answer["steps"] if step["expected"]]
    for verdict in "held", "broken", "unseen":
        check_equal(answer["facts"][verdict], verdicts.count(verdict), verdict)
    asked = sum(step["mark"] is not None for step in answer["steps"])
    check_equal(answer["predictions"]["asked"], asked, "asked")
    check_equal(answer["predictions"]["missing"], asked, "missing")


@case
def one_step():
    """--step takes a number or a name, and shows what the whole run shows of it."""
    whole = {step["name"]: step for step in steps_of("demand")}
    for word in "2", "touch":
        answer = memwhy("lab", "demand", "--step", word, "--json").json
        check_equal([step["name"] for step in answer["steps"]], ["touch"], word)
        for key in "does", "answer", "because", "number":
            check_equal(answer["steps"][0][key], whole["touch"][key], key)
    text = memwhy("lab", "demand", "--step", "touch").text
    check("2/" in text and "1/" not in text and "3/" not in text, text)


@case
def arguments_and_copies_reach_the_program():
    """Operands after the name are the program's; --copies is in its environment."""
    body = r"""
printf 'text\tgot\t%s\n' "$1-$2-$MEMWHY_LAB_COPIES" >&3
""" + BODY
    with made_lab(fact='got == "a--b-7" | it got them', body=body) as lab:
        answer = memwhy("lab", "--copies", 7, f"{lab}/", "--", "a", "-b", "--json",
                        codes=(0,))
        check("held     it got them" in answer.text, answer.text)


@case
def broken_fact():
    """A fact that does not hold is told with both sides, and the status is 1."""
    with made_lab(fact="n == 6 | there are six") as lab:
        answer = memwhy("lab", f"{lab}/", codes=(1,))
        check(re.search(r"BROKEN +there are six: n == 6 \(.*5", answer.text), answer.text)
        answer = memwhy("lab", f"{lab}/", "--json", codes=(1,))
        check_equal(answer.json["facts"]["broken"], 1, "broken")
        answer = memwhy("lab", f"{lab}/", "--csv", codes=(1,))
        check(answer.text.splitlines()[1].endswith(",1,1,0"), answer.text)


@case
def all_of_them():
    """--all runs every lab, goes on after one that fails, and ends with a table."""
    with tempfile.TemporaryDirectory() as scratch, made_lab("good") as good, \
            made_lab("gone", body="exit 3\n") as gone, \
            made_lab("wrong", fact="n == 6 | six") as wrong:
        program = shutil.copy(live.MEMWHY, scratch)
        for lab in good, gone, wrong:
            shutil.copytree(lab, f"{scratch}/labs/{lab.name}")

        def run(*args, want):
            done = subprocess.run([program, "lab", "--all", *args], capture_output=True,
                                  stdin=subprocess.DEVNULL, text=True)
            check_equal(done.returncode, want, f"{args}: {done.stderr}")
            return done.stdout

        text = run("--auto", want=5)
        check(re.search(r"^3 labs: 3 facts held, 1 broken; 1 did not run to the end\.$",
                        text, re.M), text)
        check(re.search(r"gone .*status 3", text) and "1/1 one" in text, text)
        rows = {lab["name"]: lab for lab in json.loads(run("--json", want=5))["labs"]}
        check("status 3" in rows["gone"]["failed"], f"{rows['gone']}")
        check_equal([rows["wrong"][k] for k in ("held", "broken", "failed")], [1, 1, None],
                    "wrong")
        shutil.rmtree(f"{scratch}/labs/gone")
        run("--auto", want=1)
        with answers("good.one 5\nwrong.one 5 KiB\n") as file:
            rows = json.loads(run("--answers", file, "--json", want=1))["labs"]
            check_equal([lab["right"] for lab in rows], [1, 1], "right")
            text = run("--answers", file, want=1)
            check(": 2 of 2 predictions right; 3 facts held, 1 broken." in text, text)
            check(re.search(r"^ +good +1 +2 +0 +0 +1 +0 +0$", text, re.M), text)
        with answers("one 5\n") as file:
            run("--answers", file, want=2)
        shutil.rmtree(f"{scratch}/labs/wrong")
        run("--auto", want=0)
        with answers("good.one 4\n") as file:
            run("--answers", file, want=1)
        with answers("") as file:
            run("--answers", file, want=1)


# --- Graded ------------------------------------------------------------------------

def predictions(steps):
    return {step["name"]: step["answer"] for step in steps if step["mark"]}


def grade(said, *args, code):
    with answers("".join(f"{step} {answer}\n" for step, answer in said.items())) as file:
        return memwhy("lab", "demand", "--answers", file, *args, codes=(code,))


@case
def graded():
    """Right predictions give 0; a wrong or a missing one gives 1; each is marked."""
    right = predictions(steps_of("demand"))
    answer = grade(right, "--json", code=0).json
    check_equal(answer["predictions"]["right"], len(right), "right")
    text = grade(right, code=0).text
    check(f"{len(right)} of {len(right)} predictions right;" in text, text[-1500:])
    wrong = grade({**right, "touch": "100 KiB"}, "--json", code=1).json
    check_equal({s["name"]: s["mark"] for s in wrong["steps"]},
                {s: "wrong" if s == "touch" else "right" for s in right}, "marks")
    del right["touch"]
    missing = grade(right, "--json", code=1).json
    check_equal(missing["predictions"]["missing"], 1, "missing")
    text = grade({**right, "map": "7"}, code=1).text
    check("WRONG    you said 7" in text and "MISSING" in text, text)
    check(re.search(rf"{len(right) - 1} of {len(right) + 1} predictions right", text), text)


@case
def graded_forms():
    """Units, choices by their beginning, comments, other cases of letters."""
    page = live.PAGE
    answer = grade({"# a comment": "", "touch": f"{page} B", "second": "N",
                    "malloc": "HEAP"}, "--json", code=1).json
    marks = {step["name"]: step["mark"] for step in answer["steps"]}
    for step in "touch", "second", "malloc":
        check_equal(marks[step], "right", step)
    check_equal(marks["map"], "missing", "map")
    nonsense = grade({"touch": "a lot"}, "--json", code=1).json
    check_equal(nonsense["steps"][1]["mark"], "wrong", "nonsense cannot be asked again")


@case
def graded_step():
    """With --step, only that one counts."""
    with answers("touch 1 MiB\nmap 0\n") as file:
        memwhy("lab", "demand", "--answers", file, "--step", "map", codes=(0,))
        memwhy("lab", "demand", "--answers", file, "--step", "touch", codes=(1,))


@case
def bad_answers():
    """Files that are none are refused with the line, before anything runs."""
    for text, want in (("nonsense 4\n", ":1: nonsense"), ("map 0\n\nmap 1\n", ":3: "),
                       ("map\n", ":1: "), (b"map 0\0\n", "no text"),
                       ("where.code code\n", ":1: where.code")):
        with answers(text) as file:
            answer = memwhy("lab", "demand", "--answers", file, codes=(2,))
            check(want in answer.err and not answer.out, f"{text!r}: {answer}")
    for name in "/nonexistent", "/dev/zero":
        answer = memwhy("lab", "demand", "--answers", name, codes=(2, 5))
        check(name in answer.err and not answer.out, str(answer))


# --- On a terminal -----------------------------------------------------------------

@case
def asks():
    """Right, wrong, none, nonsense; what comes after is what the kernel says."""
    with Terminal("demand") as t:
        t.until(r"demand: When does memory")
        program = program_of(t)
        t.say("0")
        t.until(r"kernel +0 KiB\s+right +you said 0\s")
        t.say("nonsense")
        t.until(r"again +a number of KiB is asked for")
        t.say("1 MiB")
        t.until(r"kernel +\d+ KiB\s+WRONG +you said 1 MiB\s")
        t.say("")
        found = t.until(r"kernel +0\s(.*)\n")
        check("right" not in found[1] and "WRONG" not in found[1], found[0])
        check(alive(program), "the program lives")
        for _ in steps_of("demand")[3:]:
            t.say("")
        t.until(r"1 of 2 predictions right; \d+ facts held, none broken\.")
        check_equal(t.end(), 0, "status: a person may be wrong")
        wait_dead(program)
        check(b"\x1b[" in t.bytes, "colours on a terminal")


@case
def end_of_input():
    """Ctrl-D ends it in peace, with what was done so far."""
    with Terminal("demand") as t:
        program = program_of(t)
        t.say("0")
        t.until(r"predict +> ")
        os.write(t.fd, b"\x04")
        t.until(r"1 of 1 prediction right")
        check_equal(t.end(), 0, "status")
        wait_dead(program)


@case
def ctrl_c():
    """Ctrl-C ends memwhy and the program, before a step and while one is under way."""
    with Terminal("demand") as t:
        program = program_of(t)
        t.until(r"predict +> ")
        os.write(t.fd, b"\x03")
        check_equal(t.end(), 130, "status")
        wait_dead(program)
    with made_lab(body=BODY.replace("go\nprintf 'value", "go; sleep 1000\nprintf 'value")) as lab:
        with Terminal(f"{lab}/") as t:
            program = program_of(t)
            t.say("5")
            live.wait_until(lambda: live.children(program), "the sleeper")
            sleeper = live.children(program)[0]
            os.write(t.fd, b"\x03")
            check_equal(t.end(), 130, "status")
            wait_dead(program)
            wait_dead(sleeper)


@case
def killed():
    """A memwhy that is killed leaves no program behind."""
    with Terminal("demand") as t:
        program = program_of(t)
        t.until(r"predict +> ")
        os.kill(t.pid, signal.SIGKILL)
        check_equal(t.end(), 128 + signal.SIGKILL, "status")
        wait_dead(program)


@case
def program_dies():
    """A program that dies, or is killed while a question is open, is told; status 4."""
    with made_lab(body="exit 3\n") as lab:
        answer = memwhy("lab", f"{lab}/", codes=(4,))
        check("status 3" in answer.err, answer.err)
    with made_lab(body="kill -SEGV $$\n") as lab:
        answer = memwhy("lab", f"{lab}/", "--json", codes=(4,))
        check("signal 11" in answer.err, answer.err)
    with Terminal("demand") as t:
        program = program_of(t)
        t.until(r"predict +> ")
        os.kill(program, signal.SIGKILL)
        os.write(t.fd, b"0\n")
        t.until(r"memwhy: the program was killed in step .map., by signal 9")
        check_equal(t.end(), 4, "status")


@case
def without_question():
    """Where nothing is asked, Enter goes on."""
    steps = STEPS.format(name="made", fact="n == 5 | five").encode()
    steps = re.sub(rb"Ask.*?Fact", b"Fact", steps, flags=re.S)
    with made_lab(steps=steps) as lab, Terminal(f"{lab}/") as t:
        t.say("anything", wait=r"Enter +> ")
        t.until(r"1 fact held, none broken\.")
        check_equal(t.end(), 0, "status")


def widths(text):
    return max(len(line.rstrip("\r")) for line in text.split("\n"))


@case
def small_terminals():
    """Nothing but commands and rows of numbers is wider than the terminal."""
    for width in 80, 60, 40, 30, 12:
        with Terminal("demand", "--auto", width=width, height=8) as t:
            check_equal(t.end(), 0, f"status at {width}")
            prose = [line for line in t.text.replace("\r", "").split("\n")
                     if not re.search(r"\d (?:KiB|B) |rights  resident|^next: |  \d+  \w", line)]
            longest = max(prose, key=len)
            check(len(longest) <= max(width, 24), f"{width}: {len(longest)}: {longest!r}")
            if width >= 80:
                check(widths(t.text) <= width, f"{width}: {widths(t.text)}")


@case
def colour_and_locale():
    """NO_COLOR has no escapes, a C locale no byte beyond ASCII; every verdict is a word."""
    with Terminal("demand", "--auto", env={"NO_COLOR": "1"}) as t:
        t.end()
        check(ESCAPE not in t.bytes, "an escape sequence")
        check("  held     " in t.text and "\n* a" in t.text, t.text[:2000])
    for lab in "demand", "where", "cow":
        done = memwhy("lab", lab, "--auto", env={**os.environ, "LC_ALL": "C"})
        check(max(done.out) < 0x80 and b"\\x" not in done.out, f"{lab}: {done.text}")


@case
def two_terminals():
    """--two-terminals is the program itself: its pid, its steps at Enter."""
    with Terminal("demand", "--two-terminals") as t:
        pid = int(t.until(r"Process (\d+); in a second terminal")[1])
        check_equal(pid, t.pid, "memwhy has become the program")
        live.wait_until(lambda: os.readlink(f"/proc/{pid}/exe").endswith("/demand/demand"),
                        "the program")
        ignored = int(re.search(r"SigIgn:\t(\w+)", read(f"/proc/{pid}/status"))[1], 16)
        check(not ignored & 1 << signal.SIGPIPE - 1, "SIGPIPE is as it was")
        for _ in range(len(steps_of("demand")) + 1):
            t.say("", wait=r"\[Enter\]")
        check_equal(t.end(), 0, "status")


# --- Sources, and what is refused --------------------------------------------------

@case
def sources():
    """--source prints the files byte by byte, and nothing beyond the folder."""
    folder = pathlib.Path(next(lab["dir"] for lab in labs() if lab["name"] == "demand"))
    for option, name in (("--source", "lab.c"), ("--source=steps", "steps")):
        answer = memwhy("lab", "demand", option)
        check_equal(answer.out, (folder / name).read_bytes(), option)
    for name in "../demand/steps", "/etc/passwd", ".hidden":
        memwhy("lab", "demand", f"--source={name}", codes=(2,))
    memwhy("lab", "demand", "--source=nonexistent", codes=(2,))
    with made_lab() as lab:
        (lab / "lab.c").write_text("int main; \x1b]0;title\x07\n")
        with Terminal(f"{lab}/", "--source") as t:
            check_equal(t.end(), 0, "status")
            check(ESCAPE not in t.bytes, "a file may not steer the terminal")


@case
def refused():
    """What makes no sense is refused with status 2 and a word about it."""
    for args, word in (
            (["nonesuch"], "no lab is called nonesuch"), ([""], "no lab"),
            (["/nonexistent/"], "nonexistent"), (["/etc/"], "steps"),
            (["demand", "--step", "99"], "--step"), (["demand", "--step", "0"], "--step"),
            (["demand", "--step", "x"], "--step"), (["demand", "--variant", "x"], "none"),
            (["where", "--variant", "x"], "static"),
            (["where", "--copies", "1"], "--copies"), (["--all", "demand"], "--all"),
            (["demand", "--copies", "3"], "makes none"), (["demand", "5"], "no arguments"),
            (["demand", "--auto", "--answers", "x"], "exclude"),
            (["demand", "--source", "--two-terminals"], "exclude"),
            (["--step", "1"], "which lab"), (["--auto"], "which lab"),
            (["--two-terminals"], "which lab"), (["--root", "/tmp", "demand"], "--root")):
        answer = memwhy("lab", *args, codes=(2,))
        check(word in answer.err and not answer.out, f"{args}: {answer}")


@case
def hostile_folders():
    """Folders that are not what they should be are told, at once."""
    for steps in (b"", b"\0" * 100, os.urandom(5000), b"Lab: made\n" * 10000,
                  STEPS.replace("{name}", "../x").encode(), b"x" * (4 << 20)):
        with made_lab(steps=steps) as lab:
            answer = memwhy("lab", f"{lab}/", codes=(5,), timeout=20)
            check("steps" in answer.err and not answer.out, str(answer))
            check(all(ord(c) >= 32 or c == "\n" for c in answer.err), f"{answer.err!r}")
    with made_lab() as lab:
        os.unlink(lab / "steps")
        os.mkfifo(lab / "steps")
        memwhy("lab", f"{lab}/", codes=(2, 5), timeout=20)
    with made_lab() as lab:
        os.unlink(lab / "steps")
        os.mkdir(lab / "steps")
        memwhy("lab", f"{lab}/", codes=(2, 5), timeout=20)


@case
def hostile_programs():
    """Programs that are none, or talk nonsense, are told; nothing reaches the terminal."""
    with made_lab(body=None) as lab:
        answer = memwhy("lab", f"{lab}/", codes=(2,))
        check(f"{lab}/made" in answer.err and "not built" in answer.err, answer.err)
    with made_lab(mode=0o644) as lab:
        answer = memwhy("lab", f"{lab}/", codes=(2, 3, 5))
        check(f"{lab}/made" in answer.err, answer.err)
    for line in (r"nonsense\n", r"step\tother\tdoes\n", r"value\tn\tx\n", r"step\n",
                 r"\000\n", "x" * 9000 + r"\n", r"end\n", r"process\tx\t-1\n",
                 r"undo\tremove\t/etc/passwd\n"):
        with made_lab(body=f"printf '{line}' >&3; sleep 5\n") as lab:
            answer = memwhy("lab", f"{lab}/", codes=(4, 5), timeout=30)
            check(answer.err.startswith("memwhy: "), str(answer))
    body = BODY.replace("says how many", "\\033]0;x\\007").replace(
        "printf 'end", "printf 'say\\t\\033[2J\\n' >&3; printf 'end")
    with made_lab(body=body) as lab:
        answer = memwhy("lab", f"{lab}/")
        check(ESCAPE not in answer.out and "\\x1b[2J" in answer.text, answer.text)


@case
def closed_output():
    """A reader that has enough, or a full disk: nothing hangs, nothing is left."""
    run = subprocess.Popen([live.MEMWHY, "lab", "demand", "--auto"], stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    check(run.stdout.readline().startswith(b"demand"), "the first line")
    run.stdout.close()
    check_equal(run.wait(timeout=60), 0, run.stderr.read().decode())
    with open("/dev/full", "wb") as full:
        answer = memwhy("lab", "demand", "--auto", codes=(5,), stdout=full)
        check("output" in answer.err, answer.err)
        memwhy("lab", "demand", "--source", codes=(5,), stdout=full)


live.main()
