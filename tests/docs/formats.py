# SPDX-License-Identifier: MIT
"""docs/formats.md against what the program prints: every member, its type and its place;
every class, cause and finding. Usage: formats.py MEMWHY SOURCE CLASSES"""
import csv
import io
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

memwhy, source, list_classes = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
text = (source / "docs/formats.md").read_text()
failures = []

TYPES = {
    "string": lambda v: isinstance(v, str),
    "count": lambda v: type(v) is int and v >= 0,
    "bytes": lambda v: type(v) is int,
    "change": lambda v: type(v) is int,
    "share": lambda v: isinstance(v, float) and v >= 0,
    "boolean": lambda v: isinstance(v, bool),
    "address": lambda v: isinstance(v, str) and re.fullmatch("0x[0-9a-f]+", v),
    "array": lambda v: isinstance(v, list),
    "object": lambda v: isinstance(v, dict),
}


def section(title):
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^##|\Z)", text, re.M | re.S)
    return found[1] if found else ""


def documented(schema):
    """Path -> type, in the order of the page; what another schema has is taken over."""
    members = {}
    for path, kind, what in re.findall(r"^\| `([^`]+)` \| (\w+) \|(.*)\|$",
                                       section(schema), re.M):
        members[path] = kind
        other = re.search(r"as in `([^`]+)`", what)
        if other and other[1] != schema:
            members.update({p: k for p, k in documented(other[1]).items()
                            if p.startswith((path + ".", path + "[]"))})
    return members


def keys(title):
    """The keys of a section's table: all that is in backquotes in its first column."""
    return {key for row in re.findall(r"^\| (`.*?) \|", section(title), re.M)
            for key in re.findall(r"`([^`]+)`", row)}


def compare(what, known, listed):
    for key in sorted(known - listed):
        failures.append(f"{what} {key} is not documented")
    for key in sorted(listed - known):
        failures.append(f"{what} {key} is documented, but unknown to the program")
    if len(known) < 4:
        failures.append(f"only {len(known)} {what} found: the search is broken")


def walk(value, path, members, seen, schema):
    """Checks a value and all below it; notes in `seen` what was there, and what empty."""
    if isinstance(value, dict):
        order = list(members)
        last = -1
        for key, inner in value.items():
            at = f"{path}.{key}" if path else key
            kind = members.get(at)
            seen.add(at)
            if not kind:
                failures.append(f"{schema}: {at} is not documented")
                continue
            if order.index(at) < last:
                failures.append(f"{schema}: {at} is out of the order documented")
            last = order.index(at)
            if inner is not None and not TYPES[kind](inner):
                failures.append(f"{schema}: {at} is no {kind}: {inner!r}")
            walk(inner, at, members, seen, schema)
    elif isinstance(value, list):
        for inner in value:
            seen.add(path + "[]")
            walk(inner, path + "[]", members, seen, schema)


def run(*args):
    done = subprocess.run([memwhy, *args], capture_output=True, text=True)
    if done.returncode not in (0, 1 if args[0] in ("leaks", "lab") else 0):
        sys.exit(f"{args}: status {done.returncode}: {done.stderr}")
    return done.stdout


seen = {}


def look(*args):
    answer = json.loads(run(*args, "--json"))
    schema = answer["schema"]
    members = documented(schema)
    if not members:
        failures.append(f"{schema} is not documented")
    walk(answer, "", members, seen.setdefault(schema, set()), schema)
    return answer


def rows(schema, *args):
    """NDJSON and CSV of the same command have the members of the main table's rows."""
    names = next(csv.reader(io.StringIO(run(*args, "--csv"))))
    table = re.search(r"^\| `(\w+)` \| array \| ★", section(schema), re.M)[1]
    members = documented(schema)
    for name in names:
        if f"{table}[].{name}" not in members:
            failures.append(f"{args} --csv: column {name} is not documented")
    for line in run(*args, "--ndjson").splitlines()[:50]:
        walk(json.loads(line), f"{table}[]", members, seen[schema], schema)


def flat_rows(command, *args):
    """The rows of a table whose JSON is nested: its columns are in a table of their own."""
    names = next(csv.reader(io.StringIO(run(command, *args, "--csv"))))
    option = args[1] if len(args) > 1 else "none"
    row = re.search(rf"^\| [^|]*{option}[^|]* \| (`allocator`.*) \|$",
                    section(f"memwhy.{command}/1"), re.M)
    if not row or re.findall(r"`([^`]+)`", row[1]) != names:
        failures.append(f"{command} {args} --csv: columns {names} are not documented")
    for line in run(command, *args, "--ndjson").splitlines()[:50]:
        if list(json.loads(line)) != names:
            failures.append(f"{command} {args}: NDJSON and CSV differ")


