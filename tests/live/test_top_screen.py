#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The screen of `top`, in a terminal of its own: keys are sent, the screen is read."""

import os
import re
import signal
import subprocess
import sys
import time

import live
from live import check, check_equal

MARK = f"mwscreen-{os.getpid()}"


class Screen:
    """memwhy top in a tmux server of its own; its shell prints DONE when it has ended."""

    def __init__(self, *args, width=80, height=24, env=None, locale="C.UTF-8"):
        live.need_program("tmux")
        self.socket = f"{MARK}-{time.monotonic_ns()}"
        words = " ".join([live.MEMWHY, "top", *map(str, args)])
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(width), "-y",
                  str(height), "sh", env={"LC_ALL": locale, **(env or {})})
        self.keys(f"PS1=; stty sane; stty -g | md5sum; {words}; echo DONE $?; stty -g | md5sum",
                  "Enter")

    def tmux(self, *args, env=None):
        clean = {k: v for k, v in os.environ.items()
                 if k not in ("TMUX", "NO_COLOR", "LINES", "COLUMNS", "LANG", "LC_ALL",
                              "LC_CTYPE")}
        return subprocess.run(["tmux", "-L", self.socket, *args], text=True, check=True,
                              capture_output=True, env={**clean, **(env or {})}).stdout

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def click(self, x, y, times=1):
        """The left button pressed and released, as tmux's terminal tells it (X10)."""
        at = chr(33 + x) + chr(33 + y)
        self.keys("-l", f"\x1b[M {at}\x1b[M#{at}" * times)

    def text(self, *options):
        return self.tmux("capture-pane", "-p", *options)

    def lines(self):
        return self.text().splitlines()

    def until(self, pattern, seconds=30, absent=False):
        """The screen, once the pattern is (not) on it."""
        end = time.monotonic() + seconds
        while True:
            text = self.text()
            if bool(re.search(pattern, text, re.M)) != absent:
                return text
            check(time.monotonic() < end, f"no {pattern!r} on:\n{text}")
            time.sleep(0.05)

    def resize(self, width, height):
        self.tmux("resize-window", "-x", str(width), "-y", str(height))

    def pid(self):
        """Of the memwhy that runs in it."""
        shell = int(self.tmux("list-panes", "-F", "#{pane_pid}"))
        live.wait_until(lambda: live.children(shell), "memwhy")
        return live.children(shell)[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["tmux", "-L", self.socket, "kill-server"], check=False,
                       capture_output=True)


def sleeper(mib=24):
    program = (f"import mmap,time\nm=mmap.mmap(-1,{mib}<<20,mmap.MAP_PRIVATE)\n"
               f"for i in range(0,{mib}<<20,4096): m[i]=1\n"
               "print('ready',flush=True)\ntime.sleep(600)")
    return live.Target(["/usr/bin/python3", "-c", program, MARK + "-target"])


def restored(screen):
    """The same terminal settings before and after, and no remains of the screen."""
    text = screen.until(r"^DONE \d+\n[0-9a-f]{32}")
    sums = re.findall(r"[0-9a-f]{32}", text)
    check_equal(sums[0], sums[-1], "stty before and after")
    return int(re.search(r"^DONE (\d+)", text, re.M)[1])


@live.case
def opens():
    """It opens with headings, rows and the bar; q restores the terminal"""
    with Screen() as screen:
        text = screen.until(r"F10 quit")
        check(re.search(r"pid +user +Pss", text), text)
        check(re.search(r"^memwhy top: \d+ processes", text), text)
        check(re.search(r"allowed", text), text)
        screen.keys("q")
        check_equal(restored(screen), 0, "status")
        check("F10 quit" not in screen.text(), "the screen is gone")


@live.case
def clicked_rows():
    """A click on a row selects it, on it again opens it, also when both come at once"""
    with sleeper(24), sleeper(48), Screen("-f", MARK + "-target", "--budget",
                                          5000) as screen:
        text = screen.until(r"^memwhy top: 2 processes[^$]*F10 quit").splitlines()
        heads = next(y for y, line in enumerate(text) if re.search("pid +user +Pss", line))
        smaller = int(text[heads + 2].split()[0])
        screen.click(10, heads + 2, times=2)
        screen.until(rf"\({smaller}\) costs")
        screen.keys("q")
        screen.until("F10 quit")
        screen.keys("q")
        check_equal(restored(screen), 0, "status")


