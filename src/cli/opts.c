// SPDX-License-Identifier: MIT
#include "cli/opts.h"

#include "base/num.h"

#include <getopt.h>
#include <inttypes.h>
#include <string.h>

static const struct mw_opt opts[MW_OPT_COUNT] = {
	[MW_OPT_ROOT] = { "root", 0, "DIR", false, "read a tree written by capture" },
	[MW_OPT_JSON] = { "json", 0, NULL, false, "one JSON object (docs/formats.md)" },
	[MW_OPT_NDJSON] = { "ndjson", 0, NULL, false, "the rows, a JSON object a line" },
	[MW_OPT_CSV] = { "csv", 0, NULL, false, "the rows as CSV" },
	[MW_OPT_BYTES] = { "bytes", 'b', NULL, false, "sizes in bytes" },
	[MW_OPT_KIB] = { "kib", 'k', NULL, false, "sizes in KiB" },
	[MW_OPT_MIB] = { "mib", 'm', NULL, false, "sizes in MiB" },
	[MW_OPT_GIB] = { "gib", 'g', NULL, false, "sizes in GiB" },
	[MW_OPT_COLOR] = { "color", 0, "WHEN", true, "auto, always or never" },
	[MW_OPT_VERBOSE] = { "verbose", 'v', NULL, false, "show the evidence" },
	[MW_OPT_HELP] = { "help", 'h', NULL, false, "show this help" },
	[MW_OPT_VERSION] = { "version", 'V', NULL, false, "show the version" },
	[MW_OPT_ENGINE] = { "engine", 0, "NAME", false, "auto, pages or smaps" },
	[MW_OPT_JOBS] = { "jobs", 'j', "N", false, "threads for the page walk" },
	[MW_OPT_STOP] = { "stop", 0, NULL, false,
			  "stop the target while looking: exact" },
	[MW_OPT_MAX_STOP] = { "max-stop", 0, "MS", false,
			      "longest stop in milliseconds (1000)" },
	[MW_OPT_LARGEST] = { "largest", 0, NULL, false,
			     "the largest process that may be read" },
	[MW_OPT_SMAPS] = { "smaps", 0, NULL, false,
			   "read smaps too: LazyFree, Locked, KSM of large processes" },
	[MW_OPT_CORE] = { "core", 0, "FILE", false, "a core file, not this machine" },
	[MW_OPT_EXE] = { "exe", 0, "FILE", false, "the program --core is of" },
	[MW_OPT_NO_STOP] = { "no-stop", 0, NULL, false,
			     "look at the target as it runs, never stop it" },
	[MW_OPT_SNAPSHOT] = { "snapshot", 0, NULL, false,
			      "make it fork, look at the copy: the shortest stop" },
	[MW_OPT_NO_CONTENTS] = { "no-contents", 0, NULL, false,
				 "show no bytes of the program's own data" },
	[MW_OPT_ARENAS] = { "arenas", 0, NULL, false, "one row an arena" },
	[MW_OPT_SIZES] = { "sizes", 0, NULL, false, "live and kept blocks by size" },
	[MW_OPT_THREADS] = { "threads", 0, NULL, false,
			     "which thread uses which arena, and its cache" },
	[MW_OPT_PINS] = { "pins", 0, NULL, false,
			  "live blocks that share pages with freed memory" },
	[MW_OPT_CHECKS] = { "checks", 0, NULL, false,
			    "what had to be equal, and whether it was" },
	[MW_OPT_SUPPRESSIONS] = { "suppressions", 0, "FILE", false,
				  "rules of what not to report" },
	[MW_OPT_THRESHOLD] = { "threshold", 0, "BYTES", false,
			       "exit 1 only when more than this leaked (0)" },
	[MW_OPT_POSSIBLE] = { "possible", 0, NULL, false,
			      "count what is only possible as leaked" },
	[MW_OPT_ALL] = { "all", 'a', NULL, false,
			 "every row: nothing folded or left out" },
	[MW_OPT_SUMMARY] = { "summary", 0, NULL, false, "one row a class" },
	[MW_OPT_AT] = { "at", 0, "ADDR", false,
			"what is at this address, with its neighbours" },
	[MW_OPT_PAGES] = { "pages", 0, NULL, false, "states of pages, as runs" },
	[MW_OPT_SORT] = { "sort", 0, "KEY", false,
			  "address, size, rss, private, shared, swap, pss, class or "
			  "name" },
	[MW_OPT_CLASS] = { "class", 0, "KEY", false,
			   "only this class (heap.arena, or lib)" },
	[MW_OPT_DIFF] = { "diff", 0, "FILE", false,
			  "compare with a recorded tree or an earlier --json" },
	[MW_OPT_WATCH] = { "watch", 0, "SEC", true, "again every SEC seconds (2)" },
	[MW_OPT_COUNT_TIMES] = { "count", 0, "N", false, "end --watch after N times" },
	[MW_OPT_MEMORY] = { "memory", 0, NULL, false, "record memory contents too" },
	[MW_OPT_SCRUB] = { "scrub", 0, NULL, false, "replace names and paths" },
	[MW_OPT_SYMBOLS] = { "symbols", 0, NULL, false, "record symbol tables too" },
	[MW_OPT_BERKELEY] = { "berkeley", 'B', NULL, false,
			      "a line an object (default)" },
	[MW_OPT_SYSV] = { "sysv", 'A', NULL, false, "a line a section" },
	[MW_OPT_GNU] = { "gnu", 'G', NULL, false, "a line an object, constants as data" },
	[MW_OPT_FORMAT] = { "format", 0, "NAME", false, "berkeley, sysv or gnu" },
	[MW_OPT_OCTAL] = { "octal", 'o', NULL, false, "numbers in octal" },
	[MW_OPT_DECIMAL] = { "decimal", 'd', NULL, false,
			     "numbers in decimal (default)" },
	[MW_OPT_HEX] = { "hex", 'x', NULL, false, "numbers in hex" },
	[MW_OPT_RADIX] = { "radix", 0, "N", false, "8, 10 or 16" },
	[MW_OPT_TOTALS] = { "totals", 't', NULL, false, "add a line with the sums" },
	[MW_OPT_COMMON] = { "common", 0, NULL, false, "count common symbols too" },
	[MW_OPT_IGNORED] = { "no-effect", 'f', NULL, false, "ignored, as in binutils" },
	[MW_OPT_SEGMENTS] = { "segments", 0, NULL, false,
			      "sections, segments, and what is mapped of them" },
	[MW_OPT_LIVE] = { "live", 0, "PID", false,
			  "what of each section is resident in this process" },
	[MW_OPT_VS] = { "vs", 0, "FILE", false, "what this build has more, or less" },
	[MW_OPT_PMAP] = { "pmap", 0, NULL, false,
			  "be pmap: all that follows is its command line" },
	[MW_OPT_PMAP_EXTENDED] = { "extended", 'x', NULL, false,
				   "resident and dirty pages" },
	[MW_OPT_PMAP_MORE] = { "more", 'X', NULL, false,
			       "most columns of smaps; twice: all of them" },
	[MW_OPT_PMAP_DEVICE] = { "device", 'd', NULL, false, "offset and device" },
	[MW_OPT_PMAP_QUIET] = { "quiet", 'q', NULL, false, "no header, no sums" },
	[MW_OPT_PMAP_PATH] = { "show-path", 'p', NULL, false, "whole paths" },
	[MW_OPT_PMAP_RANGE] = { "range", 'A', "LOW[,HIGH]", false,
				"only what lies in this range" },
	[MW_OPT_PMAP_RC] = { "read-rc", 'c', NULL, false,
			     "columns as ~/.pmaprc lists them" },
	[MW_OPT_PMAP_RC_FROM] = { "read-rc-from", 'C', "FILE", false,
				  "columns as FILE lists them" },
	[MW_OPT_PMAP_NEW_RC] = { "create-rc", 'n', NULL, false, "make a ~/.pmaprc" },
	[MW_OPT_PMAP_NEW_RC_TO] = { "create-rc-to", 'N', "FILE", false,
				    "make a file for -C" },
	[MW_OPT_PMAP_KERNEL_NAME] = { "use-kernel-name", 'k', NULL, false,
				      "names as the kernel has them: [heap]" },
	[MW_OPT_PMAP_IGNORED] = { "sunos", 'r', NULL, false, "ignored, as in procps" },
	[MW_OPT_SAME] = { "same", 0, NULL, false,
			  "one address in several processes: which frames they have" },
	[MW_OPT_FREE_CGROUP] = { "cgroup", 0, "PID", true,
				 "from the memory cgroup's use to its processes" },
	[MW_OPT_FREE_KIBI] = { "kibi", 'k', NULL, false, "procps' table in KiB" },
	[MW_OPT_FREE_MEBI] = { "mebi", 'm', NULL, false, "in MiB" },
	[MW_OPT_FREE_GIBI] = { "gibi", 'g', NULL, false, "in GiB" },
	[MW_OPT_FREE_TEBI] = { "tebi", 0, NULL, false, "in TiB" },
	[MW_OPT_FREE_PEBI] = { "pebi", 0, NULL, false, "in PiB" },
	[MW_OPT_FREE_KILO] = { "kilo", 0, NULL, false, "in kilobytes of 1000 bytes" },
	[MW_OPT_FREE_MEGA] = { "mega", 0, NULL, false, "in megabytes" },
	[MW_OPT_FREE_GIGA] = { "giga", 0, NULL, false, "in gigabytes" },
	[MW_OPT_FREE_TERA] = { "tera", 0, NULL, false, "in terabytes" },
	[MW_OPT_FREE_PETA] = { "peta", 0, NULL, false, "in petabytes" },
	[MW_OPT_FREE_HUMAN] = { "human", 'h', NULL, false,
				"each number in its own unit" },
	[MW_OPT_FREE_SI] = { "si", 0, NULL, false, "powers of 1000, not of 1024" },
	[MW_OPT_FREE_LOHI] = { "lohi", 'l', NULL, false, "add low and high memory" },
	[MW_OPT_FREE_LINE] = { "line", 'L', NULL, false, "one line" },
	[MW_OPT_FREE_TOTAL] = { "total", 't', NULL, false,
				"add the sum of memory and swap" },
	[MW_OPT_FREE_COMMITTED] = { "committed", 'v', NULL, false,
				    "add what is committed, and the limit" },
	[MW_OPT_FREE_WIDE] = { "wide", 'w', NULL, false,
			       "buffers and cache in two columns" },
	[MW_OPT_FREE_SECONDS] = { "seconds", 's', "N", false, "again every N seconds" },
	[MW_OPT_FREE_COUNT] = { "count", 'c', "N", false, "end after N times" },
	[MW_OPT_TOP_BY] = { "by", 0, "WHAT", false,
			    "process, user, command, cgroup or file" },
	[MW_OPT_TOP_SORT] = { "sort", 's', "KEY", false,
			      "pss, uss, rss, swap, pagetables, faults, growth, age, "
			      "pid or name" },
	[MW_OPT_TOP_REVERSE] = { "reverse", 'r', NULL, false, "smallest first" },
	[MW_OPT_TOP_FILTER] = { "filter", 'f', "TEXT", false,
				"only what has this in its name or command, or as user" },
	[MW_OPT_TOP_ROWS] = { "rows", 'n', "N", false, "so many rows (20); 0: all" },
	[MW_OPT_TOP_TREE] = { "tree", 't', NULL, false, "children below their parents" },
	[MW_OPT_TOP_PERCENT] = { "percent", 'p', NULL, false,
				 "shares of the machine's memory" },
	[MW_OPT_TOP_KERNEL] = { "kernel", 0, NULL, false, "kernel threads too" },
	[MW_OPT_TOP_BUDGET] = { "budget", 0, "MS", false,
				"milliseconds for walks of page tables (200)" },
	[MW_OPT_TOP_ONCE] = { "once", '1', NULL, false, "no screen: print and end" },
	[MW_OPT_TOP_COLUMNS] = { "columns", 'c', "KEY,...", false,
				 "these columns, by the keys of --json, and no screen" },
	[MW_OPT_LAB_AUTO] = { "auto", 0, NULL, false,
			      "ask nothing: also what happens without a terminal" },
	[MW_OPT_LAB_ANSWERS] = { "answers", 0, "FILE", false,
				 "grade predictions: lines of STEP ANSWER" },
	[MW_OPT_LAB_STEP] = { "step", 0, "N|NAME", false,
			      "only this step; those before it run silently" },
	[MW_OPT_LAB_TWO] = { "two-terminals", 0, NULL, false,
			     "the program alone: you watch it from another terminal" },
	[MW_OPT_LAB_SOURCE] = { "source", 0, "FILE", true,
				"print its program, or =steps: its description" },
	[MW_OPT_LAB_VARIANT] = { "variant", 0, "NAME", false,
				 "run another of its programs" },
	[MW_OPT_LAB_COPIES] = { "copies", 0, "N", false,
				"so many processes, where it makes some" },
	[MW_OPT_LAB_ALL] = { "all", 'a', NULL, false,
			     "run every lab, then show what came out" },
	[MW_OPT_LAB_NAMES] = { "names", 0, NULL, false, "names of the labs alone" },
	[MW_OPT_LIST] = { "list", 0, NULL, false, "names of the commands alone" },
};

