#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs the live tests on Debian 12's own kernel (6.1) with swap, in a virtual machine.

usage: vm.py [--build DIR] [--place DIR] [--accel tcg|kvm] [--nodes N]
             [TEST|'TEST CASE...'...]
       vm.py [...] record | 'record TREE...'    records the trees linux-6.1-* anew

That kernel has no PAGEMAP_SCAN, no PROCMAP_QUERY and no guard pages, and it has
soft-dirty bits: the other half of what memwhy may meet. Needs these packages:
qemu-system-x86 mmdebstrap genext2fs kmod busybox-static e2fsprogs. No root, no network
but Debian's mirror, and nothing outside DIR (build-vm) is written.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOLS = {"qemu-system-x86_64": "qemu-system-x86", "mmdebstrap": "mmdebstrap",
         "genext2fs": "genext2fs", "depmod": "kmod", "busybox": "busybox-static",
         "mke2fs": "e2fsprogs", "debugfs": "e2fsprogs", "dpkg-deb": "dpkg"}
# What the guest's programs need, on top of Debian's essential packages.
PACKAGES = "mount,python3,perl,procps"
MODULES = ("virtio_pci", "virtio_blk", "crc32c_generic", "ext4", "zram")
TESTS = ("vm", "vm_heap", "exact", "zoo", "traps", "stop", "perm", "lab", "labs")
HELPERS = ("zoo", "holder", "heap/pattern", "heap/leaky")
MEMORY_MIB = 1024
SCRATCH_MIB = 768
SWAP_MIB = 512
SECONDS = 2400  # emulated processors are slow

# Loads what the root file system needs and goes over to it.
INIT = """#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t proc proc /proc
for module in $(/bin/busybox cat /modules); do
	/bin/busybox insmod /lib/$module
done
/bin/busybox mount -t ext4 /dev/vda /root
/bin/busybox mount -t ext4 /dev/vdb /root/srv
/bin/busybox umount /proc
/bin/busybox umount /dev
exec /bin/busybox switch_root /root /srv/tests/vm/guest.sh
"""


def run(*argv, **how):
    return subprocess.run([str(word) for word in argv], check=True, **how)


def need_tools():
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    missing = sorted({package for tool, package in TOOLS.items() if not shutil.which(tool)})
    if missing:
        sys.exit(f"vm.py: missing: sudo apt-get install --no-install-recommends "
                 f"{' '.join(missing)}")


def once(path, make):
    """Makes a file or folder that is not there yet; a half made one is never kept."""
    if not path.exists():
        print(f"# making {path.name}", flush=True)
        half = path.with_name(f"half-{path.name}")
        shutil.rmtree(half, ignore_errors=True)
        half.unlink(missing_ok=True)
        make(half)
        half.rename(path)
    return path


def make_kernel(place):
    """Debian's kernel package, unpacked; its maintainer scripts do not run."""
    place.mkdir()
    text = run("apt-cache", "depends", "linux-image-amd64", capture_output=True,
               text=True).stdout
    package = re.search(r"Depends: (linux-image-\S+)", text)[1]
    run("apt-get", "-q", "download", package, cwd=place)
    run("dpkg-deb", "-x", next(place.glob("*.deb")), place)
    version = next((place / "lib/modules").iterdir()).name
    run("depmod", "-b", place, version)
    (place / "version").write_text(version)


def make_root(image):
    """A small Debian 12, as a file system image."""
    options = [f"--dpkgopt=path-exclude=/usr/share/{name}/*"
               for name in ("doc", "man", "locale")]
    # mmdebstrap tells the format by the file's suffix.
    made = image.with_name("making.ext2")
    run("mmdebstrap", "--quiet", "--variant=essential", f"--include={PACKAGES}", *options,
        "bookworm", made, stdin=subprocess.DEVNULL)
    made.rename(image)


def module_files(kernel):
    """The modules that MODULES need, each after those that it needs itself."""
    modules = kernel / "lib/modules" / (kernel / "version").read_text()
    needs = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        name, _, others = line.partition(":")
        needs[pathlib.Path(name).stem] = [name, *others.split()]
    wanted = []
    for name in MODULES:
        for file in reversed(needs[name]):
            if file not in wanted:
                wanted.append(file)
    return [modules / file for file in wanted]


def cpio_entry(number, name, mode, data=b"", device=(0, 0)):
    """One file in the format that the kernel unpacks (newc)."""
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields)
    head += name.encode() + b"\0"
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def make_initramfs(path, kernel):
    files = module_files(kernel)
    names = [f"{number:02}-{file.name}" for number, file in enumerate(files)]
    busybox = pathlib.Path(shutil.which("busybox")).read_bytes()
    parts = [(folder, 0o40755, b"") for folder in ("bin", "lib", "dev", "proc", "root")]
    parts += [("bin/busybox", 0o100755, busybox), ("init", 0o100755, INIT.encode()),
              ("modules", 0o100644, "\n".join(names).encode())]
    parts += [(f"lib/{name}", 0o100644, file.read_bytes())
              for name, file in zip(names, files)]
    data = b"".join(cpio_entry(number, *part) for number, part in enumerate(parts, 1))
    # Before devtmpfs is there, messages need the console.
    data += cpio_entry(999, "dev/console", 0o20600, device=(5, 1))
    path.write_bytes(data + cpio_entry(0, "TRAILER!!!", 0))


