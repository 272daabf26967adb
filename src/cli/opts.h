/* SPDX-License-Identifier: MIT */
/*
 * Options: one table of all there are, from which parsing, help and the tests of man
 * pages and completions work. A command lists those it takes.
 */
#pragma once

#include <memwhy/err.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mw_opt_id {
	MW_OPT_END, /* ends a command's list */
	/* common to every command */
	MW_OPT_ROOT,
	MW_OPT_JSON,
	MW_OPT_NDJSON,
	MW_OPT_CSV,
	MW_OPT_BYTES,
	MW_OPT_KIB,
	MW_OPT_MIB,
	MW_OPT_GIB,
	MW_OPT_COLOR,
	MW_OPT_VERBOSE,
	MW_OPT_HELP,
	MW_OPT_VERSION,
	/* of those that look at a process */
	MW_OPT_ENGINE,
	MW_OPT_JOBS,
	MW_OPT_STOP,
	MW_OPT_MAX_STOP,
	MW_OPT_LARGEST,
	MW_OPT_SMAPS,
	/* of those that look at its heap */
	MW_OPT_NO_STOP,
	MW_OPT_SNAPSHOT,
	MW_OPT_NO_CONTENTS,
	MW_OPT_ARENAS,
	MW_OPT_SIZES,
	MW_OPT_THREADS,
	MW_OPT_PINS,
	MW_OPT_CHECKS,
	MW_OPT_CORE,
	MW_OPT_EXE,
	/* leaks */
	MW_OPT_SUPPRESSIONS,
	MW_OPT_THRESHOLD,
	MW_OPT_POSSIBLE,
	/* map */
	MW_OPT_ALL,
	MW_OPT_SUMMARY,
	MW_OPT_AT,
	MW_OPT_PAGES,
	MW_OPT_SORT,
	MW_OPT_CLASS,
	MW_OPT_DIFF,
	MW_OPT_WATCH,
	MW_OPT_COUNT_TIMES,
	/* capture */
	MW_OPT_MEMORY,
	MW_OPT_SCRUB,
	MW_OPT_SYMBOLS,
	/* size */
	MW_OPT_BERKELEY,
	MW_OPT_SYSV,
	MW_OPT_GNU,
	MW_OPT_FORMAT,
	MW_OPT_OCTAL,
	MW_OPT_DECIMAL,
	MW_OPT_HEX,
	MW_OPT_RADIX,
	MW_OPT_TOTALS,
	MW_OPT_COMMON,
	MW_OPT_IGNORED,
	MW_OPT_SEGMENTS,
	MW_OPT_LIVE,
	MW_OPT_VS,
	/* pmap */
	MW_OPT_PMAP,
	MW_OPT_PMAP_EXTENDED,
	MW_OPT_PMAP_MORE,
	MW_OPT_PMAP_DEVICE,
	MW_OPT_PMAP_QUIET,
	MW_OPT_PMAP_PATH,
	MW_OPT_PMAP_RANGE,
	MW_OPT_PMAP_RC,
	MW_OPT_PMAP_RC_FROM,
	MW_OPT_PMAP_NEW_RC,
	MW_OPT_PMAP_NEW_RC_TO,
	MW_OPT_PMAP_KERNEL_NAME,
	MW_OPT_PMAP_IGNORED,
	/* page */
	MW_OPT_SAME,
	/* free: procps' own */
	MW_OPT_FREE_CGROUP,
	MW_OPT_FREE_KIBI,
	MW_OPT_FREE_MEBI,
	MW_OPT_FREE_GIBI,
	MW_OPT_FREE_TEBI,
	MW_OPT_FREE_PEBI,
	MW_OPT_FREE_KILO,
	MW_OPT_FREE_MEGA,
	MW_OPT_FREE_GIGA,
	MW_OPT_FREE_TERA,
	MW_OPT_FREE_PETA,
	MW_OPT_FREE_HUMAN,
	MW_OPT_FREE_SI,
	MW_OPT_FREE_LOHI,
	MW_OPT_FREE_LINE,
	MW_OPT_FREE_TOTAL,
	MW_OPT_FREE_COMMITTED,
	MW_OPT_FREE_WIDE,
	MW_OPT_FREE_SECONDS,
	MW_OPT_FREE_COUNT,
	/* top */
	MW_OPT_TOP_BY,
	MW_OPT_TOP_SORT,
	MW_OPT_TOP_REVERSE,
	MW_OPT_TOP_FILTER,
	MW_OPT_TOP_ROWS,
	MW_OPT_TOP_TREE,
	MW_OPT_TOP_PERCENT,
	MW_OPT_TOP_KERNEL,
	MW_OPT_TOP_BUDGET,
	MW_OPT_TOP_ONCE,
	MW_OPT_TOP_COLUMNS,
	/* lab */
	MW_OPT_LAB_AUTO,
	MW_OPT_LAB_ANSWERS,
	MW_OPT_LAB_STEP,
	MW_OPT_LAB_TWO,
	MW_OPT_LAB_SOURCE,
	MW_OPT_LAB_VARIANT,
	MW_OPT_LAB_COPIES,
	MW_OPT_LAB_ALL,
	MW_OPT_LAB_NAMES,
	/* help */
	MW_OPT_LIST,
	MW_OPT_COUNT,
};

struct mw_opt {
	const char *name; /* long, without the dashes */
	char letter;      /* or 0 */
	const char *arg;  /* its name in help, or NULL: a flag */
	bool arg_optional;
	const char *help;
};

/* Never NULL. */
const struct mw_opt *mw_opt_get(enum mw_opt_id id);

/* What was given. */
struct mw_opt_values {
	const char *value[MW_OPT_COUNT]; /* NULL not at all, "" without an argument */
	unsigned times[MW_OPT_COUNT];    /* how often */
	unsigned order[MW_OPT_COUNT]; /* which was last given has the largest; 0: none */
};

static inline bool mw_opt_set(const struct mw_opt_values *values, enum mw_opt_id id)
{
	return values->value[id] != NULL;
}

/*
 * Parses argv[1..] for a command that takes the listed options (both lists end with
 * MW_OPT_END); operands move to the end, *first is the index of the first. USAGE.
 */
struct mw_err *mw_opts_parse(int argc, char **argv, const enum mw_opt_id *common,
			     const enum mw_opt_id *own, struct mw_opt_values *ret,
			     int *first) MW_MUST_USE;

/* An option's argument as a number in [min, max]; `fallback` when not given. USAGE. */
struct mw_err *mw_opt_number(const struct mw_opt_values *values, enum mw_opt_id id,
			     uint64_t min, uint64_t max, uint64_t fallback,
			     uint64_t *ret) MW_MUST_USE;

/* At most one of the options `ids` (ends with MW_OPT_END); MW_OPT_END for none. USAGE. */
struct mw_err *mw_opt_one_of(const struct mw_opt_values *values,
			     const enum mw_opt_id *ids, enum mw_opt_id *ret) MW_MUST_USE;
