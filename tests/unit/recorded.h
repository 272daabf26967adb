/* SPDX-License-Identifier: MIT */
/*
 * For tests of recordings: expectations about errors, and the made-up machine recorded.
 * Include the headers that <cmocka.h> wants, and it, before.
 */
#pragma once

#include "base/buf.h"
#include "fake.h"
#include "transcript.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct mw_tee_opts plain = { 0 };
static const struct mw_tee_opts whole = { .memory = true };

static inline struct mw_transcript_opts fake_opts(const struct mw_object *objects)
{
	return (struct mw_transcript_opts){
		.scan_end = 0x700000,
		.pages_addr = 0x7f0000000000,
		.n_pages = 200,
		.pfn = 5,
		.n_frames = 50,
		.memory_addr = MW_FAKE_MEMORY + 100,
		.memory_len = 6000,
		.tids = { MW_FAKE_PID, MW_FAKE_TID, MW_FAKE_DENIED_TID },
		.objects = objects,
		.n_objects = 2,
		.held = true,
	};
}

static inline void ok(struct mw_err *err)
{
	if (err)
		fail_msg("%s: %s", mw_errc_name(err->code), err->msg);
}

/* Expects an error, its code and a part of its message. */
static inline void fails(struct mw_err *err, enum mw_errc code, const char *part)
{
	if (!err)
		fail_msg("no error, expected %s: %s", mw_errc_name(code), part);
	if (err->code != code || !strstr(err->msg, part))
		fail_msg("%s: %s; expected %s: %s", mw_errc_name(err->code), err->msg,
			 mw_errc_name(code), part);
	mw_err_free(err);
}

static inline void transcribe(struct mw_source *src, struct mw_buf *out)
{
	struct mw_object objects[2] = { MW_FAKE_OBJECT, MW_FAKE_OBJECT };
	objects[1].ino++;
	struct mw_transcript_opts opts = fake_opts(objects);
	mw_transcript(src, MW_FAKE_PID, &opts, out);
}

/* Of two texts only the lines that differ are worth printing. */
static inline void same_text(const struct mw_buf *a, const struct mw_buf *b)
{
	const char *p = mw_buf_str(a), *q = mw_buf_str(b);
	if (!strcmp(p, q))
		return;
	size_t i = 0, line = 0;
	for (; p[i] && p[i] == q[i]; i++)
		if (p[i] == '\n')
			line = i + 1;
	fail_msg("\n%.*s\n%.*s", (int)strcspn(p + line, "\n"), p + line,
		 (int)strcspn(q + line, "\n"), q + line);
}

/* A tee over the fake that was asked everything. */
static inline void record(const struct mw_tee_opts *opts, struct mw_source **fake,
			  struct mw_source **tee, struct mw_buf *out)
{
	ok(mw_fake_open(fake));
	ok(mw_source_open_tee(*fake, opts, tee));
	transcribe(*tee, out);
}

static inline char *new_dir(char *dir, size_t len)
{
	snprintf(dir, len, "/tmp/memwhy-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
	return dir;
}

static inline void remove_dir(const char *dir)
{
	char command[128];
	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}
