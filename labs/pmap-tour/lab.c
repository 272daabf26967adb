// SPDX-License-Identifier: MIT
/*
 * Starts programs that are not ours and counts what their address spaces consist of. Then
 * two processes that grow: which of them leaks?
 */
#include "guest.h"

#define CHROMIUM                                                                    \
	"--headless", "--disable-gpu", "--no-first-run", "--user-data-dir=browser", \
		"--disable-sync", "--disable-background-networking",                \
		"--disable-breakpad", "--disable-component-update",                 \
		"--remote-debugging-pipe", "--no-sandbox", "about:blank"
#define TARGETS "{\"id\":1,\"method\":\"Target.getTargets\"}"

/* Several of one name: the first that is there. */
static const struct stop {
	const char *name;
	struct guest guest;
} stops[] = {
	{ "bash", { "echo ready\n", "ready", { "bash", "--norc", "--noprofile" } } },
	{ "python",
	  { "",
	    "ready",
	    { "python3", "-I", "-B", "-c",
	      "import sys\nprint('ready', flush=True)\nsys.stdin.read()" } } },
	{ "database",
	  { "",
	    "eady to accept",
	    { "redis-server", "--save", "", "--port", "0", "--unixsocket", "redis" } } },
	{ "database",
	  { "select 'ready';\n",
	    "ready",
	    { "sqlite3", "-batch", "-init", "/dev/null", ":memory:" } } },
	{ "node",
	  { "",
	    "ready",
	    { "node", "-e", "process.stdin.resume(); console.log('ready')" } } },
	{ "browser", { TARGETS, "\"id\":1", { "chromium", CHROMIUM } } },
	{ "browser", { TARGETS, "\"id\":1", { "chromium-browser", CHROMIUM } } },
	{ "browser", { TARGETS, "\"id\":1", { "google-chrome", CHROMIUM } } },
};
enum { STOPS = sizeof(stops) / sizeof(stops[0]), ROUNDS = 5, LOST = 20, KIB = 1024 };

/* What a line of maps is, by its name alone. */
static const char *const kinds[] = { "program file",  "libraries",   "other files",
				     "shared memory", "anonymous",   "[heap]",
				     "[stack]",       "the kernel's" };
enum { PROGRAM, LIBRARY, FILE_, SHARED, ANONYMOUS, HEAP, STACK, KERNEL, KINDS };

static int kind_of(const char *name, const char *program)
{
	if (!*name || strncmp(name, "[anon", 5) == 0)
		return ANONYMOUS;
	if (*name == '[')
		return strcmp(name, "[heap]") == 0    ? HEAP
		       : strcmp(name, "[stack]") == 0 ? STACK
						      : KERNEL;
	if (strcmp(name, program) == 0)
		return PROGRAM;
	if (strncmp(name, "/memfd:", 7) == 0 || strncmp(name, "/dev/", 5) == 0 ||
	    strncmp(name, "/SYSV", 5) == 0)
		return SHARED;
	return strstr(name, ".so") ? LIBRARY : FILE_;
}

/* Counts them; how many there are. */
static int count(pid_t pid, int n[KINDS])
{
	enum { SIZE = 4 * MIB };
	char path[64], program[4096], name[4096];
	char *text = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
	int all = 0;
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	ssize_t len = readlink(path, program, sizeof(program) - 1);
	program[len < 0 ? 0 : len] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	memset(n, 0, KINDS * sizeof(n[0]));
	for (const char *at = lab_read(path, text, SIZE); *at;
	     at += strcspn(at, "\n") + 1) {
		*name = '\0';
		sscanf(at, "%*s %*s %*s %*s %*[0-9]%*[ ]%4095[^\n]", name);
		n[kind_of(name, program)]++;
		all++;
	}
	munmap(text, SIZE);
	return all;
}

/* Waits until it has come to rest, or 5 seconds. Then a bar for each kind. */
static void tell(const char *name, pid_t pid)
{
	int n[KINDS], all = count(pid, n);
	char value[64];
	for (int i = 0, same = 0; i < 100 && same < 5; i++) {
		usleep(50000);
		int now = count(pid, n);
		same = now == all ? same + 1 : 0;
		all = now;
	}
	snprintf(value, sizeof(value), "%s_lines", name);
	lab_value(value, all);
	snprintf(value, sizeof(value), "%s_four", name);
	lab_value(value, n[PROGRAM] + n[HEAP] + n[STACK]);
	for (int i = 0; i < KINDS; i++)
		if (n[i])
			lab_row(kinds[i], n[i], "regions");
}

/* Starts the first of that name that is there; the steps file asks only if one was. */
static struct guest_run invite(const char *name)
{
	struct guest_run run = { 0, -1, -1, NULL };
	char value[64];
	for (int i = 0; i < STOPS && !run.pid; i++)
		if (strcmp(stops[i].name, name) == 0 && guest_there(&stops[i].guest))
			run = guest_start(&stops[i].guest);
	snprintf(value, sizeof(value), "has_%s", name);
	lab_value(value, run.pid > 0);
	return run;
}

/* A server that loses LOST blocks of 1 KiB with each round of 200. */
static void leaky(int n)
{
	for (int i = 0; n < ROUNDS && i < 200; i++) {
		char *block = malloc(KIB);
		memset(block, i, KIB);
		if (i % (200 / LOST))
			free(block);
	}
}

/* One that had much to do once, and still has the last thing of it. */
static void busy(int n)
{
	static char *blocks[8 * KIB];
	for (int i = 0; n == 0 && i < 8 * KIB; i++)
		memset(blocks[i] = malloc(KIB), i, KIB);
	for (int i = 0; n == 1 && i < 8 * KIB - 1; i++)
		free(blocks[i]);
}

/* Rss as ps shows it, in KiB. */
static void row(const char *label, pid_t pid)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	lab_row(label, lab_number(path, "VmRSS"), "KiB");
}

int main(void)
{
	static const char *const names[] = { "bash", "python", "database", "node",
					     "browser" };
	char label[64];
	lab_start();
	guest_prepare();
	struct guest_run here = { 0, -1, -1, NULL };
	for (int i = 0; i < 5; i++) {
		struct guest_run next = invite(names[i]);
		lab_step(names[i], "starts it, and waits until it is at rest");
		guest_end(&here);
		here = next;
		if (!here.pid)
			continue;
		lab_process(names[i], here.pid);
		lab_say("it is %s", here.program);
		tell(names[i], here.pid);
	}
	lab_step("leak", "a server loses a few blocks with each round");
	guest_end(&here);
	struct lab_child leak = lab_fork("leaky", leaky), once;
	lab_value("lost", (long long)ROUNDS * LOST * KIB);
	for (int n = 0; n < ROUNDS; n++) {
		lab_turn(&leak, n);
		snprintf(label, sizeof(label), "Rss after round %d", n + 1);
		row(label, leak.pid);
	}
	lab_step("busy", "another had 8 MiB of blocks, and freed all but the last");
	once = lab_fork("busy", busy);
	row("Rss at first", once.pid);
	lab_turn(&once, 0);
	row("with 8 MiB", once.pid);
	lab_turn(&once, 1);
	row("when freed", once.pid);
	lab_end();
	return 0;
}
