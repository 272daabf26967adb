// SPDX-License-Identifier: MIT
/* The writer, format by format; hostile strings everywhere. */
#include "out/out.h"

#include "base/units.h"

#include <errno.h>
#include <jansson.h>
#include <locale.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct mw_col cols[] = {
	{ "start", "address", MW_TYPE_ADDR, MW_COL_NO_TEXT },
	{ "cause", "cause", MW_TYPE_TEXT, MW_COL_TRUNC, 12 },
	{ "bytes", "bytes", MW_TYPE_BYTES },
	{ "share", "share", MW_TYPE_SHARE },
	{ "bar", "", MW_TYPE_BAR },
	{ "delta", "change", MW_TYPE_DELTA },
	{ "mine", "mine", MW_TYPE_BOOL },
	{ "hint", "hint", MW_TYPE_TEXT, MW_COL_NO_DATA },
};
enum { N_COLS = sizeof(cols) / sizeof(cols[0]) };

/* The stream keeps the addresses of text and len, so the caller holds the struct. */
struct capture {
	struct mw_out *out;
	FILE *file;
	char *text;
	size_t len;
};

static void start(struct capture *cap, struct mw_out_opts opts)
{
	cap->file = open_memstream(&cap->text, &cap->len);
	assert_non_null(cap->file);
	assert_null(mw_out_create(&opts, cap->file, &cap->out));
}

static char *end(struct capture *cap)
{
	assert_null(mw_out_finish(cap->out));
	fclose(cap->file);
	assert_int_equal(strlen(cap->text), cap->len);
	return cap->text;
}

static void row(struct mw_out *out, const char *cause, uint64_t bytes, uint64_t share,
		enum mw_emphasis emphasis)
{
	const struct mw_cell cells[N_COLS] = {
		mw_cell_u(0x7f0000001000),
		mw_cell_s(cause),
		mw_cell_u(bytes),
		mw_cell_u(share),
		mw_cell_u(share),
		mw_cell_i(-4096),
		mw_cell_u(1),
		mw_cell_s("x"),
	};
	mw_out_row(out, cells, emphasis);
}

static void begin_table(struct mw_out *out, size_t n_rows)
{
	const struct mw_table table = { "account", "", cols, N_COLS, n_rows, true };
	mw_out_begin(out, "memwhy.test/1");
	mw_out_table(out, &table);
}

static void document(struct mw_out *out, const char *name)
{
	mw_out_begin(out, "memwhy.test/1");
	mw_out_headline(out, name);
	mw_out_object(out, "process");
	mw_out_field(out, "pid", MW_TYPE_COUNT, mw_cell_u(UINT64_MAX));
	mw_out_field(out, "name", MW_TYPE_TEXT, mw_cell_s(name));
	mw_out_object(out, "ids");
	mw_out_object_end(out);
	mw_out_object_end(out);
	mw_out_field(out, "rss", MW_TYPE_BYTES, mw_cell_null());
	const struct mw_table table = {
		"account", "Account", cols, N_COLS, 3, true, false
	};
	mw_out_table(out, &table);
	row(out, name, 4096, 5937, MW_PLAIN);
	row(out, "b", 0, 20, MW_CHANGED);
	const struct mw_cell none[N_COLS] = { { true }, { true }, { true }, { true },
					      { true }, { true }, { true }, { true } };
	mw_out_row(out, none, MW_FAINT);
	mw_out_table_end(out);
	const struct mw_table side = { "side", "", cols + 1, 1, 1, false, false };
	mw_out_table(out, &side);
	mw_out_row(out, &(struct mw_cell){ .s = name }, MW_PLAIN);
	mw_out_table_end(out);
	mw_out_note(out, 2, name);
	mw_out_item(out, 1, "first words of an item");
	mw_out_next(out, "memwhy map 4242");
}

static void text_document(void **state)
{
	(void)state;
	struct capture cap;
	start(&cap, (struct mw_out_opts){ .utf8 = true });
	document(cap.out, "heap");
	char *text = end(&cap);
	assert_string_equal(text,
			    "heap\n"
			    "\n"
			    "Account\n"
			    "  cause     bytes  share             change  mine  hint\n"
			    "  heap   4.00 KiB   59 %  █████▉  -4.00 KiB   yes  x\n"
			    "* b           0 B   <1 %  ▏       -4.00 KiB   yes  x\n"
			    "  –             –      –                  –     –  –\n"
			    "\n"
			    "  cause\n"
			    "  heap\n"
			    "  heap\n"
			    "\n"
			    "  1  first words of an item\n"
			    "next: memwhy map 4242\n");
	free(text);
}

