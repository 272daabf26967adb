// SPDX-License-Identifier: MIT
#include "view/free.h"

#include "base/buf.h"
#include "base/num.h"
#include "view/view.h"

#include <inttypes.h>

#define UNKNOWN UINT64_MAX

static uint64_t swap_used(const struct mw_machine *m)
{
	return m->swap_total == UNKNOWN || m->swap_free == UNKNOWN
		       ? 0
		       : mw_less(m->swap_total, m->swap_free);
}

/* What can be had: the kernel's own estimate, or what is free where it has none. */
static uint64_t available(const struct mw_machine *m)
{
	return m->available == UNKNOWN ? m->free : m->available;
}

static bool is_cache(enum mw_part part)
{
	return part == MW_PART_FILES || part == MW_PART_BUFFERS ||
	       part == MW_PART_SLAB_CACHE;
}

static uint64_t caches(const struct mw_machine *m)
{
	return m->part[MW_PART_FILES] + m->part[MW_PART_BUFFERS] +
	       m->part[MW_PART_SLAB_CACHE];
}

/* Little is free on a healthy machine: what is not needed otherwise serves as cache. */
static bool add_stage(struct mw_buf *text, const struct mw_machine *m)
{
	static const char *const words[MW_STAGE_COUNT] = {
		[MW_STAGE_FREE] = "Nothing is short.",
		[MW_STAGE_CACHE] = "Little is free.",
		[MW_STAGE_SWAP] = "Programs' own pages were moved to swap.",
		[MW_STAGE_TIGHT] = "Memory is tight.",
		[MW_STAGE_OOM] = "Memory is all but used up: processes will be killed.",
	};
	enum mw_stage stage = mw_machine_stage(m);
	char left[MW_UNITS_LEN], cached[MW_UNITS_LEN];
	if (stage != MW_STAGE_CACHE || caches(m) < m->free)
		return mw_buf_printf(text, "%s", words[stage]);
	return mw_buf_printf(text,
			     "Only %s is free, because %s serves as cache, which gives "
			     "way when programs ask.",
			     mw_units_bytes(m->free, MW_UNIT_AUTO, left),
			     mw_units_bytes(caches(m), MW_UNIT_AUTO, cached));
}

static struct mw_err *headline(struct mw_out *out, const struct mw_machine *m)
{
	char total[MW_UNITS_LEN], left[MW_UNITS_LEN];
	mw_auto_buf text = { 0 };
	if (!mw_buf_printf(&text, "%s of %s can be had by programs. ",
			   mw_units_bytes(available(m), MW_UNIT_AUTO, left),
			   mw_units_bytes(m->total, MW_UNIT_AUTO, total)) ||
	    !add_stage(&text, m))
		return mw_err_nomem();
	mw_out_headline(out, mw_buf_str(&text));
	return NULL;
}

static void part_row(struct mw_out *out, const struct mw_machine *m, enum mw_part part)
{
	const char *role = part == MW_PART_FREE ? "unused"
			   : is_cache(part)     ? "gives way"
						: "in use";
	uint64_t share = mw_view_share(m->part[part], m->total);
	struct mw_cell cells[] = {
		mw_cell_s(mw_part_key(part)),
		mw_cell_s(mw_part_title(part)),
		mw_cell_u(m->part[part]),
		mw_cell_u(share),
		mw_cell_s(role),
		mw_cell_u(share),
	};
	bool machine = !mw_out_is_text(out);
	if (machine || m->part[part] || part == MW_PART_UNACCOUNTED)
		mw_out_row(out, cells, MW_PLAIN);
}

static void parts_table(struct mw_out *out, const struct mw_machine *m)
{
	static const struct mw_col cols[] = {
		{ "part", "", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 },
		{ "title", "memory", MW_TYPE_TEXT, MW_COL_TRUNC, 0 },
		{ "bytes", "bytes", MW_TYPE_BYTES, 0, 0 },
		{ "share", "share", MW_TYPE_SHARE, 0, 0 },
		{ "role", "", MW_TYPE_TEXT, 0, 0 },
		{ "bar", "", MW_TYPE_BAR, MW_COL_NO_DATA, 0 },
	};
	struct mw_table table = { .key = "parts",
				  .title = "",
				  .cols = cols,
				  .n_cols = sizeof(cols) / sizeof(*cols),
				  .n_rows = MW_PART_COUNT,
				  .is_main = true };
	mw_out_table(out, &table);
	for (unsigned i = 0; i < MW_PART_COUNT; i++)
		part_row(out, m, i);
	mw_out_table_end(out);
}

