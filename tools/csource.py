# SPDX-License-Identifier: MIT
"""Enough of a C reader for checks that look at how the code is written.

It is no compiler: macros are not expanded, and both branches of an #if are seen. Every
function keeps offsets and line breaks, so that a place found in the result is a place
in the file.
"""
import os
import re

LITERAL = re.compile(
    r"(?P<comment>//(?:\\\n|[^\n])*|/\*.*?(?:\*/|\Z))"
    r"|(?P<string>\"(?:\\.|[^\"\\\n])*\"?)"
    r"|(?P<char>'(?:\\.|[^'\\\n])*'?)", re.S)
DIRECTIVE = re.compile(r"^[ \t]*#(?:\\\n|[^\n])*", re.M)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^">]+)[">]', re.M)
HEAD = re.compile(r"\b([A-Za-z_]\w*)\s*\(")
NOT_A_NAME = {"__attribute__", "MW_PRINTF", "_Static_assert", "sizeof", "if", "for",
              "while", "switch", "defined", "typeof", "__typeof__"}


def _blank(text):
    return re.sub(r"[^\n]", " ", text)


def without_comments(text):
    """The text with comments blanked; strings stay."""
    return LITERAL.sub(
        lambda m: _blank(m.group()) if m.group("comment") else m.group(), text)


def bare(text):
    """The text with comments, strings, characters and directives blanked."""
    def literal(m):
        if m.group("comment"):
            return _blank(m.group())
        return m.group()[0] + _blank(m.group()[1:-1]) + m.group()[0] \
            if len(m.group()) > 1 else m.group()
    return DIRECTIVE.sub(lambda m: _blank(m.group()), LITERAL.sub(literal, text))


def line_of(text, offset):
    """The number, from 1 on, of the line that holds an offset."""
    return text.count("\n", 0, offset) + 1


def comment_lines(text):
    """The numbers of all lines that hold a comment or a part of one."""
    lines = set()
    for m in LITERAL.finditer(text):
        if m.group("comment"):
            first = line_of(text, m.start())
            lines.update(range(first, first + m.group().count("\n") + 1))
    return lines


def includes(text):
    """(line, path, own) for every #include; `own` when it is one of ours."""
    clean = without_comments(text)
    for m in INCLUDE.finditer(clean):
        path = m.group(2)
        own = m.group(1) == '"' or path.startswith("memwhy/")
        yield line_of(clean, m.start()), path, own


class Statement:
    """One thing at file scope: a declaration, a definition with or without braces."""

    def __init__(self, text, head, start, end, has_body):
        self.head = head            # up to the first brace, `=`, or the semicolon
        self.line = line_of(text, start)
        self.end_line = line_of(text, end)
        self.has_body = has_body    # ends with a brace, as functions do
        self.text = text[start:end + 1]

    def function_name(self):
        """The name, when this declares or defines a function."""
        if "=" in self.head or re.match(r"\s*typedef\b", self.head):
            return None
        head = re.sub(r"__attribute__\s*\(\(.*?\)\)", " ", self.head, flags=re.S)
        for m in HEAD.finditer(head):
            if m.group(1) not in NOT_A_NAME:
                # `int (*name)(void)` has a type, or nothing, before the parenthesis.
                if head[m.end():].lstrip().startswith("*"):
                    return None
                return m.group(1) if head[:m.start()].strip() else None
        return None

    def is_function(self):
        return self.has_body and self.function_name() is not None

    def is_prototype(self):
        return not self.has_body and self.function_name() is not None


def _skip_braces(code, start):
    depth = 0
    for i in range(start, len(code)):
        if code[i] == "{":
            depth += 1
        elif code[i] == "}":
            depth -= 1
            if depth == 0:
                return i
    return len(code) - 1


def statements(text):
    """Every Statement at file scope, in order."""
    code = bare(text)
    start, i, head_end = None, 0, None
    while i < len(code):
        c = code[i]
        if start is None:
            if not c.isspace() and c != ";":
                start, head_end = i, None
                continue
        elif c == "(":
            depth = 0
            while i < len(code):
                depth += {"(": 1, ")": -1}.get(code[i], 0)
                if depth == 0:
                    break
                i += 1
        elif c in "={;":
            if head_end is None:
                head_end = i
            if c == "{":
                i = _skip_braces(code, i)
                made = Statement(code, code[start:head_end], start, i, True)
                if made.is_function():
                    yield made
                    start = None
            elif c == ";":
                yield Statement(code, code[start:head_end], start, i, False)
                start = None
        i += 1


def find(root, folders, endings=(".c", ".h")):
    """Paths below root, relative to it and sorted, of the files in these folders."""
    found = []
    for folder in folders:
        for base, dirs, names in os.walk(os.path.join(root, folder)):
            dirs.sort()
            found += [os.path.relpath(os.path.join(base, name), root)
                      for name in names if name.endswith(endings)]
    return sorted(found)


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as f:
        return f.read()
