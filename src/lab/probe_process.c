// SPDX-License-Identifier: MIT
/* Probes of a process as a whole, of its heap and its program file, of the machine. */
#include "lab/seen.h"
#include "procfs/keyed.h"

#include <string.h>

/* A line of status; UINT64_MAX: it is not there. */
static struct mw_err *line(struct mw_asked *asked, const char *key, uint64_t n,
			   struct mw_value *ret)
{
	if (n != UINT64_MAX)
		return mw_known(ret, n);
	return mw_not_known(asked, ret, "its status has no %s", key);
}

static const struct mw_process *process_of(const struct mw_asked *asked)
{
	return mw_snapshot_process(asked->of->snap);
}

/* Not VmRSS: newer kernels add up what the processors still hold before showing it. */
static struct mw_err *ask_counter(struct mw_asked *asked, struct mw_value *ret)
{
	return mw_known(ret, asked->of->counter_pages * asked->seen->page);
}

static struct mw_err *ask_pagetables(struct mw_asked *asked, struct mw_value *ret)
{
	return line(asked, "VmPTE", process_of(asked)->vm_pte, ret);
}

static struct mw_err *ask_threads(struct mw_asked *asked, struct mw_value *ret)
{
	return mw_known(ret, process_of(asked)->n_threads);
}

static struct mw_err *ask_faults(struct mw_asked *asked, struct mw_value *ret)
{
	uint64_t n;
	memcpy(&n, (const char *)asked->of + asked->probe->field, sizeof(n));
	return mw_known(ret, n);
}

static struct mw_err *ask_classes(struct mw_asked *asked, struct mw_value *ret)
{
	bool have[MW_CLASS_COUNT] = { false };
	size_t n, sum = 0;
	struct mw_err *err = mw_seen_classify(asked->seen, asked->of);
	if (err)
		return err;
	if (!asked->of->layout)
		return mw_not_known(asked, ret, "%s", asked->of->no_layout);
	const struct mw_segment *segments = mw_layout_segments(asked->of->layout, &n);
	for (size_t i = 0; i < n; i++) {
		sum += !have[segments[i].class];
		have[segments[i].class] = true;
	}
	return mw_known(ret, sum);
}

/* Sums of all allocators; `kept` is UINT64_MAX when one does not know it. */
struct heap_sums {
	uint64_t live, blocks, free, kept, size, unknown;
	const char *opaque; /* an allocator whose inside is not known */
};
#define HEAP(field) offsetof(struct heap_sums, field)

static struct heap_sums sum_heap(const struct mw_heap *heap)
{
	struct heap_sums sums = { 0 };
	for (size_t i = 0; i < heap->n_allocators; i++) {
		const struct mw_allocator *a = &heap->allocators[i];
		if (a->nested)
			continue;
		if (a->depth == MW_HEAP_RECOGNISED)
			sums.opaque = a->name;
		sums.live += a->live.bytes;
		sums.blocks += a->live.n;
		sums.free += a->free.bytes;
		sums.unknown += a->unknown;
		if (a->free.resident == UINT64_MAX || sums.kept == UINT64_MAX)
			sums.kept = UINT64_MAX;
		else
			sums.kept += a->free.resident;
	}
	for (size_t i = 0; i < heap->n_areas; i++)
		sums.size += heap->areas[i].end - heap->areas[i].start;
	return sums;
}

static bool has_brk(const struct mw_snapshot *snap)
{
	size_t n;
	const struct mw_region *regions = mw_snapshot_regions(snap, &n);
	for (size_t i = 0; i < n; i++)
		if (!strcmp(regions[i].name, "[heap]"))
			return true;
	return false;
}

/* Why the sums say nothing; NULL when they hold. */
static const char *doubt(const struct mw_asked *asked, const struct heap_sums *sums)
{
	const struct mw_heap *heap = asked->of->heap;
	if (asked->of->no_heap)
		return asked->of->no_heap;
	if (sums->opaque)
		return "its allocator is one whose heap cannot be walked";
	if (!heap->n_allocators && has_brk(asked->of->snap))
		return "whose heap it is was not recognised";
	return sums->unknown ? "a part of the heap could not be followed" : NULL;
}

