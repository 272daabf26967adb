# SPDX-License-Identifier: MIT
"""Real programs that nobody here wrote, started so that they touch no network and leave
nothing behind. Each factory is a context manager that gives {name: pid}."""

import contextlib
import glob
import os
import pathlib
import shutil
import socket
import subprocess
import time

import live

PRELOADS = "/usr/lib/x86_64-linux-gnu"


def environment(place):
    """A home of its own, and no proxies or user settings."""
    return {"PATH": os.environ["PATH"], "HOME": str(place), "TMPDIR": str(place),
            "LANG": "C.UTF-8", "XDG_CONFIG_HOME": str(place / "config"),
            "XDG_CACHE_HOME": str(place / "cache")}


def script(argv, **env):
    """A program that prints "ready" by itself."""
    @contextlib.contextmanager
    def start():
        live.need_program(str(argv[0]))
        with live.scratch() as place:
            env_here = dict(environment(place), **env)
            with live.Target(argv, env=env_here, cwd=place) as target:
                yield {pathlib.Path(argv[0]).name: target.pid}
    return start


bash = script(["bash", "--norc", "-c", "x=$(seq 300000); echo ready; read x"])
perl = script(["perl", "-e", "$| = 1; my %h = map { $_ => 'x' x 100 } 1 .. 100000;"
               " print qq(ready\\n); <STDIN>"])
PYTHON = ["/usr/bin/python3", "-c", "x = [str(i) * 3 for i in range(400000)];"
          # Blocks that malloc maps merge with the arenas, below them.
          " y = [bytes(300000) for i in range(60)];"
          "print('ready', flush=True); input()"]
python = script(PYTHON)
node = script(["node", "-e", "const a = []; for (let i = 0; i < 500000; i++)"
               " a.push({ i, s: 'n' + i }); console.log('ready');"
               " process.stdin.on('data', () => console.log(a.length))"])


def preloaded(library, package):
    """A program whose malloc is another one: perl, which uses nothing else."""
    @contextlib.contextmanager
    def start():
        found = sorted(glob.glob(f"{PRELOADS}/{library}"))
        if not found:
            raise live.Skip(f"{library} is not installed (package {package})")
        run = script(["perl", "-e", "$| = 1; my %h = map { $_ => 'x' x 100 } 1 .. 200000;"
                      " print qq(ready\\n); <STDIN>"], LD_PRELOAD=found[0])
        with run() as pids:
            yield pids
    return start


jemalloc = preloaded("libjemalloc.so.2", "libjemalloc2")
tcmalloc = preloaded("libtcmalloc_minimal.so.4", "libgoogle-perftools4")
mimalloc = preloaded("libmimalloc.so.2*", "libmimalloc2.0")

