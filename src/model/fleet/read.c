// SPDX-License-Identifier: MIT
/* One process's files into its row. */
#include "base/num.h"
#include "model/fleet/impl.h"
#include "procfs/smaps.h"
#include "procfs/status.h"

#include <string.h>
#include <time.h>

enum { PF_KTHREAD = 0x00200000 };

uint64_t mw_fleet_clock_ns(int clock)
{
	struct timespec now;
	if (clock_gettime(clock, &now))
		return 0;
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void mw_fleet_row_init(struct mw_fleet_row *row)
{
	*row = (struct mw_fleet_row){
		.name = "",
		.command = "",
		.user = "",
		.cgroup = "",
		.uid = MW_FLEET_UNKNOWN,
		.rss = MW_FLEET_UNKNOWN,
		.pss = MW_FLEET_UNKNOWN,
		.uss = MW_FLEET_UNKNOWN,
		.swap = MW_FLEET_UNKNOWN,
		.swap_pss = MW_FLEET_UNKNOWN,
		.tables = MW_FLEET_UNKNOWN,
		.threads = MW_FLEET_UNKNOWN,
		.faults = MW_FLEET_UNKNOWN,
		.fault_rate = MW_FLEET_UNKNOWN,
		.age_s = MW_FLEET_UNKNOWN,
	};
}

/* Keeps the first message of its kind. */
static bool keep_why(struct mw_fleet *fleet, const char **why, const char *msg)
{
	if (!(*why)[0])
		*why = mw_arena_strdup(&fleet->arena, msg);
	if (*why)
		return true;
	*why = "";
	return false;
}

struct mw_err *mw_fleet_note(struct mw_fleet_look *look, struct mw_fleet_row *row,
			     struct mw_err *err)
{
	struct mw_fleet *fleet = look->fleet;
	bool ok = true;
	switch (err->code) {
	case MW_ERR_NOMEM:
		return err;
	case MW_ERR_GONE:
	case MW_ERR_NOTFOUND:
		row->have |= MW_FLEET_GONE;
		break;
	case MW_ERR_DENIED:
		row->have |= MW_FLEET_DENIED;
		ok = keep_why(fleet, &fleet->denied_why, err->msg);
		break;
	default:
		fleet->n_failed++;
		ok = keep_why(fleet, &fleet->failed_why, err->msg);
	}
	mw_err_free(err);
	return ok ? NULL : mw_err_nomem();
}

struct mw_err *mw_fleet_text(struct mw_fleet_look *look, struct mw_fleet_row *row,
			     enum mw_file file, bool *ok)
{
	mw_buf_clear(&look->text);
	struct mw_err *err =
		mw_source_read_text(look->src, row->pid, 0, file, &look->text);
	*ok = !err;
	return err ? mw_fleet_note(look, row, err) : NULL;
}

struct mw_err *mw_fleet_read_statm(struct mw_fleet_look *look, struct mw_fleet_row *row)
{
	bool ok;
	uint64_t size, resident, rss;
	struct mw_err *err = mw_fleet_text(look, row, MW_FILE_STATM, &ok);
	if (err || !ok)
		return err;
	const char *pos = mw_buf_str(&look->text), *end = pos + look->text.len;
	if (mw_take_dec(&pos, end, &size) && mw_take_char(&pos, end, ' ') &&
	    mw_take_dec(&pos, end, &resident) &&
	    !__builtin_mul_overflow(resident, mw_source_facts(look->src)->page_size,
				    &rss) &&
	    size)
		row->rss = rss;
	return NULL;
}

static struct mw_err *read_stat(struct mw_fleet_look *look, struct mw_fleet_row *row)
{
	struct mw_stat stat;
	bool ok;
	struct mw_err *err = mw_fleet_text(look, row, MW_FILE_STAT, &ok);
	if (err || !ok || !mw_stat_parse(mw_buf_str(&look->text), look->text.len, &stat))
		return err;
	uint64_t ticks = mw_source_facts(look->src)->clock_ticks;
	row->kernel = stat.flags & PF_KTHREAD;
	row->ppid = (pid_t)stat.ppid;
	row->start_ticks = stat.start_ticks;
	row->name = mw_arena_strdup(&look->fleet->arena, stat.comm);
	if (!row->name)
		return mw_err_nomem();
	if (!row->command[0])
		row->command = row->name;
	if (__builtin_add_overflow(stat.min_flt, stat.maj_flt, &row->faults))
		row->faults = MW_FLEET_UNKNOWN;
	if (look->now_ticks >= stat.start_ticks && ticks && look->now_ticks)
		row->age_s = (look->now_ticks - stat.start_ticks) / ticks;
	if (row->age_s != MW_FLEET_UNKNOWN && row->faults != MW_FLEET_UNKNOWN)
		row->fault_rate = row->faults / (row->age_s ? row->age_s : 1);
	return NULL;
}

static struct mw_err *read_status(struct mw_fleet_look *look, struct mw_fleet_row *row)
{
	struct mw_status status;
	bool ok;
	struct mw_err *err = mw_fleet_text(look, row, MW_FILE_STATUS, &ok);
	if (err || !ok)
		return err;
	mw_status_parse(mw_buf_str(&look->text), look->text.len, &status);
	row->uid = status.uid;
	row->threads = status.n_threads;
	row->tables = status.vm_pte;
	row->swap = status.vm_swap;
	if (row->rss == MW_FLEET_UNKNOWN)
		row->rss = status.vm_rss; /* a recording without statm */
	row->user = mw_fleet_user_name(look, row->uid);
	return row->user ? NULL : mw_err_nomem();
}

/* Arguments are separated by NUL bytes; people read them with blanks. */
static struct mw_err *read_command(struct mw_fleet_look *look, struct mw_fleet_row *row)
{
	enum { LONGEST = 4096 };
	bool ok;
	struct mw_err *err = mw_fleet_text(look, row, MW_FILE_CMDLINE, &ok);
	size_t len = look->text.len;
	if (err || !ok)
		return err;
	while (len && look->text.data[len - 1] == '\0')
		len--;
	if (!len)
		return NULL;
	len = len < LONGEST ? len : LONGEST;
	for (size_t i = 0; i < len; i++)
		if (look->text.data[i] == '\0')
			look->text.data[i] = ' ';
	row->command = mw_arena_strndup(&look->fleet->arena, look->text.data, len);
	return row->command ? NULL : mw_err_nomem();
}

/*
 * "0::/user.slice" of version 2, "4:memory:/x" of version 1: the memory controller's
 * counts where it has a line of its own.
 */
static struct mw_err *read_cgroup(struct mw_fleet_look *look, struct mw_fleet_row *row)
{
	bool ok;
	struct mw_err *err = mw_fleet_text(look, row, MW_FILE_CGROUP, &ok);
	if (err || !ok)
		return err;
	const char *pos = mw_buf_str(&look->text), *end = pos + look->text.len;
	const char *path = NULL, *path_end = NULL;
	while (pos < end) {
		const char *eol = mw_line_end(pos, end);
		const char *first = memchr(pos, ':', (size_t)(eol - pos));
		const char *second =
			first ? memchr(first + 1, ':', (size_t)(eol - first - 1)) : NULL;
		bool memory = second && memmem(first, (size_t)(second - first), "memory",
					       strlen("memory"));
		if (second && (memory || (!path && second == first + 1))) {
			path = second + 1;
			path_end = eol;
		}
		if (memory)
			break;
		pos = eol < end ? eol + 1 : end;
	}
	if (!path)
		return NULL;
	row->cgroup =
		mw_arena_strndup(&look->fleet->arena, path, (size_t)(path_end - path));
	return row->cgroup ? NULL : mw_err_nomem();
}

struct mw_err *mw_fleet_read(struct mw_fleet_look *look, struct mw_fleet_row *row,
			     unsigned want)
{
	static const struct {
		unsigned what;
		struct mw_err *(*read)(struct mw_fleet_look *, struct mw_fleet_row *);
	} files[] = {
		{ MW_FLEET_STAT, read_stat },
		{ MW_FLEET_STATUS, read_status },
		{ MW_FLEET_COMMAND, read_command },
		{ MW_FLEET_CGROUP, read_cgroup },
	};
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		if (!(want & files[i].what & ~row->have))
			continue;
		row->have |= files[i].what;
		struct mw_err *err = files[i].read(look, row);
		if (err)
			return err;
	}
	return NULL;
}