const struct mw_opt *mw_opt_get(enum mw_opt_id id)
{
	return &opts[id];
}

/* getopt's two tables for the options of one command. */
struct tables {
	struct option longs[MW_OPT_COUNT + 1];
	char shorts[2 * MW_OPT_COUNT + 2];
	size_t n_longs, n_shorts;
};

static void add_option(struct tables *tables, enum mw_opt_id id)
{
	const struct mw_opt *opt = &opts[id];
	int has_arg = !opt->arg           ? no_argument
		      : opt->arg_optional ? optional_argument
					  : required_argument;
	tables->longs[tables->n_longs++] =
		(struct option){ opt->name, has_arg, NULL, 256 + (int)id };
	if (!opt->letter)
		return;
	tables->shorts[tables->n_shorts++] = opt->letter;
	if (opt->arg)
		tables->shorts[tables->n_shorts++] = ':';
}

static enum mw_opt_id by_letter(const enum mw_opt_id *ids, int letter)
{
	while (*ids && opts[*ids].letter != letter)
		ids++;
	return *ids;
}

/* A command's own letter hides the common one: free's -h is no help. */
static enum mw_opt_id of_letter(const enum mw_opt_id *common, const enum mw_opt_id *own,
				int letter)
{
	enum mw_opt_id id = by_letter(own, letter);
	return id ? id : by_letter(common, letter);
}

