#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""`page` beside the kernel's own files: pagemap, kpageflags, kpagecount; and what a fork
shares before and after somebody writes."""

import ctypes
import mmap
import os
import signal
import struct
import time

import live


def word(pid, address):
    with open(f"/proc/{pid}/pagemap", "rb") as file:
        file.seek(address // live.PAGE * 8)
        return struct.unpack("<Q", file.read(8))[0]


def kpage(name, pfn):
    with open(f"/proc/{name}", "rb") as file:
        file.seek(pfn * 8)
        return struct.unpack("<Q", file.read(8))[0]


class Family:
    """This process's memory, a child that shares it after a fork, and pipes to tell it."""

    def __init__(self, length=16 * live.PAGE, shared=False):
        flags = mmap.MAP_ANONYMOUS | (mmap.MAP_SHARED if shared else mmap.MAP_PRIVATE)
        self.map = mmap.mmap(-1, length, flags=flags)
        self.map[0:8] = struct.pack("<Q", 0x1122334455667788)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.map))
        ready, self.ready = os.pipe()
        self.orders, orders = os.pipe()
        self.child = os.fork()
        if not self.child:
            os.write(self.ready, b"r")
            while True:
                order = os.read(self.orders, 1)
                if order == b"w":
                    self.map[0:8] = struct.pack("<Q", 0x99)
                os.write(self.ready, b"d")
        self.say, self.heard = orders, ready
        os.read(ready, 1)

    def write(self):
        os.write(self.say, b"w")
        os.read(self.heard, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.kill(self.child, signal.SIGKILL)
        os.waitpid(self.child, 0)


@live.case
def entry():
    """the entry and the frame are those of the kernel's files"""
    live.need_root()
    with live.holder("zero", 1) as target:
        for row in live.smaps(target.pid, "maps"):
            if row["start"] >= 1 << 62 or row["name"] in (b"[vvar]", b"[vvar_vclock]"):
                continue
            answer = live.memwhy("page", target.pid, hex(row["start"]), "--json").json
            bits = word(target.pid, row["start"])
            present, pfn = bits >> 63, bits & (1 << 55) - 1
            live.check_equal(answer["entry"]["present"], bool(present), row)
            live.check_equal(answer["entry"]["file"], bool(bits >> 61 & 1), row)
            live.check_equal(answer["entry"]["exclusive"], bool(bits >> 56 & 1), row)
            if not present:
                live.check_equal(answer["frame"]["pfn"], None, row)
                continue
            live.check_equal(answer["frame"]["pfn"], pfn, row)
            live.check_equal(answer["frame"]["physical"], hex(pfn * live.PAGE), row)
            anon = "anon" in answer["frame"]["flags"].split()
            live.check_equal(anon, bool(kpage("kpageflags", pfn) >> 12 & 1), row)


@live.case
def charged():
    """the memory cgroup that a page is charged to, by its inode and its path"""
    live.need_root()
    root = next((place for place in ("/sys/fs/cgroup/memory", "/sys/fs/cgroup")
                 if os.path.isdir(place)), None)
    if not root or not os.path.exists("/proc/kpagecgroup"):
        raise live.Skip("no memory cgroups here")
    with Family() as family:
        answer = live.memwhy("page", os.getpid(), hex(family.address), "--json").json
        inode = kpage("kpagecgroup", answer["frame"]["pfn"])
        live.check_equal(answer["frame"]["cgroup_inode"], inode, "inode")
        if not inode:
            raise live.Skip("this page is charged to no group that is seen here")
        live.check_equal(os.stat(root + answer["frame"]["cgroup"]).st_ino, inode, "path")


@live.case
def split():
    """the indexes and the offset make the address again"""
    address = 0x7f1234567000 + 0x9ab
    answer = live.memwhy("page", os.getpid(), hex(address), "--json").json
    if "walk" not in answer:
        raise live.Skip("the page tables of this machine are of another kind")
    made = 0
    for level in answer["walk"]:
        made += level["index"] * level["covers"]
    live.check_equal(made + answer["offset"], address, "address")


@live.case
def cow():
    """a fork shares a frame; a write parts it; --same proves both"""
    live.need_root()
    with Family() as family:
        args = ("page", "--same", os.getpid(), family.child, hex(family.address), "--json")
        before = live.memwhy(*args).json["processes"]
        live.check_equal(before[0]["pfn"], before[1]["pfn"], "frames after the fork")
        live.check_equal(before[1]["same_as"], os.getpid(), "same frame as")
        live.check_equal(before[0]["value"], "0x1122334455667788", "the word")
        one = live.memwhy("page", os.getpid(), hex(family.address), "--json").json
        pids = sorted(row["pid"] for row in one["sharers"])
        live.check_equal(pids, sorted((os.getpid(), family.child)), "sharers")
        live.check_equal(one["frame"]["map_count"], 2, "map count")
        family.write()
        after = live.memwhy(*args).json["processes"]
        live.check(after[0]["pfn"] != after[1]["pfn"], f"one frame still: {after}")
        live.check_equal((after[0]["value"], after[1]["value"]),
                         ("0x1122334455667788", "0x99"), "words")


@live.case
def shared():
    """a shared mapping stays one frame when somebody writes"""
    live.need_root()
    with Family(shared=True) as family:
        family.write()
        rows = live.memwhy("page", "--same", os.getpid(), family.child,
                           hex(family.address), "--json").json["processes"]
        live.check_equal(rows[0]["pfn"], rows[1]["pfn"], "frames")
        live.check_equal(rows[0]["value"], "0x99", "the child's word, read by the parent")


@live.case
def ranges():
    """a range: a row a page; never touched, touched, zero page"""
    area = mmap.mmap(-1, 8 * live.PAGE, flags=mmap.MAP_ANONYMOUS | mmap.MAP_PRIVATE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(area))
    start = (address + live.PAGE - 1) // live.PAGE * live.PAGE
    area[start - address] = 1
    _ = area[start - address + live.PAGE]
    rows = live.memwhy("page", os.getpid(),
                       f"{start:x}..{start + 4 * live.PAGE:x}", "--json").json["pages"]
    live.check_equal(len(rows), 4, "rows")
    live.check("present" in rows[0]["state"] and "anonymous" in rows[0]["state"], rows[0])
    live.check("zero-page" in rows[1]["state"] or "present" in rows[1]["state"], rows[1])
    live.check_equal(rows[3]["state"], "nothing", "never touched")
    del area


@live.case
def guards():
    """guard pages and reserved ones may not be touched: neither swapped nor a mere fault"""
    area = mmap.mmap(-1, 8 * live.PAGE, flags=mmap.MAP_ANONYMOUS | mmap.MAP_PRIVATE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(area))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mprotect.argtypes = libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t,
                                                      ctypes.c_int)
    live.check_equal(libc.mprotect(address + 4 * live.PAGE, live.PAGE, 0), 0, "mprotect")
    answer = live.memwhy("page", os.getpid(), hex(address + 4 * live.PAGE), "--json").json
    live.check("may not be touched" in answer["headline"], answer["headline"])
    install = 102
    if libc.madvise(address + live.PAGE, live.PAGE, install):
        raise live.Skip("this kernel has no guard pages (MADV_GUARD_INSTALL, Linux 6.13)")
    answer = live.memwhy("page", os.getpid(), hex(address + live.PAGE), "--json").json
    if not answer["entry"]["guard"]:
        raise live.Skip("this kernel does not show them (pagemap, Linux 6.15)")
    live.check_equal(answer["entry"]["swapped"], False, "swapped")
    live.check_equal(answer["entry"]["swap_type"], None, "swap area")
    live.check("may not be touched" in answer["headline"], answer["headline"])
    rows = live.memwhy("page", os.getpid(), f"{address:x}..{address + 2 * live.PAGE:x}",
                       "--json").json["pages"]
    live.check_equal(rows[1]["state"], "guard", "state")


