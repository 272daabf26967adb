#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a lab leaves behind, however it ends: nothing. This program is a subreaper, so
that whatever outlives memwhy and its keeper becomes a child of ours and is seen."""

import contextlib
import ctypes
import glob
import os
import pathlib
import random
import select
import signal
import time

import live

PR_SET_CHILD_SUBREAPER = 36

STEPS = """Lab: harm
Title: It makes what must not stay
Topic: harm
Level: 1
Question: What stays?
Arguments: FOLDER

Step: folder
Ask: q
Answer: 1

Step: setting
Fact: 1 | a fact

Step: children
Fact: 1 | a fact

Step: grandchildren
Fact: 1 | a fact
"""

# Promises before each thing; then children that are deaf, orphans, sessions of their own.
PROGRAM = r"""#!/bin/bash
out=${MEMWHY_LAB%,*} in=${MEMWHY_LAB#*,} place=$1
say() { printf "$@" >&$out; echo >&$out; }
go() { read -r x <&$in || exit; }
trap '' TERM INT HUP QUIT
say "undo\tremove\t$place/made\t"; go
say "undo\tclear\t$place/memwhy-lab-full\t"; go
say "step\tfolder\tmkdir"; go
mkdir "$place/made" "$place/memwhy-lab-full"
echo x >"$place/memwhy-lab-full/file"
say "undo\tremove\t$place/made/file\t"; go
say "undo\trestore\t$place/setting\tbefore"; go
say "step\tsetting\techo"; go
echo y >"$place/made/file"
echo changed >"$place/setting"
say "step\tchildren\tfork"; go
for i in 1 2 3; do sleep 1000 & say "process\tchildren\t$!"; done
(while :; do echo again >"$place/setting"; sleep 0.01; done) &
say "step\tgrandchildren\tsetsid"; go
(setsid sh -c 'trap "" TERM INT HUP; sleep 1000 & sleep 1000; sleep 1000' &)
setsid sleep 1000 &
say "end"; go
"""

SETTINGS = ("/proc/sys/vm/*", "/sys/kernel/mm/transparent_hugepage/*",
            "/proc/sys/kernel/randomize_va_space", "/proc/sys/kernel/core_pattern")
LEFT = ("/tmp/memwhy-lab-*", "/dev/shm/*", "/sys/fs/cgroup/**/memwhy-lab-*", "core",
        "core.*")


# --- what there is ------------------------------------------------------------------

def settings():
    """The machine's settings that labs speak of."""
    found = {}
    for pattern in SETTINGS:
        for path in glob.glob(pattern):
            with contextlib.suppress(OSError):
                found[path] = pathlib.Path(path).read_bytes()
    return found


def leftovers():
    return {path for pattern in LEFT for path in glob.glob(pattern, recursive=True)}


@contextlib.contextmanager
def nothing_left(seconds=60):
    """No child, file or setting is other than before, soon after the block."""
    before, files = settings(), leftovers()
    try:
        yield
    except BaseException:
        kill_all()
        raise
    reap_all(seconds)
    end = time.monotonic() + seconds
    while leftovers() - files and time.monotonic() < end:
        time.sleep(0.05)        # another lab's, on its way out
    live.check_equal(leftovers() - files, set(), "files left")
    live.check_equal(settings(), before, "settings")


def reap_all(seconds):
    """Waits until nobody is left below us."""
    end = time.monotonic() + seconds
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid:
            continue
        if time.monotonic() > end:
            names = [live.status(pid)["Name"] for pid in descendants(os.getpid())]
            kill_all()
            raise AssertionError(f"processes left: {names}")
        time.sleep(0.005)


def descendants(pid):
    found = live.children(pid)
    return found + [below for child in found for below in descendants(child)]


def kill_all():
    for pid in descendants(os.getpid()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


# --- a lab on a terminal ------------------------------------------------------------

class Run:
    """memwhy with a terminal of its own, so that it asks, and so that ^C is one."""

    def __init__(self, *args, user=None):
        command = [live.MEMWHY, "lab", *map(str, args)]
        if user is not None:
            command = ["setpriv", f"--reuid={user}", f"--regid={user}",
                       "--clear-groups", *command]
        self.seen = b""
        handler = signal.signal(signal.SIGINT, signal.SIG_DFL)
        self.pid, self.terminal = os.forkpty()
        if self.pid == 0:       # no exception may unwind a second time what is ours
            try:
                os.environ.update(TERM="dumb", COLUMNS="200", LC_ALL="C.UTF-8")
                os.execvp(command[0], command)
            finally:
                os._exit(127)
        signal.signal(signal.SIGINT, handler)

    def read(self, seconds):
        """What it writes next; b"" at its end."""
        if not select.select([self.terminal], [], [], seconds)[0]:
            raise AssertionError(f"silent for {seconds} s after {self.seen[-500:]!r}")
        try:
            chunk = os.read(self.terminal, 65536)
        except OSError:
            chunk = b""
        self.seen += chunk
        return chunk

    def wait_prompts(self, count):
        """Goes on until it has asked so often."""
        asked = 0
        while True:
            now = self.seen.count(b"predict") - self.seen.count(b"predicts")
            now += self.seen.count(b"Enter") - self.seen.count(b"Enter alone")
            while asked < min(now, count - 1):
                os.write(self.terminal, b"\n")
                asked += 1
            if now >= count:
                return
            live.check(self.read(60), f"it ended: {self.seen[-500:]!r}")

    def drain(self):
        while self.read(60):
            pass

    def program(self):
        """memwhy, its keeper, the program."""
        keeper = live.children(self.pid)
        live.check_equal(len(keeper), 1, "children of memwhy")
        return live.children(keeper[0])[0]

    def end(self, how):
        if how == "the program":
            os.kill(self.program(), signal.SIGKILL)
            os.write(self.terminal, b"\n")
        elif how == "^C":
            os.write(self.terminal, b"\x03")
        elif how == "hang-up":
            os.close(self.terminal)
            self.terminal = -1
        elif how == "end of input":
            os.write(self.terminal, b"\x04")
        else:
            os.kill(self.pid, how)
        if self.terminal >= 0:
            self.drain()
            os.close(self.terminal)


@contextlib.contextmanager
def harm(user=None):
    """A lab that makes all that there is to be put back; checks that it is."""
    with live.scratch(0o755) as place:
        lab = place / "harm"
        lab.mkdir()
        (lab / "steps").write_text(STEPS)
        (lab / "harm").write_text(PROGRAM)
        (lab / "harm").chmod(0o755)
        (place / "setting").write_text("before")
        if user is not None:
            os.chown(place, user, user)
            os.chown(place / "setting", user, user)
        before = sorted(place.rglob("*"))
        with nothing_left():
            yield lab, place
        live.check_equal(sorted(place.rglob("*")), before, "files in its place")
        live.check_equal((place / "setting").read_text(), "before", "the setting")


ENDS = (signal.SIGKILL, "the program", "^C", signal.SIGTERM, "hang-up", "end of input")


def name_of(how):
    return how.name if isinstance(how, signal.Signals) else how


@live.cases_for(ENDS, name_of)
def at_each_step(how):
    """nothing is left after, at each step"""
    for step in range(1, 5):
        with harm() as (lab, place):
            run = Run(lab, place)
            run.wait_prompts(step)
            live.check_equal((place / "made").exists(), step > 1, f"at step {step}")
            live.check(len(descendants(run.pid)) >= (6 if step == 4 else 2),
                       f"{descendants(run.pid)} at step {step}")
            run.end(how)


@live.cases_for((signal.SIGKILL, "the program", "^C"), name_of)
def as_a_user(how):
    """nothing is left of a user without rights after"""
    live.need_root()
    with harm(user=live.NOBODY) as (lab, place):
        run = Run(lab, place, user=live.NOBODY)
        run.wait_prompts(4)
        live.check((place / "made/file").exists(), "made")
        run.end(how)


@live.case
def to_its_end():
    """nothing is left of a lab that was let to its end"""
    with harm() as (lab, place):
        answer = live.memwhy("lab", lab, place, "--auto")
        live.check("a fact" in answer.text, str(answer))


@live.case
def any_moment():
    """nothing is left when memwhy is killed at any moment"""
    for _ in range(30):
        with harm() as (lab, place):
            run = Run(lab, place, "--auto")
            time.sleep(random.uniform(0, 0.15))
            run.end(random.choice((signal.SIGKILL, signal.SIGINT, signal.SIGTERM)))


@live.case
def both_killed():
    """nothing is left when memwhy and the program are killed in one moment"""
    for step in range(1, 5):
        with harm() as (lab, place):
            run = Run(lab, place)
            run.wait_prompts(step)
            program = run.program()
            os.kill(run.pid, signal.SIGSTOP)
            os.kill(program, signal.SIGKILL)
            run.end(signal.SIGKILL)


def names():
    return live.memwhy("lab", "--names").text.split()


@live.case
def real_labs():
    """nothing is left of our labs when they are killed at any moment"""
    found = names()
    live.check(len(found) > 5, f"labs: {found}")
    for name in found:
        for how in (signal.SIGKILL, signal.SIGINT, "the program"):
            with nothing_left():
                run = Run(name, "--auto")
                time.sleep(random.choice((0.02, 0.1, 0.5)) * random.uniform(0.5, 1.5))
                try:
                    run.end(how)
                except (AssertionError, IndexError, OSError):
                    run.end(signal.SIGKILL)     # there was no program at this moment


if __name__ == "__main__":
    live.check_equal(ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0,
                     "prctl")
    live.main()