static bool add_words(struct mw_buf *text, const char *format, uint64_t bytes)
{
	char words[MW_UNITS_LEN];
	const char *at = mw_units_bytes(bytes, MW_UNIT_AUTO, words);
	return mw_buf_printf(text, "%s%s", at, format);
}

static struct mw_err *note(struct mw_out *out, const struct mw_buf *text, bool ok)
{
	if (!ok)
		return mw_err_nomem();
	mw_out_note(out, 2, mw_buf_str(text));
	return NULL;
}

static struct mw_err *total_line(struct mw_out *out, const struct mw_machine *m)
{
	mw_auto_buf text = { 0 };
	bool ok = mw_buf_printf(&text, "MemTotal ") && add_words(&text, "", m->total);
	if (ok && m->overcount)
		ok = mw_buf_printf(&text, ", ") &&
		     add_words(&text, " of it counted twice", m->overcount);
	return note(out, &text, ok);
}

/*
 * The kernel's estimate is what is free above its reserve, and what caches can lose
 * without thrashing (mm/show_mem.c, si_mem_available).
 */
static struct mw_err *available_line(struct mw_out *out, const struct mw_machine *m)
{
	mw_auto_buf text = { 0 };
	bool ok = mw_buf_printf(&text, "available: ");
	if (m->available == UNKNOWN)
		ok = ok && mw_buf_printf(&text, "this kernel (before 3.14) does not say");
	else if (m->available >= m->free)
		ok = ok && add_words(&text, " = ", m->available) &&
		     add_words(&text, " free + ", m->free) &&
		     add_words(&text, " that caches can lose, of ",
			       m->available - m->free) &&
		     add_words(&text, "", caches(m));
	else
		ok = ok && add_words(&text, " of ", m->available) &&
		     add_words(&text,
			       " free: the rest is the kernel's reserve, more "
			       "than caches could lose",
			       m->free);
	return note(out, &text, ok);
}

static uint64_t rate(uint64_t now, uint64_t before, uint64_t elapsed_ns)
{
	unsigned __int128 n = mw_less(now, before);
	return elapsed_ns ? (uint64_t)(n * 1000000000 / elapsed_ns) : 0;
}

static struct mw_err *swap_line(struct mw_out *out, const struct mw_free_answer *answer)
{
	const struct mw_machine *m = answer->machine, *b = answer->before;
	mw_auto_buf text = { 0 };
	bool ok = mw_buf_printf(&text, "swap: ");
	if (m->swap_total == UNKNOWN || !m->swap_total)
		return note(out, &text,
			    ok && mw_buf_printf(&text,
						"none: what programs hold can only be "
						"dropped by ending them"));
	ok = ok && add_words(&text, " of ", swap_used(m)) &&
	     add_words(&text, " used", m->swap_total);
	if (ok && b && m->swap_in != UNKNOWN && m->swap_out != UNKNOWN)
		ok = mw_buf_printf(&text, ", %" PRIu64 " pages/s in, %" PRIu64 " out",
				   rate(m->swap_in, b->swap_in, answer->elapsed_ns),
				   rate(m->swap_out, b->swap_out, answer->elapsed_ns));
	else if (ok && m->swap_in != UNKNOWN && m->swap_out != UNKNOWN)
		ok = mw_buf_printf(
			&text, ", %" PRIu64 " pages in and %" PRIu64 " out since boot",
			m->swap_in, m->swap_out);
	return note(out, &text, ok);
}

static struct mw_err *pressure_line(struct mw_out *out, const struct mw_machine *m)
{
	mw_auto_buf text = { 0 };
	if (!m->has_pressure)
		return NULL;
	bool ok = mw_buf_printf(
		&text,
		"pressure: tasks waited for memory %u.%02u %% of the last 10 s, %u.%02u "
		"%% of the last 5 minutes",
		m->some.avg10 / 100, m->some.avg10 % 100, m->some.avg300 / 100,
		m->some.avg300 % 100);
	if (ok && m->oom_kills != UNKNOWN && m->oom_kills)
		ok = mw_buf_printf(&text, "; %" PRIu64 " killed for it since boot",
				   m->oom_kills);
	return note(out, &text, ok);
}

static struct mw_err *cgroup_line(struct mw_out *out, const struct mw_cgroup *cg)
{
	mw_auto_buf text = { 0 };
	if (!cg)
		return NULL;
	bool ok = mw_buf_printf(&text, "cgroup: ") && add_words(&text, "", cg->usage);
	if (ok && cg->limit != UNKNOWN)
		ok = mw_buf_printf(&text, " of ") &&
		     add_words(&text, " allowed", cg->limit);
	else if (ok)
		ok = mw_buf_printf(&text, ", no limit");
	if (ok && cg->anon != UNKNOWN && cg->file != UNKNOWN)
		ok = mw_buf_printf(&text, ": ") &&
		     add_words(&text, " of programs, ", cg->anon) &&
		     add_words(&text, " of files", cg->file);
	return note(out, &text, ok);
}