/* Numbers alone need their unit said; a table without sizes does not. */
static void text_unit(void **state)
{
	(void)state;
	struct capture cap;
	start(&cap, (struct mw_out_opts){ .utf8 = true, .unit = MW_UNIT_K });
	document(cap.out, "heap");
	char *text = end(&cap);
	assert_non_null(strstr(text, "Account\n  sizes in KiB\n  cause "));
	assert_non_null(strstr(text, "\n  heap       4   59 % "));
	assert_non_null(strstr(text, "\n\n  cause\n  heap\n"));
	free(text);
}

/* A table for machines leaves no trace in text, not even an empty line. */
static void text_no_columns(void **state)
{
	(void)state;
	static const struct mw_col hidden = { "id", "id", MW_TYPE_TEXT, MW_COL_NO_TEXT };
	for (size_t n_rows = 0; n_rows < 5000; n_rows += 2000) {
		struct capture cap;
		start(&cap, (struct mw_out_opts){ 0 });
		mw_out_headline(cap.out, "a");
		mw_out_table(cap.out,
			     &(struct mw_table){ "t", "Title", &hidden, 1, n_rows });
		mw_out_row(cap.out, &(struct mw_cell){ .s = "x" }, MW_PLAIN);
		mw_out_table_end(cap.out);
		mw_out_table(cap.out, &(struct mw_table){ "u", "No rows", cols, N_COLS });
		mw_out_table_end(cap.out);
		mw_out_note(cap.out, 0, "b");
		char *text = end(&cap);
		assert_string_equal(text, "a\nb\n");
		free(text);
	}
}

static void text_ascii(void **state)
{
	(void)state;
	struct capture cap;
	start(&cap, (struct mw_out_opts){ .utf8 = false });
	document(cap.out, "a–b é");
	char *text = end(&cap);
	for (const char *c = text; *c; c++)
		assert_true((unsigned char)*c < 0x80);
	assert_non_null(strstr(text, "a-b \\xc3\\xa9\n"));
	assert_non_null(strstr(text, "######"));
	free(text);
}

static void text_colour(void **state)
{
	(void)state;
	struct capture cap;
	start(&cap, (struct mw_out_opts){ .colour = true });
	begin_table(cap.out, 2);
	row(cap.out, "total", 1, 10000, MW_STRONG);
	row(cap.out, "new", 1, 0, MW_CHANGED);
	mw_out_table_end(cap.out);
	char *text = end(&cap);
	assert_non_null(strstr(text, "\033[1m  total"));
	assert_non_null(strstr(text, "\033[33m* new"));
	assert_non_null(strstr(text, "x\033[0m\n"));
	free(text);
}

#define HOSTILE                                                               \
	"a\nb\x1b[31m\xff\xc0\xaf\xe2\x80\xae\xed\xa0\x80\xc2\x9b\x7f\"\\,\t" \
	"\xe2\x80\x8b%s"

/* Both layouts: nothing a terminal acts on, one line a row, all bytes to be seen. */
static void text_hostile(void **state)
{
	(void)state;
	for (size_t n_rows = 1; n_rows < 5000; n_rows += 4000) {
		struct capture cap;
		start(&cap, (struct mw_out_opts){ .utf8 = true });
		begin_table(cap.out, n_rows);
		row(cap.out, HOSTILE, 1, 0, MW_PLAIN);
		mw_out_table_end(cap.out);
		mw_out_note(cap.out, 0, HOSTILE);
		mw_out_item(cap.out, 1, HOSTILE);
		mw_out_headline(cap.out, HOSTILE);
		mw_out_next(cap.out, HOSTILE);
		char *text = end(&cap);
		size_t lines = 0;
		for (const char *c = text; *c; c++) {
			lines += *c == '\n';
			assert_true(*c == '\n' || (unsigned char)*c >= ' ');
		}
		assert_int_equal(lines, 2 + 1 + 2 + 2);
		const char *shown =
			"a\\nb\\x1b[31m\\xff\\xc0\\xaf\\xe2\\x80\\xae\\xed\\xa0"
			"\\x80\\xc2\\x9b\\x7f\"\\,\\t\\xe2\\x80\\x8b%s";
		size_t seen = 0;
		for (const char *at = text; (at = strstr(at, shown)); at++)
			seen++;
		assert_int_equal(seen, 5);
		free(text);
	}
}

