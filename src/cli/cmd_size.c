// SPDX-License-Identifier: MIT
/* memwhy size: what the sections of object files add up to. */
#include "base/buf.h"
#include "cli/cmd.h"
#include "cli/terminal.h"
#include "symbols/input.h"
#include "view/size/size.h"
#include "view/view.h"
#include <memwhy/snapshot.h>

#include <string.h>

static const enum mw_opt_id opts[] = {
	MW_OPT_BERKELEY, MW_OPT_SYSV,     MW_OPT_GNU,   MW_OPT_FORMAT, MW_OPT_OCTAL,
	MW_OPT_DECIMAL,  MW_OPT_HEX,      MW_OPT_RADIX, MW_OPT_TOTALS, MW_OPT_COMMON,
	MW_OPT_IGNORED,  MW_OPT_SEGMENTS, MW_OPT_LIVE,  MW_OPT_VS,     MW_OPT_END,
};

/* Files that could not be read do not hide the others: what was wrong is told last. */
struct failures {
	struct mw_buf text;
	size_t n;
	enum mw_errc code;
};

static struct mw_err *note_failure(struct failures *failures, struct mw_err *err,
				   const char *path, const char *member)
{
	mw_auto_err owned = err;
	if (err->code == MW_ERR_NOMEM || mw_err_is_closed_pipe(err)) {
		owned = NULL;
		return err;
	}
	failures->code = failures->n++ ? MW_ERR_FORMAT : err->code;
	bool named = !strncmp(err->msg, path, strlen(path));
	bool ok = mw_buf_printf(&failures->text, "%s", failures->n > 1 ? "\n" : "");
	if (ok && !named)
		ok = mw_buf_printf(&failures->text, "%s%s%s%s: ", path, member ? "(" : "",
				   member ? member : "", member ? ")" : "");
	ok = ok && mw_buf_printf(&failures->text, "%s", err->msg);
	return ok ? NULL : mw_err_nomem();
}

static struct mw_err *show_member(struct mw_size_view *view, const char *path,
				  struct mw_member *member)
{
	struct mw_elf *elf;
	struct mw_err *err = mw_elf_open(mw_member_read, member, &elf);
	if (err)
		return err;
	err = mw_view_size_object(view, path, member->name, elf);
	mw_elf_free(elf);
	return err;
}

static struct mw_err *show_members(struct mw_size_view *view, struct mw_input *input,
				   struct failures *failures)
{
	struct mw_member member = { .fd = -1 };
	bool more = false;
	struct mw_err *err = mw_input_next(input, &member, &more);
	while (!err && more && !mw_out_failed(view->out)) {
		err = show_member(view, input->path, &member);
		if (err)
			err = note_failure(failures, err, input->path, member.name);
		if (!err)
			err = mw_input_next(input, &member, &more);
	}
	mw_member_release(&member);
	return err;
}

static struct mw_err *show_file(struct mw_size_view *view, const char *path,
				struct failures *failures)
{
	struct mw_input input;
	struct mw_err *err = mw_input_open(path, &input);
	if (!err) {
		err = show_members(view, &input, failures);
		mw_input_close(&input);
	}
	return err ? note_failure(failures, err, path, NULL) : NULL;
}

/* The last of several letters holds, as binutils has it. */
static unsigned last_of(const struct mw_opt_values *values, const enum mw_opt_id *ids)
{
	unsigned last = 0, order = 0;
	for (unsigned i = 0; ids[i]; i++) {
		if (values->order[ids[i]] <= order)
			continue;
		order = values->order[ids[i]];
		last = i + 1;
	}
	return last;
}

static struct mw_err *take_style(const struct mw_opt_values *values,
				 struct mw_size_opts *ret)
{
	static const enum mw_opt_id ids[] = { MW_OPT_BERKELEY, MW_OPT_SYSV, MW_OPT_GNU,
					      MW_OPT_FORMAT, MW_OPT_END };
	static const enum mw_size_style styles[] = { MW_SIZE_BERKELEY, MW_SIZE_BERKELEY,
						     MW_SIZE_SYSV, MW_SIZE_GNU };
	const char *name = values->value[MW_OPT_FORMAT];
	unsigned last = last_of(values, ids);
	ret->style = styles[last < 4 ? last : 0];
	if (last < 4)
		return NULL;
	/* Its first letter is enough for binutils. */
	switch (name[0] | 0x20) {
	case 'b':
		return NULL;
	case 's':
		ret->style = MW_SIZE_SYSV;
		return NULL;
	case 'g':
		ret->style = MW_SIZE_GNU;
		return NULL;
	}
	return mw_err_new(MW_ERR_USAGE, 0, name,
			  "--format: %s is none of berkeley, sysv, gnu", name);
}

