#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""`map --pmap` beside procps' pmap: the same bytes in every mode on every process, and
the places where that pmap is wrong, each with both outputs."""

import mmap
import os
import pathlib
import subprocess
import tempfile

import live

MODES = ([], ["-x"], ["-X"], ["-XX"], ["-d"])
PAIRS = [[*mode, *more] for mode in MODES for more in ([], ["-q"], ["-p"], ["-q", "-p"])]
TRIES = 20
# Looks between which procps agrees with itself, before it counts that memwhy does not.
STEADY = 6
MISSING = 42


def theirs(*args):
    done = subprocess.run(["pmap", *map(str, args)], capture_output=True, check=False)
    return done.returncode, done.stdout


def ours(*args):
    answer = live.memwhy("map", "--pmap", *args, codes=None)
    return answer.code, answer.out


def same(want, got, args):
    """Equal but for two things. A memfd's name with a slash, which procps cuts there; and
    what is shared, where others came and went: procps and memwhy are two of them."""
    want, got = want.split(b"\n"), got.split(b"\n")
    if len(want) != len(got):
        return False
    titled = theirs(*(arg for arg in args if arg != "-q"))[1].split(b"\n")
    head = next((line.split() for line in titled if b" Pss" in line), [])
    shares = {i for i, name in enumerate(head)
              if name.startswith((b"Pss", b"Shared_", b"Private_"))}
    fixed = len({b"Address", b"Perm", b"Offset", b"Device", b"Inode"} & set(head))
    for a, b in zip(want, got):
        if a == b or (b"memfd:" in b and b.endswith(a[-8:])):
            continue
        if not shares:
            return False
        a, b = a.split(), b.split()
        drop = {i - fixed for i in shares} if a and a[-1] == b"KB" else shares
        if a[:1] and set(a[0]) == {ord("=")}:
            continue
        if [x for i, x in enumerate(a) if i not in drop] != \
                [x for i, x in enumerate(b) if i not in drop]:
            return False
    return True


def settle(*args):
    """Compares both outputs. False: procps' own never stood still for it."""
    steady = 0
    for _ in range(TRIES):
        before, got, after = theirs(*args), ours(*args), theirs(*args)
        if got[0] == after[0] and same(after[1], got[1], args):
            return True
        steady += before == after
    if steady < STEADY or theirs(*args)[0] == MISSING:
        return False
    lines = zip(after[1].split(b"\n") + [b""], got[1].split(b"\n") + [b""])
    first = next((pair for pair in lines if pair[0] != pair[1]), None)
    raise AssertionError(f"{args}: status {after[0]}, {got[0]}; procps, memwhy: {first}")


@live.case
def every_mode():
    """every mode and pair of options, on a program with all kinds of mappings"""
    live.need_program("pmap", "procps")
    with live.zoo() as target, live.stopped(target.pid):
        for options in PAIRS:
            live.check(settle(*options, target.pid), options)


@live.case
def every_process():
    """every process of this machine, in every mode"""
    live.need_program("pmap", "procps")
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        for mode in MODES:
            settle(*mode, name)


@live.case
def ranges():
    """-A: an address, a range, an open range"""
    with live.holder("zero", 1) as target, live.stopped(target.pid):
        rows = live.smaps(target.pid, "maps")
        low, high = rows[2]["start"], rows[6]["end"] - 1
        for text in (f"{low:x}", f"{low:x},{high:x}", f"{low:x},", f"0x{low:x},{high:x}",
                     f"{low + 1:x}", f"{low:x},{low:x}", "1,2"):
            for mode in ([], ["-d"], ["-q"], ["-X"]):
                settle(*mode, "-A", text, target.pid)
        for text in ("x", "1,x", ","):
            live.memwhy("map", "--pmap", "-A", text, target.pid,
                        codes=(1,) if text != "," else (0, 1))