/* The terminal's columns of a line of UTF-8 without wide signs. */
static size_t columns(const char *line, const char *stop)
{
	size_t n = 0;
	for (; line < stop; line++)
		n += ((unsigned char)*line & 0xc0) != 0x80;
	return n;
}

static void text_fits(void **state)
{
	(void)state;
	static const struct mw_col two[] = {
		{ "name", "name", MW_TYPE_TEXT, MW_COL_TRUNC },
		{ "n", "n", MW_TYPE_COUNT },
	};
	const char *path = "/usr/lib/x86_64-linux-gnu/libc.so.6";
	for (unsigned width = 1; width < 120; width++) {
		for (size_t n_rows = 1; n_rows < 5000; n_rows += 4000) {
			struct capture cap;
			start(&cap,
			      (struct mw_out_opts){ .utf8 = width % 2, .width = width });
			const struct mw_table table = { "t", "", two, 2, n_rows, true };
			mw_out_table(cap.out, &table);
			const struct mw_cell cells[] = { mw_cell_s(path), mw_cell_u(7) };
			mw_out_row(cap.out, cells, MW_PLAIN);
			mw_out_table_end(cap.out);
			mw_out_note(cap.out, 40, "some words to be wrapped in lines");
			mw_out_item(cap.out, 12345, "some words to be wrapped in it");
			char *text = end(&cap);
			for (const char *at = text, *nl; (nl = strchr(at, '\n'));
			     at = nl + 1)
				if (width >= 24)
					assert_true(columns(at, nl) <= width);
			assert_true(width < 24 || strstr(text, "/libc.so.6"));
			assert_true((strstr(text, path) != NULL) ==
				    (width >= strlen(path) + 5 + (n_rows > 1) * 5));
			free(text);
		}
	}
}

static void numbers_below_0(void **state)
{
	(void)state;
	static const struct mw_col one[] = { { "n", "n", MW_TYPE_NUMBER } };
	const struct mw_table table = { "t", "", one, 1, 0, true };
	const struct mw_cell cells[] = { mw_cell_i(-7) };
	for (int json = 0; json < 2; json++) {
		struct capture cap;
		start(&cap, (struct mw_out_opts){ .format = json ? MW_FORMAT_JSON
								 : MW_FORMAT_TEXT });
		mw_out_begin(cap.out, "memwhy.test/1");
		mw_out_table(cap.out, &table);
		mw_out_row(cap.out, cells, MW_PLAIN);
		mw_out_table_end(cap.out);
		char *text = end(&cap);
		assert_non_null(strstr(text, json ? "\"n\":-7" : " -7\n"));
		free(text);
	}
}

static void text_wrapping(void **state)
{
	(void)state;
	struct capture cap;
	start(&cap, (struct mw_out_opts){ .width = 30 });
	mw_out_headline(cap.out, "one two three four five six seven eight");
	mw_out_note(cap.out, 4, "one two three four five six seven");
	mw_out_note(cap.out, 0, "a number keeps its unit: 4.97 GiB, its word");
	mw_out_note(cap.out, 0, "   indented, and longer than a line");
	mw_out_item(cap.out, 1, "65 arenas for 68 threads keep 4.97 GiB");
	mw_out_item(cap.out, 12, "unbreakable/path/longer/than/the/whole/line now");
	char *text = end(&cap);
	assert_string_equal(text, "one two three four five six\n"
				  "seven eight\n"
				  "    one two three four five\n"
				  "    six seven\n"
				  "a number keeps its unit:\n"
				  "4.97 GiB, its word\n"
				  "   indented, and longer than a\n"
				  "line\n"
				  "\n"
				  "  1  65 arenas for 68 threads\n"
				  "     keep 4.97 GiB\n"
				  " 12  unbreakable/path/longer/than/the/whole/line\n"
				  "     now\n");
	free(text);
}

