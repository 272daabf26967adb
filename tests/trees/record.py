#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Records the trees of this folder anew, from real programs started for it.

usage: MEMWHY=build/memwhy MEMWHY_HELPERS=build/tests/live tests/trees/record.py [NAME...]

As root, so that frames and map counts are in them. Each program is stopped while it is
recorded; --scrub keeps this machine's names out. Then rewrite the expected answers:
MW_UPDATE=1 meson test -C build --suite golden, and read the difference.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "live"))
import live  # noqa: E402
import targets  # noqa: E402

# Tree: which program, and which of its processes.
TREES = {
    "bash": (targets.bash, "bash"),
    "python3": (targets.python, "python3"),
    "node": (targets.node, "node"),
    "java": (targets.java, "java"),
    "redis": (targets.redis, "redis-server"),
    "nginx-worker": (targets.nginx, "nginx worker 0"),
    "prometheus": (targets.prometheus, "prometheus"),
    "musl": (targets.musl, "musl-static"),
    "keeper": (targets.script([live.HELPERS / "heap/keeper"]), "keeper"),
}
MEMORY = {"keeper"}


def capture(pid, place, *options, **how):
    argv = [os.environ["MEMWHY"], "capture", "--scrub", *options, str(pid), str(place)]
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, **how)


def record(name, program, process):
    place = HERE / name
    shutil.rmtree(place, ignore_errors=True)
    with program() as pids:
        capture(pids[process], place, "--stop", *["--memory"] * (name in MEMORY))


def record_as_nobody(name, pid):
    """What a user without rights sees: of a process of its own, and of somebody else's."""
    place = HERE / name
    shutil.rmtree(place, ignore_errors=True)
    with tempfile.TemporaryDirectory() as shared:
        os.chmod(shared, 0o777)
        capture(pid, pathlib.Path(shared) / name, user=live.NOBODY, group=live.NOBODY)
        shutil.copytree(pathlib.Path(shared) / name, place)


def record_limited(name):
    user = live.NOBODY if name == "own-user" else 0
    with subprocess.Popen(["/usr/bin/perl", "-e", "$| = 1; print 1; sleep 60"], user=user,
                          group=user, stdout=subprocess.PIPE) as target:
        target.stdout.read(1)
        record_as_nobody(name, target.pid)
        target.kill()


def main():
    for name in sys.argv[1:] or [*TREES, "own-user", "denied"]:
        if name in TREES:
            record(name, *TREES[name])
        else:
            record_limited(name)
        print(name)


if __name__ == "__main__":
    main()
