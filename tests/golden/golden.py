#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Recorded trees x commands x formats, against the answers that are kept here.

usage: golden.py MEMWHY TREES EXPECTED   (MW_UPDATE=1 rewrites; read the diff)

Each tree is tests/trees/NAME, each answer EXPECTED/NAME/COMMAND.  What a tree holds
and how it was made is in tests/trees/README.md.  On every tree the account is also
checked to conserve: buckets and rest sum to Rss.
"""
import json
import os
import pathlib
import subprocess
import sys

COMMANDS = {
    "why.txt": ["why"],
    "why-v.txt": ["why", "-v"],
    "why.json": ["why", "--json"],
    "why.csv": ["why", "--csv"],
    "why.ndjson": ["why", "--ndjson"],
    "map.txt": ["map"],
    "map-all.txt": ["map", "-a", "-k"],
    "map.json": ["map", "--json"],
    "map-smaps.json": ["map", "--engine", "smaps", "--json"],
    "map.csv": ["map", "--csv"],
    "map.ndjson": ["map", "--ndjson"],
    "map-summary.txt": ["map", "--summary"],
    "map-pages.txt": ["map", "--pages", "--class", "heap"],
    "map-sort.txt": ["map", "--sort", "rss", "--class", "lib"],
    "heap.txt": ["heap", "-v"],
    "heap.json": ["heap", "--json"],
    "pmap.txt": ["map", "--pmap"],
    "pmap-x.txt": ["map", "--pmap", "-x"],
    "pmap-X.txt": ["map", "--pmap", "-X", "-p"],
    "free.txt": ["free"],
    "free.json": ["free", "--json"],
    "free-classic.txt": ["free", "-w", "-l", "-t", "-v"],
    "top.csv": ["top", "--csv"],
    "top.ndjson": ["top", "--ndjson", "--by", "user"],
    "doctor.txt": ["doctor"],
    "doctor.json": ["doctor", "--json"],
}

# Of trees that have the memory of the process.
MEMORY_COMMANDS = {
    "heap-arenas.txt": ["heap", "--arenas"],
    "heap-sizes.txt": ["heap", "--sizes"],
    "heap-threads.txt": ["heap", "--threads"],
    "heap-pins.txt": ["heap", "--pins"],
    "heap-pins-only.txt": ["heap", "--pins", "--no-contents"],
    "heap-checks.txt": ["heap", "--checks", "-b"],
    "heap.csv": ["heap", "--csv"],
    "heap.ndjson": ["heap", "--ndjson"],
    "heap-pins.csv": ["heap", "--csv", "--pins"],
    "heap-sizes.ndjson": ["heap", "--ndjson", "--sizes"],
    "leaks.txt": ["leaks"],
    "page.txt": ["page", "0x55d065fb7000"],
    "page.json": ["page", "0x55d065fb7000", "--json"],
    "page-range.txt": ["page", "55d065fb7000..55d065fb9000"],
    "size-live.txt": ["size", "--live", "12122", "libc.so.6"],
    "leaks.json": ["leaks", "--json"],
}


def environment():
    env = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG"))}
    env.update(LC_ALL="C.UTF-8", COLUMNS="120", NO_COLOR="1", TERM="dumb")
    return env


def answer(memwhy, tree, args):
    # By a name that is as long everywhere: lines are broken by width.
    done = subprocess.run([memwhy, *args, "--root", tree.name], cwd=tree.parent,
                          env=environment(), stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=120)
    text = done.stdout.decode() + "".join(
        f"stderr: {line}\n" for line in done.stderr.decode().splitlines())
    return f"{text}exit: {done.returncode}\n"


def conserves(text):
    why = json.loads(text[:text.rindex("exit:")])
    total = sum(bucket["bytes"] for bucket in why["account"]) + why["rest"]
    return total == why["rss"], f"{total} of {why['rss']}"


class Tap:
    """Counts and prints results."""

    def __init__(self):
        self.n = self.failed = 0

    def result(self, good, name, detail=""):
        self.n += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.n} - {name}")
        for line in detail.splitlines()[:12] if not good else []:
            print(f"# {line}")


def first_difference(expected, got):
    for number, (a, b) in enumerate(zip(expected.splitlines(), got.splitlines()), 1):
        if a != b:
            return f"line {number}\nexpected {a}\ngot      {b}"
    return f"{len(expected.splitlines())} lines expected, {len(got.splitlines())} got"


def check_tree(tap, memwhy, tree, expected, update):
    has_memory = "memory yes" in (tree / "memwhy-tree").read_text().splitlines()
    for name, args in (COMMANDS | (MEMORY_COMMANDS if has_memory else {})).items():
        got = answer(memwhy, tree, args)
        path = expected / tree.name / name
        if update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(got.encode())
        want = path.read_bytes().decode() if path.exists() else ""
        tap.result(got == want, f"{tree.name} {name}", first_difference(want, got))
        if name == "why.json":
            good, detail = conserves(got)
            tap.result(good, f"{tree.name} account conserves", detail)


def main():
    memwhy, trees, expected = (pathlib.Path(arg).resolve() for arg in sys.argv[1:4])
    tap = Tap()
    for tree in sorted(t for t in trees.iterdir() if t.is_dir()):
        check_tree(tap, memwhy, tree, expected, os.environ.get("MW_UPDATE"))
    print(f"1..{tap.n}")
    return 1 if tap.failed or not tap.n else 0


if __name__ == "__main__":
    sys.exit(main())