static const char way[] = "on the way  free > cache > swap > tight > OOM  it is at: ";

static struct mw_err *stage_line(struct mw_out *out, const struct mw_machine *m)
{
	mw_auto_buf text = { 0 };
	return note(
		out, &text,
		mw_buf_printf(&text, "%s%s", way, mw_stage_name(mw_machine_stage(m))));
}

static void pressure_fields(struct mw_out *out, const char *key,
			    const struct mw_pressure *p, bool has)
{
	mw_out_object(out, key);
	mw_out_field(out, "avg10", MW_TYPE_SHARE, mw_cell_if(has, p->avg10));
	mw_out_field(out, "avg60", MW_TYPE_SHARE, mw_cell_if(has, p->avg60));
	mw_out_field(out, "avg300", MW_TYPE_SHARE, mw_cell_if(has, p->avg300));
	mw_out_field(out, "total_us", MW_TYPE_COUNT, mw_cell_if(has, p->total));
	mw_out_object_end(out);
}

static void swap_fields(struct mw_out *out, const struct mw_free_answer *answer)
{
	const struct mw_machine *m = answer->machine, *b = answer->before;
	bool rates = b && m->swap_in != UNKNOWN && b->swap_in != UNKNOWN;
	mw_out_object(out, "swap");
	mw_out_field(out, "total", MW_TYPE_BYTES, mw_cell_known(m->swap_total));
	mw_out_field(out, "used", MW_TYPE_BYTES,
		     mw_cell_if(m->swap_total != UNKNOWN, swap_used(m)));
	mw_out_field(out, "free", MW_TYPE_BYTES, mw_cell_known(m->swap_free));
	mw_out_field(out, "in_pages", MW_TYPE_COUNT, mw_cell_known(m->swap_in));
	mw_out_field(out, "out_pages", MW_TYPE_COUNT, mw_cell_known(m->swap_out));
	mw_out_field(
		out, "in_per_s", MW_TYPE_COUNT,
		mw_cell_if(rates,
			   rates ? rate(m->swap_in, b->swap_in, answer->elapsed_ns) : 0));
	mw_out_field(out, "out_per_s", MW_TYPE_COUNT,
		     mw_cell_if(rates,
				rates ? rate(m->swap_out, b->swap_out, answer->elapsed_ns)
				      : 0));
	mw_out_object_end(out);
}

static void cgroup_fields(struct mw_out *out, const struct mw_cgroup *cg)
{
	if (!cg)
		return;
	mw_out_object(out, "cgroup");
	mw_out_field(out, "path", MW_TYPE_TEXT, mw_cell_s(cg->path));
	mw_out_field(out, "version", MW_TYPE_COUNT, mw_cell_u(cg->v1 ? 1 : 2));
	mw_out_field(out, "usage", MW_TYPE_BYTES, mw_cell_known(cg->usage));
	mw_out_field(out, "limit", MW_TYPE_BYTES, mw_cell_known(cg->limit));
	mw_out_field(out, "swap", MW_TYPE_BYTES, mw_cell_known(cg->swap));
	mw_out_field(out, "anon", MW_TYPE_BYTES, mw_cell_known(cg->anon));
	mw_out_field(out, "file", MW_TYPE_BYTES, mw_cell_known(cg->file));
	mw_out_field(out, "shmem", MW_TYPE_BYTES, mw_cell_known(cg->shmem));
	mw_out_field(out, "mapped", MW_TYPE_BYTES, mw_cell_known(cg->mapped));
	mw_out_field(out, "kernel", MW_TYPE_BYTES, mw_cell_known(cg->kernel));
	mw_out_object_end(out);
}

/* Signed, because what is shared may be charged here or elsewhere. */
static void bridge_row(struct mw_out *out, const char *key, const char *title,
		       int64_t bytes)
{
	struct mw_cell cells[] = { mw_cell_s(key), mw_cell_s(title), mw_cell_i(bytes) };
	mw_out_row(out, cells, MW_PLAIN);
}

