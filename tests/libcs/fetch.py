# SPDX-License-Identifier: MIT
"""Fetches the libcs of other Debian suites: libc6 packages, unpacked below a cache, never
installed. apt does it, told to use directories of its own: its lists and its cache are
below build/, so that this machine's apt neither changes nor takes part. Signatures are
checked as apt always does, with Debian's own keys."""

import os
import pathlib
import re
import shutil
import subprocess

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
MIRROR = os.environ.get("MEMWHY_MIRROR", "http://deb.debian.org/debian")
SUITES = ("bullseye", "bookworm", "trixie", "sid", "experimental")


class Unavailable(Exception):
    """The archive or a package of it cannot be had; the text says why."""


def run(argv, **kw):
    return subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, **kw)


class Apt:
    """apt with a configuration of its own, for one suite."""

    def __init__(self, root, suite):
        self.suite = suite
        self.root = (root / suite).resolve()
        for part in ("lists/partial", "cache/archives/partial", "etc"):
            (self.root / part).mkdir(parents=True, exist_ok=True)
        (self.root / "status").touch()
        sources = self.root / "etc" / "sources.list"
        sources.write_text(
            f"deb [arch=amd64 signed-by={KEYRING}] {MIRROR} {suite} main\n")
        options = {
            "Dir::Etc": self.root / "etc",
            "Dir::Etc::SourceList": sources,
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::Etc::Preferences": "/dev/null",
            "Dir::Etc::PreferencesParts": "/dev/null",
            "Dir::State": self.root,
            "Dir::State::Lists": self.root / "lists",
            "Dir::State::Status": self.root / "status",
            "Dir::Cache": self.root / "cache",
            "APT::Architecture": "amd64",
            "APT::Architectures": "amd64",
            "APT::Get::AllowUnauthenticated": "false",
            "APT::Sandbox::User": "",
            "Acquire::Languages": "none",
            "Acquire::Retries": "2",
            "Acquire::http::Timeout": "20",
        }
        self.options = [word for key, value in options.items()
                        for word in ("-o", f"{key}={value}")]

    def _apt(self, *words, **kw):
        done = run(["apt-get", "-q", *self.options, *words], **kw)
        said = [line for line in (done.stderr + done.stdout).splitlines()
                if re.match(r"(E|W|Err):?", line)]
        failed = [line for line in said if line.startswith(("W: Failed", "E:"))]
        if done.returncode or failed:
            raise Unavailable(failed[0] if failed else f"apt-get ended {done.returncode}")
        return done.stdout

    def update(self):
        self._apt("update")

    def candidate(self, package):
        """The version that would be downloaded now."""
        out = self._apt("download", "--print-uris", package, cwd=self.root)
        found = re.search(r"^'[^']+' (\S+)_([^_]+)_amd64\.deb ", out, re.M)
        if not found:
            raise Unavailable(f"{self.suite} has no {package}")
        return found[2].replace("%3a", ":")

    def download(self, package, into):
        self._apt("download", package, cwd=into)
        return next(into.glob(f"{package}_*.deb"))


class Libc:
    """An unpacked libc6."""

    def __init__(self, suite, version, root):
        self.suite, self.version, self.root = suite, version, root
        loader = next(iter(root.glob("**/ld-linux-x86-64.so.2")), None)
        objects = [path for path in root.glob("**/libc.so.6")]
        if not loader or not objects:
            raise Unavailable(f"libc6 {version} of {suite} has no loader")
        self.library_path = objects[0].parent
        # A link in the package names an absolute path of the package.
        self.loader = self._inside(loader)

    def _inside(self, path):
        target = path.readlink() if path.is_symlink() else None
        if target and target.is_absolute():
            return self.root / target.relative_to("/")
        return path.resolve()

    def argv(self):
        """What to put before a program so that it runs with this libc."""
        return [str(self.loader), "--library-path", str(self.library_path)]

    def __str__(self):
        return f"{self.version} ({self.suite})"


def unpack(apt, version, place):
    """The package in `place`; put there whole or not at all."""
    fresh = place.with_name("unpacking")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    package = apt.download("libc6", fresh)
    done = run(["dpkg-deb", "-x", package, fresh / "root"])
    if done.returncode:
        raise Unavailable(f"dpkg-deb: {done.stderr.strip()}")
    package.unlink()
    for old in place.parent.glob("libc6_*"):
        if old != fresh:
            shutil.rmtree(old)
    fresh.rename(place)
    return Libc(apt.suite, version, place / "root")


def cached(root, suite):
    """What an earlier run fetched, newest last."""
    return sorted((root / suite).glob("libc6_*/root"), key=lambda p: p.stat().st_mtime)


def libc_of(root, suite):
    """The libc of a suite as it is now. Unavailable when the archive has none, or when
    there is no archive and none was fetched before."""
    root = pathlib.Path(root)
    for tool in ("apt-get", "dpkg-deb"):
        if not shutil.which(tool):
            raise Unavailable(f"there is no {tool} here")
    try:
        apt = Apt(root, suite)
        apt.update()
        version = apt.candidate("libc6")
        place = apt.root / f"libc6_{version.replace(':', '%3a')}"
        if (place / "root").exists():
            return Libc(suite, version, place / "root")
        return unpack(apt, version, place)
    except Unavailable as why:
        old = cached(root, suite)
        if not old:
            raise
        version = old[-1].parent.name.partition("_")[2].replace("%3a", ":")
        print(f"# {suite}: {why}; {version} was fetched before", flush=True)
        return Libc(suite, version, old[-1])