def step_rows(lab):
    """CSV and NDJSON of a lab are its steps; of its JSON they are the nested sums."""
    names = next(csv.reader(io.StringIO(run("lab", lab, "--csv"))))
    row = re.search(r"^\| steps \| (.*) \|$", section("memwhy.lab/1"), re.M)[1]
    if re.findall(r"`([^`]+)`", row) != names:
        failures.append(f"lab --csv: columns {names} are not documented")
    for line in run("lab", lab, "--ndjson").splitlines():
        if list(json.loads(line)) != names:
            failures.append("lab: NDJSON and CSV differ")


pid = str(os.getpid())
target = subprocess.Popen(["sleep", "300"])
try:
    why = look(pid)
    total = sum(row["bytes"] for row in why["account"]) + why["rest"]
    if total != why["rss"]:
        failures.append(f"account and rest sum to {total}, rss is {why['rss']}")
    for options in [], ["--all"], ["--summary"], ["--pages"], ["--sort", "rss"]:
        answer = look("map", pid, *options)
    look("map", pid, "--at", look("map", pid)["regions"][1]["start"])
    look("doctor", pid)
    first = look("map", pid)["regions"][0]["start"]
    look("page", pid, first)
    look("page", pid, f"{first}..{int(first, 16) + 8192:x}")
    look("page", "--same", pid, str(target.pid), first)
    look("free")
    look("free", "--cgroup")
    rows("memwhy.free/1", "free")
    for options in [], ["--percent"], ["--by", "user"], ["--by", "command"]:
        look("top", *options)
    for options in ["--by", "cgroup", "--percent"], ["--by", "file"]:
        look("top", *options)
    rows("memwhy.top/1", "top", "--percent")
    for options in [], ["-A"], ["--segments"], ["--vs", "/bin/cat"]:
        look("size", *options, "/bin/ls")
    look("size", "--live", pid)
    rows("memwhy.size/1", "size", "/bin/ls")
    look("heap", pid)
    for options in [], ["--sizes"], ["--threads"], ["--pins"], ["--checks"]:
        flat_rows("heap", pid, *options)
    with tempfile.TemporaryDirectory() as scratch:
        look("capture", str(target.pid), scratch + "/tree")
        earlier = Path(scratch, "earlier.json")
        earlier.write_text(run("map", str(target.pid), "--json"))
        look("map", pid, "--diff", str(earlier))
        earlier.write_text(run("leaks", pid, "--json"))
        kept = [bytes(3000) for _ in range(100)]
        look("leaks", pid)
        look("leaks", pid, "--diff", str(earlier))
        rows("memwhy.leaks-diff/1", "leaks", pid, "--diff", str(earlier))
        del kept
    rows("memwhy.leaks/1", "leaks", pid, "--possible")
    look("lab")
    rows("memwhy.labs/1", "lab")
    for lab in "demand", "cow", "copy-file", "where":
        look("lab", lab)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as answers:
        answers.write("map 0\ntouch 400\n")
        answers.flush()
        look("lab", "demand", "--answers", answers.name)
    step_rows("demand")
    rows("memwhy.why/1", pid)
    rows("memwhy.map/1", "map", pid)
    rows("memwhy.map/1", "map", pid, "--watch=1", "--count", "1")
    rows("memwhy.doctor/1", "doctor", pid)
finally:
    target.kill()
    target.wait()

for schema, there in seen.items():
    optional = set(re.findall(r"^\| `(\w+)` .* missing when ", section(schema), re.M))
    for path in set(documented(schema)) - optional:
        parent = path.rpartition(".")[0]
        # Rows of a list that was empty every time cannot be missed.
        if path not in there and not (parent.endswith("[]") and parent not in there):
            failures.append(f"{schema}: {path} is documented and was never printed")
if len(seen) < 6:
    failures.append(f"looked at {sorted(seen)} only")

explain = "".join(p.read_text() for p in sorted((source / "src/explain").rglob("*.c")))
classes = subprocess.run([list_classes], capture_output=True, text=True, check=True)
compare("class", set(classes.stdout.split()), keys("Classes"))
compare("cause", set(re.findall(r"\[CAUSE_\w+\] = \{\s*\"([\w-]+)\"", explain)),
        keys("Causes"))
compare("cause beyond Rss",
        set(re.findall(r"\(struct mw_outside\)\{\s*\"([\w-]+)\"", explain)),
        keys("Beyond Rss"))
compare("finding", set(re.findall(r"\.id = \"([\w-]+)\"", explain)), keys("Findings"))

for failure in sorted(set(failures)):
    print(failure)
print(f"{sum(map(len, seen.values()))} members of {len(seen)} schemas compared")
sys.exit(bool(failures))
