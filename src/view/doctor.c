// SPDX-License-Identifier: MIT
#include "view/doctor.h"

#include "base/buf.h"

#include <inttypes.h>

/* What sets the file capabilities that were measured to open everything. */
#define SETCAP                                                             \
	"sudo setcap cap_sys_ptrace,cap_sys_admin,cap_dac_read_search=ep " \
	"\"$(command -v memwhy)\""

static const struct mw_col access_cols[] = {
	{ "process", "process", MW_TYPE_TEXT, 0, 0 },
	{ "pid", "", MW_TYPE_COUNT, MW_COL_NO_TEXT, 0 },
	{ "what", "reading", MW_TYPE_TEXT, 0, 0 },
	{ "allowed", "allowed", MW_TYPE_BOOL, 0, 0 },
	{ "gives", "gives", MW_TYPE_TEXT, 0, 0 },
	{ "why", "why not", MW_TYPE_TEXT, MW_COL_TRUNC, 0 },
	{ "remedy", "", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 },
};

static void access_rows(struct mw_out *out, const struct mw_doctor_target *target)
{
	for (size_t i = 0; i < target->access.n; i++) {
		const struct mw_access *a = &target->access.items[i];
		struct mw_cell cells[] = {
			mw_cell_s(target->who),
			mw_cell_u((uint64_t)target->pid),
			mw_cell_s(a->what),
			mw_cell_if(a->allowed != MW_NOT_TRIED, a->allowed == MW_ALLOWED),
			mw_cell_s(a->gives),
			mw_cell_s(a->why),
			mw_cell_s(a->remedy),
		};
		mw_out_row(out, cells, a->allowed == MW_ALLOWED ? MW_PLAIN : MW_STRONG);
	}
}

static void access_table(struct mw_out *out, const struct mw_doctor_answer *answer)
{
	struct mw_table table = { .key = "access",
				  .title = "",
				  .cols = access_cols,
				  .n_cols = sizeof(access_cols) / sizeof(access_cols[0]),
				  .is_main = true };
	mw_out_table(out, &table);
	for (size_t i = 0; i < answer->n_targets; i++)
		access_rows(out, &answer->targets[i]);
	mw_out_table_end(out);
}

static void features_table(struct mw_out *out, const struct mw_doctor_answer *answer)
{
	static const struct mw_col cols[] = {
		{ "feature", "feature", MW_TYPE_TEXT, 0, 0 },
		{ "present", "present", MW_TYPE_BOOL, 0, 0 },
		{ "gives", "gives", MW_TYPE_TEXT, MW_COL_TRUNC, 0 },
	};
	struct mw_table table = { .key = "features",
				  .title = "kernel and capabilities",
				  .cols = cols,
				  .n_cols = 3,
				  .n_rows = MW_FEATURE_COUNT };
	mw_out_table(out, &table);
	for (unsigned i = 0; i < MW_FEATURE_COUNT; i++) {
		struct mw_cell cells[] = {
			mw_cell_s(mw_feature_name(i)),
			mw_cell_if(answer->known[i], answer->present[i]),
			mw_cell_s(mw_feature_gives(i)),
		};
		mw_out_row(out, cells, MW_PLAIN);
	}
	mw_out_table_end(out);
}

static size_t count_refused(const struct mw_doctor_answer *answer)
{
	size_t n = 0;
	for (size_t t = 0; t < answer->n_targets; t++)
		for (size_t i = 0; i < answer->targets[t].access.n; i++)
			n += answer->targets[t].access.items[i].allowed != MW_ALLOWED;
	return n;
}

/* Who holds every capability has nothing left to ask for. */
static void say_how(struct mw_out *out, const struct mw_doctor_answer *answer)
{
	if (answer->present[MW_FEATURE_SYS_PTRACE] &&
	    answer->present[MW_FEATURE_SYS_ADMIN] &&
	    answer->present[MW_FEATURE_DAC_READ_SEARCH]) {
		mw_out_note(out, 2,
			    "This user has every capability that opens readings; what is "
			    "refused here is refused to root.");
		return;
	}
	mw_out_note(out, 2,
		    "As root everything opens. Without being root: CAP_SYS_PTRACE opens "
		    "maps, smaps and exe of others, CAP_DAC_READ_SEARCH pagemap, memory "
		    "and kpagecount, CAP_SYS_ADMIN the frame numbers.");
	mw_out_next(out, SETCAP);
}

struct mw_err *mw_view_doctor(struct mw_out *out, const struct mw_doctor_answer *answer)
{
	size_t refused = count_refused(answer);
	mw_auto_buf text = { 0 };
	bool ok = refused ? mw_buf_printf(
				    &text,
				    "%zu reading%s refused here; memwhy says so wherever "
				    "it weakens an answer.",
				    refused, refused == 1 ? " is" : "s are")
			  : mw_buf_printf(&text,
					  "Everything memwhy reads may be read here.");
	if (!ok)
		return mw_err_nomem();
	mw_out_begin(out, "memwhy.doctor/1");
	mw_out_headline(out, mw_buf_str(&text));
	mw_out_field(out, "kernel", MW_TYPE_TEXT, mw_cell_s(answer->release));
	mw_out_field(out, "page_size", MW_TYPE_BYTES, mw_cell_u(answer->page_size));
	access_table(out, answer);
	features_table(out, answer);
	if (refused)
		say_how(out, answer);
	return NULL;
}