static void json_document(void **state)
{
	(void)state;
	struct capture cap;
	start(&cap, (struct mw_out_opts){ .format = MW_FORMAT_JSON });
	document(cap.out, "heap");
	char *text = end(&cap);
	assert_string_equal(
		text,
		"{\n"
		"  \"schema\": \"memwhy.test/1\",\n"
		"  \"headline\": \"heap\",\n"
		"  \"process\": {\n"
		"    \"pid\": 18446744073709551615,\n"
		"    \"name\": \"heap\",\n"
		"    \"ids\": {}\n"
		"  },\n"
		"  \"rss\": null,\n"
		"  \"account\": [\n"
		"    {\"start\":\"0x7f0000001000\",\"cause\":\"heap\",\"bytes\":4096,"
		"\"share\":0.5937,\"delta\":-4096,\"mine\":true},\n"
		"    {\"start\":\"0x7f0000001000\",\"cause\":\"b\",\"bytes\":0,"
		"\"share\":0.0020,\"delta\":-4096,\"mine\":true},\n"
		"    {\"start\":null,\"cause\":null,\"bytes\":null,"
		"\"share\":null,\"delta\":null,\"mine\":null}\n"
		"  ],\n"
		"  \"side\": [\n"
		"    {\"cause\":\"heap\"}\n"
		"  ],\n"
		"  \"next\": \"memwhy map 4242\"\n"
		"}\n");
	free(text);
}

static void json_hostile(void **state)
{
	(void)state;
	struct capture cap;
	start(&cap, (struct mw_out_opts){ .format = MW_FORMAT_JSON });
	document(cap.out, HOSTILE);
	char *text = end(&cap);
	for (const char *c = text; *c; c++)
		assert_true(*c == '\n' || (unsigned char)*c >= ' ');
	assert_null(strstr(text, "\xe2\x80\xae"));
	/* The integer above 2^63 is ours to write, not jansson's to read. */
	json_t *root = json_loads(text, JSON_DECODE_INT_AS_REAL, NULL);
	assert_non_null(root);
	const char *name = json_string_value(json_object_get(root, "headline"));
	assert_string_equal(name, "a\nb\x1b[31m\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
				  "\xe2\x80\xae\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
				  "\xc2\x9b\x7f\"\\,\t\xe2\x80\x8b%s");
	json_decref(root);
	free(text);
}

/* A view that failed half way leaves things open: the document is closed all the same. */
static void json_unfinished(void **state)
{
	(void)state;
	struct capture cap;
	start(&cap, (struct mw_out_opts){ .format = MW_FORMAT_JSON });
	mw_out_begin(cap.out, "memwhy.test/1");
	mw_out_object_end(cap.out);
	mw_out_object(cap.out, "a");
	mw_out_object(cap.out, "b");
	begin_table(cap.out, 1);
	row(cap.out, "x", 1, 1, MW_PLAIN);
	char *text = end(&cap);
	assert_non_null(strstr(text, "}\n"));
	free(text);
	start(&cap, (struct mw_out_opts){ .format = MW_FORMAT_JSON });
	text = end(&cap);
	assert_string_equal(text, "");
	free(text);
}

static void ndjson(void **state)
{
	(void)state;
	struct capture cap;
	start(&cap, (struct mw_out_opts){ .format = MW_FORMAT_NDJSON });
	document(cap.out, "a\nb");
	char *text = end(&cap);
	assert_string_equal(text,
			    "{\"start\":\"0x7f0000001000\",\"cause\":\"a\\nb\",\"bytes\":"
			    "4096,\"share\":0.5937,\"delta\":-4096,\"mine\":true}\n"
			    "{\"start\":\"0x7f0000001000\",\"cause\":\"b\",\"bytes\":0,"
			    "\"share\":0.0020,\"delta\":-4096,\"mine\":true}\n"
			    "{\"start\":null,\"cause\":null,\"bytes\":null,"
			    "\"share\":null,\"delta\":null,\"mine\":null}\n");
	free(text);
}

