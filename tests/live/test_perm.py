#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What another user sees: never a zero for what was denied, always a remedy."""

import shutil

import live

ME = live.NOBODY
OTHER = live.NOBODY - 1


class AsNobody:
    """memwhy where an unprivileged user can run it."""

    def __enter__(self):
        live.need_root()
        live.need_program("setpriv", "util-linux")
        self.dir = live.scratch(0o755)
        place = self.dir.__enter__()
        for name in ("memwhy", "holder"):
            source = live.MEMWHY if name == "memwhy" else live.HELPERS / name
            shutil.copy(source, place / name)
            (place / name).chmod(0o755)
        self.kept = live.MEMWHY, live.HELPERS
        live.MEMWHY, live.HELPERS = str(place / "memwhy"), place
        return self

    def __exit__(self, *error):
        live.MEMWHY, live.HELPERS = self.kept
        self.dir.__exit__(*error)


def check_limits(answer):
    live.check(answer["limits"], "something was denied, and limits are empty")
    live.check(any(limit["remedy"] for limit in answer["limits"]),
               f"no remedy in {answer['limits']}")


@live.case
def own_process():
    """the same user without capabilities gets everything but frames"""
    with AsNobody():
        with live.alone([live.HELPERS / "holder", "pages", "500"], user=ME) as target:
            why = live.why_json(target.pid, user=ME)
            live.check_why(why)
            kernel = live.rollup(target.pid)
            live.check_equal(why["rss"], live.resident(target.pid), "rss")
            live.check_equal(why["uss"],
                             kernel["Private_Clean"] + kernel["Private_Dirty"], "uss")
            live.check(abs(why["pss"] - kernel["Pss"]) <= 1024, f"pss {why['pss']}")
            answer = live.map_json(target.pid, user=ME)
            live.check(all(r["rss"] is not None for r in answer["regions"]), "rss unknown")


@live.case
def foreign_process():
    """of a foreign process the totals of status, and the rest as gaps"""
    with AsNobody(), live.holder("pages", 500) as target, live.stopped(target.pid):
        why = live.why_json(target.pid, user=ME, codes=(3,))
        live.check_equal(why["rss"], live.status(target.pid)["VmRSS"], "rss")
        for key in ("pss", "uss"):
            live.check_equal(why[key], None, f"{key} of a foreign process")
        live.check_equal(sum(row["bytes"] for row in why["account"]) + why["rest"],
                         why["rss"], "account + rest")
        check_limits(why)


@live.case
def foreign_map():
    """the map of a foreign process is a gap, not an empty table of zeros"""
    with AsNobody(), live.holder("pages", 500, user=OTHER, cwd="/") as target:
        answer = live.map_json(target.pid, user=ME, codes=(3,))
        live.check_equal(answer["regions"], [], "regions")
        live.check(answer["totals"]["rss"] != 0, "rss 0 for what was denied")
        for key in ("pss", "private", "shared"):
            live.check(answer["totals"][key] is None, f"{key}: {answer['totals'][key]}")
        check_limits(answer)


@live.case
def foreign_text():
    """the text for people names the remedy and shows no invented zero"""
    with AsNobody(), live.holder("pages", 500) as target:
        said = live.memwhy(target.pid, user=ME, codes=(3,))
        live.check("sudo" in said.text + said.err, f"no remedy: {said.text} {said.err}")
        live.check("Pss 0" not in said.text, said.text)


@live.case
def foreign_stop():
    """--stop of a foreign process is refused and said"""
    with AsNobody(), live.holder("pages", 10) as target:
        said = live.memwhy(target.pid, "--stop", user=ME, codes=None)
        live.check(said.code in (2, 3), str(said))
        live.check_equal(live.status(target.pid)["TracerPid"], "0", "tracer")


@live.case
def doctor():
    """doctor answers for an unprivileged user, and names what is closed"""
    with AsNobody():
        said = live.memwhy("doctor", user=ME, codes=(0, 3))
        live.check(len(said.text) > 200, said.text)
        live.check_equal(live.memwhy("doctor", "--json", user=ME,
                                     codes=(0, 3)).json["schema"].split("/")[0],
                         "memwhy.doctor", "schema")


@live.case
def largest():
    """--largest takes one that may be read"""
    with AsNobody(), live.holder("stripes", 64, user=ME, cwd="/") as target:
        why = live.why_json(None, "--largest", user=ME, codes=(0, 3))
        live.check_why(why)
        live.check(why["rss"] > 0, f"{why['process']}")
        live.check(target.pid, "the target is there")


live.main()
