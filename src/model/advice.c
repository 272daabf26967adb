// SPDX-License-Identifier: MIT
#include "model/advice.h"

#include "base/buf.h"

#include <string.h>

/* As a shell reads it back: plain names bare, everything else in quotes. */
static bool add_word(struct mw_buf *text, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789/._-+,:@%";
	if (word[0] && word[strspn(word, plain)] == '\0')
		return mw_buf_printf(text, "%s", word);
	bool ok = mw_buf_printf(text, "'");
	for (; ok && *word; word++)
		ok = *word == '\'' ? mw_buf_printf(text, "'\\''")
				   : mw_buf_printf(text, "%c", *word);
	return ok && mw_buf_printf(text, "'");
}

const char *mw_advice_command(struct mw_source *src, struct mw_arena *arena,
			      const char *verb, pid_t pid, const char *options)
{
	const char *root = mw_source_facts(src)->root;
	mw_auto_buf text = { 0 };
	bool ok = mw_buf_printf(&text, "memwhy%s%s", verb[0] ? " " : "", verb);
	if (ok && root)
		ok = mw_buf_printf(&text, " --root ") && add_word(&text, root);
	if (ok)
		ok = mw_buf_printf(&text, " %d%s%s", (int)pid, options[0] ? " " : "",
				   options);
	return ok ? mw_arena_strdup(arena, mw_buf_str(&text)) : NULL;
}

bool mw_advice_privileged(struct mw_source *src)
{
	static const enum mw_feature needed[] = { MW_FEATURE_SYS_PTRACE,
						  MW_FEATURE_SYS_ADMIN,
						  MW_FEATURE_DAC_READ_SEARCH };
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		bool present = false;
		/* Unknown, as in a recording that was not asked: advice does no harm. */
		mw_err_free(mw_source_probe(src, needed[i], &present));
		if (!present)
			return false;
	}
	return true;
}

const char *mw_advice_access(struct mw_source *src, struct mw_arena *arena, pid_t pid)
{
	return mw_advice_privileged(src)
		       ? ""
		       : mw_arena_printf(arena, "sudo memwhy %d", (int)pid);
}
