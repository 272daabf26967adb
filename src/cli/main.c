// SPDX-License-Identifier: MIT
/*
 * memwhy: why is this process's memory so big?
 *
 * The map of the sources follows data: kernel, parsers, snapshot, account, findings,
 * view, writer. tools/sources.py compares it with the tree.
 *
 *   src/base/             no word about memory here
 *     err.c               errors: code, errno, what, one line for people
 *     arena.[ch]          allocate many, free at once
 *     buf.[ch] vec.h      growing bytes; growing typed arrays
 *     clock.[ch]          durations
 *     num.[ch]            checked numbers from text, digits to text
 *     read.[ch]           the loops that read from a descriptor
 *     units.[ch]          bytes and shares in words
 *   src/procfs/           pure parsers: bytes in, structs out
 *     maps.[ch] smaps.[ch] status.[ch] stat.c auxv.[ch] mountinfo.[ch] keyed.[ch]
 *     pagebits.h          the words of pagemap, kpagecount and kpageflags
 *   src/kernel/           the only folder that talks to the kernel
 *     source.[ch]         the seam: operations, dispatch
 *     refusals.c          readings that failed without failing the answer
 *     files.[ch]          which file of /proc lies where
 *     live.[ch]           the running machine: text files, lists
 *     live_proc.c         open directories of processes, kept while in use
 *     live_text.c         text files, whole or piece by piece
 *     live_pages.c        PAGEMAP_SCAN, pagemap, kpagecount, kpageflags
 *     live_memory.c       /proc/PID/mem, robust lists
 *     live_object.c       mapped files, deleted or not
 *     live_fds.c          open files that are memory
 *     live_cgroup.c       the memory cgroup of a process
 *     regular.[ch]        opens files that somebody else named
 *     live_hold.c         a process held still, and what only a held one tells
 *     live_kept.c         pointers that only the kernel keeps
 *     probe.c uapi.h      what this kernel has; structures newer than its headers
 *   src/kernel/hold/      holds a target still, bounded, whatever happens to us
 *     hold.[ch]           our side of it
 *     holder.[ch] threads.c registers.[ch]    the child process that does it
 *     copy.c inject.[ch] site.[ch]    a fork of the target, run in it on request
 *   src/kernel/program/   runs a program of ours, and leaves nothing of it behind
 *     program.[ch]        our side of it
 *     keeper.[ch] start.c undo.c    the child process between us and the program
 *   src/kernel/core/      core files
 *     core.[ch]           a core as a source: who, which threads
 *     headers.c notes.c   what is where in the file
 *     regions.c head.c    mappings, and what no core says of them
 *     memory.c            what was dumped
 *     objects.c           mapped files, when they are still the same
 *     texts.c             what the kernel would have said
 *   src/kernel/record/    recorded trees
 *     tee.c               asks another source and records its answers
 *     record.[ch] spans.[ch] words.[ch] errors.[ch] sorted.h    what is recorded
 *     scrub.[ch] scrub_texts.c    other names and paths of the same shape
 *     tree.c              answers from a recorded tree
 *     tree_files.h tree_dir.c tree_read.c tree_write.c    its files
 *     tree_place.[ch]     which file holds which answer
 *   src/model/            what was seen
 *     snapshot.c impl.h noscan.h    takes a snapshot: who, mappings, pages, threads
 *     find.[ch]           a process by name; the largest
 *     process.c           who it is: pid, start time, names, totals
 *     regions.c           the list of mappings
 *     smaps.c             the smaps engine
 *     count.c gaps.c      counting bytes from page runs; what could not be seen
 *     threads.[ch]        threads and their stacks, from robust lists
 *     stack_cache.[ch]    stacks that glibc keeps of threads that ended
 *     memory.[ch]         the target's memory, and only what is present of it
 *     access.[ch]         what this user may read, and the commands that help
 *   src/model/fleet/      every process
 *     fleet.[ch] impl.h   which are shown, and what is read of which
 *     read.c users.c      one process's files; names of users
 *     sort.c group.c files.c    order; by user, command, cgroup, tree; by mapped file
 *   src/model/frame/      one page, in all detail
 *     frame.[ch] sharers.c
 *   src/model/machine/    the whole machine's memory, and how tight it is
 *     machine.[ch] cgroup.c
 *   src/model/pages/      the page engine
 *     walk.[ch] words.c   which ranges to read, and reading them
 *     refine.c frames.c   zero pages, huge pages; map counts of shared frames
 *     noscan.c            the same on kernels before 6.7
 *   src/symbols/          ELF through a read callback
 *     elf.[ch] elf_impl.h elf_sections.c elf_symbols.c
 *     object.[ch]         reading a mapped object; the section and symbol of an address
 *     input.[ch]          files to look at, members of archives
 *     sizes.[ch]          which sections size lists, and their sums
 *   src/heap/             allocators, walked from outside
 *     heap.[ch]           runs all walkers over a snapshot and joins their reports
 *     sizes.c             size classes, names
 *   src/heap/glibc/       malloc of glibc
 *     glibc.h
 *     layout.c            where fields lie, by version
 *     find.[ch] static.c scan.c    every libc; main_arena from the file, from memory
 *     arenas.[ch] pieces.c         all arenas, and where their chunks lie
 *     cached.[ch] tls.c links.c    tcache and fastbins: freed, but marked in use
 *     glibc.c walk.h      the walker: every libc, its report
 *     chunks.c            from chunk to chunk; over what cannot be read
 *     pages.c             what resident pages hold; which blocks keep free ones
 *     mmapped.c lost.c    blocks with a mapping of their own; caches of lost threads
 *     check.c             what must be equal
 *   src/heap/alloc/       the other allocators
 *     alloc.h ground.c    regions and objects: whether an allocator is here
 *     tally.c             from blocks to a report
 *     jemalloc.[ch] jemalloc_find.c jemalloc_cache.c
 *     tcmalloc.[ch] tcmalloc_find.c
 *     mimalloc.c musl.c pymalloc.c v8.c jvm.c go.c
 *   src/heap/leaks/       live blocks that nothing leads to
 *     gather.c reach.h    all that is read while the target stands still
 *     blocks.[ch] edges.[ch]    which block an address is in; pointers between them
 *     words.c contents.c roots.c    what may be a pointer: in blocks, elsewhere
 *     kinds.c names.c demangle.c    what blocks begin with, as symbols
 *     judge.c mark.c own.c group.c suppress.c    what of it leaked, and of what kind
 *   src/explain/          what it means
 *     explain.c impl.h    classes, account and findings together; the sentence
 *     classify.c claims.h claims of classifiers laid over the regions
 *     class_names.c       keys and titles of the classes
 *     ground.c            a region's plain reading: name, permissions
 *     classify_elf.c elf_parts.[ch]    programs and libraries, part by part
 *     classify_stack.c classify_threads.c classify_memfd.c
 *     classify_glibc.c    arenas and malloc's own mappings
 *     classify_heap.c     areas of heaps that were walked
 *     account.[ch]        every resident byte to one cause
 *     account_heap.c      the heap's bytes: live, kept, trimmable
 *     tell.c              what they are said with: gaps, quantities in words
 *   src/explain/rules/    findings
 *     rules.c segments.c totals.c heap.c
 *   src/explain/runtime/  heaps of runtimes and of other allocators
 *     runtime.h memory.c object.c stack_cache.c    what their classifiers share
 *     jvm.c v8.c go.c python.c
 *     allocators.c jemalloc.c tcmalloc.c mimalloc.c musl.c partition.c rtld.c
 *   src/lab/              experiments with a program of ours
 *     expr.[ch] expr_token.[ch] expr_tree.h    expressions of steps files, parsed
 *     expr_eval.c expr_text.c    what they are worth; texts that have some in them
 *     observe.[ch] seen.h    what the kernel shows of a lab's processes at one moment
 *     seen_pages.c        ranges of their pages
 *     probes.c probe_memory.c probe_process.c    answers to probes
 *     constants.c         names that say what this machine is
 *     describe.c fields.[ch]    from a steps file to a lab
 *   src/lab/session/      a run: the program on one side, its description on the other
 *     session.c           from step to step
 *     told.[ch]           the lines that a program writes
 *     turn.[ch] scope.[ch]    questions and answers of one step, now and before
 *     judge.c             whether a prediction is right
 *   src/view/             answers to typed tables
 *     view.h common.c     who, limits, drift: said alike everywhere
 *     why.c map.[ch] map_rows.c pages.c at.c diff.[ch] map_load.c
 *     free.[ch] free_classic.c          the machine
 *     page.[ch]           one page
 *     capture.[ch] doctor.[ch]
 *   src/view/heap/        what is live in a heap, and what is kept
 *     heap.[ch] json.c tables.c
 *     leaks.[ch] leaks_diff.c leaks_load.c    what nothing leads to, what grew
 *   src/view/pmap/        procps' pmap, to the byte
 *     pmap.[ch] rows.c detail.c rc.[ch]
 *   src/view/size/        sections: sums, segments, what is resident, two builds
 *     size.[ch] segments.c live.c compare.c
 *   src/view/top/         every process
 *     top.[ch]
 *   src/view/lab/         labs
 *     step.c lab.h impl.h     a step, as it is said and as an object
 *     words.c watched.c   answers in words; what is watched, before and after
 *     end.c labs.c        what came out; all labs in a table
 *   src/out/              typed tables to text, JSON, CSV
 *     out.[ch] format.h   sections, tables, notes; the list of formats
 *     text.[ch] text_table.c text_value.c utf8.[ch]    for people
 *     json.c csv.c data.c for machines
 *   src/tui/              the screen of top
 *     screen.[ch] impl.h  the loop: look, draw, wait
 *     columns.c draw.c keys.c pager.c    what stands where; what keys do; text windows
 *   src/cli/              commands
 *     main.c cmd.h        this; one object a command
 *     cmd_why.c cmd_map.c cmd_heap.c cmd_leaks.c cmd_page.c cmd_pmap.c cmd_free.c
 *     cmd_size.c cmd_capture.c cmd_doctor.c
 *     opts.[ch]           every option there is, and reading them
 *     target.c            from operands to a process, a snapshot, a writer
 *     file.c              files that the user names
 *     look.c              a process held still, copied or running while its heap is read
 *     top/top.h top/cmd_top.c top/screen.c    every process, once or on the screen
 *     lab/cmd_lab.c lab/lab.h    which lab, and how
 *     lab/find.c lab/ask.c       where labs are; what somebody types
 *     lab/run.c lab/all.c        running one, running all
 *     lab/answers.c lab/alone.c  files of predictions; programs without us, sources
 *     terminal.[ch]       what standard output is: colour, UTF-8, width
 */
