#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The zoo prints what it is made of; memwhy, which knows nothing of it, must agree."""

import live


def say(regions):
    return "; ".join(f"{r['start']}-{r['end']} {r['class']} {r['name']!r}" for r in regions)


def wrong_range(fact, regions):
    """What is wrong about one printed range, or None."""
    start, end = int(fact["start"], 16), int(fact["end"], 16)
    mine = live.inside(regions, start, end)
    if not mine:
        return f"{fact}: not in the map"
    if any(r["class"] not in fact["class"].split("|") for r in mine):
        return f"{fact}: is {say(mine)}"
    whole = live.address(mine[0]["start"]) == start and live.address(mine[-1]["end"]) == end
    if "rss" in fact and whole and live.total(r["rss"] for r in mine) != int(fact["rss"]):
        return f"{fact}: rss {[r['rss'] for r in mine]}"
    return None


def wrong_thread(fact, regions):
    """Its block is its stack, TLS and guard, and nothing else; and bears its name."""
    start, end = int(fact["stack"], 16), int(fact["end"], 16)
    mine = live.inside(regions, start, end)
    bad = [r for r in mine if r["class"] not in ("stack.thread", "tls", "guard")]
    stack = [r for r in mine if r["class"] == "stack.thread"]
    if bad:
        return f"{fact}: also {say(bad)}"
    if not stack or live.address(mine[-1]["end"]) != end:
        return f"{fact}: the block is {say(mine)}"
    if not all(fact["tid"] in r["name"] and fact["name"] in r["name"] for r in stack):
        return f"{fact}: named {[r['name'] for r in stack]}"
    return None


class Seen:
    """One look at one zoo, shared by the cases below."""
    target = facts = None

    @classmethod
    def look(cls):
        if cls.target is None:
            with live.scratch() as tmp, live.zoo(env={"TMPDIR": str(tmp)}) as target:
                with live.stopped(target.pid):
                    cls.map = live.map_json(target.pid, "--engine", "pages")
                    cls.why = live.why_json(target.pid)
            cls.target = target
            for fact in target.facts("skip"):
                print(f"# this machine has no {fact['what']}: {fact['why']}")
        return cls


@live.case
def ranges():
    """every printed range has its class"""
    seen = Seen.look()
    facts = seen.target.facts("range")
    wrong = [w for w in (wrong_range(f, seen.map["regions"]) for f in facts) if w]
    live.check(len(facts) > 60, f"the zoo printed only {len(facts)} ranges")
    live.check(not wrong, f"{len(wrong)} of {len(facts)}:\n" + "\n".join(wrong))


@live.case
def threads():
    """every thread's block is found, with its tid and name"""
    seen = Seen.look()
    facts = seen.target.facts("thread")
    wrong = [w for w in (wrong_thread(f, seen.map["regions"]) for f in facts) if w]
    live.check(len(facts) == 5, f"{len(facts)} threads")
    live.check(not wrong, "\n".join(wrong))


@live.case
def outside():
    """memory that Rss does not hold is told"""
    seen = Seen.look()
    told = {row["cause"]: row["bytes"] for row in seen.why["outside"]}
    for fact in seen.target.facts("outside"):
        live.check_equal(told.get(fact["cause"]), int(fact["bytes"]), fact["cause"])
    for cause in ("page-tables", "kernel-stacks"):
        live.check(told.get(cause), f"{cause} in {told}")


@live.case
def conserves():
    """the account of everything at once adds up"""
    live.check_why(Seen.look().why)


live.main()
