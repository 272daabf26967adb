// SPDX-License-Identifier: MIT
#include "kernel/record/scrub.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* A name that has a number; kinds count apart. */
struct name {
	const char *text;
	size_t len;
	unsigned number;
	bool is_path;
};

/* An open-addressed hash table, at most half full. */
struct mw_scrub {
	struct mw_arena arena;
	struct name *slots;
	size_t n, cap;
	unsigned n_paths, n_names;
};

struct mw_scrub *mw_scrub_new(void)
{
	return calloc(1, sizeof(struct mw_scrub));
}

void mw_scrub_free(struct mw_scrub *scrub)
{
	if (!scrub)
		return;
	mw_arena_deinit(&scrub->arena);
	free(scrub->slots);
	free(scrub);
}

static bool is(const char *text, size_t len, const char *other)
{
	return len == strlen(other) && !memcmp(text, other, len);
}

static bool begins(const char *text, size_t len, const char *prefix)
{
	size_t n = strlen(prefix);
	return len >= n && !memcmp(text, prefix, n);
}

static bool ends(const char *text, size_t len, const char *suffix)
{
	size_t n = strlen(suffix);
	return len >= n && !memcmp(text + len - n, suffix, n);
}

static bool has(const char *text, size_t len, const char *part)
{
	for (size_t i = 0; i < len; i++)
		if (begins(text + i, len - i, part))
			return true;
	return false;
}

/* FNV-1a. */
static size_t hash(const char *text, size_t len, bool is_path)
{
	uint64_t value = is_path ? 0xcbf29ce484222325 : 0x84222325cbf29ce4;
	for (size_t i = 0; i < len; i++)
		value = (value ^ (unsigned char)text[i]) * 0x100000001b3;
	return (size_t)(value ^ value >> 32);
}

/* The slot that holds the name, or the free one where it belongs. */
static struct name *slot_of(struct name *slots, size_t cap, const struct name *name)
{
	size_t i = hash(name->text, name->len, name->is_path) & (cap - 1);
	for (;; i = (i + 1) & (cap - 1)) {
		struct name *slot = &slots[i];
		if (!slot->text ||
		    (slot->is_path == name->is_path && slot->len == name->len &&
		     !memcmp(slot->text, name->text, name->len)))
			return slot;
	}
}

static bool grow(struct mw_scrub *scrub)
{
	if (scrub->n < scrub->cap / 2)
		return true;
	size_t cap = scrub->cap ? scrub->cap * 2 : 64;
	struct name *slots = calloc(cap, sizeof(*slots));
	if (!slots)
		return false;
	for (size_t i = 0; i < scrub->cap; i++)
		if (scrub->slots[i].text)
			*slot_of(slots, cap, &scrub->slots[i]) = scrub->slots[i];
	free(scrub->slots);
	scrub->slots = slots;
	scrub->cap = cap;
	return true;
}

/* The name's number, given when it is first seen; 0: no memory. */
static unsigned number_of(struct mw_scrub *scrub, const char *text, size_t len,
			  bool is_path)
{
	struct name name = { text, len, 0, is_path };
	if (!grow(scrub))
		return 0;
	struct name *slot = slot_of(scrub->slots, scrub->cap, &name);
	if (slot->text)
		return slot->number;
	name.text = mw_arena_strndup(&scrub->arena, text, len);
	if (!name.text)
		return 0;
	name.number = is_path ? ++scrub->n_paths : ++scrub->n_names;
	scrub->n++;
	*slot = name;
	return name.number;
}

bool mw_scrub_name(struct mw_scrub *scrub, const char *name, size_t len,
		   struct mw_buf *out)
{
	if (!len || begins(name, len, "scrubbed-"))
		return mw_buf_add(out, name, len);
	unsigned number = number_of(scrub, name, len, false);
	return number && mw_buf_printf(out, "scrubbed-%u", number);
}

/* Paths that are the same on every system, and those of a recording scrubbed before. */
static bool is_common(const char *path, size_t len)
{
	static const char *const whole[] = { "/",    "/proc", "/sys",      "/dev",
					     "/run", "/tmp",  "/secretmem" };
	static const char *const prefixes[] = {
		"/usr/", "/lib/", "/lib32/",        "/lib64/", "/bin/",      "/sbin/",
		"/dev/", "/sys/", "/anon_hugepage", "/SYSV",   "/scrubbed/", "/[",
	};
	for (size_t i = 0; i < sizeof(whole) / sizeof(*whole); i++)
		if (is(path, len, whole[i]))
			return true;
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++)
		if (begins(path, len, prefixes[i]))
			return true;
	/* Through these links /proc leads to every other path. */
	return begins(path, len, "/proc/") && !has(path, len, "/root/") &&
	       !has(path, len, "/cwd/");
}