@live.case
def filters_and_opens_rows():
    """/ filters while typing; Enter opens why, m the map; q comes back"""
    with sleeper() as target, Screen("--budget", 5000) as screen:
        screen.until("F10 quit")
        screen.keys("/")
        screen.keys("-l", MARK + "-target")
        screen.keys("Enter")
        screen.until(rf"^memwhy top: 1 processes[^$]*^ *{target.pid} ")
        screen.keys("Enter")
        screen.until(rf"\({target.pid}\) costs")
        screen.until(r"^why +q back")
        screen.keys("q")
        screen.until("F10 quit")
        screen.keys("m")
        screen.until(rf"\({target.pid}\) has .* mappings")
        screen.keys("NPage")
        screen.keys("q")
        screen.until("F10 quit")
        screen.keys("Escape")
        screen.until(r"^memwhy top: ([2-9]|\d\d+) processes")


@live.case
def sorts():
    """A letter a column; the same again turns the order round"""
    with Screen("--budget", 5000) as screen:
        screen.until("F10 quit")
        for key, name in zip("URSTFGAINP", ("uss", "rss", "swap", "pagetables", "faults",
                                            "growth", "age", "pid", "name", "pss")):
            screen.keys(key)
            screen.until(rf"^memwhy top: .*by {name}$")
        screen.keys("I")
        screen.until("pid▼")

        def pids():
            return [int(m) for m in re.findall(r"^ *(\d+) \S+ ", screen.text(), re.M)]
        check_equal(pids(), sorted(pids()), "by pid")
        screen.keys("I")
        screen.until("pid▲")
        check_equal(pids(), sorted(pids(), reverse=True), "turned round")


@live.case
def groups_and_tree():
    """u, c, g, f group, p ends it; t makes a tree; F keys do the same"""
    with Screen("--budget", 5000) as screen:
        screen.until("F10 quit")
        for key, name in zip("ucgf", ("user", "command", "cgroup", "file")):
            screen.keys(key)
            screen.until(rf"procs .*{name}")
        screen.keys("p")
        screen.until("pid +user")
        screen.keys("t")
        screen.until("by pss, tree")
        screen.keys("F2")
        screen.until("tree$", absent=True)
        screen.keys("F4")
        screen.until("by user")
        screen.keys("Enter")
        screen.until("filter ")


@live.case
def switches():
    """%, K and Space: shares, kernel threads, a pause; again: back"""
    with Screen("--watch=1", "--budget", 5000) as screen:
        screen.until("F10 quit")
        screen.keys("%")
        screen.until(r"^ *\d+ \S+ +(\d+\.\d%|–)")
        screen.keys("%")
        screen.until(r"\d%", absent=True)
        few = int(re.search(r"top: (\d+) processes", screen.text())[1])
        screen.keys("K")
        if os.path.exists("/proc/2/comm") and "VmSize" not in live.status(2):
            live.wait_until(lambda: int(re.search(r"top: (\d+) processes",
                                                  screen.text())[1]) > few, "threads")
        screen.keys("Space")
        screen.until("paused$")
        screen.keys("Space")
        screen.until("paused$", absent=True)


@live.case
def helps():
    """h and F1 show the keys"""
    with Screen() as screen:
        screen.until("F10 quit")
        for key in "h", "F1":
            screen.keys(key)
            screen.until("fair share: shared pages")
            screen.keys("q")
            screen.until("F10 quit")


@live.case
def resizes():
    """80x24, 20x5, 132x50, 3x2, 1x1 and back"""
    with Screen() as screen:
        screen.until("F10 quit")
        screen.resize(20, 5)
        text = screen.until(r"^1help")
        check("Pss" in text and "command" in text, text)
        check(all(len(line) <= 20 for line in text.splitlines()), text)
        screen.resize(132, 50)
        screen.until(r"tables +flt/s +grow/m +age +command")
        for width, height in (3, 2), (1, 1), (250, 10):
            screen.resize(width, height)
            time.sleep(0.3)
            screen.keys("Down")
        screen.resize(80, 24)
        screen.until("F10 quit")
        screen.keys("q")
        check_equal(restored(screen), 0, "status")