@live.case
def configurations():
    """-c, -C, -n, -N: files of columns"""
    with live.holder("zero", 1) as target, live.stopped(target.pid), \
            live.scratch() as place:
        for index, text in enumerate((
                "[Fields Display]\nSize\nRss\nPss\n[Mapping]\nShowPath\n",
                "# nothing\n", "[Fields Display]\nSwap\nNope\nMapping\nVmFlags\n",
                "[Fields Display]\nPerm\nInode # a comment\n",
                # Lines that are not understood; a section nobody knows; ShowPath twice.
                "junk\n[Fields Display]\nSize Rss\nPerm#x\n[Other]\nRss\n",
                "[Fields Display] Rss\n[broken\nSize\n [Mapping] # x\nwhat\nShowPath\n",
                "[Mapping]\nShowPath\nShowPath\n[fields display]\nSize\n")):
            path = place / f"rc{index}"
            path.write_text(text)
            for more in ([], ["-q"], ["-p"]):
                settle("-C", path, *more, target.pid)
        bad = place / "bad"
        bad.write_text("[Fields Display]\njunk junk\n")
        answer = live.memwhy("map", "--pmap", "-C", bad, target.pid)
        live.check("line 2" in answer.err, str(answer))
        live.check_equal(ours("-C", place / "none", target.pid)[0],
                         theirs("-C", place / "none", target.pid)[0], "no such file")
        home = dict(os.environ, HOME=str(place))
        live.memwhy("map", "--pmap", "-n", env=home)
        with open(place / ".pmaprc", "a", encoding="ascii") as rc:
            rc.write("[Fields Display]\nRss\n")
        want = subprocess.run(["pmap", "-c", str(target.pid)], capture_output=True,
                              check=False, env=home).stdout
        live.check_equal(live.memwhy("map", "--pmap", "-c", target.pid, env=home).out, want,
                         "-c")
        made = place / "made"
        live.memwhy("map", "--pmap", "-N", made)
        settle("-C", made, target.pid)
        live.memwhy("map", "--pmap", "-N", made, codes=(1,))


@live.case
def statuses():
    """exit statuses: 42 for a process that is not there, 1 for what is refused"""
    with live.holder("zero", 1) as target:
        for args in ((999999,), (target.pid, 999999), (f"/proc/{target.pid}",), ("abc",),
                     ("0",), (), ("-x", "-d", target.pid), ("-n", target.pid),
                     ("-Z", target.pid), (f"/{target.pid}",), ("/proc/self",),
                     (f"/proc/{target.pid}/",), (f"/proc/self/task/{target.pid}",),
                     ("99999999999",), ("",)):
            live.check_equal(ours(*args)[0], theirs(*args)[0], args)
        live.need_root()
        refused = live.memwhy("map", "--pmap", "-x", target.pid, codes=(1,),
                              user=live.NOBODY)
        live.check(refused.err and refused.text.count("\n") == 1, str(refused))


@live.case
def by_name():
    """called as pmap it takes pmap's command line"""
    with live.holder("zero", 1) as target, live.stopped(target.pid), \
            live.scratch() as place:
        link = place / "pmap"
        link.symlink_to(os.path.abspath(live.MEMWHY))
        for args in (["-x", str(target.pid)], ["-q", str(target.pid)], ["999999"]):
            got = subprocess.run([link, *args], capture_output=True, check=False)
            live.check_equal((got.returncode, got.stdout), theirs(*args), args)
        version = subprocess.run([link, "-V"], capture_output=True, check=False)
        live.check(version.returncode == 0 and b"memwhy" in version.stdout, version)


@live.case
def kernel_names():
    """-k, which procps-ng has since 4.0.6: names as the kernel has them, else the same"""
    with live.zoo() as target, live.stopped(target.pid):
        rows = live.smaps(target.pid, "maps")
        for mode in ([], ["-x"], ["-d"]):
            plain = ours(*mode, "-q", target.pid)[1].split(b"\n")[1:-1]
            named = ours(*mode, "-q", "-k", target.pid)[1].split(b"\n")[1:-1]
            live.check_equal(len(named), len(rows), "rows")
            for row, without, line in zip(rows, plain, named):
                if row["name"] and b"/" not in row["name"]:
                    live.check(line.endswith(b" " + row["name"]), (row, line))
                else:
                    live.check_equal(line, without, row)
        live.check(any(line.endswith(b" [heap]") for line in named), "[heap]")


@live.case
def strange_names():
    """names and command lines of any bytes, in two locales"""
    named = (b"new\nline", b"\x1b[31mred", b"tab\there", b"a b  c ", b"(deleted)",
             "\u00fcn\u00ef \u4e2d".encode(), b"no-\xff\xfe-utf8", b"[stack]", b"x/SYSV12")
    with live.scratch() as place:
        paths = [bytes(place) + b"/" + name for name in named]
        (place / "x").mkdir()
        for path in paths:
            pathlib.Path(os.fsdecode(path)).write_bytes(b"x" * live.PAGE)
        for locale in "C", "C.UTF-8":
            env = dict(os.environ, LC_ALL=locale)
            with live.Target([live.HELPERS / "holder", "files",
                              *map(os.fsdecode, paths)]) as target, \
                    live.stopped(target.pid):
                for mode in ([], ["-p"], ["-x"], ["-d", "-p"]):
                    got = live.memwhy("pmap", *mode, target.pid, env=env).out
                    want = subprocess.run(["pmap", *mode, str(target.pid)], env=env,
                                          capture_output=True, check=True).stdout
                    live.check_equal(got.split(b"\n"), want.split(b"\n"), (locale, mode))
                # There procps sends controls to the terminal.
                out = live.memwhy("pmap", "-X", target.pid, env=env).out
                live.check(b"\x1b" not in out and b"\t" not in out and b"\xff" not in out,
                           out)


