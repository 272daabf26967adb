#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check that every folder keeps to its layer.

usage: layers.py [ROOT]
       layers.py --self-test

A folder includes only folders of lower number, and itself. What only one place may do
(speak to the kernel, print, end the program) is checked in the same pass. Comments do
not count.
"""
import os
import re
import sys
import tempfile

import csource

LAYERS = {
    "base": 0,
    "out": 1, "procfs": 1, "kernel": 1, "sim": 1,
    "model": 2,
    "symbols": 3, "heap": 3, "trace": 3,
    "store": 4, "explain": 4, "lab": 4,
    "view": 5,
    "tui": 6, "serve": 6, "cli": 6,
}
OUTSIDERS = {"agents", "labs"}
SIDEWAYS = {("heap", "symbols"), ("lab", "explain"), ("cli", "tui")}

# Which folder a public header speaks for: whoever may include that, may include it.
PUBLIC = {"err.h": "base", "perms.h": "base", "wire.h": "base", "source.h": "kernel",
          "features.h": "kernel", "files.h": "kernel", "hold.h": "kernel",
          "counts.h": "model", "snapshot.h": "model", "heap.h": "heap",
          "leaks.h": "heap",
          "event.h": "trace", "classify.h": "explain", "explain.h": "explain", "lab.h": "lab"}

PRINTERS = {"out", "cli", "tui"}
# (what, where it is allowed, pattern, whether strings count)
RULES = [
    ("a path below /proc", {"kernel"}, r'"/proc\b', True),
    ("ptrace", {"kernel"}, r"\bptrace\s*\(", False),
    ("process_vm_readv", {"kernel"}, r"\bprocess_vm_readv\s*\(", False),
    ("perf_event_open", {"kernel"}, r"\b(?:SYS_|__NR_)?perf_event_open\b", False),
    ("bpf", {"kernel"}, r"\bbpf\s*\(|\b(?:SYS|__NR)_bpf\b", False),
    ("printing", PRINTERS,
     r"\b(?:v?printf|v?fprintf|v?dprintf|puts|fputs|putchar|putc|fputc|perror)\s*\("
     r"|\bwrite\s*\(\s*(?:1|2|STDOUT_FILENO|STDERR_FILENO)\b"
     r"|\bfwrite\s*\([^;]*\bstd(?:out|err)\b", False),
    ("ending the program", {"cli"}, r"(?<![\w.>])(?:exit|quick_exit|abort)\s*\(", False),
    ("the environment", {"cli"}, r"\b(?:secure_)?getenv\s*\(|\benviron\b", False),
]


def room_of(path):
    """The folder whose rules hold for a path, or None."""
    parts = path.split("/")
    if parts[0] in OUTSIDERS:
        return parts[0]
    if parts[0] == "src" and len(parts) > 2:
        return parts[1]
    if parts[:2] == ["include", "memwhy"]:
        return PUBLIC.get(parts[2], "?")
    return None


def target_of(include):
    """The folder an include of ours reaches into; None for the system's."""
    parts = include.split("/")
    if parts[0] == "memwhy" and len(parts) == 2:
        return PUBLIC.get(parts[1], "?")
    return parts[0] if len(parts) > 1 else None


def may_include(room, target):
    if room == target or (room, target) in SIDEWAYS:
        return True
    return LAYERS[target] < LAYERS[room]


def check_outsider(room, include):
    """Agents share wire.h with us and nothing more; labs share nothing."""
    shared = "/" not in include or (room == "agents" and include == "memwhy/wire.h")
    return None if shared else f"{room}/ includes {include}"


def check_include(room, include):
    """What is wrong with a file of `room` including a file of ours, or None."""
    if room in OUTSIDERS:
        return check_outsider(room, include)
    target = target_of(include)
    if target is None:
        return f'"{include}": write the folder too'
    if target not in LAYERS:
        return f"{include}: this folder has no layer in tools/layers.py"
    if not may_include(room, target):
        return (f"{room} ({LAYERS[room]}) includes {include}, "
                f"of {target} ({LAYERS[target]})")
    return None


