# SPDX-License-Identifier: MIT
"""Commands and options as the program has them, against man pages and completions."""
import re
import subprocess
import sys
from pathlib import Path

memwhy, source = sys.argv[1], Path(sys.argv[2])
failures = []


def ask(*args):
    return subprocess.run([memwhy, *args], capture_output=True, text=True,
                          check=True).stdout


def check(ok, what):
    if not ok:
        failures.append(what)


def options_of(help_text):
    """(long, letter or None) of every option line; own and common apart."""
    own, common, to = [], [], None
    for line in help_text.splitlines():
        if line == "common:":
            to = common
        found = re.match(r"  (?:-(\w),|   ) --([\w-]+)", line)
        if found:
            (own if to is None else to).append((found[2], found[1]))
    return own, common


def mdoc(name):
    """The page with its `Fl Fl x-y` and `Fl x`, as sets of words."""
    text = (source / "man" / name).read_text()
    return (set(re.findall(r"Fl Fl ([\w-]+)", text)),
            set(re.findall(r"(?<!Fl )Fl (\w)\b", text)))


commands = ask("help", "--list").split()
check(len(commands) >= 4, f"help --list names only {commands}")
main_page = (source / "man/memwhy.1").read_text()
main_long, main_letters = mdoc("memwhy.1")
scripts = {shell: (source / "completions" / name).read_text() for shell, name in
           (("bash", "memwhy.bash"), ("zsh", "_memwhy"), ("fish", "memwhy.fish"))}


def in_script(shell, option, letter):
    text = scripts[shell]
    if shell == "fish":
        if not re.search(rf"-l {option}\b(?!-)", text):
            return False
        return not letter or re.search(rf"-s {letter} -l {option}\b", text)
    if not re.search(rf"--{option}(?![\w-])", text):
        return False
    return not letter or re.search(rf"(?<![\w-])-{letter}(?![\w-])", text)


n_options = 0
for command in commands:
    page = f"memwhy-{command}.1"
    check((source / "man" / page).exists(), f"no man page man/{page}")
    check(f".It Cm {command}" in main_page, f"memwhy.1 does not list {command}")
    own, common = options_of(ask("help", command))
    check(len(common) >= 3, f"help {command} shows no common options")
    longs, letters = mdoc(page)
    for option, letter in own:
        check(option in longs, f"{page} lacks --{option}")
        check(not letter or letter in letters, f"{page} lacks -{letter}")
    for option, letter in common:
        check(option in main_long, f"memwhy.1 lacks --{option}")
        check(not letter or letter in main_letters, f"memwhy.1 lacks -{letter}")
    known = {option for option, _ in own + common} | {"list"}
    for option in longs - known:
        check(False, f"{page} describes --{option}, which {command} does not take")
    for option, letter in own + common:
        n_options += 1
        for shell in scripts:
            check(in_script(shell, option, letter),
                  f"{shell} completion lacks --{option} or its letter")
    for shell in scripts:
        check(re.search(rf"\b{command}\b", scripts[shell]),
              f"{shell} completion lacks the command {command}")

for failure in sorted(set(failures)):
    print(failure)
print(f"{len(commands)} commands, {n_options} options compared")
sys.exit(bool(failures))
