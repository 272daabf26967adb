// SPDX-License-Identifier: MIT
/*
 * By mapped file: smaps of every process, summed by name. The kernel rounds each
 * mapping's Pss down to KiB there, so sums are a little below those of smaps_rollup.
 */
#include "model/fleet/impl.h"
#include "procfs/smaps.h"

#include <string.h>
#include <time.h>

/* One process's smaps, which comes in pieces. */
struct pass {
	struct mw_fleet_look *look;
	struct mw_fleet_index *index;
	struct mw_fleet_row *process;
};

static void add(uint64_t *to, const struct mw_smaps_entry *entry, enum mw_smaps_key key)
{
	if (!(entry->known & UINT32_C(1) << key))
		return;
	uint64_t sum = *to == MW_FLEET_UNKNOWN ? 0 : *to;
	*to = __builtin_add_overflow(sum, entry->bytes[key], &sum) ? MW_FLEET_UNKNOWN
								   : sum;
}

static void add_entry(struct mw_fleet_row *row, const struct mw_smaps_entry *entry)
{
	add(&row->rss, entry, MW_KEY_RSS);
	add(&row->pss, entry, MW_KEY_PSS);
	add(&row->uss, entry, MW_KEY_PRIVATE_CLEAN);
	add(&row->uss, entry, MW_KEY_PRIVATE_DIRTY);
	add(&row->swap, entry, MW_KEY_SWAP);
	add(&row->swap_pss, entry, MW_KEY_SWAP_PSS);
}

static struct mw_err *take_entry(struct pass *pass, const struct mw_smaps_entry *entry)
{
	static const char anonymous[] = "[anonymous]";
	const char *name = entry->map.name_len ? entry->map.name : anonymous;
	size_t len = entry->map.name_len ? entry->map.name_len : strlen(anonymous);
	struct mw_fleet_row *row =
		mw_fleet_index_get(pass->index, pass->look->fleet, name, len);
	if (!row)
		return mw_err_nomem();
	/* Until the end `ppid` says who was counted last. */
	row->n += row->ppid != pass->process->pid;
	row->ppid = pass->process->pid;
	add_entry(row, entry);
	uint64_t rss = pass->process->rss;
	add_entry(pass->process, entry);
	pass->process->rss = rss;
	return NULL;
}

/*
 * A piece may end within a mapping: what is whole ends where another begins, that is,
 * at the last line which does not start with a capital.
 */
static size_t whole(const char *text, size_t len)
{
	while (len) {
		const char *eol = memrchr(text, '\n', len - 1);
		size_t at = eol ? (size_t)(eol + 1 - text) : 0;
		if (text[at] < 'A' || text[at] > 'Z')
			return at;
		len = at;
	}
	return 0;
}

static struct mw_err *take_piece(void *ctx, const char *text, size_t len, bool last,
				 size_t *used)
{
	struct pass *pass = ctx;
	struct mw_smaps_entry entry;
	const char *pos = text, *end = text + (last ? len : whole(text, len));
	struct mw_err *err = NULL;
	while (!err && mw_smaps_next(&pos, end, &entry))
		err = take_entry(pass, &entry);
	*used = last ? len : (size_t)(end - text);
	return err;
}

static struct mw_err *take_process(struct pass *pass)
{
	struct mw_fleet_row *row = pass->process;
	uint64_t start = mw_fleet_clock_ns(CLOCK_MONOTONIC);
	row->have |= MW_FLEET_WALKED;
	struct mw_err *err = mw_source_stream_text(pass->look->src, row->pid,
						   MW_FILE_SMAPS, take_piece, pass);
	if (err)
		err = mw_fleet_note(pass->look, row, err);
	pass->look->fleet->walk_ns += mw_fleet_clock_ns(CLOCK_MONOTONIC) - start;
	return err;
}

/* Names with this in them, and no pids left over. */
static void choose(struct mw_fleet_rows *rows, const char *filter)
{
	size_t kept = 0;
	for (size_t i = 0; i < rows->n; i++) {
		rows->items[i].ppid = 0;
		if (!filter || strcasestr(rows->items[i].name, filter))
			rows->items[kept++] = rows->items[i];
	}
	rows->n = kept;
}

struct mw_err *mw_fleet_files(struct mw_fleet_look *look)
{
	struct mw_fleet *fleet = look->fleet;
	struct mw_fleet_index index = { 0 };
	struct mw_err *err = NULL;
	for (size_t i = 0; !err && i < fleet->all.n && !mw_fleet_spent(look); i++) {
		struct mw_fleet_row *row = &fleet->all.items[i];
		struct pass pass = { look, &index, row };
		if (row->rss != MW_FLEET_UNKNOWN)
			err = take_process(&pass);
	}
	mw_fleet_index_deinit(&index);
	choose(&fleet->rows, look->opts->filter);
	return err;
}