bool mw_fleet_spent(const struct mw_fleet_look *look)
{
	return look->fleet->walk_ns >= look->opts->budget_ns;
}

static bool has(const struct mw_smaps_entry *entry, enum mw_smaps_key key)
{
	return entry->known & UINT32_C(1) << key;
}

static void take_rollup(struct mw_fleet_row *row, const struct mw_smaps_entry *entry)
{
	const uint64_t *b = entry->bytes;
	if (has(entry, MW_KEY_PSS))
		row->pss = b[MW_KEY_PSS];
	if (has(entry, MW_KEY_PRIVATE_CLEAN) && has(entry, MW_KEY_PRIVATE_DIRTY))
		row->uss = b[MW_KEY_PRIVATE_CLEAN] + b[MW_KEY_PRIVATE_DIRTY];
	if (has(entry, MW_KEY_SWAP))
		row->swap = b[MW_KEY_SWAP];
	if (has(entry, MW_KEY_SWAP_PSS))
		row->swap_pss = b[MW_KEY_SWAP_PSS];
}

struct mw_err *mw_fleet_walk(struct mw_fleet_look *look, struct mw_fleet_row *row)
{
	struct mw_smaps_entry entry;
	bool ok;
	if (row->rss == MW_FLEET_UNKNOWN ||
	    (row->have & (MW_FLEET_WALKED | MW_FLEET_DENIED | MW_FLEET_GONE)) ||
	    mw_fleet_spent(look))
		return NULL;
	uint64_t start = mw_fleet_clock_ns(CLOCK_MONOTONIC);
	row->have |= MW_FLEET_WALKED;
	struct mw_err *err = mw_fleet_text(look, row, MW_FILE_SMAPS_ROLLUP, &ok);
	const char *pos = mw_buf_str(&look->text);
	/* Of one that ends it is empty. */
	if (!err && ok && mw_smaps_next(&pos, pos + look->text.len, &entry))
		take_rollup(row, &entry);
	look->fleet->walk_ns += mw_fleet_clock_ns(CLOCK_MONOTONIC) - start;
	return err;
}
