// SPDX-License-Identifier: MIT
// pattern NAME: fills malloc by a pattern, prints the truth about it, and answers
// commands. It allocates nothing while it prints, so what it says stays true.
//
// Lines on stdout, each a word and key=value pairs:
//   libc version=V mallinfo2=0|1
//   truth libc=N blocks=N bytes=N mapped_blocks=N mapped_bytes=N foreign=N
//        every live block (malloc_usable_size), libc's own ones too (FILE, dtv, link
//        maps), the tcache structures not. `mapped` are those among them with a mapping
//        of their own. libc=1 is a second libc, opened by dlmopen(), where there is one.
//        `foreign` are bytes that somebody else took from sbrk() and malloc counts as
//        its own.
//   thread tid=N slots=N
//   cached tid=N blocks=N        what this thread's tcache holds with default tunables
//   ready                        nothing moves until a command comes
// Commands, a line each on stdin; every answer ends with the line `done`:
//   trim   malloc_trim(0), in every libc: `trim libc=N ret=N rss_before=N rss_after=N`
//          in bytes, from smaps_rollup
//   info   malloc_info(): `info libc=N len=N`, then as many bytes of XML and a newline;
//          mallinfo2(), where libc has it, as `mallinfo uordblks=N fordblks=N …`
//   free   frees every other block that main keeps, whichever thread allocated it;
//          prints `truth` again
//   grow   2000 more blocks; prints `truth` again
//   churn  main and all threads allocate and free until the next command, `calm`;
//          that prints `truth` again
// It ends when stdin does, or by itself after three minutes.

#include "pattern.h"
#include "old-symbols.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <link.h>
#include <malloc.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LIFETIME_S = 180, INFO_LEN = 4 * MIB };

void *slots[N_SLOTS];
struct other_libc other;
long foreign;
static char info_text[INFO_LEN];
static FILE *info_file;
#ifndef STATIC_PATTERN
static struct mallinfo2 (*get_mallinfo2)(void);
#endif

void must(int ok, const char *what)
{
	char text[256];
	int len;

	if (ok)
		return;
	len = snprintf(text, sizeof(text), "pattern: %s: errno %d\n", what, errno);
	if (write(STDERR_FILENO, text, (size_t)len) < 0)
		_exit(3);
	_exit(2);
}

static void write_all(const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(STDOUT_FILENO, text, len);

		must(n > 0, "write");
		text += n;
		len -= (size_t)n;
	}
}

void say(const char *format, ...)
{
	char line[512];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	must(len > 0 && (size_t)len < sizeof(line), "line");
	write_all(line, (size_t)len);
}

uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	return *state ^= *state << 17;
}

void *map_anon(size_t len, int prot)
{
	void *p =
		mmap(NULL, len, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	must(p != MAP_FAILED, "mmap");
	return p;
}

void keep_block(size_t slot, void *block, size_t bytes)
{
	must(block && !slots[slot], "no memory, or the slot is taken");
	memset(block, 0x5a, bytes);
	slots[slot] = block;
}

void keep(size_t slot, size_t bytes)
{
	keep_block(slot, malloc(bytes), bytes);
}

void keep_sparse(size_t slot, size_t bytes)
{
	volatile char *block = malloc(bytes);

	must(block && !slots[slot], "no memory, or the slot is taken");
	for (size_t at = 0; at < bytes; at += PAGE)
		block[at] = 0x5a;
	slots[slot] = (void *)block;
}

void drop(size_t slot)
{
	free(slots[slot]);
	slots[slot] = NULL;
}

FILE *open_quiet(char *buffer, size_t len)
{
	FILE *file = fdopen(memfd_create("info", MFD_CLOEXEC), "w+");

	must(file && setvbuf(file, buffer, _IOFBF, len) == 0, "memfd");
	return file;
}

// --- the truth ----------------------------------------------------------------------

static void say_tally(int libc, const struct tally *t)
{
	say("truth libc=%d blocks=%ld bytes=%ld mapped_blocks=%ld mapped_bytes=%ld "
	    "foreign=%ld\n",
	    libc, t->blocks, t->bytes, t->mapped_blocks, t->mapped_bytes,
	    libc ? 0 : foreign);
}

static void say_truth(void)
{
	struct tally t = tally_now();

	say_tally(0, &t);
	if (other.malloc)
		say_tally(1, &other.tally);
}

// Rss of smaps_rollup in bytes: statm's counters lag behind.
static long read_rss(void)
{
	static char text[8192];
	int fd = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
	ssize_t n;
	char *at;
	long kib = 0;

	must(fd >= 0, "smaps_rollup");
	n = read(fd, text, sizeof(text) - 1);
	must(n > 0, "smaps_rollup");
	text[n] = 0;
	close(fd);
	at = strstr(text, "Rss:");
	must(at != NULL, "Rss");
	for (at += 4; *at == ' '; at++)
		continue;
	for (; *at >= '0' && *at <= '9'; at++)
		kib = kib * 10 + *at - '0';
	return kib * KIB;
}

static void trim_one(int libc, int (*trim)(size_t))
{
	long before = read_rss();
	int ret = trim(0);

	say("trim libc=%d ret=%d rss_before=%ld rss_after=%ld\n", libc, ret, before,
	    read_rss());
}

static void trim(void)
{
	trim_one(0, malloc_trim);
	if (other.malloc)
		trim_one(1, other.trim);
}

static void info_one(int libc, FILE *file, int (*info)(int, FILE *), int (*flush)(FILE *))
{
	ssize_t n;

	must(info(0, file) == 0 && flush(file) == 0, "malloc_info");
	n = pread(fileno(file), info_text, sizeof(info_text), 0);
	must(n > 0 && (size_t)n < sizeof(info_text), "malloc_info");
	must(ftruncate(fileno(file), 0) == 0 && lseek(fileno(file), 0, SEEK_SET) == 0,
	     "truncate");
	say("info libc=%d len=%zd\n", libc, n);
	write_all(info_text, (size_t)n);
	write_all("\n", 1);
}

static void info(void)
{
	info_one(0, info_file, malloc_info, fflush);
	if (other.malloc)
		info_one(1, other.file, other.info, other.flush);
#ifndef STATIC_PATTERN
	if (get_mallinfo2) {
		struct mallinfo2 m = get_mallinfo2();

		say("mallinfo arena=%zu hblks=%zu hblkhd=%zu fsmblks=%zu uordblks=%zu "
		    "fordblks=%zu\n",
		    m.arena, m.hblks, m.hblkhd, m.fsmblks, m.uordblks, m.fordblks);
	}
#endif
}

// --- commands -----------------------------------------------------------------------

static void free_half(void)
{
	unsigned parity = 0;

	for (size_t i = 0; i < N_SLOTS; i++)
		if (slots[i] && parity++ % 2)
			drop(i);
	say_truth();
}

static void grow(void)
{
	uint64_t random = 77;

	for (size_t i = 0, n = 0; i < N_SLOTS && n < 2000; i++)
		if (!slots[i]) {
			keep(i, 16 + next_random(&random) % 3000);
			n++;
		}
	say_truth();
}

static void churn(void)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	uint64_t random = 4711;

	stir();
	while (poll(&in, 1, 0) == 0)
		for (int i = 0; i < 2000; i++)
			churn_once(&random, 0, 3000);
}

