// SPDX-License-Identifier: MIT
/*
 * What memwhy finds out about a target before the holder runs a system call in it: where
 * an instruction for that is, and whether it can be allowed.
 */
#include "kernel/hold/site.h"

#include "base/buf.h"
#include "base/num.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	PAGE_LEN = 4096,         /* x86-64 */
	MAX_PAGES = 16 << 10,    /* of code that are looked through */
	MAX_MAPS_LEN = 64 << 20, /* of text */
	READ_LEN = 64 << 10,
};

/* Where present pages of code are looked through. */
struct search {
	int mem, pagemap;
	size_t n_pages;
	uint64_t found;
};

static bool is_present(const struct search *s, uint64_t addr)
{
	uint64_t word;

	return pread(s->pagemap, &word, sizeof(word), (off_t)(addr / PAGE_LEN * 8)) ==
		       sizeof(word) &&
	       word >> 63;
}

/* Reads only pages that are there: the target shall not get new ones by this. */
static void look_through(struct search *s, uint64_t start, uint64_t end)
{
	unsigned char page[PAGE_LEN];

	for (uint64_t at = start; at < end && !s->found && s->n_pages < MAX_PAGES;
	     at += PAGE_LEN, s->n_pages++) {
		if (!is_present(s, at) ||
		    pread(s->mem, page, sizeof(page), (off_t)at) != sizeof(page))
			continue;
		const unsigned char *hit = memmem(page, sizeof(page), "\x0f\x05", 2);
		if (hit)
			s->found = at + (uint64_t)(hit - page);
	}
}

/* "7ffc…-7ffc… r-xp 00000000 00:00 0      [vdso]": the range when it is code. */
static bool take_code(const char *pos, const char *end, bool vdso, uint64_t *start,
		      uint64_t *stop)
{
	static const char name[] = "[vdso]";
	size_t len = sizeof(name) - 1;

	if (!mw_take_hex(&pos, end, start) || !mw_take_char(&pos, end, '-') ||
	    !mw_take_hex(&pos, end, stop) || end - pos < 5 || memcmp(pos, " r-x", 4) ||
	    *stop > INT64_MAX)
		return false;
	bool is = (size_t)(end - pos) > len && !memcmp(end - len, name, len);
	return is == vdso;
}

static void search_maps(struct search *s, const struct mw_buf *maps, bool vdso)
{
	const char *end = maps->data + maps->len;
	uint64_t start, stop;

	for (const char *pos = maps->data, *eol; pos < end && !s->found; pos = eol + 1) {
		eol = mw_line_end(pos, end);
		if (take_code(pos, eol, vdso, &start, &stop))
			look_through(s, start, stop);
	}
}

static bool read_maps(int dir, struct mw_buf *out)
{
	int fd = openat(dir, "maps", O_RDONLY | O_CLOEXEC);
	ssize_t got = -1;

	if (fd < 0)
		return false;
	while (out->len < MAX_MAPS_LEN && mw_buf_reserve(out, READ_LEN) &&
	       (got = read(fd, out->data + out->len, READ_LEN)) > 0)
		out->len += (size_t)got;
	close(fd);
	return got == 0 && out->len;
}

uint64_t mw_site_find(int dir)
{
	struct search s = { 0 };
	mw_auto_buf maps = { 0 };

	if (!read_maps(dir, &maps))
		return 0;
	s.mem = openat(dir, "mem", O_RDONLY | O_CLOEXEC);
	s.pagemap = openat(dir, "pagemap", O_RDONLY | O_CLOEXEC);
	if (s.mem >= 0 && s.pagemap >= 0) {
		search_maps(&s, &maps, true);
		search_maps(&s, &maps, false);
	}
	if (s.mem >= 0)
		close(s.mem);
	if (s.pagemap >= 0)
		close(s.pagemap);
	return s.found;
}