def make_scratch(image, build, tests):
    """The disk with the program, its tests, and room for what they write."""
    with tempfile.TemporaryDirectory() as folder:
        srv = pathlib.Path(folder) / "srv"
        shutil.copytree(ROOT / "tests/live", srv / "tests/live")
        shutil.copytree(ROOT / "tests/vm", srv / "tests/vm")
        (srv / "bin/heap").mkdir(parents=True)
        shutil.copy(build / "memwhy", srv / "bin")
        shutil.copytree(build / "labs", srv / "bin/labs")
        shutil.copy(ROOT / "labs/check.py", srv / "bin/labs")
        for program in HELPERS:
            shutil.copy(build / "tests/live" / program, srv / "bin" / program)
        for library in (build / "tests/live").glob("*.so"):
            shutil.copy(library, srv / "bin")
        (srv / "tmp").mkdir()
        (srv / "tmp").chmod(0o1777)
        (srv / "results").mkdir()
        (srv / "wanted").write_text("".join(f"{test}\n" for test in tests))
        for path in [srv, *srv.rglob("*")]:
            if path.name != "tmp":
                path.chmod(0o755)
        image.unlink(missing_ok=True)
        with open(image, "wb") as file:
            file.truncate(SCRATCH_MIB << 20)
        run("mke2fs", "-q", "-t", "ext4", "-E", "root_owner=0:0", "-d", srv, image)


def memory_of(nodes):
    """Arguments for a machine of one memory, or of several nodes with a processor each."""
    argv = ["-m", str(MEMORY_MIB), "-smp", str(max(nodes, 2))]
    for node in range(nodes if nodes > 1 else 0):
        argv += ["-object", f"memory-backend-ram,id=node{node},size={MEMORY_MIB // nodes}M",
                 "-numa", f"node,memdev=node{node},cpus={node}"]
    return argv


def boot(place, accel, nodes):
    """Runs the machine until it switches itself off; its console is printed."""
    kernel = place / "kernel"
    swap = place / "swap.img"
    swap.unlink(missing_ok=True)
    with open(swap, "wb") as file:
        file.truncate(SWAP_MIB << 20)
    disks = [("root.ext2", ",snapshot=on"), ("scratch.ext4", ""), ("swap.img", "")]
    argv = ["qemu-system-x86_64", "-nodefaults", "-display", "none", "-serial", "stdio",
            "-no-reboot", *memory_of(nodes),
            "-accel", "tcg,thread=multi" if accel == "tcg" else accel,
            "-cpu", "max" if accel == "tcg" else "host",
            "-kernel", next((kernel / "boot").glob("vmlinuz-*")),
            "-initrd", place / "initramfs",
            "-append", "console=ttyS0 quiet panic=-1 mitigations=off psi=1 "
            # On a busy machine the emulated timer seems to stand still.
            "no_timer_check"]
    for name, options in disks:
        argv += ["-drive", f"file={place / name},if=virtio,format=raw{options}"]
    run(*argv, timeout=SECONDS, stdin=subprocess.DEVNULL)


def summary(results):
    """Counts the results of all tests; returns whether all of them are good."""
    passed = failed = skipped = 0
    good = (results / "done").exists()
    for path in sorted(results.glob("*.tap")):
        text = path.read_text(errors="replace")
        plan = int((re.search(r"^1\.\.(\d+)", text, re.M) or [0, 0])[1])
        lines = re.findall(r"^(not ok|ok)\b(.*)$", text, re.M)
        good = good and 0 < plan == len(lines)
        failed += sum(word == "not ok" for word, _ in lines)
        skipped += sum("# SKIP" in rest for _, rest in lines)
        passed += sum(word == "ok" and "# SKIP" not in rest for word, rest in lines)
    print(f"{passed} passed, {failed} failed, {skipped} skipped"
          f"{'' if good else '; a test did not finish'}")
    return good and passed and not failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build-test")
    parser.add_argument("--place", type=pathlib.Path, default=ROOT / "build-vm")
    parser.add_argument("--accel", default="tcg")
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("tests", nargs="*", default=TESTS)
    args = parser.parse_args()
    need_tools()
    place = args.place.resolve()
    place.mkdir(exist_ok=True)
    kernel = once(place / "kernel", make_kernel)
    once(place / "root.ext2", make_root)
    make_initramfs(place / "initramfs", kernel)
    make_scratch(place / "scratch.ext4", args.build, args.tests)
    boot(place, args.accel, args.nodes)
    shutil.rmtree(place / "results", ignore_errors=True)
    run("debugfs", "-R", f"rdump /results {place}", place / "scratch.ext4",
        stderr=subprocess.DEVNULL)
    for tree in sorted(place.glob("results/linux-*")):
        shutil.rmtree(ROOT / "tests/trees" / tree.name, ignore_errors=True)
        shutil.copytree(tree, ROOT / "tests/trees" / tree.name)
        print(f"# recorded {tree.name}")
    sys.exit(0 if summary(place / "results") else 1)


if __name__ == "__main__":
    main()