@live.case
def no_memory():
    """a zombie and a kernel thread: procps' empty table, and a word on standard error"""
    with live.holder("zombie") as target:
        pids = [target.facts("zombie")[0]["pid"]]
        if os.path.exists("/proc/2") and "VmSize" not in live.status(2):
            pids.append(2)
        for pid in pids:
            for mode in MODES:
                answer = live.memwhy("map", "--pmap", *mode, pid)
                live.check_equal(answer.out, theirs(*mode, pid)[1], (pid, mode))
                live.check("maps nothing" in answer.err, str(answer))


@live.case
def own_formats():
    """what has tables of its own has no other formats: told, not ignored"""
    with live.holder("zero", 1) as target:
        for option in "--json", "--csv", "--ndjson", "-b", "-m", "--color":
            answer = live.memwhy("map", "--pmap", option, target.pid, codes=(1,))
            live.check(not answer.out and "unknown option" in answer.err, str(answer))


# --- Where procps is wrong --------------------------------------------------------------

def last_number(out, index):
    return int(out.decode().splitlines()[-1].split()[index])


@live.case
def long_paths():
    """a path of more than 1000 bytes makes no row of its own"""
    with tempfile.TemporaryDirectory() as top:
        path = pathlib.Path(top)
        while len(str(path)) < 1200:
            path = path / ("d" * 200)
            os.mkdir(path)
        file = path / "file"
        file.write_bytes(b"x" * 4096)
        with live.holder("files", str(file)) as target, live.stopped(target.pid):
            rows = len(live.smaps(target.pid, "maps"))
            out = ours(target.pid)[1]
            live.check_equal(out.count(b"\n"), rows + 2, "rows")
            print(f"# rows of {rows}: procps {theirs(target.pid)[1].count(bytes([10])) - 2}")


@live.case
def range_sums():
    """-x -A: the sums of Rss and Dirty are of the range"""
    with live.holder("zero", 1) as target, live.stopped(target.pid):
        rows = live.smaps(target.pid)[1:3]
        text = f"{rows[0]['start']:x},{rows[1]['end'] - 1:x}"
        got = ours("-x", "-A", text, target.pid)[1]
        live.check_equal(last_number(got, 3), sum(row["Rss"] for row in rows) >> 10, "Rss")
        print(f"# Rss of the range: memwhy {last_number(got, 3)}, procps "
              f"{last_number(theirs('-x', '-A', text, target.pid)[1], 3)}")


@live.case
def detail_sums():
    """-X: each process has sums of its own, and they are the sums of its rows"""
    with live.holder("zero", 1) as a, live.holder("zero", 1) as b, \
            live.stopped(a.pid, b.pid):
        both = ours("-X", a.pid, b.pid)[1]
        last = both.decode().splitlines()[-1].split()
        size = sum(row["end"] - row["start"] for row in live.smaps(b.pid, "maps")) >> 10
        live.check_equal(int(last[0]), size, "Size")
        other = theirs("-X", a.pid, b.pid)[1].decode().splitlines()[-1].split()
        print(f"# Size of the second: memwhy {last[0]}, procps {other[0]}")


CHURN = """
import mmap, os, sys
print("ready", flush=True)
while os.getppid() != 1:
    kept = [mmap.mmap(-1, n << 14, mmap.MAP_PRIVATE) for n in range(1, 40)]
    for each in kept: each[0] = 1
    del kept
"""


def agrees(out):
    """Whether each sum of -X is the sum of its column."""
    lines = out.decode().splitlines()
    rows = [line.split()[5:] for line in lines[2:-2]]
    sums = lines[-1].split()[:-1]
    return all(int(total) == sum(int(row[at]) for row in rows)
               for at, total in enumerate(sums))


