# SPDX-License-Identifier: MIT
"""What the live tests share: running memwhy, starting targets, reading the kernel's
own word about them, and TAP. Debian's python3 only, nothing else."""

import contextlib
import json
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

MEMWHY = os.environ.get("MEMWHY", "memwhy")
HELPERS = pathlib.Path(os.environ.get("MEMWHY_HELPERS", "."))
PAGE = os.sysconf("SC_PAGE_SIZE")
NOBODY = 65534
COUNTERS = ("rss", "pss", "private", "shared", "swap")

_cases = []


class Skip(Exception):
    """This machine cannot run the case; the text says what is missing."""


def case(function):
    """Registers a test; its docstring's first line is its name."""
    _cases.append(function)
    return function


def cases_for(items, name):
    """Registers one test for each item: function(item)."""
    def register(function):
        for item in items:
            def run(item=item):
                function(item)
            run.__doc__ = f"{function.__doc__.strip().splitlines()[0]}: {name(item)}"
            _cases.append(run)
        return function
    return register


def main():
    """Runs every registered case, prints TAP, exits."""
    failed = 0
    print(f"1..{len(_cases)}", flush=True)
    for number, function in enumerate(_cases, 1):
        title = function.__doc__.strip().splitlines()[0].rstrip(".")
        try:
            function()
            print(f"ok {number} - {title}", flush=True)
        except Skip as why:
            print(f"ok {number} - {title} # SKIP {why}", flush=True)
        except Exception:
            failed += 1
            print(f"not ok {number} - {title}")
            for line in traceback.format_exc().splitlines():
                print(f"# {line}"[:2000], flush=True)
    sys.exit(1 if failed else 0)


def check(condition, message):
    """As assert, but never optimised away."""
    if not condition:
        raise AssertionError(message)


def check_equal(got, want, what):
    check(got == want, f"{what}: got {got!r}, want {want!r}")


def need_root():
    if os.geteuid() != 0:
        raise Skip("needs root")


def need_program(name, package=None):
    path = shutil.which(name)
    if not path:
        raise Skip(f"{name} is not installed (package {package or name})")
    return path


# --- memwhy ------------------------------------------------------------------------

class Answer:
    """What one run of memwhy gave."""

    def __init__(self, args, done):
        self.args = args
        self.code = done.returncode
        self.out = done.stdout
        self.err = done.stderr.decode(errors="replace")

    @property
    def text(self):
        return self.out.decode(errors="replace")

    @property
    def json(self):
        try:
            return json.loads(self.out)
        except ValueError as error:
            raise AssertionError(f"{self}: no JSON ({error}): {self.out[:300]!r}")

    def __str__(self):
        return f"memwhy {' '.join(map(str, self.args))}: exit {self.code}: " \
               f"{self.err[:600]!r}"


def memwhy(*args, codes=(0,), user=None, timeout=120, **popen):
    """Runs memwhy; fails unless it exits with one of `codes` (None: any but a crash)."""
    command = [MEMWHY, *map(str, args)]
    if user is not None:
        command = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups",
                   "--inh-caps=-all", *command]
    popen.setdefault("stdin", subprocess.DEVNULL)
    popen.setdefault("stdout", subprocess.PIPE)
    answer = Answer(args, subprocess.run(command, stderr=subprocess.PIPE,
                                         timeout=timeout, **popen))
    check(answer.code >= 0 and "Sanitizer" not in answer.err, f"crash: {answer}")
    check(codes is None or answer.code in codes, f"unexpected exit: {answer}")
    return answer


def why_json(pid, *args, **kw):
    return memwhy(*([] if pid is None else [pid]), "--json", *args, **kw).json


def map_json(pid, *args, **kw):
    return memwhy("map", *([] if pid is None else [pid]), "--all", "--json", *args,
                  **kw).json


def check_why(why):
    """The promises every answer of `memwhy PID --json` keeps."""
    check_equal(why["schema"], "memwhy.why/1", "schema")
    if why["account"]:
        total = sum(row["bytes"] for row in why["account"]) + why["rest"]
        check_equal(total, why["rss"], "account + rest")
    for row in why["account"]:
        if row["private"] is not None and row["shared"] is not None:
            check_equal(row["private"] + row["shared"], row["bytes"], row["cause"])
    for limit in why["limits"]:
        check(limit["what"] and limit["why"], f"an empty limit: {limit}")
    for finding in why["findings"]:
        check(finding["id"] and finding["claim"] and finding["evidence"],
              f"a finding without evidence: {finding}")
        check(finding["confidence"] in ("certain", "likely", "guess"), finding)


# --- the kernel's word --------------------------------------------------------------

_HEAD = re.compile(rb"^([0-9a-f]+)-([0-9a-f]+) (\S{4}) ([0-9a-f]+) (\S+) (\d+) *(.*)$")


def smaps(pid, name="smaps"):
    """Every mapping as a dict: start, end, perms, name, and smaps' columns in bytes."""
    regions = []
    for line in pathlib.Path(f"/proc/{pid}/{name}").read_bytes().splitlines():
        head = _HEAD.match(line)
        if head:
            regions.append({"start": int(head[1], 16), "end": int(head[2], 16),
                            "perms": head[3].decode(), "name": head[7]})
            continue
        key, _, value = line.partition(b":")
        words = value.split()
        if len(words) == 2 and words[1] == b"kB":
            regions[-1][key.decode()] = int(words[0]) * 1024
    return regions


def rollup(pid):
    return smaps(pid, "smaps_rollup")[0]


