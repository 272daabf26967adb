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
    """Both outputs, of a moment when nothing changed between two of procps' own."""
    for _ in range(TRIES):
        before, got, after = theirs(*args), ours(*args), theirs(*args)
        if before == after and (got == before or same(before[1], got[1], args)):
            return
    live.check(got[0] == after[0] and same(after[1], got[1], args),
               f"{args}: procps {after[1][:3000]!r}, memwhy {got[1][:3000]!r}")


@live.case
def every_mode():
    """every mode and pair of options, on a program with all kinds of mappings"""
    live.need_program("pmap", "procps")
    with live.zoo() as target, live.stopped(target.pid):
        for options in PAIRS:
            settle(*options, target.pid)


@live.case
def every_process():
    """every process of this machine, in every mode"""
    live.need_program("pmap", "procps")
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        for mode in MODES:
            try:
                settle(*mode, name)
            except AssertionError:
                # What runs changes between the looks; what stands still does not.
                state = live.status(int(name)).get("State", "") \
                    if os.path.isdir(f"/proc/{name}") else "gone"
                live.check(not state.startswith(("T", "t")), f"{name} {mode}")


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
                "[Fields Display]\nPerm\nInode # a comment\n")):
            path = place / f"rc{index}"
            path.write_text(text)
            for more in ([], ["-q"]):
                settle("-C", path, *more, target.pid)
        bad = place / "bad"
        bad.write_text("junk\n")
        live.check_equal(ours("-C", bad, target.pid)[0], 1, "a broken file")
        made = place / "made"
        live.memwhy("map", "--pmap", "-N", made)
        settle("-C", made, target.pid)
        live.memwhy("map", "--pmap", "-N", made, codes=(1,))


@live.case
def statuses():
    """exit statuses: 42 for a process that is not there, 1 for what is refused"""
    with live.holder("zero", 1) as target:
        for args in ((999999,), (target.pid, 999999), (f"/proc/{target.pid}",), ("abc",),
                     ("0",), (), ("-x", "-d", target.pid), ("-n", target.pid)):
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
