#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs labs, and wants every fact to hold on this machine.

usage: check.py MEMWHY [LAB...]
       check.py --self-test

Without names every lab that MEMWHY lists is run, and each of its variants that is built
from lab.c; as root also as another user; what breaks, up to three times. What cannot be seen is excused: for want of a
right where this is not root, and for root where the lab or the step says what it needs
and has not. Speaks TAP.
"""
import json
import os
import pathlib
import subprocess
import sys

LIMIT = 300
TRIES = 3
NOBODY = 65534
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
             "--inh-caps=-all", "env", "HOME=/tmp"]


def unseen_of(step):
    """What of a step could not be seen, in words."""
    lost = [f"{fact['text']}: {fact['why']}" for fact in step["facts"]
            if fact["verdict"] == "unseen"]
    if step["expected"] == "unseen":
        lost.append(f"the answer: {step['unseen']}")
    return lost


def broken_of(step):
    broken = [f"{fact['text']}: {fact['source']} ({fact['why']})"
              for fact in step["facts"] if fact["verdict"] == "broken"]
    if step["expected"] == "broken":
        broken.append(f"the kernel answered {step['answer']}, not {step['expect']}")
    return broken


def judge(answer, is_root):
    """Complaints about an answer."""
    found = []
    for step in answer["steps"]:
        where = f"step {step['name']}"
        found += [f"{where}: broken: {what}" for what in broken_of(step)]
        if is_root and not answer["lacks"] and not step["lacks"]:
            found += [f"{where}: unseen by root: {what}" for what in unseen_of(step)]
    if not answer["facts"]["held"] and not answer["lacks"]:
        found.append("no fact was checked")
    return found


def run(memwhy, lab, variant, nobody):
    """Complaints about one run, and what came out in words."""
    command = [memwhy, "lab", lab, "--auto", "--json"]
    if variant:
        command.append(f"--variant={variant}")
    done = subprocess.run([*(AS_NOBODY if nobody else []), *command], cwd="/",
                          stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=LIMIT)
    if done.returncode not in (0, 1):
        return [f"status {done.returncode}: {done.stderr}"], ""
    answer = json.loads(done.stdout)
    facts = answer["facts"]
    found = judge(answer, os.geteuid() == 0 and not nobody)
    if done.returncode != bool(facts["broken"]):
        found.append(f"status {done.returncode} with {facts['broken']} broken facts")
    return found, f"{facts['held']} held, {facts['unseen']} could not be seen"


def run_settled(memwhy, lab, variant, nobody):
    """The same, and all that was seen on the way. A fact is about one process, but its
    pages are the machine's, and another program may make the kernel take one away: what
    breaks once in three runs is told, and what breaks in each of them is broken."""
    seen = []
    for turn in range(1, TRIES + 1):
        found, words = run(memwhy, lab, variant, nobody)
        seen += [f"run {turn}: {what}" for what in found]
        if not found:
            break
    return found, words, seen


def variants_of(folder):
    """Other programs of the same steps; those of another source only help them."""
    build = pathlib.Path(folder, "build")
    lines = build.read_text().splitlines() if build.exists() else []
    words = [line.split() for line in lines]
    return [name for name, source, *_ in filter(None, words) if source == "lab.c"]


def cases(memwhy, names):
    """(lab, variant, whether as nobody) of all that is to be run."""
    listed = subprocess.run([memwhy, "lab", "--json"], capture_output=True, text=True)
    if listed.returncode:
        print(f"Bail out! {listed.stderr}")
        sys.exit(1)
    for lab in json.loads(listed.stdout)["labs"]:
        if names and lab["name"] not in names:
            continue
        yield lab["name"], None, False
        for variant in variants_of(lab["dir"]):
            yield lab["name"], variant, False
        if os.geteuid() == 0:
            yield lab["name"], None, True


def may_run(memwhy):
    return subprocess.run([*AS_NOBODY, memwhy, "--version"], cwd="/",
                          capture_output=True).returncode == 0


def self_test():
    step = {"name": "s", "lacks": None, "expected": "held", "answer": "1", "expect": "1",
            "unseen": None, "facts": []}
    fact = {"verdict": "held", "text": "t", "source": "x == 1", "why": None}

    def answer(held=1, lacks=None, **changed):
        return {"lacks": lacks, "steps": [step | changed], "facts": {"held": held}}

    unseen = {"expected": "unseen", "unseen": "denied"}
    tries = [
        (answer(), True, 0), (answer(held=0), True, 1),
        (answer(held=0, lacks="swap"), True, 0), (answer(expected="broken"), False, 1),
        (answer(facts=[fact | {"verdict": "broken"}]), False, 1),
        (answer(facts=[fact | {"verdict": "unseen"}]), True, 1),
        (answer(facts=[fact | {"verdict": "unseen"}]), False, 0),
        (answer(**unseen), True, 1), (answer(**unseen, lacks="swap"), True, 0),
    ]
    for given, is_root, want in tries:
        if len(judge(given, is_root)) != want:
            sys.exit(f"wrong about {given}")
    print(f"{len(tries)} answers judged as they should be")


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    memwhy, *names = sys.argv[1:]
    memwhy = os.path.abspath(memwhy)
    os.environ.pop("MEMWHY_LABS", None)
    failed, nobody_may = False, os.geteuid() == 0 and may_run(memwhy)
    todo = list(cases(memwhy, names))
    print(f"1..{len(todo)}", flush=True)
    for number, (lab, variant, nobody) in enumerate(todo, 1):
        title = f"{lab}{' --variant ' + variant if variant else ''}" \
                f"{' as nobody' if nobody else ''}"
        if nobody and not nobody_may:
            print(f"ok {number} - {title} # SKIP nobody cannot run {memwhy}", flush=True)
            continue
        found, words, seen = run_settled(memwhy, lab, variant, nobody)
        failed |= bool(found)
        print(f"{'not ' if found else ''}ok {number} - {title}{words and ': '}{words}")
        for what in seen:
            print(f"# {what}", flush=True)
    return sys.exit(failed or not todo)


main()