static void csv(void **state)
{
	(void)state;
	struct capture cap;
	start(&cap, (struct mw_out_opts){ .format = MW_FORMAT_CSV });
	document(cap.out, "a,\"b\"\n\x1b\xff é");
	char *text = end(&cap);
	assert_string_equal(text, "start,cause,bytes,share,delta,mine\r\n"
				  "0x7f0000001000,\"a,\"\"b\"\"\n\\x1b\\xff é\",4096,"
				  "0.5937,-4096,true\r\n"
				  "0x7f0000001000,b,0,0.0020,-4096,true\r\n"
				  ",,,,,\r\n");
	free(text);
}

/* Rows arrive whole and in order through many blocks, whatever the layout. */
static void many_rows(void **state)
{
	(void)state;
	enum { N = 60000 };
	for (enum mw_format format = MW_FORMAT_TEXT; format <= MW_FORMAT_CSV; format++) {
		struct capture cap;
		start(&cap, (struct mw_out_opts){ .format = format });
		begin_table(cap.out, N);
		for (unsigned i = 0; i < N; i++)
			row(cap.out, i % 100 ? "c" : "\x01", i, i % 10001, MW_PLAIN);
		mw_out_table_end(cap.out);
		char *text = end(&cap);
		size_t lines = 0;
		for (const char *c = text; *c; c++)
			lines += *c == '\n';
		static const unsigned extra[] = { 1, 5, 0, 1 };
		assert_int_equal(lines, N + extra[format]);
		assert_non_null(strstr(text, format == MW_FORMAT_TEXT  ? "  58.6 KiB  "
					     : format == MW_FORMAT_CSV ? ",59999,"
								       : ":59999,"));
		free(text);
	}
}

/* The same columns, whether rows were counted before or not. */
static void streamed_like_small(void **state)
{
	(void)state;
	char *texts[2];
	for (size_t i = 0; i < 2; i++) {
		struct capture cap;
		start(&cap, (struct mw_out_opts){ .utf8 = true });
		const struct mw_table table = { "t", "Title",      cols + 1,
						2,   i ? 5000 : 1, true };
		mw_out_table(cap.out, &table);
		const struct mw_cell cells[] = { mw_cell_s("twelve signs"),
						 mw_cell_u(1023 * 1024 + 1023) };
		mw_out_row(cap.out, cells, MW_PLAIN);
		mw_out_table_end(cap.out);
		texts[i] = end(&cap);
	}
	assert_string_equal(texts[0], texts[1]);
	free(texts[0]);
	free(texts[1]);
}

static void write_errors(void **state)
{
	(void)state;
	for (enum mw_format format = MW_FORMAT_TEXT; format <= MW_FORMAT_CSV; format++) {
		for (unsigned n = 1; n <= 20000; n += 19999) {
			FILE *file = fopen("/dev/full", "w");
			assert_non_null(file);
			struct mw_out *out;
			assert_null(mw_out_create(
				&(struct mw_out_opts){ .format = format }, file, &out));
			assert_false(mw_out_failed(out));
			begin_table(out, n);
			for (unsigned i = 0; i < n; i++)
				row(out, "c", i, 0, MW_PLAIN);
			assert_true(mw_out_failed(out) == (n > 1));
			mw_out_table_end(out);
			struct mw_err *err = mw_out_finish(out);
			assert_non_null(err);
			assert_int_equal(err->errnum, ENOSPC);
			mw_err_free(err);
			fclose(file);
		}
	}
}

/* A reader that went away is an error like any other; what to do is the caller's. */
static void closed_pipe(void **state)
{
	(void)state;
	int ends[2];
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe(ends), 0);
	close(ends[0]);
	FILE *file = fdopen(ends[1], "w");
	assert_non_null(file);
	struct mw_out *out;
	assert_null(mw_out_create(&(struct mw_out_opts){ 0 }, file, &out));
	mw_out_headline(out, "nobody reads this");
	struct mw_err *err = mw_out_finish(out);
	assert_non_null(err);
	assert_int_equal(err->errnum, EPIPE);
	mw_err_free(err);
	fclose(file);
}

/* Bytes of every kind, with those that matter more often than chance would have them. */
static void random_string(char *str, size_t max, unsigned *seed)
{
	static const char often[] = "\x1b\n\r\\\",/ \xc2\xe2\x80\xae\xf0\x9f\xed\xa0";
	size_t len = (size_t)rand_r(seed) % max;
	for (size_t i = 0; i < len; i++) {
		int pick = rand_r(seed);
		str[i] = pick & 1 ? often[(size_t)(pick >> 1) % (sizeof(often) - 1)]
				  : (char)(1 + (pick >> 1) % 255);
	}
	str[len] = '\0';
}