def status(pid):
    """status as a dict; kB values in bytes."""
    fields = {}
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        key, _, value = line.partition(":")
        words = value.split()
        kib = len(words) == 2 and words[1] == "kB"
        fields[key] = int(words[0]) * 1024 if kib else value.strip()
    return fields


def resident(pid):
    """Resident bytes of a process that rests, by two of the kernel's counters."""
    counted, kept = rollup(pid)["Rss"], status(pid)["VmRSS"]
    # Linux 6.16 made VmRSS exact; before, each processor or thread keeps a part back.
    lag = 4 << 20
    check(abs(counted - kept) < lag, f"smaps_rollup {counted}, VmRSS {kept}")
    release = tuple(map(int, re.findall(r"\d+", os.uname().release)[:2]))
    if release >= (6, 16):
        check_equal(kept, counted, "VmRSS and smaps_rollup")
    return counted


def state(pid):
    return status(pid)["State"][0]


def children(pid):
    """Children of a process, by /proc/PID/task/*/children."""
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(word) for word in task.read_text().split()]
    return found


def wait_until(condition, what, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < end, f"waited {seconds} s for {what}")
        time.sleep(0.01)


# --- targets -----------------------------------------------------------------------

class Target:
    """A process started here, ended with the `with` block."""

    def __init__(self, argv, ready=b"ready", user=None, seconds=60, **popen):
        argv = [str(word) for word in argv]
        if user is not None:
            argv = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups",
                    *argv]
        self.lines = []
        popen.setdefault("stdin", subprocess.PIPE)
        popen.setdefault("stdout", subprocess.PIPE if ready else subprocess.DEVNULL)
        self.process = subprocess.Popen(argv, start_new_session=True, **popen)
        self.pid = self.process.pid
        if ready:
            try:
                self._read_until(ready, seconds)
            except BaseException:
                self.__exit__()
                raise

    def _read_until(self, ready, seconds):
        end, pending = time.monotonic() + seconds, b""
        fd = self.process.stdout.fileno()
        while True:
            left = end - time.monotonic()
            check(left > 0 and select.select([fd], [], [], left)[0],
                  f"{self.process.args}: not ready in {seconds} s")
            chunk = os.read(fd, 65536)
            check(chunk, f"{self.process.args}: ended before it was ready")
            *lines, pending = (pending + chunk).split(b"\n")
            self.lines += [line.decode(errors="replace") for line in lines]
            if any(line.startswith(ready) for line in lines):
                return

    def facts(self, word):
        """The lines that begin with `word`, as dicts of their key=value pairs."""
        found = []
        for line in self.lines:
            first, _, rest = line.partition(" ")
            if first == word:
                found.append(dict(pair.split("=", 1) for pair in rest.split()))
        return found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for number in (signal.SIGTERM, signal.SIGCONT):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


def copied(argv, place):
    """The same command from copies of the program and its libraries, so that only
    processes started from them share these files' pages."""
    program = pathlib.Path(shutil.which(str(argv[0])))
    listing = subprocess.run(["ldd", program], check=True, capture_output=True, text=True)
    loader = None
    for line in listing.stdout.splitlines():
        found = re.match(r"\s*(?:(\S+) => )?(/\S+) \(0x", line)
        if not found:
            continue
        copy = place / (found[1] or pathlib.Path(found[2]).name)
        if not copy.exists():
            shutil.copy(found[2], copy)
        loader = loader if found[1] else copy
    check(loader, f"{program}: no loader in {listing.stdout!r}")
    if not (place / program.name).exists():
        shutil.copy(program, place)
    return [loader, "--library-path", place, place / program.name, *argv[1:]]


@contextlib.contextmanager
def alone(argv, user=None, env=None):
    """A target that shares its files with one process only, a twin. Both are stopped:
    whatever is started or ends meanwhile, memwhy first of all, who shares what stays."""
    env = dict(os.environ, LC_ALL="C", **(env or {}))
    with scratch(0o755) as place:
        command = copied(argv, place)
        with Target(command, user=user, env=env, cwd="/") as target, \
                Target(command, user=user, env=env, cwd="/") as twin, \
                stopped(target.pid, twin.pid):
            yield target


def holder(*args, **kw):
    return Target([HELPERS / "holder", *args], **kw)


def zoo(**kw):
    """The zoo, with an environment of several pages and its files in `tmp`."""
    env = dict(os.environ, ZOO_PAD="x" * 65536)
    return Target([HELPERS / "zoo"], env=dict(env, **kw.pop("env", {})), **kw)


@contextlib.contextmanager
def stopped(*pids):
    """Holds processes still with SIGSTOP, so that two looks see the same."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        for pid in pids:
            wait_until(lambda: _all_stopped(pid), f"{pid} to stop")
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def _all_stopped(pid):
    for stat in pathlib.Path(f"/proc/{pid}/task").glob("*/stat"):
        with contextlib.suppress(OSError):
            if stat.read_text().rpartition(")")[2].split()[0] not in "TtZX":
                return False
    return True


@contextlib.contextmanager
def scratch(mode=0o700):
    """A temporary directory, removed afterwards."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="memwhy-live-"))
    path.chmod(mode)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def total(values):
    """The sum, or None where one of them is not known."""
    values = list(values)
    return None if any(value is None for value in values) else sum(values)


def address(text):
    return int(text, 16)


def inside(regions, start, end):
    """Those segments of a map answer that lie in [start, end), even partly."""
    return [r for r in regions if address(r["start"]) < end and address(r["end"]) > start]