MUSL_PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(void)
{
	static char *kept[20000];
	for (int i = 0; i < 20000; i++)
		memset(kept[i] = malloc(400), 1, 400);
	/* A static program that never frees gets a simpler malloc, without mappings. */
	for (int i = 0; i < 20000; i += 100)
		free(kept[i]);
	for (int i = 0; i < 4000; i += 100)
		memset(kept[i] = malloc(300000), 1, 300000);
	puts("ready");
	fflush(stdout);
	return getchar() == EOF && kept[0] == NULL;
}
"""


@contextlib.contextmanager
def musl():
    compiler = live.need_program("musl-gcc", "musl-tools")
    with live.scratch() as place:
        (place / "musl.c").write_text(MUSL_PROGRAM)
        subprocess.run([compiler, "-O1", "-static", "-o", place / "musl-static",
                        place / "musl.c"], check=True)
        with live.Target([place / "musl-static"]) as target:
            yield {"musl-static": target.pid}


@contextlib.contextmanager
def busybox():
    path = live.need_program("busybox", "busybox-static")
    if b"/ld-linux" in pathlib.Path(path).read_bytes()[:8192]:
        raise live.Skip("busybox is not static (package busybox-static)")
    with live.Target([path, "sh", "-c", "echo ready; read x"]) as target:
        yield {"busybox": target.pid}


JAVA_PROGRAM = """
public class Hold {
    static byte[][] kept = new byte[400][];
    public static void main(String[] a) throws Exception {
        for (int i = 0; i < kept.length; i++) {
            kept[i] = new byte[100000];
            java.util.Arrays.fill(kept[i], (byte) 1);
        }
        System.out.println("ready");
        System.in.read();
    }
}
"""


@contextlib.contextmanager
def java():
    run = live.need_program("java", "default-jdk-headless")
    compiler = live.need_program("javac", "default-jdk-headless")
    with live.scratch() as place:
        (place / "Hold.java").write_text(JAVA_PROGRAM)
        subprocess.run([compiler, "-J-XX:-UsePerfData", "-d", place, place / "Hold.java"],
                       check=True, env=environment(place))
        with live.Target([run, "-Xmx256m", "-XX:-UsePerfData", "-cp", place, "Hold"],
                         env=environment(place)) as target:
            yield {"java": target.pid}


def answers(path, request, reply):
    """Whether a server at a socket answers so."""
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(2)
            s.connect(str(path))
            s.sendall(request)
            return s.recv(4096).startswith(reply)
    except OSError:
        return False


def connects(path):
    with socket.socket(socket.AF_UNIX) as s:
        return s.connect_ex(str(path)) == 0


def fill_redis(path):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(path))
        for batch in range(20):
            s.sendall(b"".join(b"SET key%d %s\r\n" % (batch * 1000 + i, b"v" * 500)
                               for i in range(1000)))
            got = 0
            while got < 5 * 1000:
                got += len(s.recv(65536))


@contextlib.contextmanager
def redis():
    server = live.need_program("redis-server")
    with live.scratch() as place:
        path = place / "s"
        with live.Target([server, "--port", "0", "--unixsocket", path, "--save", "",
                          "--dir", place, "--daemonize", "no"], ready=None,
                         env=environment(place)) as target:
            live.wait_until(lambda: answers(path, b"PING\r\n", b"+PONG"), "redis")
            fill_redis(path)
            yield {"redis-server": target.pid}


def postgres_program(name):
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))
    if not found:
        raise live.Skip(f"{name} is not installed (package postgresql)")
    return found[-1]


@contextlib.contextmanager
def postgres_server(**env):
    """A server at rest, and the directory of its socket; its role is `mw`."""
    initdb, server = postgres_program("initdb"), postgres_program("postgres")
    user = live.NOBODY if os.geteuid() == 0 else None
    as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    with live.scratch() as place:
        if user:
            os.chown(place, user, user)
        data = place / "data"
        subprocess.run([*(as_user if user else []), initdb, "-D", data, "-U", "mw", "-A",
                        "trust", "--no-sync"], check=True, stdout=subprocess.DEVNULL,
                       env=environment(place), cwd=place)
        with live.Target([server, "-D", data, "-k", place, "-c", "listen_addresses=",
                          "-c", "fsync=off"], ready=None, user=user, cwd=place,
                         env=dict(environment(place), **env),
                         stderr=subprocess.DEVNULL) as target:
            live.wait_until(lambda: connects(place / ".s.PGSQL.5432"), "postgres", 60)
            live.wait_until(lambda: len(live.children(target.pid)) >= 4, "its helpers")
            time.sleep(0.5)
            yield target, place


@contextlib.contextmanager
def postgres():
    with postgres_server() as (target, _):
        yield {"postgres": target.pid,
               "postgres helper": min(live.children(target.pid))}


NGINX = """
daemon off; worker_processes 4; pid {place}/pid; error_log {place}/log;
events {{ worker_connections 64; }}
http {{ access_log off; client_body_temp_path {place}/b; proxy_temp_path {place}/p;
fastcgi_temp_path {place}/f; uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;
server {{ listen unix:{place}/sock; return 200 fine; }} }}
"""


@contextlib.contextmanager
def nginx():
    server = shutil.which("nginx") or "/usr/sbin/nginx"
    live.need_program(server, "nginx-light")
    with live.scratch(0o755) as place:
        (place / "conf").write_text(NGINX.format(place=place))
        with live.Target([server, "-e", place / "log", "-c", place / "conf"], ready=None,
                         env=environment(place)) as target:
            live.wait_until(lambda: answers(place / "sock", b"GET / HTTP/1.0\r\n\r\n",
                                            b"HTTP/1.1 200"), "nginx")
            live.wait_until(lambda: len(live.children(target.pid)) == 4, "its workers")
            time.sleep(0.3)
            workers = live.children(target.pid)
            yield {"nginx": target.pid,
                   **{f"nginx worker {i}": pid for i, pid in enumerate(workers)}}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def prometheus():
    server = live.need_program("prometheus")
    with live.scratch() as place:
        (place / "empty.yml").write_text("global: {}\n")
        port = free_port()
        with live.Target([server, f"--config.file={place}/empty.yml",
                          f"--storage.tsdb.path={place}/db",
                          f"--web.listen-address=127.0.0.1:{port}"], ready=None,
                         env=environment(place), stderr=subprocess.DEVNULL) as target:
            live.wait_until(lambda: listens(port), "prometheus")
            time.sleep(1)
            yield {"prometheus": target.pid}


CHROMIUM = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
            "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--remote-debugging-port=0"]


def descendants(pid):
    for child in live.children(pid):
        yield child
        yield from descendants(child)


def renderer_of(pid):
    for child in descendants(pid):
        with contextlib.suppress(OSError):
            line = pathlib.Path(f"/proc/{child}/cmdline").read_bytes()
            if b"--type=renderer" in line:
                return child
    return None


@contextlib.contextmanager
def chromium():
    browser = live.need_program("chromium")
    with live.scratch() as place:
        with live.Target([browser, *CHROMIUM, f"--user-data-dir={place}/profile",
                          "about:blank"], ready=None, env=environment(place),
                         stderr=subprocess.DEVNULL) as target:
            live.wait_until(lambda: renderer_of(target.pid), "a renderer", 60)
            time.sleep(3)
            yield {"chromium": target.pid, "chromium renderer": renderer_of(target.pid)}
