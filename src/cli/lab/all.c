// SPDX-License-Identifier: MIT
/* All labs, one after the other. */
#include "cli/lab/lab.h"

/* One that did not come to its end leaves why, and the others go on. */
static struct mw_err *run_one(struct mw_cli *cli, const struct mw_lab_wish *wish,
			      struct mw_arena *arena, struct mw_lab_entry *entry)
{
	struct mw_out *out = NULL;
	struct mw_err *err = NULL;
	if (cli->out_opts.format == MW_FORMAT_TEXT)
		err = mw_cli_out(cli, &out);
	if (err)
		return err;
	err = mw_lab_run(cli, entry->lab, wish, out, &entry->tally);
	if (out) {
		mw_out_note(out, 0, "");
		struct mw_err *written = mw_out_finish(out);
		if (written) {
			mw_err_free(err);
			return written;
		}
	}
	if (!err || err->code == MW_ERR_NOMEM)
		return err;
	entry->failed = mw_arena_strdup(arena, err->msg);
	mw_err_free(err);
	return entry->failed ? NULL : mw_err_nomem();
}

static void take_status(struct mw_cli *cli, const struct mw_lab_entry *entry,
			enum mw_lab_mode mode)
{
	if (*entry->failed)
		cli->status = MW_EXIT_FAILED;
	else if (!cli->status && mw_lab_is_finding(&entry->tally, mode))
		cli->status = MW_EXIT_FINDING;
}

static struct mw_err *run_each(struct mw_cli *cli, const struct mw_labs *labs,
			       const struct mw_lab_wish *wish, struct mw_arena *arena,
			       struct mw_lab_entry *entries)
{
	struct mw_err *err = NULL;
	for (size_t i = 0; !err && i < labs->n; i++) {
		entries[i] = (struct mw_lab_entry){ .lab = labs->items[i], .failed = "" };
		err = run_one(cli, wish, arena, &entries[i]);
		if (!err)
			take_status(cli, &entries[i], wish->mode);
	}
	return err;
}

struct mw_err *mw_lab_run_all(struct mw_cli *cli, const struct mw_labs *labs,
			      const struct mw_lab_wish *wish)
{
	struct mw_arena arena = { 0 };
	struct mw_out *out;
	struct mw_lab_entry *entries =
		mw_arena_calloc(&arena, labs->n + 1, sizeof(*entries));
	struct mw_err *err =
		entries ? run_each(cli, labs, wish, &arena, entries) : mw_err_nomem();
	if (!err)
		err = mw_cli_out(cli, &out);
	if (!err)
		err = mw_cli_finish(out, mw_view_labs(out, entries, labs->n,
						      wish->mode == MW_LAB_GRADE
							      ? MW_LABS_GRADED
							      : MW_LABS_RAN));
	mw_arena_deinit(&arena);
	return err;
}
