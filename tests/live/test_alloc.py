#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Allocators other than glibc's, beside what the programs and the allocators themselves
say: to the block and to the byte where they are walked."""

import contextlib
import glob
import os
import re
import signal
import socket
import subprocess
import urllib.request

import heaps
import live
import targets

LIBRARIES = "/usr/lib/x86_64-linux-gnu"
PRELOADED = {
    "jemalloc": ("libjemalloc.so.2", "libjemalloc2"),
    "mimalloc": ("libmimalloc.so.2*", "libmimalloc2.0"),
    "tcmalloc": ("libtcmalloc_minimal.so.4", "libgoogle-perftools4"),
    "tcmalloc, with its profiler": ("libtcmalloc.so.4", "libgoogle-perftools4"),
}
STAGES = 5


def the(heap, name):
    found = [a for a in heap["allocators"] if a["name"] == name]
    live.check_equal(len(found), 1, f"{name} in {[a['name'] for a in heap['allocators']]}")
    return found[0]


def names(heap):
    return [a["name"] for a in heap["allocators"]]


class Truth(heaps.Speaker):
    """heap/alloc/truth.c: allocates in stages, says what it holds."""

    @staticmethod
    def figures(answer):
        said = {"truth": {}, "own": {}}
        for word, fields in answer:
            for key, value in fields.items():
                said[word][key] = int(value)
        return said

    def stage(self):
        return self.figures(self.ask("next"))


def check_sizes(wrong, mine, where):
    """The histogram has every block, once."""
    for key in ("blocks", "bytes"):
        wrong.equal(sum(row["live"][key] for row in mine["sizes"]), mine["live"][key],
                    f"{where}: {key} of the histogram")


def at_first(run, name):
    """What is live before the first stage. A static program of musl that has nothing
    live shows nothing of musl."""
    heap = heaps.heap_json(run.pid)
    return the(heap, name)["live"] if heap["allocators"] else {"blocks": 0, "bytes": 0}


def check_stages(run, name):
    """What is live grows by what the program says it allocated, to the byte."""
    wrong = heaps.Wrong()
    before = at_first(run, name)
    said = run.stage()
    for stage in range(1, STAGES + 1):
        heap = heaps.heap_json(run.pid)
        heaps.check_heap(heap, wrong)
        mine = the(heap, name)
        where = f"stage {stage}"
        wrong.equal(mine["depth"], "walked", f"{where}: depth")
        for key in ("blocks", "bytes"):
            wrong.equal(mine["live"][key] - before[key], said["truth"][key],
                        f"{where}: live {key}")
        check_sizes(wrong, mine, where)
        check_own(wrong, mine, said["own"], where)
        wrong.equal(mine["system"], mine["live"]["bytes"] + mine["overhead"]
                    + mine["free"]["bytes"], f"{where}: parts of what it has")
        if stage < STAGES:
            said = run.stage()
    with live.stopped(run.pid):
        live.check_why(live.why_json(run.pid, codes=(0, 1, 3)))
    wrong.settle()


def check_own(wrong, mine, own, where):
    """The allocator's own figures."""
    cached = mine["tcache"]["bytes"]
    if "allocated" in own:
        wrong.equal(mine["live"]["bytes"] + cached + own["internal"], own["allocated"],
                    f"{where}: stats.allocated")
        wrong.equal(cached, own["cached"], f"{where}: tcache_bytes")
    if "live" in own:
        wrong.equal(mine["live"]["bytes"], own["live"],
                    f"{where}: generic.current_allocated_bytes")
        wrong.true(mine["free"]["bytes"] >= own["pages"] + cached,
                   f"{where}: less kept than {own['pages']} in pages, {cached} cached")


@live.cases_for(PRELOADED, str)
def preloaded(name):
    """blocks and bytes equal the program's, stage by stage"""
    pattern, package = PRELOADED[name]
    found = sorted(glob.glob(f"{LIBRARIES}/{pattern}"))
    if not found:
        raise live.Skip(f"{pattern} is not installed (package {package})")
    program = heaps.PROGRAMS / "alloc/alloc-truth"
    with Truth([program], env=dict(os.environ, LD_PRELOAD=found[0])) as run:
        check_stages(run, name.partition(",")[0])


def check_lost(argv, **env):
    """`leaks` finds what the program forgot, and nothing else."""
    with Truth([*argv, "lose"], env=dict(os.environ, **env)) as run:
        truth = run.stage()["truth"]
        found = heaps.leaks_json(run.pid)["leaked"]
    # Blocks of 8 bytes count by twos, and an allocator's own variables keep old pointers;
    # tcmalloc forgets 8 bytes itself.
    for what, lost, got, more in (("blocks", truth["lost"], found["blocks"], 1),
                                  ("bytes", truth["lost_bytes"], found["bytes"], 8)):
        live.check(lost * 0.97 <= got <= lost + more, f"{what}: {got}, lost {lost}")