/* ".so" with its version, or a last dot and up to five lower-case letters or digits. */
static size_t suffix_len(const char *path, size_t len)
{
	size_t base = len;
	while (base && path[base - 1] != '/')
		base--;
	const char *so = memmem(path + base, len - base, ".so", 3);
	if (so && so > path + base) {
		const char *c = so + 3;
		while (c < path + len && (*c == '.' || isdigit((unsigned char)*c)))
			c++;
		if (c == path + len)
			return (size_t)(path + len - so);
	}
	size_t n = 0;
	while (n < 5 && n < len - base &&
	       (islower((unsigned char)path[len - 1 - n]) ||
		isdigit((unsigned char)path[len - 1 - n])))
		n++;
	bool dotted = n && len - base > n + 1 && path[len - 1 - n] == '.';
	return dotted ? n + 1 : 0;
}

/* "[anon:NAME]": who gave the name is the program. glibc's and Go's are known. */
static bool add_anon_name(struct mw_scrub *scrub, const char *text, size_t len,
			  struct mw_buf *out)
{
	size_t start = (size_t)((const char *)memchr(text, ':', len) - text) + 1;
	const char *name = text + start;
	size_t name_len = len - start - 1;
	if (begins(name, name_len, " glibc:") || begins(name, name_len, " Go:"))
		return mw_buf_add(out, text, len);
	return mw_buf_add(out, text, start) &&
	       mw_scrub_name(scrub, name, name_len, out) && mw_buf_add(out, "]", 1);
}

/* A prefix that says what kind of memory it is, and behind it a program's own name. */
static size_t kind_prefix(const char *path, size_t len)
{
	if (begins(path, len, "/memfd:"))
		return strlen("/memfd:");
	if (begins(path, len, "/dev/shm/"))
		return strlen("/dev/shm/");
	return 0;
}

static bool add_plain_path(struct mw_scrub *scrub, const char *path, size_t len,
			   struct mw_buf *out)
{
	size_t prefix = kind_prefix(path, len);
	if (prefix)
		return mw_buf_add(out, path, prefix) &&
		       mw_scrub_name(scrub, path + prefix, len - prefix, out);
	unsigned number = number_of(scrub, path, len, true);
	size_t suffix = suffix_len(path, len);
	return number && mw_buf_printf(out, "/scrubbed/%u", number) &&
	       mw_buf_add(out, path + len - suffix, suffix);
}

static bool is_octal(const char *text)
{
	for (int i = 0; i < 3; i++)
		if (text[i] < '0' || text[i] > '7')
			return false;
	return true;
}

static bool add_unescaped(const char *text, size_t len, struct mw_buf *out)
{
	for (size_t i = 0; i < len; i++) {
		char c = text[i];
		if (c == '\\' && len - i > 3 && is_octal(text + i + 1)) {
			c = (char)((text[i + 1] - '0') << 6 | (text[i + 2] - '0') << 3 |
				   (text[i + 3] - '0'));
			i += 3;
		}
		if (!mw_buf_add(out, &c, 1))
			return false;
	}
	return true;
}

bool mw_scrub_path(struct mw_scrub *scrub, const char *path, size_t len, bool escaped,
		   struct mw_buf *out)
{
	static const char deleted[] = " (deleted)";
	static const size_t deleted_len = sizeof(deleted) - 1;
	bool is_deleted = ends(path, len, deleted);
	if (is_deleted)
		len -= deleted_len;
	bool ok, named = ends(path, len, "]") && (begins(path, len, "[anon:") ||
						  begins(path, len, "[anon_shmem:"));
	bool kept = !len || begins(path, len, "[") || has(path, len, ":[") ||
		    begins(path, len, "anon_inode:") ||
		    (is_common(path, len) && !kind_prefix(path, len));
	if (named) {
		ok = add_anon_name(scrub, path, len, out);
	} else if (kept) {
		ok = mw_buf_add(out, path, len);
	} else {
		mw_auto_buf plain = { 0 };
		ok = escaped ? add_unescaped(path, len, &plain)
			     : mw_buf_add(&plain, path, len);
		const char *name = mw_buf_str(&plain);
		ok = ok && (*path == '/' ? add_plain_path(scrub, name, plain.len, out)
					 : mw_scrub_name(scrub, name, plain.len, out));
	}
	return ok && (!is_deleted || mw_buf_add(out, deleted, deleted_len));
}