@live.case
def moving_sums():
    """-X of a process that maps and unmaps all the time: rows and sums are of one reading"""
    with live.Target(["/usr/bin/python3", "-c", CHURN]) as target:
        for _ in range(30):
            live.check(agrees(ours("-X", target.pid)[1]), "rows and sums")
        wrong = sum(not agrees(theirs("-X", target.pid)[1]) for _ in range(30))
        print(f"# sums that are not those of the rows, in 30 looks: memwhy 0, procps {wrong}")


@live.case
def shown_sums():
    """the total is that of the rows; VmSize lacks [vsyscall], here as in procps"""
    with live.holder("zero", 1) as target, live.stopped(target.pid):
        rows = live.smaps(target.pid, "maps")
        size = sum(row["end"] - row["start"] for row in rows)
        extra = sum(row["end"] - row["start"] for row in rows
                    if row["name"] == b"[vsyscall]")
        total = int(ours(target.pid)[1].split()[-1][:-1])
        live.check_equal(total, size >> 10, "total")
        live.check_equal(size - extra, live.status(target.pid)["VmSize"], "VmSize")
        print(f"# VmSize {live.status(target.pid)['VmSize'] >> 10}K, memwhy {total}K, "
              f"procps {theirs(target.pid)[1].split()[-1].decode()}")


@live.case
def whole_names():
    """-X cuts no name, and a long command line is whole"""
    with live.scratch() as place:
        file = place / ("n" * 200)
        file.write_bytes(b"x" * live.PAGE)
        with live.holder("files", file) as target, live.stopped(target.pid):
            lengths = [max(line.count(b"n") for line in out.split(b"\n")[2:])
                       for out in (ours("-X", target.pid)[1], theirs("-X", target.pid)[1])]
            live.check_equal(lengths[0], 200, "the name")
            print(f"# bytes of a name: memwhy {lengths[0]}, procps {lengths[1]}")
    with subprocess.Popen(["/bin/cat", "-", *["y" * 1000] * 200], stdin=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as long:
        live.wait_until(lambda: pathlib.Path(f"/proc/{long.pid}/comm").read_text() ==
                        "cat\n", "cat")
        first = ours(long.pid)[1].split(b"\n", 1)[0]
        live.check_equal(first.count(b"y"), 200000, "the command line")
        other = theirs(long.pid)[1].split(b"\n", 1)[0]
        print(f"# bytes of 200 KiB of arguments: memwhy 200000, procps {other.count(b'y')}")
        long.stdin.close()


@live.case
def few_reads():
    """smaps is read once, in large pieces"""
    if not live.shutil.which("strace"):
        raise live.Skip("strace is not installed (package strace)")
    counts = []
    with live.holder("fill") as target, live.stopped(target.pid):
        for command in ([live.MEMWHY, "map", "--pmap"], ["pmap"]):
            trace = subprocess.run(["strace", "-e", "trace=read,openat,pread64", *command,
                                    "-X", str(target.pid)], capture_output=True,
                                   env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"),
                                   check=True).stderr
            counts.append((trace.count(b"read"), trace.count(b'smaps"')))
    live.check_equal(counts[0][1], 1, "smaps opened")
    live.check(counts[0][0] * 2 < counts[1][0], counts)
    print(f"# reads: memwhy {counts[0][0]}, procps {counts[1][0]}")


@live.case
def many_pids():
    """more than 255 processes at once"""
    with live.holder("zero", 1) as target:
        answer = live.memwhy("map", "--pmap", "-q", *[target.pid] * 300)
        live.check_equal(answer.text.count(f"{target.pid}:   "), 300, "processes")
        code, out = theirs("-q", *[target.pid] * 300)
        print(f"# procps with 300: status {code}, {len(out)} bytes")


@live.case
def no_segment():
    """no System V shared memory segment is made to find out what one looks like"""
    with live.holder("zero", 1) as target:
        trace = subprocess.run(["strace", "-f", "-e", "trace=shmget", live.MEMWHY, "map",
                                "--pmap", str(target.pid)], capture_output=True,
                               check=False) if live.shutil.which("strace") else None
        if trace is None:
            raise live.Skip("strace is not installed (package strace)")
        live.check(b"shmget" not in trace.stderr, trace.stderr[:200])


@live.case
def memfd_names():
    """a memfd's name is shown whole, slashes and all"""
    fd = os.memfd_create("x/y-name")
    os.ftruncate(fd, 4096)
    with mmap.mmap(fd, 4096) as mapped:
        mapped[0] = 1
        live.check(b"memfd:x/y-name (deleted)" in ours(os.getpid())[1], "memwhy")
        live.check(b"memfd:x/y-name" not in theirs(os.getpid())[1], "procps is right now")
    os.close(fd)


live.main()
