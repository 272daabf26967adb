// SPDX-License-Identifier: MIT
/*
 * smaps is the dearest text of the kernel: 26 lines a mapping. What keeps the parser
 * near the cost of reading it: the kernel writes every line in the same 28 columns
 * and in the same order, so one comparison of 16 bytes with the key that is due
 * decides most lines. Whatever differs takes the slow way, by name.
 */
#include "procfs/smaps.h"

#include "base/num.h"

#include <string.h>

enum { KEY_COLUMNS = 16, NUMBER_COLUMNS = 8, LINE_COLUMNS = 28 };

/* A line whose value is no size in kB. */
enum { KEY_OTHER = MW_KEY_COUNT };

struct key {
	char text[KEY_COLUMNS + 1]; /* as the kernel pads it */
	unsigned char len;          /* without the padding */
	unsigned char id;
};

/* In the kernel's order (fs/proc/task_mmu.c, __show_smap), rollup's own included. */
static const struct key keys[] = {
	{ "Size:           ", 5, MW_KEY_SIZE },
	{ "KernelPageSize: ", 15, MW_KEY_KERNEL_PAGE_SIZE },
	{ "MMUPageSize:    ", 12, MW_KEY_MMU_PAGE_SIZE },
	{ "Rss:            ", 4, MW_KEY_RSS },
	{ "Pss:            ", 4, MW_KEY_PSS },
	{ "Pss_Dirty:      ", 10, MW_KEY_PSS_DIRTY },
	{ "Pss_Anon:       ", 9, MW_KEY_PSS_ANON },
	{ "Pss_File:       ", 9, MW_KEY_PSS_FILE },
	{ "Pss_Shmem:      ", 10, MW_KEY_PSS_SHMEM },
	{ "Shared_Clean:   ", 13, MW_KEY_SHARED_CLEAN },
	{ "Shared_Dirty:   ", 13, MW_KEY_SHARED_DIRTY },
	{ "Private_Clean:  ", 14, MW_KEY_PRIVATE_CLEAN },
	{ "Private_Dirty:  ", 14, MW_KEY_PRIVATE_DIRTY },
	{ "Referenced:     ", 11, MW_KEY_REFERENCED },
	{ "Anonymous:      ", 10, MW_KEY_ANONYMOUS },
	{ "KSM:            ", 4, MW_KEY_KSM },
	{ "LazyFree:       ", 9, MW_KEY_LAZYFREE },
	{ "AnonHugePages:  ", 14, MW_KEY_ANON_HUGE },
	{ "ShmemPmdMapped: ", 15, MW_KEY_SHMEM_HUGE },
	{ "FilePmdMapped:  ", 14, MW_KEY_FILE_HUGE },
	{ "Shared_Hugetlb: ", 15, MW_KEY_SHARED_HUGETLB },
	{ "Private_Hugetlb:", 16, MW_KEY_PRIVATE_HUGETLB },
	{ "Swap:           ", 5, MW_KEY_SWAP },
	{ "SwapPss:        ", 8, MW_KEY_SWAP_PSS },
	{ "Locked:         ", 7, MW_KEY_LOCKED },
	{ "THPeligible:    ", 12, KEY_OTHER },
	{ "ProtectionKey:  ", 14, KEY_OTHER },
};
enum { N_KEYS = sizeof(keys) / sizeof(keys[0]) };

static void store(struct mw_smaps_entry *entry, unsigned id, uint64_t kb)
{
	if (id >= MW_KEY_COUNT || kb > UINT64_MAX / 1024)
		return;
	entry->bytes[id] = kb * 1024;
	entry->known |= UINT32_C(1) << id;
}

/* Eight columns, blanks then digits. False when anything else is there. */
static bool take_number(const char *pos, uint64_t *ret)
{
	unsigned i = 0;
	while (i < NUMBER_COLUMNS - 1 && pos[i] == ' ')
		i++;
	uint64_t value = 0;
	for (; i < NUMBER_COLUMNS; i++) {
		unsigned digit = (unsigned char)pos[i] - '0';
		if (digit > 9)
			return false;
		value = value * 10 + digit;
	}
	*ret = value;
	return true;
}

