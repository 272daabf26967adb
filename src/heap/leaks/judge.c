// SPDX-License-Identifier: MIT
/* What was gathered, judged; the target may run meanwhile. */
#include "heap/leaks/reach.h"

#include <string.h>

/* What conservative marking cannot see, whatever is read. */
static const char *const blind[] = {
	"pointers that are xor-ed, compressed to 32 bits, or kept as a distance: what "
	"they lead to looks leaked",
	"pointers with a tag in their upper 16 bits, or at a place that is no multiple "
	"of 8: what only they lead to counts as possible",
	"pointers in files, pipes, sockets, other processes or a device: what they lead "
	"to looks leaked",
	"values that happen to be an address, and pointers nobody uses any more: what "
	"they lead to looks in use",
	"blocks that a runtime allots inside its own memory",
};

/* Leaks and what they live in; the public struct comes first. */
struct leaks {
	struct mw_leaks pub;
	struct mw_arena arena;
	struct mw_reach *reach; /* owns the heap and the texts of gaps */
	struct mw_heap_gap_vec gaps;
};

/* Readings that failed without failing the answer, also those of names and samples. */
static struct mw_err *add_refusals(struct leaks *leaks)
{
	size_t n;
	const struct mw_refusal *refusals =
		mw_source_refusals(mw_snapshot_source(leaks->reach->snap), &n);
	for (size_t i = 0; i < n; i++) {
		struct mw_gap gap = { mw_arena_strdup(&leaks->arena, refusals[i].what),
				      mw_arena_strdup(&leaks->arena, refusals[i].why),
				      "" };
		if (!gap.what || !gap.why || !mw_vec_add(&leaks->gaps, gap))
			return mw_err_nomem();
	}
	return NULL;
}

static struct mw_err *join_gaps(struct leaks *leaks)
{
	const struct mw_heap *heap = leaks->reach->heap;
	for (size_t i = 0; i < leaks->reach->gaps.n; i++)
		if (!mw_vec_add(&leaks->gaps, leaks->reach->gaps.items[i]))
			return mw_err_nomem();
	for (size_t i = 0; i < heap->n_gaps; i++)
		if (!mw_vec_add(&leaks->gaps, heap->gaps[i]))
			return mw_err_nomem();
	struct mw_err *err = add_refusals(leaks);
	leaks->pub.gaps = leaks->gaps.items;
	leaks->pub.n_gaps = leaks->gaps.n;
	return err;
}

static void add(struct mw_blocks *sum, const struct mw_blocks *blocks)
{
	sum->n += blocks->n;
	sum->bytes += blocks->bytes;
}

static void sum_up(struct mw_leaks *pub)
{
	for (size_t i = 0; i < pub->n_groups; i++) {
		const struct mw_leak_group *group = &pub->groups[i];
		if (group->suppressed) {
			add(&pub->suppressed, &group->blocks);
		} else if (group->confidence == MW_LEAK_POSSIBLE) {
			add(&pub->possible, &group->blocks);
		} else {
			add(&pub->leaked, &group->blocks);
			add(group->direct ? &pub->direct : &pub->indirect,
			    &group->blocks);
		}
	}
}

static struct mw_err *list_groups(struct leaks *leaks, const struct mw_losses *losses,
				  struct mw_names *names,
				  const struct mw_leaks_opts *opts)
{
	struct mw_leaks *pub = &leaks->pub;
	struct mw_leak_group *groups;
	struct mw_live_group *live;
	struct mw_err *err = mw_leaks_group(leaks->reach, losses, names, &leaks->arena,
					    opts->contents, &groups, &pub->n_groups);
	if (!err && opts->suppressions)
		err = mw_leaks_suppress(opts->suppressions, groups, pub->n_groups,
					leaks->reach->heap, &leaks->arena, &pub->unused,
					&pub->n_unused);
	if (!err)
		err = mw_leaks_live(leaks->reach, names, &leaks->arena, &live,
				    &pub->n_live_groups);
	if (err)
		return err;
	pub->groups = groups;
	pub->live_groups = live;
	return NULL;
}

static struct mw_err *judge(struct leaks *leaks, const struct mw_leaks_opts *opts)
{
	struct mw_reach *reach = leaks->reach;
	struct mw_losses losses = { 0 };
	struct mw_names *names = NULL;
	reach->unsure = reach->unsure || !opts->heap.still;
	struct mw_err *err = mw_reach_mark(reach, &losses);
	if (!err)
		err = mw_reach_own(reach, &losses);
	if (!err)
		err = mw_names_new(reach->snap, &leaks->arena, &names);
	if (!err)
		err = list_groups(leaks, &losses, names, opts);
	mw_names_free(names);
	mw_losses_deinit(&losses);
	return err;
}

struct mw_err *mw_reach_judge(struct mw_reach *reach, const struct mw_leaks_opts *opts,
			      struct mw_leaks **ret)
{
	struct leaks *leaks = calloc(1, sizeof(*leaks));
	if (!leaks) {
		mw_reach_free(reach);
		return mw_err_nomem();
	}
	leaks->reach = reach;
	leaks->pub = (struct mw_leaks){
		.heap = reach->heap,
		.live = { reach->map.n, reach->map.bytes },
		.root_bytes = reach->root_bytes,
		.n_edges = reach->edges.targets.n,
		.blind = blind,
		.n_blind = sizeof(blind) / sizeof(blind[0]),
	};
	struct mw_err *err = judge(leaks, opts);
	if (!err)
		err = join_gaps(leaks);
	if (err) {
		mw_leaks_free(&leaks->pub);
		return err;
	}
	sum_up(&leaks->pub);
	*ret = &leaks->pub;
	return NULL;
}

void mw_leaks_free(struct mw_leaks *pub)
{
	struct leaks *leaks = (struct leaks *)pub;
	if (!leaks)
		return;
	mw_reach_free(leaks->reach);
	mw_vec_deinit(&leaks->gaps);
	mw_arena_deinit(&leaks->arena);
	free(leaks);
}

const char *mw_leak_confidence_name(enum mw_leak_confidence confidence)
{
	return confidence == MW_LEAK_LIKELY ? "likely" : "possible";
}
