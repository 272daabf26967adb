#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""`size` beside binutils' size, on every object of this machine; and what it adds."""

import itertools
import os
import pathlib
import subprocess

import live

STYLES = ([], ["-A"], ["-G"], ["--common"], ["-A", "--common", "-x"], ["-o", "-t"],
          ["-x", "-G", "-t"], ["--format=sysv", "--radix=8"])
BATCH = 500


def objects():
    """Every ELF file and archive below /usr/lib and /usr/bin."""
    found = []
    for top in ("/usr/lib", "/usr/bin"):
        for folder, _, names in os.walk(top):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.islink(path) or not os.path.isfile(path):
                    continue
                with open(path, "rb") as file:
                    magic = file.read(8)
                if magic[:4] == b"\x7fELF" or magic == b"!<arch>\n":
                    found.append(path)
    return sorted(found)


def batches(items):
    items = iter(items)
    while batch := list(itertools.islice(items, BATCH)):
        yield batch


def theirs(*args):
    return subprocess.run(["size", *args], capture_output=True, check=False).stdout


def first_difference(want, got):
    for a, b in itertools.zip_longest(want.splitlines(), got.splitlines()):
        if a != b:
            return f"binutils {a!r}, memwhy {b!r}"
    return "same lines"


@live.case
def every_object():
    """every object of /usr/lib and /usr/bin as binutils prints it, in every style"""
    live.need_program("size", "binutils")
    paths = objects()
    live.check(len(paths) > 200, f"only {len(paths)} objects")
    for index, batch in enumerate(batches(paths)):
        # The usual style for all; each of the others for a part of them.
        for style in (STYLES[0], STYLES[1], STYLES[2 + index % (len(STYLES) - 2)]):
            want, got = theirs(*style, *batch), live.memwhy("size", *style, *batch).out
            live.check(want == got, f"{style}: {first_difference(want, got)}")


def compile_object(place, name, *flags):
    source = place / "x.c"
    source.write_text("int common; int data[100] = { 1 }; const int ro[50] = { 2 };\n"
                      "static int bss[8192]; int *f(void) { return bss; }\n")
    path = place / name
    subprocess.run(["cc", "-fcommon", "-c", *flags, "-o", path, source], check=True)
    return path


@live.case
def archives():
    """archives: members with long names, thin archives, empty and broken ones"""
    live.need_program("ar", "binutils")
    with live.scratch() as place:
        a = compile_object(place, "a.o")
        b = compile_object(place, "a-name-that-is-longer-than-sixteen-bytes.o")
        for flags, name in (("rcs", "whole.a"), ("rcsT", "thin.a")):
            archive = place / name
            subprocess.run(["ar", flags, archive, a, b], check=True,
                           stderr=subprocess.DEVNULL)
            for style in STYLES:
                want, got = theirs(*style, archive), live.memwhy("size", *style,
                                                                 archive).out
                live.check(want == got,
                           f"{name} {style}: {first_difference(want, got)}")
        empty = place / "empty.a"
        subprocess.run(["ar", "rcs", empty], check=True, stderr=subprocess.DEVNULL)
        live.check_equal(live.memwhy("size", empty).text.count("\n"), 1, "empty")
        whole = (place / "whole.a").read_bytes()
        for cut in range(1, len(whole), 37):
            broken = place / "broken.a"
            broken.write_bytes(whole[:cut])
            answer = live.memwhy("size", broken, codes=(0, 5))
            live.check(answer.code == 0 or answer.err, str(answer))


@live.case
def other_machines():
    """objects of 32 bits, and of the other byte order"""
    live.need_program("objcopy", "binutils")
    with live.scratch() as place:
        blob = place / "blob"
        blob.write_bytes(b"x" * 1000)
        for target in ("elf32-i386", "elf32-big", "elf64-big", "elf32-little"):
            path = place / f"{target}.o"
            subprocess.run(["objcopy", "-I", "binary", "-O", target, blob, path],
                           check=True)
            for style in STYLES:
                want, got = theirs(*style, path), live.memwhy("size", *style, path).out
                live.check(want == got, f"{target} {style}: "
                                        f"{first_difference(want, got)}")


@live.case
def failures():
    """a file that cannot be read does not hide the others"""
    with live.scratch() as place:
        text = place / "text"
        text.write_text("no object\n")
        answer = live.memwhy("size", "/bin/ls", text, "/nonexistent", "/bin/cat",
                             codes=(5,))
        live.check_equal(answer.text.count("\n"), 3, "lines")
        live.check("text: not an ELF object" in answer.err and
                   "/nonexistent: No such file" in answer.err, answer.err)
        live.check_equal(live.memwhy("size", "/nonexistent", codes=(4,)).text.count("\n"),
                         1, "lines")
        live.check("ordinary" in live.memwhy("size", "/", codes=(5,)).err, "a directory")
        os.mkfifo(place / "pipe")
        live.memwhy("size", place / "pipe", codes=(5,), timeout=10)
        live.memwhy("size", "--format=x", "/bin/ls", codes=(2,))
        live.memwhy("size", "--radix=9", "/bin/ls", codes=(2,))
        live.memwhy("size", "--segments", codes=(2,))
        live.memwhy("size", "--segments", "--live", "1", "/bin/ls", codes=(2,))