static struct mw_err *bad_option(int got, char **argv)
{
	const char *arg = argv[optind - 1];
	if (got == ':')
		return mw_err_new(MW_ERR_USAGE, 0, arg, "option %s needs an argument",
				  arg);
	if (optopt && optopt < 256)
		return mw_err_new(MW_ERR_USAGE, 0, arg, "unknown option -%c", optopt);
	return mw_err_new(MW_ERR_USAGE, 0, arg, "unknown option %s", arg);
}

struct mw_err *mw_opts_parse(int argc, char **argv, const enum mw_opt_id *common,
			     const enum mw_opt_id *own, struct mw_opt_values *ret,
			     int *first)
{
	struct tables tables = { 0 };
	tables.shorts[tables.n_shorts++] = ':';
	for (const enum mw_opt_id *id = own; *id; id++)
		add_option(&tables, *id);
	for (const enum mw_opt_id *id = common; *id; id++)
		add_option(&tables, *id);
	optind = 0; /* glibc: begin anew, permuting */
	opterr = 0;
	int got;
	unsigned order = 0;
	while ((got = getopt_long(argc, argv, tables.shorts, tables.longs, NULL)) != -1) {
		if (got == '?' || got == ':')
			return bad_option(got, argv);
		enum mw_opt_id id = got >= 256 ? (enum mw_opt_id)(got - 256)
					       : of_letter(common, own, got);
		ret->value[id] = optarg ? optarg : "";
		ret->times[id]++;
		ret->order[id] = ++order;
	}
	*first = optind;
	return NULL;
}

struct mw_err *mw_opt_number(const struct mw_opt_values *values, enum mw_opt_id id,
			     uint64_t min, uint64_t max, uint64_t fallback, uint64_t *ret)
{
	const char *text = values->value[id];
	uint64_t n = fallback;
	if (text && text[0] && (!mw_parse_u64(text, &n) || n < min || n > max))
		return mw_err_new(MW_ERR_USAGE, 0, text,
				  "--%s: %s is not a number from %" PRIu64 " to %" PRIu64,
				  opts[id].name, text, min, max);
	*ret = n;
	return NULL;
}

struct mw_err *mw_opt_one_of(const struct mw_opt_values *values,
			     const enum mw_opt_id *ids, enum mw_opt_id *ret)
{
	*ret = MW_OPT_END;
	for (; *ids; ids++) {
		if (!mw_opt_set(values, *ids))
			continue;
		if (*ret)
			return mw_err_new(MW_ERR_USAGE, 0, "",
					  "--%s and --%s exclude each other",
					  opts[*ret].name, opts[*ids].name);
		*ret = *ids;
	}
	return NULL;
}