@live.cases_for(PRELOADED, str)
def leaks_preloaded(name):
    """leaks finds what is lost in the heap of another allocator"""
    pattern, package = PRELOADED[name]
    found = sorted(glob.glob(f"{LIBRARIES}/{pattern}"))
    if not found:
        raise live.Skip(f"{pattern} is not installed (package {package})")
    check_lost([heaps.PROGRAMS / "alloc/alloc-truth"], LD_PRELOAD=found[0])


@live.case
def leaks_musl():
    """leaks finds what is lost in the heap of a static program of musl."""
    compiler = live.need_program("musl-gcc", "musl-tools")
    source = os.path.join(os.path.dirname(__file__), "heap/alloc/truth.c")
    with live.scratch() as place:
        subprocess.run([compiler, "-static", "-o", place / "truth", source], check=True)
        check_lost([place / "truth"])


@live.case
def brk_of_tcmalloc():
    """[heap] of a process with tcmalloc is not glibc's."""
    library = f"{LIBRARIES}/libtcmalloc_minimal.so.4"
    if not os.path.exists(library):
        raise live.Skip("libtcmalloc_minimal.so.4 (package libgoogle-perftools4)")
    program = heaps.PROGRAMS / "alloc/alloc-truth"
    with Truth([program], env=dict(os.environ, LD_PRELOAD=library)) as run:
        run.stage()
        brk = [r for r in live.smaps(run.pid) if r["name"] == b"[heap]"]
        heap = heaps.heap_json(run.pid)
        mine = the(heap, "tcmalloc")
        others = sum(a["live"]["bytes"] for a in heap["allocators"] if a is not mine)
    live.check(brk and brk[0]["end"] - brk[0]["start"] <= mine["system"],
               f"[heap] {brk}, tcmalloc has {mine['system']}")
    live.check(others < 1 << 20, f"others hold {others} bytes: {names(heap)}")


@live.cases_for(["-static", "-O1"], lambda flag: flag.replace("-O1", "dynamic"))
def musl(flag):
    """blocks and bytes equal the program's, stage by stage: musl"""
    compiler = live.need_program("musl-gcc", "musl-tools")
    source = os.path.join(os.path.dirname(__file__), "heap/alloc/truth.c")
    with live.scratch() as place:
        # A build that is not position independent, and one that is, lie differently.
        subprocess.run([compiler, flag, "-o", place / "truth", source], check=True)
        with Truth([place / "truth"]) as run:
            check_stages(run, "musl")


PYTHON = """
import sys, os, signal
kept = [str(i) * 3 for i in range(200000)]
more = {i: (i, str(i)) for i in range(50000)}
kept = kept[::3] + [bytes(300000) for i in range(20)]
del more
stats, wait = sys._debugmallocstats, signal.pause
os.write(1, b"ready\\n")
stats()
wait()
"""


def python_stats(text):
    """{size: live blocks} and the totals of sys._debugmallocstats()."""
    rows = re.findall(r"^ +\d+ +(\d+) +\d+ +(\d+) +(\d+)$", text, re.M)
    totals = dict(re.findall(r"^(.*?\S)\s+=\s+([\d,]+)$", text, re.M))
    number = {key: int(value.replace(",", "")) for key, value in totals.items()}
    return {int(size): int(used) for size, used, _ in rows if int(used)}, number


def ask_python(place, **env):
    """Waits until everything was said and nothing runs; the interpreter then rests."""
    log = open(place / "log", "w+b")
    target = live.Target(["/usr/bin/python3", "-c", PYTHON], stderr=log,
                         env=dict(targets.environment(place), **env))
    heaps.resting(target.pid)
    return target, (place / "log").read_text()


@live.case
def python():
    """pymalloc: every size class, free pools and arenas equal sys._debugmallocstats()."""
    wrong = heaps.Wrong()
    with live.scratch() as place:
        target, text = ask_python(place)
        with target:
            heap = heaps.heap_json(target.pid)
    heaps.check_heap(heap, wrong)
    mine = the(heap, "pymalloc")
    used, totals = python_stats(text)
    wrong.true(len(used) > 20, f"no rows in {text[:500]!r}")
    wrong.equal({row["size"]: row["live"]["blocks"] for row in mine["sizes"]
                 if row["live"]["blocks"]}, used, "live blocks by size")
    wrong.equal(mine["live"]["bytes"], totals["# bytes in allocated blocks"], "live bytes")
    free = next(value for key, value in totals.items() if "unused pools" in key)
    wrong.equal(mine["free"]["bytes"], totals["# bytes in available blocks"] + free,
                "bytes kept")
    wrong.equal(mine["system"], next(value for key, value in totals.items()
                                     if "bytes/arena" in key), "arenas")
    wrong.true(not mine["nested"], "arenas are mapped, not malloc's")
    wrong.settle()