/* From what the group is charged for to what its processes have, in rows that add up. */
static void bridge_table(struct mw_out *out, const struct mw_cgroup *cg,
			 const struct mw_cgroup_bridge *bridge)
{
	static const struct mw_col cols[] = {
		{ "step", "", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 },
		{ "title", "from the cgroup's use to its processes", MW_TYPE_TEXT, 0, 0 },
		{ "bytes", "bytes", MW_TYPE_DELTA, 0, 0 },
	};
	struct mw_table table = { .key = "bridge",
				  .title = "",
				  .cols = cols,
				  .n_cols = sizeof(cols) / sizeof(*cols) };
	mw_out_table(out, &table);
	bridge_row(out, "usage", "the cgroup is charged", (int64_t)cg->usage);
	bridge_row(out, "unmapped", "file cache that nobody maps",
		   -(int64_t)bridge->unmapped);
	bridge_row(out, "kernel", "the kernel's own memory for it",
		   -(int64_t)bridge->kernel);
	bridge_row(out, "elsewhere", "shared with, or charged to, others",
		   bridge->elsewhere);
	bridge_row(out, "pss", "Pss of its processes", (int64_t)bridge->pss);
	mw_out_table_end(out);
	mw_out_field(out, "bridge_processes", MW_TYPE_COUNT, mw_cell_u(bridge->n));
	mw_out_field(out, "bridge_denied", MW_TYPE_COUNT, mw_cell_u(bridge->n_denied));
}

static void fields(struct mw_out *out, const struct mw_free_answer *answer)
{
	const struct mw_machine *m = answer->machine;
	mw_out_field(out, "total", MW_TYPE_BYTES, mw_cell_u(m->total));
	mw_out_field(out, "free", MW_TYPE_BYTES, mw_cell_u(m->free));
	mw_out_field(out, "available", MW_TYPE_BYTES, mw_cell_known(m->available));
	mw_out_field(out, "overcount", MW_TYPE_BYTES, mw_cell_u(m->overcount));
	mw_out_field(out, "stage", MW_TYPE_TEXT,
		     mw_cell_s(mw_stage_name(mw_machine_stage(m))));
	swap_fields(out, answer);
	mw_out_field(out, "commit_limit", MW_TYPE_BYTES, mw_cell_known(m->commit_limit));
	mw_out_field(out, "committed", MW_TYPE_BYTES, mw_cell_known(m->committed));
	mw_out_field(out, "oom_kills", MW_TYPE_COUNT, mw_cell_known(m->oom_kills));
	mw_out_object(out, "pressure");
	pressure_fields(out, "some", &m->some, m->has_pressure);
	pressure_fields(out, "full", &m->full, m->has_pressure);
	mw_out_object_end(out);
	cgroup_fields(out, answer->cgroup);
}

static struct mw_err *lines(struct mw_out *out, const struct mw_free_answer *answer)
{
	const struct mw_machine *m = answer->machine;
	struct mw_err *err = total_line(out, m);
	if (!err)
		err = available_line(out, m);
	if (!err)
		err = swap_line(out, answer);
	if (!err)
		err = pressure_line(out, m);
	if (!err)
		err = cgroup_line(out, answer->cgroup);
	return err ? err : stage_line(out, m);
}

/* What the kernel did not tell. */
static void limits(struct mw_out *out, const struct mw_free_answer *answer)
{
	struct mw_gap gaps[3];
	size_t n = 0;
	if (!answer->machine->has_pressure)
		gaps[n++] = (struct mw_gap){
			.what = "pressure",
			.why = answer->recorded
				       ? "not in this recording"
				       : "this kernel does not measure it (psi=1)",
			.remedy = "",
		};
	if (answer->no_cgroup[0])
		gaps[n++] = (struct mw_gap){ .what = "memory cgroup",
					     .why = answer->no_cgroup,
					     .remedy = "" };
	if (answer->bridge && answer->bridge->n_denied)
		gaps[n++] = (struct mw_gap){
			.what = "Pss of the cgroup's processes",
			.why = "some of them may not be read: the sum lacks theirs",
			.remedy = "run it as root",
		};
	struct mw_gap_list list = { gaps, n };
	mw_view_gaps(out, &list, 1, &(struct mw_view_stop){ 0 });
}

struct mw_err *mw_view_free(struct mw_out *out, const struct mw_free_answer *answer)
{
	mw_out_begin(out, "memwhy.free/1");
	struct mw_err *err = headline(out, answer->machine);
	if (err)
		return err;
	fields(out, answer);
	parts_table(out, answer->machine);
	err = lines(out, answer);
	if (err)
		return err;
	if (answer->cgroup && answer->bridge)
		bridge_table(out, answer->cgroup, answer->bridge);
	limits(out, answer);
	mw_out_next(out, "memwhy top");
	return NULL;
}
