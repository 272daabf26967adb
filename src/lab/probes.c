// SPDX-License-Identifier: MIT
/* From a probe's name to its answer: of one process, of a group, of the machine. */
#include "lab/seen.h"

#include <stdarg.h>
#include <string.h>

static const struct mw_probe *find_in(const struct mw_probe *probes, const char *func,
				      size_t n)
{
	for (; probes->name; probes++)
		if (!strcmp(probes->name, func) && probes->least <= n &&
		    n <= probes->most)
			return probes;
	return NULL;
}

static const struct mw_probe *find_probe(const char *func, size_t n)
{
	const struct mw_probe *ret = find_in(mw_memory_probes, func, n);
	return ret ? ret : find_in(mw_process_probes, func, n);
}

/* The one probe that is also known of processes that are not there. */
static bool is_count(const char *func, size_t n)
{
	return n == 0 && !strcmp(func, "count");
}

bool mw_probe_exists(const char *func, size_t n_args)
{
	return is_count(func, n_args) || find_probe(func, n_args);
}

struct mw_err *mw_not_known(struct mw_asked *asked, struct mw_value *ret, const char *fmt,
			    ...)
{
	mw_auto_buf text = { 0 };
	va_list args;
	va_start(args, fmt);
	bool ok = mw_buf_vprintf(&text, fmt, args);
	va_end(args);
	*ret = mw_value_unknown(ok ? mw_arena_strdup(asked->arena, mw_buf_str(&text))
				   : NULL);
	return ret->text ? NULL : mw_err_nomem();
}

/* Takes unknown arguments for the answer; refuses those of the wrong kind. */
static bool take_args(const struct mw_probe *probe, struct mw_asked *asked,
		      struct mw_value *ret, struct mw_err **err)
{
	bool wants_text = probe->kind == MW_PROBE_MACHINE;
	for (size_t i = 0; i < asked->n; i++) {
		enum mw_value_kind kind = asked->args[i].kind;
		if (kind == MW_VALUE_UNKNOWN) {
			*ret = asked->args[i];
			return false;
		}
		if ((kind == MW_VALUE_TEXT) == wants_text)
			continue;
		*err = mw_not_known(asked, ret, "%s() takes a %s", probe->name,
				    wants_text ? "text" : "number");
		return false;
	}
	return true;
}

/* What needs its mappings, and they could not be read. */
static bool is_blind(const struct mw_probe *probe, const struct mw_seen *of)
{
	return of->blind && find_in(mw_memory_probes, probe->name, probe->least) == probe;
}

static struct mw_err *ask_one(const struct mw_probe *probe, struct mw_asked *asked,
			      struct mw_value *ret)
{
	if (is_blind(probe, asked->of))
		return mw_not_known(asked, ret, "%s", asked->of->blind);
	return probe->ask(asked, ret);
}

/* Adds up the processes of that name that are there. */
static struct mw_err *ask_all(const struct mw_probe *probe, struct mw_asked *asked,
			      const char *process, struct mw_value *ret)
{
	struct mw_observation *seen = asked->seen;
	int64_t sum = 0;
	for (size_t i = 0; i < seen->n; i++) {
		asked->of = &seen->items[i];
		if (asked->of->ended || strcmp(asked->of->name, process) != 0)
			continue;
		struct mw_err *err = ask_one(probe, asked, ret);
		if (err || ret->kind != MW_VALUE_NUMBER)
			return err;
		if (__builtin_add_overflow(sum, ret->number, &sum))
			return mw_not_known(asked, ret, "the sum is too large");
	}
	*ret = mw_value_number(sum);
	return NULL;
}

static int64_t count_named(const struct mw_observation *seen, const char *process)
{
	int64_t n = 0;
	for (size_t i = 0; i < seen->n; i++)
		n += !seen->items[i].ended && !strcmp(seen->items[i].name, process);
	return n;
}

struct mw_err *mw_probe(struct mw_observation *seen, struct mw_arena *arena,
			const char *process, const char *func,
			const struct mw_value *args, size_t n, struct mw_value *ret)
{
	const struct mw_probe *probe = find_probe(func, n);
	struct mw_asked asked = {
		.seen = seen, .arena = arena, .probe = probe, .args = args, .n = n
	};
	struct mw_err *err = NULL;
	const char *why;
	if (is_count(func, n)) {
		*ret = mw_value_number(count_named(seen, process));
		return NULL;
	}
	if (!probe)
		return mw_not_known(&asked, ret,
				    "there is no probe %s() with %zu argument%s", func, n,
				    n == 1 ? "" : "s");
	if (!take_args(probe, &asked, ret, &err))
		return err;
	if (probe->kind == MW_PROBE_MACHINE)
		return probe->ask(&asked, ret);
	asked.of = mw_seen_first(seen, process, &why);
	if (!asked.of)
		return mw_not_known(&asked, ret, "%s", why);
	return probe->kind == MW_PROBE_SUM ? ask_all(probe, &asked, process, ret)
					   : ask_one(probe, &asked, ret);
}
