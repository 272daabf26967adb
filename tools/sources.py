#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check that the map of the sources in src/cli/main.c is the tree.

usage: sources.py [ROOT]
       sources.py --self-test

The first block comment that names a path below src/ is the map. Every file must stand
in it, as `src/base/buf.c`, as `src/base/buf.[ch]` for a pair, or below a line that
names the folder (`src/base/`), then without it; what stands in it must exist.
"""
import os
import re
import sys
import tempfile

import csource

MAP = "src/cli/main.c"
COMMENT = re.compile(r"/\*.*?\*/", re.S)
FOLDER = re.compile(r"(?<![\w/])(src(?:/\w+)*/)(?![\w\[])")
FILE = re.compile(r"(?<![\w/.])((?:src/)?(?:[\w-]+/)*[\w-]+\.(?:\[ch\]|[ch]))(?!\w)")


def expand(name):
    if name.endswith(".[ch]"):
        return [name[:-4] + "c", name[:-4] + "h"]
    return [name]


def listed(text):
    """(line, path) of each file that the map names."""
    for comment in COMMENT.finditer(text):
        if not re.search(r"\bsrc/\w", comment.group()):
            continue
        first, folder = csource.line_of(text, comment.start()), ""
        for number, line in enumerate(comment.group().splitlines(), first):
            named = FOLDER.search(line)
            if named:
                folder = named.group(1)
            for m in FILE.finditer(line):
                for name in expand(m.group(1)):
                    yield number, name if name.startswith("src/") else folder + name
        return


def check(root):
    tree = set(csource.find(root, ["src"]))
    if MAP not in tree:
        return [f"{MAP}: does not exist"]
    wrong, seen = [], set()
    for line, path in listed(csource.read(root, MAP)):
        if path in seen:
            wrong.append(f"{MAP}:{line}: {path} stands in the map twice")
        elif path not in tree:
            wrong.append(f"{MAP}:{line}: {path} does not exist")
        seen.add(path)
    # The header of a pair need not be told apart from its .c file.
    pairs = {path[:-1] + "h" for path in seen if path.endswith(".c")}
    wrong += [f"{path}:1: not in the map of {MAP}" for path in sorted(tree - seen - pairs)]
    return wrong


def self_test():
    good = ("/*\n * A map:\n *\n *   src/base/\n *     buf.[ch]   bytes\n"
            " *     num.c      numbers\n *   src/cli/\n *     main.c     this\n */\n")
    cases = [
        (good, []),
        (good.replace(" *     num.c      numbers\n", ""), ["src/base/num.c:1: not in"]),
        (good.replace("num.c ", "gone.c "),
         ["src/base/gone.c does not exist", "src/base/num.c:1: not in"]),
        (good.replace("num.c      numbers", "num.c num.c"), ["stands in the map twice"]),
        (" /* src/base/buf.[ch] src/base/num.c and src/cli/main.c */\n", []),
        ("int main(void);\n", ["src/base/buf.c:1", "src/base/buf.h:1",
                               "src/base/num.c:1", "src/cli/main.c:1"]),
    ]
    for text, want in cases:
        with tempfile.TemporaryDirectory() as root:
            for path in ("src/base/buf.c", "src/base/buf.h", "src/base/num.c", MAP):
                os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
                with open(os.path.join(root, path), "w") as f:
                    f.write(text if path == MAP else "")
            got = check(root)
            assert len(got) == len(want) and all(
                w in g for w, g in zip(want, got)), (text, want, got)


def main():
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        return 0
    wrong = check(sys.argv[1] if len(sys.argv) > 1 else ".")
    print("\n".join(wrong) or "the map is the tree")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