def check_file(root, path):
    text = csource.read(root, path)
    room = room_of(path)
    if room not in LAYERS and room not in OUTSIDERS:
        return [f"{path}:1: this folder has no layer in tools/layers.py"]
    found = []
    for line, include, own in csource.includes(text):
        wrong = check_include(room, include) if own else None
        if wrong:
            found.append(f"{path}:{line}: {wrong}")
    if room in OUTSIDERS:
        return found
    with_strings, code = csource.without_comments(text), csource.bare(text)
    for what, allowed, pattern, strings in RULES:
        if room in allowed:
            continue
        subject = with_strings if strings else code
        found += [f"{path}:{csource.line_of(subject, m.start())}: {what} in {room}/"
                  for m in re.finditer(pattern, subject)]
    return found


def check(root):
    paths = csource.find(root, ["include", "src", "agents", "labs"])
    return paths, [wrong for path in paths for wrong in check_file(root, path)]


PLANTED = [
    ("src/base/a.c", '#include "out/out.h"\n', "base (0) includes"),
    ("src/out/a.c", '#include "procfs/maps.h"\n', "out (1) includes"),
    ("src/procfs/a.c", "#include <memwhy/snapshot.h>\n", "procfs (1) includes"),
    ("src/procfs/b.c", "#include <memwhy/source.h>\n", "procfs (1) includes"),
    ("src/symbols/a.c", '#include "heap/walk.h"\n', "symbols (3) includes"),
    ("src/explain/a.c", '#include "store/db.h"\n', "explain (4) includes"),
    ("src/view/a.c", '#include "cli/cmd.h"\n', "view (5) includes"),
    ("src/new/a.c", "int x;\n", "no layer"),
    ("src/model/a.c", '#include "x.h"\n', "write the folder too"),
    ("src/model/b.c", 'const char *p = "/proc/self";\n', "a path below /proc"),
    ("src/model/c.c", "void f(void)\n{\n\tprintf(\"\");\n}\n", "printing"),
    ("src/model/d.c", "void f(void)\n{\n\twrite(1, 0, 0);\n}\n", "printing"),
    ("src/view/b.c", "void f(void)\n{\n\texit(1);\n}\n", "ending the program"),
    ("src/out/b.c", "char *f(void)\n{\n\treturn getenv(\"A\");\n}\n", "the environment"),
    ("src/model/e.c", "void f(void)\n{\n\tptrace(0);\n}\n", "ptrace"),
    ("src/cli/a.c", "void f(void)\n{\n\tprocess_vm_readv(0);\n}\n", "process_vm_readv"),
    ("src/trace/a.c", "long n = SYS_perf_event_open;\n", "perf_event_open"),
    ("agents/a.c", "#include <memwhy/err.h>\n", "agents/ includes"),
    ("labs/01/lab.c", "#include <memwhy/err.h>\n", "labs/ includes"),
]
HARMLESS = [
    ("src/base/ok.c", "/* exit(1), printf(), \"/proc/x\" */\n// getenv(\nint x_exit(int);\n"),
    ("src/heap/ok.c", '#include "symbols/elf.h"\n#include <memwhy/snapshot.h>\n'),
    ("src/kernel/ok.c", '#include <stdio.h>\nconst char *p = "/proc/self";\n'),
    ("src/cli/ok.c", "void f(void)\n{\n\tprintf(\"\");\n\texit(0);\n}\n"),
    ("src/view/ok.c", 'const char *s = "printf(";\n#include "explain/claims.h"\n'),
    ("agents/ok.c", "#include <memwhy/wire.h>\n#include <stdlib.h>\n"),
]


def self_test():
    with tempfile.TemporaryDirectory() as root:
        for path, text, *_ in PLANTED + HARMLESS:
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w") as f:
                f.write(text)
        for path, _, want in PLANTED:
            got = check_file(root, path)
            assert len(got) == 1 and want in got[0], (path, want, got)
        for path, _ in HARMLESS:
            assert check_file(root, path) == [], check_file(root, path)


def main():
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        return 0
    root = sys.argv[1] if len(sys.argv) > 1 else "."
    paths, wrong = check(root)
    print("\n".join(wrong) or f"{len(paths)} files keep to their layers")
    return 1 if wrong or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