static void still(void)
{
	calm();
	say_truth();
}

static const struct {
	const char *name;
	void (*run)(void);
	int silent; /* no `done`: the next command answers */
} commands[] = {
	{ "trim", trim, 0 }, { "info", info, 0 },   { "free", free_half, 0 },
	{ "grow", grow, 0 }, { "churn", churn, 1 }, { "calm", still, 0 },
};

// 0 when there is no more.
static int read_command(char *line, size_t max)
{
	size_t len = 0;
	ssize_t n;

	while ((n = read(STDIN_FILENO, line + len, 1)) == 1 && line[len] != '\n')
		if (++len == max)
			return 0;
	line[len] = 0;
	return n == 1;
}

static void answer(const char *line)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (!strcmp(line, commands[i].name)) {
			commands[i].run();
			if (!commands[i].silent)
				say("done\n");
			return;
		}
	must(0, "no such command");
}

// Reads a byte of every page of an object that is not written.
static int touch_object(struct dl_phdr_info *object, size_t len, void *ctx)
{
	(void)len;
	(void)ctx;
	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &object->dlpi_phdr[i];
		const volatile char *start =
			(const volatile char *)(object->dlpi_addr + part->p_vaddr);

		if (part->p_type != PT_LOAD || part->p_flags & PF_W)
			continue;
		for (size_t at = 0; at < part->p_filesz; at += PAGE)
			(void)start[at];
	}
	return 0;
}

void touch_code(void)
{
	dl_iterate_phdr(touch_object, NULL);
}

// All that a command will need later is there before the pattern begins: code pages that
// malloc_trim would bring in are Rss too.
static void prepare(void)
{
	static char buffer[64 * KIB];

	for (size_t at = 0; at < sizeof(info_text); at += PAGE)
		info_text[at] = 1;
	memset(buffer, 1, sizeof(buffer));
	info_file = open_quiet(buffer, sizeof(buffer));
	must(malloc_info(0, info_file) == 0 && fflush(info_file) == 0, "malloc_info");
	must(ftruncate(fileno(info_file), 0) == 0, "truncate");
	must(lseek(fileno(info_file), 0, SEEK_SET) == 0, "lseek");
	read_rss();
	touch_code();
#ifndef STATIC_PATTERN
	*(void **)&get_mallinfo2 = dlsym(RTLD_DEFAULT, "mallinfo2");
#endif
}

int main(int argc, char **argv)
{
	const struct pattern *p = patterns;
	char line[64];

	alarm(LIFETIME_S);
	while (p->name && (argc != 2 || strcmp(argv[1], p->name)))
		p++;
	if (!p->name) {
		for (p = patterns; p->name; p++)
			say("pattern %s\n", p->name);
		return 2;
	}
	prepare();
	p->fill();
#ifndef STATIC_PATTERN
	say("libc version=%s mallinfo2=%d\n", gnu_get_libc_version(), !!get_mallinfo2);
#else
	say("libc version=%s mallinfo2=0\n", gnu_get_libc_version());
#endif
	say_truth();
	say("ready\n");
	while (read_command(line, sizeof(line) - 1))
		answer(line);
	return 0;
}