@live.case
def small_from_the_start():
    """It opens in 20x5, moves, and its windows too"""
    with Screen(width=20, height=5) as screen:
        screen.until(r"^1help")
        screen.keys("Down", "Down", "Down", "NPage", "End", "Home")
        screen.keys("h")
        screen.until("q back|help")
        # Lines that are longer than the screen can be read to their end.
        screen.keys("Down", "Down")
        screen.until(r"^Pss     fair share")
        for _ in range(5):
            screen.keys("Right")
        screen.until(r"who have them$")
        screen.keys("Left", "End", "q")
        screen.until(r"^1help")


@live.case
def without_colour():
    """NO_COLOR: no colour; signs and headings stay"""
    with Screen() as coloured:
        coloured.until("F10 quit")
        legend = [l for l in coloured.text("-e").splitlines() if "grew" in l]
        check(re.search(r"\x1b\[[0-9;]*3[0-7]m", legend[0]), legend)
    with Screen(env={"NO_COLOR": "1"}) as screen:
        screen.until("F10 quit")
        text = screen.text("-e")
        check("+ grew" in text and "- shrank" in text, text)
        check(not re.search(r"\x1b\[(?:[0-9;]*;)?(?:3|4)[0-7]m", text), repr(text))


@live.case
def without_utf8():
    """In the C locale every byte is ASCII"""
    with Screen(locale="C") as screen:
        screen.until("F10 quit")
        check(screen.text().isascii(), "ASCII")
        check("Pssv" in screen.text(), "the mark")


@live.case
def clicks():
    """A click on a heading sorts, on the bar it is the key"""
    with Screen("--budget", 5000) as screen:
        text = screen.until("F10 quit")
        heads = next(i for i, l in enumerate(text.splitlines()) if " Pss" in l)
        column = text.splitlines()[heads].index("Rss")
        screen.click(column, heads)
        screen.until(r"by rss$")
        screen.click(1, len(text.splitlines()) - 1)
        screen.until("fair share: shared pages")


@live.case
def signals():
    """SIGTERM, SIGINT and SIGHUP end it as they are meant to, the terminal restored"""
    for number in signal.SIGTERM, signal.SIGINT, signal.SIGHUP:
        with Screen() as screen:
            screen.until("F10 quit")
            os.kill(screen.pid(), number)
            if number == signal.SIGINT:
                # The shell ends its list of commands too.
                screen.until("F10 quit", absent=True)
                screen.keys("stty -g | md5sum; echo DONE 130; stty -g | md5sum", "Enter")
            check_equal(restored(screen), 128 + number, "status")


@live.case
def survives_processes_that_vanish():
    """The selected process ends; the screen goes on"""
    with Screen("--watch=1", "--budget", 5000) as screen:
        with sleeper(8) as target:
            screen.until("F10 quit")
            screen.keys("/")
            screen.keys("-l", MARK + "-target")
            screen.keys("Enter")
            screen.until(rf"^ *{target.pid} ")
        screen.until("nothing fits the filter")
        screen.keys("Enter", "m", "Down", "Escape")
        screen.until(r"^memwhy top: ([2-9]|\d\d+) processes")
        screen.keys("q")
        check_equal(restored(screen), 0, "status")


@live.case
def dumb_terminal():
    """A terminal without addresses gets a table, not a screen"""
    with Screen() as screen:
        screen.until(r"F10 quit")
        screen.keys("q")
        check_equal(restored(screen), 0, "status")
        screen.keys(f"TERM=dumb {live.MEMWHY} top -n 2; echo DUMB $?", "Enter")
        text = screen.until(r"^DUMB 0")
        check("next: memwhy" in text and "F10" not in text, text)


@live.case
def one_shot_options():
    """--once, a format or --count open no screen"""
    for option in "--once", "--csv", "--watch=1 --count 1":
        with Screen(option, "-n", 2) as screen:
            check_equal(restored(screen), 0, option)


if __name__ == "__main__":
    sys.exit(live.main())