@live.case
def python_without_pymalloc():
    """pymalloc that is not used is only recognised, and says so."""
    with live.scratch() as place:
        target, _ = ask_python(place, PYTHONMALLOC="malloc")
        with target:
            mine = the(heaps.heap_json(target.pid), "pymalloc")
    live.check_equal((mine["depth"], mine["live"]["bytes"]), ("recognised", 0), "pymalloc")
    live.check("PYTHONMALLOC" in mine["note"], mine["note"])


NODE = """
const kept = [], v8 = require('v8'), fs = require('fs');
for (let i = 0; i < 300000; i++) kept.push({ i, s: 'n' + i });
const doubles = new Array(500000).fill(1.5);
gc();
setTimeout(() => {
  const said = v8.getHeapSpaceStatistics().map(s =>
    `space name=${s.space_name} size=${s.space_size} used=${s.space_used_size}`);
  fs.writeSync(1, said.join('\\n') + '\\nready\\n');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  console.log(kept.length, doubles.length);
}, 1000);
"""
# What asking allocates, in the new space or, where that is full, in the old one.
SAYING = 256 << 10


@live.case
def node():
    """V8: every space's size, and what is allocated in it, as V8 says."""
    live.need_program("node", "nodejs")
    wrong = heaps.Wrong()
    with live.scratch() as place, \
            live.Target(["node", "--expose-gc", "-e", NODE], cwd=place,
                        env=targets.environment(place)) as target:
        heaps.resting(target.pid)
        heap = heaps.heap_json(target.pid)
        said = {row["name"]: row for row in target.facts("space")}
    mine = the(heap, "v8")
    wrong.equal(mine["depth"], "counted", "depth")
    wrong.true(mine["note"], "no note")
    found = {"new": "new_space", "old": "old_space", "code": "code_space",
             "large": "large_object_space"}
    arenas = {arena["name"]: arena for arena in mine["arenas"]}
    for name, space in found.items():
        if int(said[space]["size"]) == 0:
            continue
        if name not in arenas:
            wrong.append(f"no {name} among {list(arenas)}")
            continue
        used = int(said[space]["used"])
        slack = SAYING if name in ("new", "old") else 0
        wrong.equal(arenas[name]["system"], int(said[space]["size"]), f"{name}: size")
        wrong.true(abs(arenas[name]["live"]["bytes"] - used) <= slack,
                   f"{name}: {arenas[name]['live']['bytes']} used, V8 says {used}")
    wrong.settle()


@live.cases_for(["Serial", "Parallel", "G1"], str)
def java(collector):
    """JVM: spaces and metaspace as jstat reads them"""
    run = live.need_program("java", "default-jdk-headless")
    jstat = live.need_program("jstat", "default-jdk-headless")
    compiler = live.need_program("javac", "default-jdk-headless")
    wrong = heaps.Wrong()
    with live.scratch() as place:
        (place / "Hold.java").write_text(targets.JAVA_PROGRAM)
        subprocess.run([compiler, "-d", place, place / "Hold.java"], check=True,
                       env=targets.environment(place))
        with live.Target([run, f"-XX:+Use{collector}GC", "-Xmx256m", "-cp", place,
                          "Hold"], env=targets.environment(place)) as target:
            heaps.resting(target.pid)
            mine = the(heaps.heap_json(target.pid), "jvm")
            text = subprocess.run([jstat, "-gc", str(target.pid)], check=True,
                                  capture_output=True, text=True).stdout
    head, values = (line.split() for line in text.splitlines()[:2])
    said = {key: float(value) * 1024 for key, value in zip(head, values) if value != "-"}
    arenas = {arena["name"]: arena for arena in mine["arenas"]}
    old = arenas.get("old") or arenas["space"]
    for what, found, want in (
            ("old, used", old["live"]["bytes"], said["OU"]),
            ("old", old["system"], said["OC"]),
            ("eden", arenas["eden"]["system"], said["EC"]),
            ("eden, used", arenas["eden"]["live"]["bytes"], said["EU"]),
            ("metaspace", arenas["metaspace"]["system"], said["MC"]),
            ("metaspace, used", arenas["metaspace"]["live"]["bytes"], said["MU"])):
        # jstat prints tenths of a KiB; the JVM brings eden up to date now and then.
        slack = 1 << 20 if what == "eden, used" else 103
        wrong.true(abs(found - want) <= slack, f"{what}: {found}, jstat says {want}")
    wrong.equal(mine["depth"], "counted", "depth")
    wrong.settle()


