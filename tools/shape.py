#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check the shape of the code: how long, how wide, how tangled it may become.

usage: shape.py [ROOT]
       shape.py --self-test

The limits are below, and in docs/architecture.md. Those on functions taken together, on
files and on globals hold for what is shipped; the others for tests and benches too.
"""
import collections
import os
import re
import sys
import tempfile

import csource

SHIPPED = ["include", "src", "agents"]
BESIDE = ["tests", "bench", "labs"]

MEDIAN_LINES = 15       # of all functions
P95_LINES = 50
LONGEST = 100           # of any function, tests too
FILE_LINES = 600
HEADER_CODE_LINES = 150
FOLDER_FILES = 20
COLUMNS = 90

UNBOUNDED = re.compile(r"(?<![\w.>])(strcpy|strcat|sprintf|vsprintf|gets|atoi|atol|strtok)"
                       r"\s*\(")
INNER_STATIC = re.compile(r"(?:^|[;{}])\s*(static\b[^;={(]*)(?=[;={])")


class House:
    """What was found: complaints, and the figures they rest on."""

    def __init__(self, root):
        self.root = root
        self.wrong = []
        self.lengths = []           # (lines, path, line, name) of shipped functions
        self.folders = collections.Counter()
        self.includes = {}          # path -> paths
        self.files = 0
        self.code_lines = 0
        self.comment_lines = 0

    def complain(self, path, line, text):
        self.wrong.append(f"{path}:{line}: {text}")


def is_mutable(head):
    """Whether what stands before the initialiser declares an object that can change."""
    head = re.sub(r"__attribute__\s*\(\(.*?\)\)|\[[^\]]*\]", " ", head, flags=re.S)
    if re.match(r"\s*(typedef|extern|_Static_assert)\b", head):
        return False
    own_type = re.match(r"\s*((static|const)\s+)*(struct|union|enum)\s*\w*\s*$", head)
    if own_type:
        return False
    pointer = re.search(r"\(\s*\*\s*(const)?\b", head)
    if pointer:
        return not pointer.group(1)
    if len(re.findall(r"\w+", head)) < 2 or "(" in head:
        return False
    declarator = head[head.rfind("*"):] if "*" in head else head
    return not re.search(r"\bconst\b", declarator)


def check_globals(house, path, statement):
    if statement.is_function():
        for m in INNER_STATIC.finditer(statement.text[statement.text.find("{"):]):
            if is_mutable(m.group(1)):
                house.complain(path, statement.line, "a static that can change, in "
                               f"{statement.function_name()}()")
    elif path.endswith(".h") and not re.match(r"\s*static\b", statement.head):
        return              # a declaration, as by `mw_fn name;` with a function type
    elif not statement.is_prototype() and is_mutable(statement.head):
        house.complain(path, statement.line, "a global that can change: "
                       + " ".join(statement.head.split()))


def check_prototypes(house, path, text, statements):
    """Each has a comment above or beside it, or continues a group that has one."""
    comments = csource.comment_lines(text)
    lines = text.splitlines()
    for s in statements:
        if not s.is_prototype():
            continue
        above = s.line - 1
        while above > 0 and lines[above - 1].strip() and above not in comments:
            above -= 1
        if above not in comments and not comments & set(range(s.line, s.end_line + 1)):
            house.complain(path, s.line, f"{s.function_name()}() has no comment")


def check_lines(house, path, text):
    for number, line in enumerate(text.splitlines(), 1):
        if len(line.expandtabs(8)) > COLUMNS:
            house.complain(path, number, f"wider than {COLUMNS} columns")
    code = csource.bare(text)
    for m in UNBOUNDED.finditer(code):
        house.complain(path, csource.line_of(code, m.start()),
                       f"{m.group(1)}() knows no bound")


def check_functions(house, path, statements, shipped):
    for s in statements:
        if not s.is_function():
            continue
        length = s.end_line - s.line + 1
        if length > LONGEST:
            house.complain(path, s.line, f"{s.function_name()}() has {length} lines, "
                           f"over {LONGEST}")
        if shipped:
            house.lengths.append((length, path, s.line, s.function_name()))


def check_size(house, path, text):
    lines = text.splitlines()
    if len(lines) > FILE_LINES:
        house.complain(path, FILE_LINES + 1, f"{len(lines)} lines, over {FILE_LINES}")
    code = sum(1 for line in csource.without_comments(text).splitlines() if line.strip())
    house.code_lines += code
    house.comment_lines += sum(1 for line in lines if line.strip()) - code
    if path.endswith(".h") and code > HEADER_CODE_LINES:
        house.complain(path, 1, f"{code} lines of code, over {HEADER_CODE_LINES}")


def note_includes(house, path, text):
    found = []
    for _, include, own in csource.includes(text):
        for base in ("include", "src", os.path.dirname(path)):
            target = f"{base}/{include}"
            if own and os.path.exists(os.path.join(house.root, target)):
                found.append(target)
                break
    house.includes[path] = found


def check_file(house, path, shipped):
    text = csource.read(house.root, path)
    statements = list(csource.statements(text))
    house.files += 1
    check_lines(house, path, text)
    check_functions(house, path, statements, shipped)
    if not shipped:
        return
    house.folders[os.path.dirname(path)] += 1
    check_size(house, path, text)
    note_includes(house, path, text)
    if not path.startswith("agents/"):
        for s in statements:
            check_globals(house, path, s)
    if path.endswith(".h"):
        check_prototypes(house, path, text, statements)


def find_cycle(graph):
    """A list of nodes that leads from one back to itself, or None."""
    done, path = set(), []

    def visit(node):
        if node in path:
            return path[path.index(node):] + [node]
        if node in done:
            return None
        path.append(node)
        for target in sorted(graph.get(node, ())):
            cycle = visit(target)
            if cycle:
                return cycle
        path.pop()
        done.add(node)
        return None

    for start in sorted(graph):
        cycle = visit(start)
        if cycle:
            return cycle
    return None


def check_cycles(house):
    folders = collections.defaultdict(set)
    for path, targets in house.includes.items():
        here = os.path.dirname(path)
        # A public header belongs to no one folder: tools/layers.py places them.
        folders[here].update(os.path.dirname(t) for t in targets
                             if os.path.dirname(t) not in (here, "include/memwhy"))
    for graph in (house.includes, folders):
        cycle = find_cycle(graph)
        if cycle:
            house.complain(cycle[0], 1, "includes in a circle: " + " -> ".join(cycle))


def percentile(sorted_values, share):
    """The smallest value that at least this share of all does not exceed."""
    if not sorted_values:
        return 0
    return sorted_values[max(0, -(-len(sorted_values) * share // 100) - 1)]


def check_tails(house):
    lengths = sorted(length for length, *_ in house.lengths)
    median, p95 = percentile(lengths, 50), percentile(lengths, 95)
    longest = sorted(house.lengths, reverse=True)[:8]
    worst = ", ".join(f"{name}() {n}" for n, _, _, name in longest)
    if median > MEDIAN_LINES:
        house.complain("src", 0, f"the median function has {median} lines, "
                       f"over {MEDIAN_LINES}")
    if p95 > P95_LINES:
        house.complain("src", 0, f"the 95th percentile of functions has {p95} lines, "
                       f"over {P95_LINES}; longest: {worst}")
    for folder, n in sorted(house.folders.items()):
        if n > FOLDER_FILES:
            house.complain(folder, 0, f"{n} files, over {FOLDER_FILES}")
    return median, p95, lengths[-1] if lengths else 0


def check(root):
    house = House(root)
    for path in csource.find(root, SHIPPED):
        check_file(house, path, True)
    for path in csource.find(root, BESIDE):
        check_file(house, path, False)
    check_cycles(house)
    return house, check_tails(house)


LONG = "int f(void)\n{\n" + "\tx();\n" * 98 + "}\n"
PLANTED = [
    ("src/a/long.c", LONG, "f() has 101 lines"),
    ("src/a/wide.c", "int f(void); // " + "x" * 80 + "\n", "wider than 90"),
    ("src/a/copy.c", "void f(char *a)\n{\n\tstrcpy(a, a);\n}\n", "strcpy() knows"),
    ("src/a/glob.c", "static int counter;\n", "a global that can change"),
    ("src/a/ptr.c", "static const char *name = 0;\n", "a global that can change"),
    ("src/a/tab.c", 'const char *t[] = {\n\t"a",\n};\n', "a global that can change"),
    ("src/a/tls.c", "static _Thread_local int x;\n", "a global that can change"),
    ("src/a/fnp.c", "static int (*hook)(void);\n", "a global that can change"),
    ("src/a/inner.c", "int f(void)\n{\n\tstatic int n;\n\treturn n;\n}\n",
     "a static that can change, in f()"),
    ("src/a/big.c", "\n" * 601, "601 lines"),
    ("src/b/big.h", "#define A\n" * 151, "151 lines of code"),
    ("src/b/proto.h", "/* A head. */\n\nint f(int a,\n      int b);\n", "f() has no comment"),
    ("tests/a.c", "void f(char *a)\n{\n\tsprintf(a, \"\");\n}\n", "sprintf() knows"),
]
HARMLESS = [
    ("src/c/ok.c", "static const int n = 1;\nstatic const char *const t[] = { \"a\" };\n"
     "struct s {\n\tint a;\n};\nextern int other;\nint g(void);\n"
     "/* strcpy(a, b) */\nenum { A, B };\n"
     "int f(void)\n{\n\tstatic const int k[] = { 1 };\n\treturn my_atoi(k);\n}\n"),
    ("src/c/ok.h", "/* Head. */\n#pragma once\n\n/* Does. */\nint f(int a,\n      int b);\n"
     "int g(void);\n\nint h(void); /* beside */\n\nstruct s;\n"
     "/* Prints. */\nvoid p(const char *f, ...) __attribute__((format(printf, 1, 2)));\n"),
    ("tests/ok.c", "static int state;\nint main(void)\n{\n\treturn state;\n}\n"),
]


def plant(root, path, text):
    os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
    with open(os.path.join(root, path), "w") as f:
        f.write(text)


def self_test_files():
    for path, text, *want in PLANTED + HARMLESS:
        with tempfile.TemporaryDirectory() as root:
            plant(root, path, text)
            wrong = [w for w in check(root)[0].wrong if not w.startswith("src:0")]
            assert len(wrong) == len(want) and all(
                x in y for x, y in zip(want, wrong)), (path, want, wrong)


def self_test_whole():
    with tempfile.TemporaryDirectory() as root:
        for i in range(21):
            plant(root, f"src/many/f{i}.c", "int f(void)\n{\n" + "\tx();\n" * 60 + "}\n")
        plant(root, "src/many/a.h", '#include "other/b.h"\n')
        plant(root, "src/other/b.h", '#include "many/a.h"\n')
        text = "\n".join(check(root)[0].wrong)
        for want in ("22 files, over 20", "median function has 63", "95th percentile",
                     "circle: src/many/a.h -> src/other/b.h -> src/many/a.h",
                     "circle: src/many -> src/other -> src/many"):
            assert want in text, (want, text)
    assert percentile([1, 2, 3, 4], 50) == 2 and percentile(list(range(100)), 95) == 94


def main():
    if sys.argv[1:] == ["--self-test"]:
        self_test_files()
        self_test_whole()
        return 0
    root = sys.argv[1] if len(sys.argv) > 1 else "."
    house, (median, p95, longest) = check(root)
    for line in house.wrong:
        print(line)
    comments = 100 * house.comment_lines / max(1, house.comment_lines + house.code_lines)
    print(f"{house.files} files, {len(house.lengths)} functions: median {median} lines, "
          f"95th percentile {p95}, longest {longest}; comments {comments:.0f} %")
    return 1 if house.wrong or not house.lengths else 0


if __name__ == "__main__":
    sys.exit(main())