static void any_string(void **state)
{
	(void)state;
	unsigned seed = 1;
	for (unsigned i = 0; i < 4000; i++) {
		char str[32];
		enum mw_format format = i % 4;
		random_string(str, sizeof(str), &seed);
		struct capture cap;
		start(&cap, (struct mw_out_opts){ .format = format,
						  .utf8 = i & 4,
						  .width = i & 8 ? 1 + i % 40 : 0 });
		document(cap.out, str);
		char *text = end(&cap);
		for (const char *c = text; *c; c++)
			assert_true((unsigned char)*c >= ' ' || *c == '\n' ||
				    (*c == '\r' && format == MW_FORMAT_CSV));
		if (format == MW_FORMAT_JSON) {
			json_t *root = json_loads(text, JSON_DECODE_INT_AS_REAL, NULL);
			assert_non_null(root);
			json_decref(root);
		}
		free(text);
	}
}

static void shares(void **state)
{
	(void)state;
	static const struct {
		uint64_t share;
		const char *text;
	} cases[] = { { 0, "0 %" },      { 1, "<1 %" },      { 99, "<1 %" },
		      { 100, "1 %" },    { 149, "1 %" },     { 150, "2 %" },
		      { 9999, "100 %" }, { 10000, "100 %" }, { 25000, "250 %" } };
	static const struct mw_col one = { "s", "", MW_TYPE_SHARE };
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct capture cap;
		start(&cap, (struct mw_out_opts){ 0 });
		mw_out_table(cap.out, &(struct mw_table){ "t", "", &one, 1, 1, true });
		mw_out_row(cap.out, &(struct mw_cell){ .u = cases[i].share }, MW_PLAIN);
		char *text = end(&cap);
		assert_int_equal(strlen(text), 3 + strlen(cases[i].text));
		assert_memory_equal(text + 2, cases[i].text, strlen(cases[i].text));
		free(text);
	}
}

/* The quick formatter against the exact one. */
static void sizes(void **state)
{
	(void)state;
	char buf[MW_UNITS_LEN];
	assert_string_equal(mw_units_bytes(0, MW_UNIT_AUTO, buf), "0 B");
	assert_string_equal(mw_units_bytes(1023, MW_UNIT_AUTO, buf), "1023 B");
	assert_string_equal(mw_units_bytes(1024, MW_UNIT_AUTO, buf), "1.00 KiB");
	assert_string_equal(mw_units_bytes(10235, MW_UNIT_AUTO, buf), "10.0 KiB");
	assert_string_equal(mw_units_bytes(102350, MW_UNIT_AUTO, buf), "100 KiB");
	assert_string_equal(mw_units_bytes(1048575, MW_UNIT_AUTO, buf), "1.00 MiB");
	assert_string_equal(mw_units_bytes(UINT64_MAX, MW_UNIT_AUTO, buf), "16.0 EiB");
	assert_string_equal(mw_units_bytes(UINT64_MAX, MW_UNIT_B, buf),
			    "18446744073709551615");
	assert_string_equal(mw_units_bytes(1536, MW_UNIT_K, buf), "2");
	assert_string_equal(mw_units_bytes(1535, MW_UNIT_K, buf), "1");
}

int main(void)
{
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		return 99;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_document),   cmocka_unit_test(text_unit),
		cmocka_unit_test(text_no_columns), cmocka_unit_test(text_ascii),
		cmocka_unit_test(text_colour),     cmocka_unit_test(text_hostile),
		cmocka_unit_test(text_fits),       cmocka_unit_test(text_wrapping),
		cmocka_unit_test(numbers_below_0), cmocka_unit_test(json_document),
		cmocka_unit_test(json_hostile),    cmocka_unit_test(json_unfinished),
		cmocka_unit_test(ndjson),          cmocka_unit_test(csv),
		cmocka_unit_test(many_rows),       cmocka_unit_test(streamed_like_small),
		cmocka_unit_test(write_errors),    cmocka_unit_test(closed_pipe),
		cmocka_unit_test(any_string),      cmocka_unit_test(shares),
		cmocka_unit_test(sizes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