static struct mw_err *take_radix(const struct mw_opt_values *values,
				 struct mw_size_opts *ret)
{
	static const enum mw_opt_id ids[] = { MW_OPT_DECIMAL, MW_OPT_OCTAL, MW_OPT_HEX,
					      MW_OPT_RADIX, MW_OPT_END };
	static const unsigned radixes[] = { 10, 10, 8, 16 };
	const char *name = values->value[MW_OPT_RADIX];
	unsigned last = last_of(values, ids);
	ret->radix = radixes[last < 4 ? last : 0];
	if (last < 4)
		return NULL;
	if (!strcmp(name, "8") || !strcmp(name, "10") || !strcmp(name, "16"))
		ret->radix = name[0] == '8' ? 8 : name[1] == '0' ? 10 : 16;
	else
		return mw_err_new(MW_ERR_USAGE, 0, name,
				  "--radix: %s is none of 8, 10, 16", name);
	return NULL;
}

static struct mw_err *show(struct mw_cli *cli, const struct mw_size_opts *size_opts,
			   struct failures *failures)
{
	static const char *const usual[] = { "a.out" };
	const char *const *paths = cli->n_args ? (const char *const *)cli->args : usual;
	int n = cli->n_args ? cli->n_args : 1;
	struct mw_size_view view;
	struct mw_out *out;
	struct mw_err *err = mw_cli_out(cli, &out);
	if (err)
		return err;
	mw_view_size_begin(&view, out, size_opts);
	for (int i = 0; i < n && !err; i++)
		err = show_file(&view, paths[i], failures);
	if (!err)
		err = mw_view_size_end(&view);
	return mw_cli_finish(out, err);
}

static struct mw_err *run_sizes(struct mw_cli *cli)
{
	struct mw_size_opts size_opts = {
		.totals = mw_opt_set(&cli->opts, MW_OPT_TOTALS),
		.common = mw_opt_set(&cli->opts, MW_OPT_COMMON),
	};
	struct failures failures = { 0 };
	struct mw_err *err = take_style(&cli->opts, &size_opts);
	if (!err)
		err = take_radix(&cli->opts, &size_opts);
	if (!err)
		err = show(cli, &size_opts, &failures);
	if (!err && failures.n)
		err = mw_err_new(failures.code, 0, NULL, "%s",
				 mw_buf_str(&failures.text));
	mw_buf_deinit(&failures.text);
	return err;
}

/* One object of a file: of an archive the first member. */
struct opened {
	struct mw_input input;
	struct mw_member member;
	struct mw_elf *elf;
};

static void close_object(struct opened *opened)
{
	mw_elf_free(opened->elf);
	mw_member_release(&opened->member);
	mw_input_close(&opened->input);
}
#define auto_opened __attribute__((cleanup(close_object))) struct opened

static struct mw_err *open_object(const char *path, struct opened *ret)
{
	bool more = false;
	struct mw_err *err = mw_input_open(path, &ret->input);
	if (!err)
		err = mw_input_next(&ret->input, &ret->member, &more);
	if (!err && !more)
		return mw_err_new(MW_ERR_FORMAT, 0, path, "%s: an empty archive", path);
	if (!err)
		err = mw_elf_open(mw_member_read, &ret->member, &ret->elf);
	if (!err || !strncmp(err->msg, path, strlen(path)))
		return err;
	struct mw_err *named =
		mw_err_new(err->code, err->errnum, path, "%s: %s", path, err->msg);
	mw_err_free(err);
	return named;
}

static struct mw_err *one_file(const struct mw_cli *cli, const char *option)
{
	if (cli->n_args == 1)
		return NULL;
	return mw_err_new(MW_ERR_USAGE, 0, option, "--%s takes one file", option);
}

