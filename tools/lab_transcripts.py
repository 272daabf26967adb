#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Pages of docs/labs: transcripts are what labs really say, the index has every lab.

usage: lab_transcripts.py --update MEMWHY [PAGE...]
       lab_transcripts.py --check MEMWHY
       lab_transcripts.py --self-test

A transcript is a block that begins with ```console and `$ memwhy lab ...`. --update runs
the command of each and writes what it says, where that is another thing than what stands
there. --check wants them to be the same. What differs from run to run does not count:
addresses, pids, times, bars and what was measured, figures after "≈" and of `size`, answers
of which a prediction may be off.

The index in docs/labs/README.md is written and compared too, from the labs themselves;
each must have a page, and the page a transcript.

What the transcripts were recorded on stands in docs/labs/README.md. Where pages, huge
pages, swap or the right to see frames are others, --check skips; and where kernel, libc,
control groups or the programs to be visited are, it skips the page that differs. Speaks
TAP.
"""
import difflib
import json
import os
import pathlib
import platform
import re
import shlex
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs/labs"
BLOCK = re.compile(r"^```console\n\$ (memwhy lab [^\n]*)\n(.*?)^```$", re.M | re.S)
RECORDED = re.compile(r"<!-- recorded on: (.*) -->")
INDEX = re.compile(r"(<!-- index -->\n).*?(<!-- end of index -->)", re.S)
README = PAGES / "README.md"
SHOWN = 40
TRIES = 3
# What pmap-tour would start.
VISITED = ("bash", "python3", "redis-server", "sqlite3", "node", "chromium")

# A line that goes on with the one before it stands below its text.
CONTINUED = re.compile(r"^ {11}(?=\S)")
# (what differs from run to run, or with the compiler, and what stands for it)
CHANGING = [
    (re.compile(r"`size`.*"), lambda found: re.sub(r"\d+", "N", found[0])),
    (re.compile(r"\b47 [.#]{48} 0"), "BITS"),  # of addresses, as aslr draws them
    (re.compile(r"≈-?[\d.,]+( [KMGT]i?B\b)?"), "≈N"),
    (re.compile(r"(?<=^  kernel   )-?\d+(.* \(right within )\d+"), r"N\1N"),
    (re.compile(r"\b0x[0-9a-f]{5,}\b"), "ADDR"),
    (re.compile(r"(?<![\w.])[0-9a-f]{7,16}\b"), "ADDR"),
    (re.compile(r"\b(pid|process|PID)( =|:)? \d+"), r"\1 PID"),
    (re.compile(r"\b\d{1,2}:\d\d(:\d\d)?(\.\d+)?\b"), "TIME"),
    (re.compile(r"\b\d+(\.\d+)? (s|ms|us|µs|ns)\b"), "TIME"),
    (re.compile(r" {2,}"), " "),
]


def plots(lines):
    """Of a table of measurements only the labels and units stay."""
    inside = False
    for line in lines:
        if inside and line.strip():
            line = re.sub(r"  +[█▏▎▍▌▋▊▉#]* +-?\d+(  \S.*)?$", r"  N\1", line)
        inside = line == "  measured" or inside and bool(line.strip())
        yield line


def normal(text):
    """The lines of a transcript, without what may differ."""
    lines = []
    for line in plots(text.splitlines()):
        if CONTINUED.match(line) and lines and lines[-1].strip():
            lines[-1] += " " + line.strip()
        else:
            lines.append(line.rstrip())
    for pattern, stands in CHANGING:
        lines = [pattern.sub(stands, line) for line in lines]
    return lines


def run(memwhy, command):
    """What a command says, on both ways; it must go well."""
    words = shlex.split(command)
    env = {**os.environ, "LC_ALL": "C.UTF-8", "NO_COLOR": "1"}
    for name in "COLUMNS", "MEMWHY_LABS", "MEMWHY_LAB_COPIES":
        env.pop(name, None)
    done = subprocess.run([memwhy, *words[1:]], env=env, cwd="/", text=True, timeout=300,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    if done.returncode:
        raise RuntimeError(f"{command}: status {done.returncode}\n{done.stdout[-2000:]}")
    return done.stdout


def first_line(path, missing=""):
    try:
        return pathlib.Path(path).read_text().strip()
    except OSError:
        return missing


def here():
    """What answers depend on, on this machine: strict and less strict."""
    thp = re.search(r"\[(\w+)\]",
                    first_line("/sys/kernel/mm/transparent_hugepage/enabled", "[never]"))[1]
    swap = len(first_line("/proc/swaps").splitlines()) > 1
    strict = {"machine": platform.machine(), "page": os.sysconf("SC_PAGE_SIZE"),
              "thp": thp, "swap": "yes" if swap else "no",
              "frames": "seen" if os.geteuid() == 0 else "hidden"}
    v2 = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
    loose = {"kernel": ".".join(platform.release().split(".")[:2]),
             "libc": platform.libc_ver()[1], "cgroup": "v2" if v2 else "v1",
             "with": " ".join(program for program in VISITED if shutil.which(program))}
    return strict, loose


def told(facts):
    return ", ".join(f"{key} {value}" for key, value in facts.items())


def recorded():
    """The same of where they were recorded."""
    found = RECORDED.search(first_line(README))
    return dict(part.split(" ", 1) for part in found[1].split(", ")) if found else {}


def other(facts, then):
    """In what a machine is another than that of the recording, in words."""
    return ", ".join(f"{key} {value} here and {then.get(key)} there"
                     for key, value in facts.items() if str(value) != then.get(key))


def pages():
    return sorted(page for page in PAGES.glob("*.md") if BLOCK.search(page.read_text()))


def labs(memwhy):
    env = {key: value for key, value in os.environ.items() if key != "MEMWHY_LABS"}
    done = subprocess.run([memwhy, "lab", "--json"], env=env, text=True, check=True,
                          stdout=subprocess.PIPE)
    return json.loads(done.stdout)["labs"]


def index(found):
    """The table of all labs, by topic and level, as the command lists them."""
    lines, topic = [], None
    for lab in found:
        if lab["topic"] != topic:
            topic = lab["topic"]
            lines += ["", f"**{topic[0].upper() + topic[1:]}**", "",
                      "| lab | level | the question |", "|---|---|---|"]
        lines.append(f"| [`{lab['name']}`]({lab['name']}.md) | {lab['level']} | "
                     f"{lab['question']} |")
    return "\n".join([*lines[1:], ""])


def index_wrong(memwhy):
    """What is missing in the index, or on the pages it leads to."""
    found = labs(memwhy)
    want = INDEX.sub(lambda m: m[1] + "\n" + index(found) + "\n" + m[2], first_line(README))
    wrong = list(difflib.unified_diff(first_line(README).splitlines(), want.splitlines(),
                                      "README.md", "the labs", "", n=0))
    for lab in found:
        page = first_line(PAGES / f"{lab['name']}.md")
        if not any(block[1].split()[2:3] == [lab["name"]] for block in BLOCK.finditer(page)):
            wrong.append(f"docs/labs/{lab['name']}.md: no transcript of this lab")
        if "what to try next" not in page.lower():
            wrong.append(f"docs/labs/{lab['name']}.md: does not say what to try next")
    return wrong


def refreshed(memwhy, text):
    """A page's text with its transcripts as they are now; the same where nothing differs."""
    def block(found):
        said = run(memwhy, found[1])
        if normal(said) == normal(found[2]):
            return found[0]
        return f"```console\n$ {found[1]}\n{said}```"
    return BLOCK.sub(block, text)


def update(memwhy, names):
    for page in pages():
        if names and page.stem not in names and page.name not in names:
            continue
        text = page.read_text()
        new = refreshed(memwhy, text)
        if new != text:
            page.write_text(new)
            print(f"updated: {page.relative_to(ROOT)}")
    text = README.read_text()
    if not names:
        strict, loose = here()
        text = RECORDED.sub(f"<!-- recorded on: {told(strict | loose)} -->", text)
    found = labs(memwhy)
    README.write_text(INDEX.sub(lambda m: m[1] + "\n" + index(found) + "\n" + m[2], text))


def differences(memwhy, page):
    found = []
    for block in BLOCK.finditer(page.read_text()):
        want, got = normal(block[2]), normal(run(memwhy, block[1]))
        found += difflib.unified_diff(want, got, block[1], "said now", "", n=1)
    return found


def lasting_differences(memwhy, page):
    """Those that are there each time: others on this machine take and free memory too."""
    found = []
    for _ in range(TRIES):
        found = differences(memwhy, page)
        if not found:
            break
    return found


def check(memwhy):
    strict, loose = here()
    then, todo = recorded(), pages()
    wrong_place = other(strict, then)
    print(f"1..{len(todo) + 1}", flush=True)
    wrong = index_wrong(memwhy)
    failed = bool(wrong)
    print(f"{'not ' if wrong else ''}ok 1 - the index, and that every lab has its page")
    for line in wrong:
        print(f"# {line}")
    for number, page in enumerate(todo, 2):
        found = [] if wrong_place else lasting_differences(memwhy, page)
        excuse = wrong_place or found and other(loose, then)
        failed |= bool(found) and not excuse
        print(f"{'not ' if found and not excuse else ''}ok {number} - {page.name}"
              f"{' # SKIP recorded elsewhere: ' + excuse if excuse else ''}")
        for line in found[:SHOWN]:
            print(f"# {line.rstrip()}", flush=True)
    sys.exit(failed or not todo)


def self_test():
    same = [
        ("* a   new  7fa1eb396000  heap", "* a  new   55a1eb396abc  heap"),
        ("  held     the counter is ≈40 pages off", "  held     the counter is ≈-7 pages off"),
        ("  held     and so is data in `size`: 74352 instead of 1",
         "  held     and so is data in `size`: 7435 instead of 20"),
        (f"  program  stack 47 {'.' * 18}{'#' * 26}.... 0",
         f"  program  stack 47 {'.' * 14}{'#' * 30}.... 0"),
        ("  program  it took 12.5 ms", "  program  it took 9 ms"),
        ("  program  process 12 says so", "  program  process 4711 says so"),
        ("  measured\n  4 KiB   ██▌     32  MiB/s\n  8 KiB  █  9  MiB/s\n\n  x",
         "  measured\n  4 KiB   █       7  MiB/s\n  8 KiB  ██  -10  MiB/s\n\n  x"),
        ("  kernel   12 KiB (right within 8)", "  kernel   9 KiB (right within 7)"),
        ("  because  one two\n           three", "  because  one\n           two three"),
    ]
    different = [
        ("  kernel   4 KiB", "  kernel   8 KiB"), ("  held     a", "  BROKEN   a"),
        ("  held     12 of them, as `size` says", "  held     13 of them, as `size` says"),
        ("  pages  #..", "  pages  ##."), ("  rss  4096", "  rss  8192"),
        ("  measured\n  4 KiB   █     32  MiB/s", "  measured\n  5 KiB   █     32  MiB/s"),
        ("  because  one\n  held     two", "  because  one\n  held     three"),
    ]
    for a, b in same:
        assert normal(a) == normal(b), (normal(a), normal(b))
    for a, b in different:
        assert normal(a) != normal(b), (a, b)
    assert other({"page": 4096}, {"page": "4096"}) == ""
    assert other({"page": 16384}, {"page": "4096"}) == "page 16384 here and 4096 there"
    print(f"{len(same)} that are the same, {len(different)} that are not")


def main():
    how, *rest = sys.argv[1:] or [""]
    if how == "--self-test":
        self_test()
    elif how == "--update" and rest:
        update(os.path.abspath(rest[0]), rest[1:])
    elif how == "--check" and len(rest) == 1:
        check(os.path.abspath(rest[0]))
    else:
        sys.exit(__doc__)


main()