/* One figure of the heap. */
static struct mw_err *ask_heap(struct mw_asked *asked, struct mw_value *ret)
{
	struct heap_sums sums = { 0 };
	struct mw_err *err = mw_seen_walk(asked->seen, asked->of);
	uint64_t n;
	if (err)
		return err;
	if (asked->of->heap)
		sums = sum_heap(asked->of->heap);
	memcpy(&n, (const char *)&sums + asked->probe->field, sizeof(n));
	const char *why = doubt(asked, &sums);
	if (!why && n == UINT64_MAX)
		why = "which of its pages are resident is not known";
	return why ? mw_not_known(asked, ret, "%s", why) : mw_known(ret, n);
}

static struct mw_err *ask_sizes(struct mw_asked *asked, struct mw_value *ret)
{
	struct mw_err *err = mw_seen_size(asked->seen, asked->of);
	const struct mw_sizes *sizes = asked->of->sizes;
	if (err)
		return err;
	if (!sizes)
		return mw_not_known(asked, ret, "%s", asked->of->no_sizes);
	/* Berkeley's columns: what is read-only counts as text. */
	if (asked->probe->name[0] == 't')
		return mw_known(ret, sizes->text + sizes->rodata);
	return mw_known(ret, asked->probe->name[0] == 'd' ? sizes->data : sizes->bss);
}

static struct mw_err *ask_keyed(struct mw_asked *asked, const struct mw_buf *text,
				const char *file, struct mw_value *ret)
{
	const char *key = asked->args[0].text;
	uint64_t n = mw_keyed_number(mw_buf_str(text), text->len, key);
	if (n != UINT64_MAX)
		return mw_known(ret, n);
	return text->len ? mw_not_known(asked, ret, "%s has no %s here", file, key)
			 : mw_not_known(asked, ret, "%s could not be read", file);
}

static struct mw_err *ask_machine(struct mw_asked *asked, struct mw_value *ret)
{
	return ask_keyed(asked, &asked->seen->meminfo, "meminfo", ret);
}

static struct mw_err *ask_vmstat(struct mw_asked *asked, struct mw_value *ret)
{
	return ask_keyed(asked, &asked->seen->vmstat, "vmstat", ret);
}

const struct mw_probe mw_process_probes[] = {
	{ "counter", 0, 0, MW_PROBE_SUM, ask_counter },
	{ "pagetables", 0, 0, MW_PROBE_SUM, ask_pagetables },
	{ "threads", 0, 0, MW_PROBE_SUM, ask_threads },
	{ "minflt", 0, 0, MW_PROBE_SUM, ask_faults, offsetof(struct mw_seen, min_flt) },
	{ "majflt", 0, 0, MW_PROBE_SUM, ask_faults, offsetof(struct mw_seen, maj_flt) },
	{ "classes", 0, 0, MW_PROBE_FIRST, ask_classes },
	{ "heap_live", 0, 0, MW_PROBE_SUM, ask_heap, HEAP(live) },
	{ "heap_blocks", 0, 0, MW_PROBE_SUM, ask_heap, HEAP(blocks) },
	{ "heap_free", 0, 0, MW_PROBE_SUM, ask_heap, HEAP(free) },
	{ "heap_kept", 0, 0, MW_PROBE_SUM, ask_heap, HEAP(kept) },
	{ "heap_size", 0, 0, MW_PROBE_SUM, ask_heap, HEAP(size) },
	{ "text_size", 0, 0, MW_PROBE_FIRST, ask_sizes },
	{ "data_size", 0, 0, MW_PROBE_FIRST, ask_sizes },
	{ "bss_size", 0, 0, MW_PROBE_FIRST, ask_sizes },
	{ "machine", 1, 1, MW_PROBE_MACHINE, ask_machine },
	{ "vmstat", 1, 1, MW_PROBE_MACHINE, ask_vmstat },
	{ 0 },
};