static struct mw_err *run_segments(struct mw_cli *cli)
{
	auto_opened object = { .input.fd = -1, .member.fd = -1 };
	struct mw_out *out;
	struct mw_err *err = one_file(cli, "segments");
	if (!err)
		err = open_object(cli->args[0], &object);
	if (!err)
		err = mw_cli_out(cli, &out);
	if (err)
		return err;
	err = mw_view_size_segments(out, cli->args[0], object.elf,
				    mw_source_facts(cli->src)->page_size);
	return mw_cli_finish(out, err);
}

static struct mw_err *run_compare(struct mw_cli *cli)
{
	auto_opened a = { .input.fd = -1, .member.fd = -1 };
	auto_opened b = { .input.fd = -1, .member.fd = -1 };
	const char *with = cli->opts.value[MW_OPT_VS];
	struct mw_out *out;
	struct mw_err *err = one_file(cli, "vs");
	if (!err)
		err = open_object(cli->args[0], &a);
	if (!err)
		err = open_object(with, &b);
	if (!err)
		err = mw_cli_out(cli, &out);
	if (err)
		return err;
	err = mw_view_size_compare(out, cli->args[0], a.elf, with, b.elf);
	return mw_cli_finish(out, err);
}

/* Without a list of mappings there are no objects to find: why not, as an error. */
static struct mw_err *check_mappings(const struct mw_snapshot *snap)
{
	const struct mw_process *process = mw_snapshot_process(snap);
	struct mw_gap_list gaps = mw_snapshot_gap_list(snap);
	size_t n, at = 0;
	(void)mw_snapshot_regions(snap, &n);
	if (n)
		return NULL;
	while (at + 1 < gaps.n && strcmp(gaps.items[at].what, "mappings") != 0)
		at++;
	if (process->vm_size == UINT64_MAX || !gaps.n)
		return mw_err_new(MW_ERR_NOTFOUND, 0, process->comm,
				  "%s (%d) maps nothing: a kernel thread, or a zombie",
				  process->comm, (int)process->pid);
	return mw_err_new(MW_ERR_DENIED, 0, process->comm,
			  "what %s (%d) maps may not be read: %s", process->comm,
			  (int)process->pid, gaps.items[at].why);
}

static struct mw_err *run_live(struct mw_cli *cli)
{
	char *target[] = { (char *)cli->opts.value[MW_OPT_LIVE] };
	struct mw_cli look = *cli; /* the process is the option's, not an operand */
	mw_auto_snapshot snap = NULL;
	struct mw_stopped stopped;
	struct mw_out *out;
	pid_t pid;
	struct mw_err *err = cli->n_args ? one_file(cli, "live") : NULL;
	look.args = target;
	look.n_args = 1;
	if (!err)
		err = mw_cli_target(&look, &pid);
	if (!err)
		err = mw_cli_snapshot(cli, pid, MW_WANT_FRAMES, &snap);
	if (!err)
		err = mw_cli_release(cli, snap, &stopped);
	if (!err)
		err = check_mappings(snap);
	if (!err)
		err = mw_cli_out(cli, &out);
	if (err)
		return err;
	cli->status = mw_cli_is_limited(snap) ? MW_EXIT_LIMITED : MW_EXIT_OK;
	err = mw_view_size_live(out, snap, cli->n_args ? cli->args[0] : NULL);
	return mw_cli_finish(out, err);
}

static struct mw_err *run(struct mw_cli *cli)
{
	static const enum mw_opt_id modes[] = { MW_OPT_SEGMENTS, MW_OPT_LIVE, MW_OPT_VS,
						MW_OPT_END };
	enum mw_opt_id mode;
	struct mw_err *err = mw_opt_one_of(&cli->opts, modes, &mode);
	if (err)
		return err;
	switch (mode) {
	case MW_OPT_SEGMENTS:
		return run_segments(cli);
	case MW_OPT_LIVE:
		return run_live(cli);
	case MW_OPT_VS:
		return run_compare(cli);
	default:
		return run_sizes(cli);
	}
}

const struct mw_cmd mw_cmd_size = {
	.name = "size",
	.summary = "sections of object files and archives, and what they add up to",
	.usage = "[OPTION...] [FILE...]",
	.needs = MW_NEEDS_SOURCE,
	.max_args = 1 << 20,
	.opts = opts,
	.run = run,
};
