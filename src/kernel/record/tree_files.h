/* SPDX-License-Identifier: MIT */
/*
 * A record as the files of a recorded tree (docs/trees.md), and back. The two halves
 * work on names and bytes, so that tests and fuzzers need no directory; the last two
 * functions put a real one around them.
 */
#pragma once

#include "kernel/record/record.h"

/* Longer files are refused, in both directions. */
#define MW_TREE_MAX_LEN ((size_t)1 << 30)

/* Takes one finished file; `path` is relative to the tree. */
struct mw_tree_sink {
	struct mw_err *(*file)(void *ctx, const char *path, const char *bytes,
			       size_t len);
	void *ctx;
};

/* The file that says what the tree is: read first, written last. */
#define MW_TREE_MANIFEST "memwhy-tree"

/* Hands every file of a settled record to the sink, the manifest last. */
struct mw_err *mw_tree_write(const struct mw_record *rec,
			     const struct mw_tree_sink *sink) MW_MUST_USE;

/* Whether the path is one of a tree's files. */
bool mw_tree_knows(const char *path);

/* Adds what a file says. FORMAT names the file and the line. */
struct mw_err *mw_tree_read_file(struct mw_record *rec, const char *path,
				 const char *bytes, size_t len) MW_MUST_USE;

/* After the last file: settles the record; FORMAT when a listed file was missing. */
struct mw_err *mw_tree_finish(struct mw_record *rec) MW_MUST_USE;

/* Writes a settled record into a new or empty directory. */
struct mw_err *mw_tree_save(const struct mw_record *rec, const char *dir) MW_MUST_USE;

/* Reads the tree in a directory into an empty record. */
struct mw_err *mw_tree_load(const char *dir, struct mw_record *rec) MW_MUST_USE;

/*
 * Makes a source that answers from a finished record (the tree source, without its
 * directory). Takes the record over, also on failure; *rec is then empty.
 */
struct mw_err *mw_source_open_record(struct mw_record *rec,
				     struct mw_source **ret) MW_MUST_USE;