@live.case
def truncated():
    """an object cut at any length is an error, never a crash or a guess"""
    with live.scratch() as place:
        whole = pathlib.Path("/bin/true").read_bytes()
        path = place / "cut"
        for cut in list(range(0, 200, 7)) + list(range(200, len(whole), 1777)):
            path.write_bytes(whole[:cut])
            for args in ([], ["-A"], ["--segments"], ["--vs", "/bin/true"]):
                answer = live.memwhy("size", *args, path, codes=(0, 5))
                live.check(answer.code == 0 or answer.err, str(answer))


@live.case
def machine_readable():
    """JSON and CSV have the same numbers, a section a row with -A"""
    answer = live.memwhy("size", "--json", "/bin/ls", "/bin/cat").json
    live.check_equal(answer["schema"], "memwhy.size/1", "schema")
    lines = theirs("/bin/ls", "/bin/cat").decode().splitlines()[1:]
    for row, line in zip(answer["files"], lines):
        text, data, bss = map(int, line.split()[:3])
        live.check_equal((row["text"] + row["rodata"], row["data"], row["bss"]),
                         (text, data, bss), row["file"])
    live.check_equal(answer["totals"]["data"],
                     sum(row["data"] for row in answer["files"]), "totals")
    sections = live.memwhy("size", "-A", "--json", "/bin/ls").json["sections"]
    live.check(any(row["section"] == ".text" and row["allocated"] for row in sections),
               "no .text")
    rows = live.memwhy("size", "--csv", "/bin/ls").text.splitlines()
    live.check_equal(len(rows), 2, "CSV lines")


@live.case
def segments():
    """the mappings that --segments foretells are those of a running process"""
    with live.holder("zero", 1) as target:
        exe = os.readlink(f"/proc/{target.pid}/exe")
        maps = [row for row in live.smaps(target.pid, "maps")
                if row["name"] == exe.encode()]
        bias = maps[0]["start"]
        answer = live.memwhy("size", "--segments", "--json", exe).json
        told = [(int(row["start"], 16), int(row["end"], 16), row["perms"])
                for row in answer["mappings"] if row["from"] != "zeros"]
        seen = [(row["start"] - bias, row["end"] - bias, row["perms"][:3])
                for row in maps]
        live.check_equal(told, seen, "mappings")


@live.case
def live_sections():
    """--live: what sections have resident is what their mapping has"""
    with live.holder("zero", 1) as target:
        answer = live.memwhy("size", "--live", target.pid, "--json").json
        exe = os.readlink(f"/proc/{target.pid}/exe").encode()
        rows = [row for row in live.smaps(target.pid) if row["name"] == exe]
        resident = sum(row["resident"] for row in answer["sections"])
        live.check(0 < resident <= sum(row["Rss"] for row in rows), f"{resident}")
        live.check_equal(answer["totals"]["resident"], resident, "sum")
        for row in answer["sections"]:
            live.check(row["private"] <= row["resident"] <= row["size"] and
                       row["dirty"] <= row["resident"], row)
        libc = live.memwhy("size", "--live", target.pid, "libc.so.6", "--json").json
        live.check(libc["file"].endswith("/libc.so.6"), libc["file"])
        live.memwhy("size", "--live", target.pid, "libnothing.so", codes=(4,))
        live.memwhy("size", "--live", "999999999", codes=(4,))
        live.need_root()
        answer = live.memwhy("size", "--live", target.pid, codes=(3,), user=live.NOBODY)
        live.check("may not be read" in answer.err and not answer.out, str(answer))
    with live.holder("zombie") as target:
        pid = target.facts("zombie")[0]["pid"]
        live.check("maps nothing" in live.memwhy("size", "--live", pid, codes=(4,)).err,
                   "zombie")


@live.case
def builds():
    """--vs: sections of two builds, and their difference"""
    with live.scratch() as place:
        small = compile_object(place, "small.o", "-O2")
        large = compile_object(place, "large.o", "-O0", "-g")
        answer = live.memwhy("size", "--vs", large, small, "--json").json
        rows = {row["section"]: row for row in answer["sections"]}
        live.check(rows[".debug_info"]["before"] == 0 and
                   rows[".debug_info"]["delta"] > 0, rows[".debug_info"])
        live.check_equal(sum(row["after"] for row in rows.values() if row["allocated"]),
                         answer["after"], "after")


live.main()