#include "cli/cmd.h"
#include "cli/terminal.h"

#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct mw_cmd *const commands[] = {
	&mw_cmd_why,  &mw_cmd_map,  &mw_cmd_heap,    &mw_cmd_leaks,
	&mw_cmd_page, &mw_cmd_pmap, &mw_cmd_free,    &mw_cmd_top,
	&mw_cmd_size, &mw_cmd_lab,  &mw_cmd_capture, &mw_cmd_doctor,
};
enum { N_COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static const enum mw_opt_id common_opts[] = {
	MW_OPT_ROOT, MW_OPT_JSON,    MW_OPT_NDJSON, MW_OPT_CSV,   MW_OPT_BYTES,
	MW_OPT_KIB,  MW_OPT_MIB,     MW_OPT_GIB,    MW_OPT_COLOR, MW_OPT_VERBOSE,
	MW_OPT_HELP, MW_OPT_VERSION, MW_OPT_END,
};

static const struct mw_cmd *find_command(const char *name)
{
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	return NULL;
}

static const enum mw_opt_id *common_of(const struct mw_cmd *cmd)
{
	return cmd->common ? cmd->common : common_opts;
}

/* A letter that the command has for something else is not the common option's. */
static bool has_letter(const enum mw_opt_id *own, char letter)
{
	for (; own && *own; own++)
		if (mw_opt_get(*own)->letter == letter)
			return true;
	return false;
}

/* `own`: where these are the common options, those of the command; or NULL. */
static void print_options(FILE *to, const enum mw_opt_id *ids, const enum mw_opt_id *own)
{
	for (; *ids; ids++) {
		const struct mw_opt *opt = mw_opt_get(*ids);
		char letter = has_letter(own, opt->letter) ? '\0' : opt->letter;
		char left[64];
		snprintf(left, sizeof(left), "--%s%s%s%s", opt->name,
			 !opt->arg           ? ""
			 : opt->arg_optional ? "[="
					     : " ",
			 opt->arg ? opt->arg : "",
			 opt->arg && opt->arg_optional ? "]" : "");
		fprintf(to, "  %s%c%s %-18s %s\n", letter ? "-" : " ",
			letter ? letter : ' ', letter ? "," : " ", left, opt->help);
	}
}

static void help_command(const struct mw_cmd *cmd)
{
	printf("usage: memwhy %s %s\n\n%s\n\n", cmd->name, cmd->usage, cmd->summary);
	print_options(stdout, cmd->opts, NULL);
	printf("\ncommon:\n");
	print_options(stdout, common_of(cmd), cmd->opts);
	printf("\nman memwhy-%s tells more.\n", cmd->name);
}

static void help_all(FILE *to)
{
	fprintf(to, "usage: memwhy PID|NAME\n       memwhy COMMAND [OPTION...] "
		    "[OPERAND...]\n\n"
		    "Why is this process's memory so big? Every resident byte, accounted "
		    "for.\n\n");
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(to, "  %-9s %s\n", commands[i]->name, commands[i]->summary);
	fprintf(to, "  %-9s %s\n\ncommon:\n", "help", "help on a command");
	print_options(to, common_opts, NULL);
	fprintf(to,
		"\nexit: 0 fine, 1 a finding, 2 usage, 3 limited by permission, 4 the "
		"target is "
		"gone,\n      5 failed. memwhy help COMMAND, man memwhy.\n");
}

/* `memwhy help [COMMAND | --list]` */
static int help(int argc, char **argv)
{
	const struct mw_cmd *cmd = argc > 1 ? find_command(argv[1]) : NULL;
	if (argc > 1 && !strcmp(argv[1], "--list")) {
		for (size_t i = 0; i < N_COMMANDS; i++)
			printf("%s\n", commands[i]->name);
		return MW_EXIT_OK;
	}
	if (argc > 1 && !cmd && strcmp(argv[1], "help")) {
		fprintf(stderr, "memwhy: no command %s; memwhy help lists them\n",
			argv[1]);
		return MW_EXIT_USAGE;
	}
	if (cmd)
		help_command(cmd);
	else
		help_all(stdout);
	return MW_EXIT_OK;
}

static int exit_status(enum mw_errc code)
{
	switch (code) {
	case MW_ERR_USAGE:
	case MW_ERR_AMBIGUOUS:
		return MW_EXIT_USAGE;
	case MW_ERR_DENIED:
		return MW_EXIT_LIMITED;
	case MW_ERR_GONE:
	case MW_ERR_NOTFOUND:
		return MW_EXIT_GONE;
	default:
		return MW_EXIT_FAILED;
	}
}

static struct mw_err *open_source(struct mw_cli *cli)
{
	static const enum mw_opt_id places[] = { MW_OPT_ROOT, MW_OPT_CORE, MW_OPT_END };
	const char *root = cli->opts.value[MW_OPT_ROOT];
	const char *core = cli->opts.value[MW_OPT_CORE];
	const char *exe = cli->opts.value[MW_OPT_EXE];
	enum mw_opt_id place;
	struct mw_err *err = mw_opt_one_of(&cli->opts, places, &place);
	if (!err && exe && !core)
		err = mw_err_new(MW_ERR_USAGE, 0, exe, "--exe goes with --core");
	if (!err && core && cli->n_args)
		err = mw_err_new(MW_ERR_USAGE, 0, cli->args[0],
				 "--core and a process exclude each other");
	if (err)
		return err;
	err = core   ? mw_source_open_core(core, exe, &cli->src)
	      : root ? mw_source_open_tree(root, &cli->src)
		     : mw_source_open_live(&cli->src);
	/* It is the recording that was not found, and no process. */
	if (err && err->code == MW_ERR_NOTFOUND)
		err->code = MW_ERR_USAGE;
	return err;
}

static struct mw_err *run(const struct mw_cmd *cmd, int argc, char **argv,
			  struct mw_cli *cli)
{
	int first = 0;
	struct mw_err *err =
		mw_opts_parse(argc, argv, common_of(cmd), cmd->opts, &cli->opts, &first);
	if (err)
		return err;
	if (mw_opt_set(&cli->opts, MW_OPT_VERSION)) {
		printf("memwhy " MW_VERSION "\n");
		return NULL;
	}
	if (mw_opt_set(&cli->opts, MW_OPT_HELP)) {
		help_command(cmd);
		return NULL;
	}
	cli->args = argv + first;
	cli->n_args = argc - first;
	if (cli->n_args > cmd->max_args && cmd == &mw_cmd_why &&
	    find_command(cli->args[0]))
		return mw_err_new(MW_ERR_USAGE, 0, cli->args[0],
				  "the command comes first: memwhy %s [OPTION...] %s",
				  cli->args[0], cli->args[1]);
	if (cli->n_args > cmd->max_args)
		return mw_err_new(MW_ERR_USAGE, 0, cli->args[cmd->max_args],
				  "one operand too many: %s", cli->args[cmd->max_args]);
	err = mw_terminal_opts(&cli->opts, &cli->out_opts);
	if (!err && (cmd->needs & MW_NEEDS_SOURCE))
		err = open_source(cli);
	return err ? err : cmd->run(cli);
}

/* The one place where errors are told. A closed pipe was the reader's wish: no word. */
static int report(struct mw_err *err, const struct mw_cmd *cmd)
{
	int status = exit_status(err->code);
	if (mw_err_is_closed_pipe(err))
		status = MW_EXIT_OK;
	else
		mw_terminal_tell(err->msg);
	if (err->code == MW_ERR_USAGE)
		fprintf(stderr, "memwhy help %s shows the options\n", cmd->name);
	if (status == MW_EXIT_USAGE && cmd->usage_status)
		status = cmd->usage_status;
	mw_err_free(err);
	return status;
}

/* What was written late fails late. */
static int flushed(int status)
{
	if (fflush(stdout) == 0 || errno == EPIPE)
		return status;
	perror("memwhy: output");
	return MW_EXIT_FAILED;
}

/* A link to memwhy that is called pmap is pmap. */
static bool is_pmap(const char *name)
{
	const char *slash = strrchr(name, '/');
	return !strcmp(slash ? slash + 1 : name, "pmap");
}

/* `map --pmap …` is pmap too: takes the word out. */
static bool take_pmap(int *argc, char **argv)
{
	for (int i = 2; i < *argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--pmap") != 0)
			continue;
		memmove(&argv[i], &argv[i + 1],
			(size_t)(*argc - i) * sizeof(*argv)); /* with the NULL behind */
		--*argc;
		return true;
	}
	return false;
}

/* Takes the command's name, if there is one, off the front. */
static const struct mw_cmd *choose(int *argc, char ***argv)
{
	const struct mw_cmd *cmd = find_command((*argv)[1]);
	if (cmd == &mw_cmd_map && take_pmap(argc, *argv))
		cmd = &mw_cmd_pmap;
	if (!cmd)
		return &mw_cmd_why;
	--*argc;
	++*argv;
	return cmd;
}

int main(int argc, char **argv)
{
	const struct mw_cmd *cmd = is_pmap(argv[0]) ? &mw_cmd_pmap : NULL;
	struct mw_cli cli = { 0 };
	setlocale(LC_CTYPE, "");
	/* A reader that had enough shows as EPIPE: everything is released, and no
	 * failure. */
	signal(SIGPIPE, SIG_IGN);
	if (!cmd && argc < 2) {
		help_all(stderr);
		return MW_EXIT_USAGE;
	}
	if (!cmd && !strcmp(argv[1], "help"))
		return flushed(help(argc - 1, argv + 1));
	if (!cmd && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
		return flushed(help(1, argv));
	if (!cmd)
		cmd = choose(&argc, &argv);
	struct mw_err *err = run(cmd, argc, argv, &cli);
	mw_source_close(cli.src);
	if (!err)
		return flushed(cli.status);
	int status = report(err, cmd);
	return status && cli.status ? cli.status : status;
}