/*
 * The usual line at pos, which has LINE_COLUMNS bytes: true when it was the line of a
 * key at or after *due, in the usual columns. Keys are looked for only forwards: an
 * older kernel leaves some out but does not reorder them.
 */
static inline bool take_usual(const char *pos, unsigned *due,
			      struct mw_smaps_entry *entry)
{
	unsigned i = *due;
	while (i < N_KEYS && memcmp(pos, keys[i].text, KEY_COLUMNS) != 0)
		i++;
	if (i == N_KEYS)
		return false;
	uint64_t kb;
	const char *number = pos + KEY_COLUMNS;
	if (memcmp(number, "       0 kB\n", 12) == 0)
		kb = 0;
	else if (memcmp(number + NUMBER_COLUMNS, " kB\n", 4) != 0 ||
		 !take_number(number, &kb))
		return false;
	store(entry, keys[i].id, kb);
	*due = i + 1;
	return true;
}

/* "VmFlags: rd wr mr " — codes of other lengths are not the kernel's and are skipped. */
static void take_flags(const char *pos, const char *eol, struct mw_smaps_entry *entry)
{
	unsigned n = 0;
	while (n < sizeof(entry->flags) / 2) {
		mw_skip_blanks(&pos, eol);
		const char *code = pos;
		while (pos < eol && *pos != ' ' && *pos != '\t')
			pos++;
		if (pos == code)
			break;
		if (pos - code == 2)
			memcpy(entry->flags + 2 * n++, code, 2);
	}
	entry->n_flags = n;
}

/* Any line, by its name up to the colon. */
static void take_line(const char *pos, const char *eol, struct mw_smaps_entry *entry)
{
	static const char vmflags[] = "VmFlags:";
	const char *colon = memchr(pos, ':', (size_t)(eol - pos));
	if (!colon)
		return;
	size_t len = (size_t)(colon + 1 - pos);
	if (len == sizeof(vmflags) - 1 && memcmp(pos, vmflags, len) == 0) {
		take_flags(colon + 1, eol, entry);
		return;
	}
	uint64_t kb;
	const char *number = colon + 1;
	mw_skip_blanks(&number, eol);
	for (unsigned i = 0; i < N_KEYS; i++) {
		if (keys[i].len == len && memcmp(pos, keys[i].text, len) == 0) {
			/* Without its unit it may be a number cut short. */
			if (mw_take_dec(&number, eol, &kb) && eol - number >= 3 &&
			    memcmp(number, " kB", 3) == 0)
				store(entry, keys[i].id, kb);
			return;
		}
	}
}

/* Keys begin with a capital, the next mapping with a lower-case hex digit. */
static bool is_key_line(const char *pos, const char *end)
{
	return pos < end && *pos >= 'A' && *pos <= 'Z';
}

bool mw_smaps_next(const char **pos, const char *end, struct mw_smaps_entry *ret)
{
	const char *at = *pos;
	if (at >= end)
		return false;
	const char *eol = mw_line_end(at, end);
	struct mw_maps_line map;
	if (!mw_maps_parse_line(at, eol, &map))
		return false;
	memset(ret, 0, sizeof(*ret));
	ret->map = map;
	at = eol < end ? eol + 1 : end;
	unsigned due = 0;
	while (is_key_line(at, end)) {
		if (end - at >= LINE_COLUMNS && take_usual(at, &due, ret)) {
			at += LINE_COLUMNS;
			continue;
		}
		eol = mw_line_end(at, end);
		take_line(at, eol, ret);
		at = eol < end ? eol + 1 : end;
	}
	*pos = at;
	return true;
}

const char *mw_smaps_last(const char *text, const char *end)
{
	const char *eol = end;
	while (eol > text) {
		const char *line = eol - 1;
		while (line > text && line[-1] != '\n')
			line--;
		if (line < end &&
		    ((*line >= '0' && *line <= '9') || (*line >= 'a' && *line <= 'f')))
			return line;
		eol = line;
	}
	return text;
}
