/* SPDX-License-Identifier: MIT */
/*
 * A made-up machine with one process, pid MW_FAKE_PID, that answers every question of a
 * source by a rule: nothing of it depends on where the test runs. Its status counts how
 * often it was read, as a process that grows.
 */
#pragma once

#include <memwhy/source.h>

enum {
	MW_FAKE_PID = 42,
	MW_FAKE_TID = 43,        /* its second thread */
	MW_FAKE_DENIED_TID = 44, /* a thread whose files may not be read */
	MW_FAKE_PAGE = 4096,
	MW_FAKE_OBJECT_LEN = 1000,
};

/* Memory that is there: half of it zero bytes. */
#define MW_FAKE_MEMORY 0x10000ull
#define MW_FAKE_MEMORY_END 0x12000ull

/* The mapped file that read_object() knows. */
#define MW_FAKE_OBJECT                          \
	((struct mw_object){ .start = 0x400000, \
			     .end = 0x401000,   \
			     .dev = 0xfe00000,  \
			     .ino = 77,         \
			     .path = "/home/u/my prog\n(1)" })

/* The pagemap word of a page: every kind of run, by page number. */
uint64_t mw_fake_word(uint64_t vpn);

/* Opens it. */
struct mw_err *mw_fake_open(struct mw_source **ret) MW_MUST_USE;