@live.case
def java_without_counters():
    """A JVM without counters is recognised, and the note says why."""
    live.need_program("java", "default-jdk-headless")
    with targets.java() as running:
        mine = the(heaps.heap_json(running["java"]), "jvm")
    live.check_equal(mine["depth"], "recognised", "depth")
    live.check("UsePerfData" in mine["note"], mine["note"])


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def go_metrics(port):
    """What the Go runtime says of its heap, as its program publishes it."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as page:
        text = page.read().decode()
    return {name: int(float(value)) for name, value in
            re.findall(r"^go_memstats_(\w+_bytes|heap_objects) (\S+)$", text, re.M)}


@contextlib.contextmanager
def prometheus():
    path = live.need_program("prometheus")
    port = free_port()
    with live.scratch() as place:
        (place / "prometheus.yml").write_text("global: {scrape_interval: 1h}\n")
        with live.Target([path, f"--config.file={place}/prometheus.yml",
                          f"--storage.tsdb.path={place}/data",
                          f"--web.listen-address=127.0.0.1:{port}"], ready=None,
                         cwd=place, stderr=subprocess.DEVNULL,
                         env=targets.environment(place)) as target:
            def answers():
                with contextlib.suppress(OSError):
                    return go_metrics(port)
                return None
            live.wait_until(answers, "prometheus to answer")
            yield target, port


@live.case
def go():
    """Go: what its spans hold is what the runtime's own figures say."""
    wrong = heaps.Wrong()
    with prometheus() as (target, port):
        want = re.search(rb"go1\.\d+(\.\d+)?", subprocess.run(
            ["prometheus", "--version"], capture_output=True).stdout)[0].decode()
        heaps.resting(target.pid)
        before = go_metrics(port)
        mine = the(heaps.heap_json(target.pid, codes=(0, 1, 3)), "go")
        after = go_metrics(port)
    wrong.equal((mine["version"], mine["depth"]), (want, "counted"), "version, depth")
    wrong.true(all(check["ok"] for check in mine["checks"]), str(mine["checks"]))
    arenas = {arena["name"]: arena for arena in mine["arenas"]}
    # Every answer of the program allocates some 200 KiB, and may begin a collection.
    slack = 2 << 20

    def between(found, *keys):
        said = [sum(figures[key] for key in keys) for figures in (before, after)]
        wrong.true(min(said) - slack <= found <= max(said) + slack,
                   f"{keys}: {found}, the runtime says {said}")

    between(mine["system"], "heap_sys_bytes", "stack_sys_bytes")
    between(arenas["objects"]["system"], "heap_inuse_bytes")
    between(arenas["objects"]["live"]["bytes"], "heap_alloc_bytes")
    between(arenas["stacks"]["system"], "stack_inuse_bytes")
    check_sizes(wrong, {"sizes": mine["sizes"], "live": arenas["objects"]["live"]}, "go")
    wrong.settle()


@contextlib.contextmanager
def sleeping():
    with live.Target(["sleep", "60"], ready=None) as target:
        live.wait_until(lambda: live.state(target.pid) == "S", "sleep")
        yield target


@live.case
def nobody_else():
    """Programs without them have none of them."""
    with sleeping() as target, targets.perl() as perl, targets.bash() as bash:
        for pid in (target.pid, perl["perl"], bash["bash"]):
            live.check_equal(names(heaps.heap_json(pid)), ["glibc"], "allocators")


@live.case
def ends_meanwhile():
    """A target that is killed while its heap is looked at."""
    library = f"{LIBRARIES}/libjemalloc.so.2"
    if not os.path.exists(library):
        raise live.Skip("libjemalloc.so.2 is not installed (package libjemalloc2)")
    program = heaps.PROGRAMS / "alloc/alloc-truth"
    for _ in range(5):
        with Truth([program], env=dict(os.environ, LD_PRELOAD=library)) as run:
            run.stage()
            look = subprocess.Popen([live.MEMWHY, "heap", str(run.pid), "--json"],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            os.kill(run.pid, signal.SIGKILL)
            text = look.communicate(timeout=60)[1]
            live.check(look.returncode in (0, 1, 3, 4), f"{look.returncode}: {text}")


if __name__ == "__main__":
    live.main()
