# SPDX-License-Identifier: MIT
"""What a shell really offers after a piece of a command line. Usage: completion.py SHELL
FILE CLASSES MEMWHY, where CLASSES prints the keys of all classes."""
import os
import shutil
import subprocess
import sys

shell, script, list_classes, memwhy = sys.argv[1:5]
if not shutil.which(shell):
    print(f"skipped: no {shell} here")
    sys.exit(77)

BASH = r"""
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_memwhy
printf '%s\n' "${COMPREPLY[@]}"
"""


def bash(words):
    return subprocess.run(["bash", "-c", BASH, "bash", script, *words],
                          capture_output=True, text=True, check=True)


def fish(words):
    line = " ".join(words)
    return subprocess.run(
        ["fish", "--no-config", "-c", f"source {script}; complete -C '{line}'"],
        capture_output=True, text=True, check=True)


def offered(*words):
    done = {"bash": bash, "fish": fish}[shell](words)
    if done.stderr:
        sys.exit(f"{words}: {done.stderr}")
    return {line.split("\t")[0].rstrip("/") for line in done.stdout.splitlines() if line}


if shell == "zsh":
    # Its completion system wants a terminal; the syntax needs none.
    subprocess.run(["zsh", "-n", script], check=True)
    sys.exit(0)

failures = []


def want(words, some, none=()):
    got = offered(*words)
    if not set(some) <= got or set(none) & got:
        failures.append(f"{words}: wanted {some} without {none}, got {sorted(got)[:20]}")


me = str(os.getpid())
classes = subprocess.run([list_classes], capture_output=True, text=True,
                         check=True).stdout.split()
want(["memwhy", "m"], ["map"], ["why"])
want(["memwhy", ""], ["why", "map", "capture", "doctor", "help", me])
want(["memwhy", "--lar"], ["--largest"])
want(["memwhy", "map", "--s"], ["--summary", "--sort", "--stop"], ["--scrub"])
want(["memwhy", "map", "--sort", "p"], ["private", "pss"], ["rss"])
want(["memwhy", "map", "--class", ""], classes)
want(["memwhy", "map", "--engine", ""], ["auto", "pages", "smaps"])
want(["memwhy", "map", me[:1]], [me])
want(["memwhy", "map", "--sort", "rss", me[:1]], [me])
want(["memwhy", "map", "m"], [], ["map"])
want(["memwhy", "capture", me, "/us"], ["/usr"], [me])
want(["memwhy", "--root", "/us"], ["/usr"])
want(["memwhy", "help", "c"], ["capture"], [me])
# Names of labs come from the program itself.
want([memwhy, "lab", ""], ["demand", "where"], [me])
want([memwhy, "lab", "demand", ""], [], ["demand"])
want([memwhy, "lab", "--step", "2", "dem"], ["demand"])
want(["memwhy", "lab", "--a"], ["--auto", "--answers", "--all"], ["--arenas"])
for failure in failures:
    print(failure)
sys.exit(bool(failures))