@live.case
def symbol():
    """an address in a library: section and symbol"""
    # Of the library itself: in a program at a fixed address the pointer is to its PLT.
    libc = ctypes.CDLL("libc.so.6")
    address = ctypes.cast(libc.malloc, ctypes.c_void_p).value
    answer = live.memwhy("page", os.getpid(), hex(address), "--json").json
    live.check_equal((answer["class"], answer["section"], answer["symbol"]),
                     ("lib.text", ".text", "malloc"), "malloc")


@live.case
def huge():
    """an address in a huge page: the walk ends a level earlier"""
    size, advice = 2 << 20, 14
    area = mmap.mmap(-1, 4 * size, flags=mmap.MAP_ANONYMOUS | mmap.MAP_PRIVATE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(area))
    start = (address + size - 1) // size * size
    area.madvise(advice, start - address, size)
    area[start - address] = 1
    at = start + 5 * live.PAGE + 7
    answer = live.memwhy("page", os.getpid(), hex(at), "--json").json
    if not answer["entry"]["huge"]:
        raise live.Skip("no huge page was to be had")
    live.check_equal(answer["walk"][-1]["level"], "PD", "the last level")
    live.check_equal(answer["walk"][-1]["covers"], size, "an entry covers")


@live.case
def unprivileged():
    """without the right to see frames the rest is shown, and it is said"""
    live.need_root()
    with live.holder("zero", 1) as target:
        start = live.smaps(target.pid, "maps")[0]["start"]
        live.memwhy("page", target.pid, hex(start), codes=(3,), user=live.NOBODY)
        answer = live.memwhy("page", "--same", target.pid, os.getpid(), hex(start),
                             codes=(3,), user=live.NOBODY).text
        live.check("2 may not be read" in answer, answer)
        # One's own: all but the frames, and the command that shows them.
        with live.holder("zero", 1, user=live.NOBODY) as own:
            start = live.smaps(own.pid, "maps")[0]["start"]
            answer = live.memwhy("page", own.pid, hex(start), "--json",
                                 user=live.NOBODY).json
            live.check_equal(answer["entry"]["present"], True, "present")
            live.check_equal(answer["frame"]["pfn"], None, "frame")
            live.check_equal([limit["remedy"] for limit in answer["limits"]
                              if limit["what"] == "frames"],
                             [f"sudo memwhy page {own.pid} {hex(start)}"], "remedy")
        answer = live.memwhy("page", os.getpid(), "0x10").text
        live.check("is not mapped" in answer, answer)


@live.case
def usage():
    """errors of usage, and who is not there"""
    for args, code in ((("page",), 2), (("page", "1"), 2), (("page", os.getpid(), "x"), 2),
                       (("page", os.getpid(), "2000..1000"), 2),
                       (("page", os.getpid(), "0..ffffffffffff"), 2),
                       (("page", "--same", os.getpid(), "0x1000"), 2),
                       (("page", 999999999, "0x1000"), 4),
                       (("page", os.getpid(), "0x1000", "extra"), 2)):
        live.memwhy(*args, codes=(code,))
    child = os.fork()
    if not child:
        os._exit(0)
    time.sleep(0.05)
    answer = live.memwhy("page", child, "0x1000", codes=None)
    live.check(answer.code in (0, 3, 4, 5) and answer.code >= 0, str(answer))
    os.waitpid(child, 0)
    live.memwhy("page", os.getpid(), "0xffffffffffffffff")
    live.memwhy("page", os.getpid(), "0xffffffffff600000")


live.main()
