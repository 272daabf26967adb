#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What is asked for is done or refused, never half of it."""

import os

import live


def check_usage(args, *words):
    answer = live.memwhy(*args, codes=(2,))
    live.check(not answer.out, f"data beside an error: {answer}")
    for word in words:
        live.check(word in answer.err, f"{word!r} not in {answer}")


@live.case
def no_words():
    """without words: usage, on standard error"""
    check_usage([], "usage: memwhy")


@live.case
def refused():
    """options and operands that would be ignored are refused"""
    with live.holder("zero", 1) as target:
        pid = target.pid
        for args, word in (
                ([pid, pid], "too many"), (["map", pid, 1], "too many"),
                (["doctor", pid, 1], "too many"), (["capture", pid, "a", "b"], "too many"),
                (["--largest", pid], "--largest"), ([""], "empty"),
                (["-v", "map", pid], "comes first"),
                (["map", pid, "--class", "l"], "--class"),
                (["map", pid, "--class", ""], "--class"),
                (["map", pid, "--count", 2], "--watch"),
                (["map", pid, "--at", "0", "--summary"], "exclude"),
                (["map", pid, "--at", "0", "--class", "lib"], "exclude"),
                (["map", pid, "--at", "0", "--sort", "rss"], "exclude"),
                (["map", pid, "--diff", "/", "--watch"], "exclude"),
                (["map", pid, "--pages", "--watch"], "exclude")):
            check_usage(args, word)


@live.case
def wrong_places():
    """a directory that is not there is no process that ended"""
    with live.holder("zero", 1) as target:
        pid = target.pid
        check_usage(["--root", "/nonexistent/tree"], "/nonexistent/tree")
        check_usage(["capture", pid, "/nonexistent/tree"], "/nonexistent/tree")
        check_usage(["map", pid, "--diff", "/nonexistent"], "/nonexistent")


@live.case
def hostile_operand():
    """an error that quotes a name sends no control to the terminal"""
    for name in ("a\033[31mb", "a\u009b31mb", "a\rb"):
        answer = live.memwhy(name, codes=(4,))
        live.check(all(c >= " " and not "\x7f" <= c < "\xa0"
                       for c in answer.err.replace("\n", "")), repr(answer.err))


@live.case
def recommended():
    """what an answer on a recording recommends is about the recording"""
    with live.holder("zero", 1) as target, live.scratch() as place:
        tree = place / "a tree"
        live.memwhy("capture", target.pid, tree)
        why = live.why_json(None, "--root", tree)
    live.check_equal(why["next"], f"memwhy map --root '{tree}' {target.pid}", "next")


@live.case
def closed_pipe():
    """a reader that had enough is no failure, and leaves nothing stopped"""
    with live.holder("fill") as target:
        for args in (["map", target.pid, "-a"], ["map", target.pid, "--json", "--stop"],
                     [target.pid], ["help"]):
            ours, theirs = os.pipe()
            os.close(ours)
            answer = live.memwhy(*args, stdout=theirs, codes=(0,))
            os.close(theirs)
            live.check(not answer.err, str(answer))
            live.check(live.state(target.pid) in "RS", live.state(target.pid))


@live.case
def full_disk():
    """help that cannot be written is a failure too"""
    for args in (["help"], ["--help"], ["map", "--help"], ["--version"]):
        with open("/dev/full", "wb") as full:
            live.memwhy(*args, stdout=full, codes=(5,))


if __name__ == "__main__":
    live.main()
