// SPDX-License-Identifier: MIT
/*
 * main_arena from the file: it is initialised with .next = &main_arena, a word that
 * leads to the start of the structure it is in. In a position independent object the
 * word is a RELATIVE relocation (RELA or RELR), in another it stands as it is. All the
 * rest of malloc_state is zero in the file, but for attached_threads, which is 1 since
 * 2.23: so the word alone tells which layout it is, and it is the only such word.
 *
 * Formats: the System V gABI (RELA, RELR), the x86-64 psABI; glibc malloc/malloc.c.
 */
#include "heap/glibc/find.h"

#include "base/num.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

enum {
	MAX_DATA = 16 << 20,    /* bytes of initial data that are looked at */
	MAX_RELOCS = 64 << 20,  /* bytes of a relocation table */
	MAX_TEXT = 32 << 20,    /* bytes searched for the banner */
	BANNER_STEP = 64 << 10, /* at once */
	BANNER_MAX = 256,       /* longest banner */
	RELR_BITS = 63,         /* words that one bitmap of RELR speaks of */
};

/* A part of the file in memory, at the address it is linked to. */
struct part {
	uint64_t vaddr;
	unsigned char *bytes;
	size_t len;
};

struct search {
	mw_elf_read_fn *read;
	void *arg;
	const struct mw_elf_segment *segs;
	size_t n_segs;
	struct part data; /* the writable segment at hand */
	struct mw_glibc_file *found;
	size_t n_found;
};

static void part_deinit(struct part *part)
{
	free(part->bytes);
}
#define auto_part __attribute__((cleanup(part_deinit))) struct part

/* Reads a part of the file; what is too long or not all there is left out. */
static struct mw_err *read_part(const struct search *search, uint64_t offset,
				uint64_t len, struct part *ret)
{
	size_t got = 0;
	ret->bytes = malloc(len ? len : 1);
	if (!ret->bytes)
		return mw_err_nomem();
	while (ret->len < len) {
		struct mw_err *err =
			search->read(search->arg, offset + ret->len,
				     ret->bytes + ret->len, len - ret->len, &got);
		if (err)
			return err; /* cppcheck-suppress returnDanglingLifetime */
		if (got == 0 || got > len - ret->len)
			break;
		ret->len += got;
	}
	return NULL;
}

/* Reads what the segments put at a link-time address. */
static struct mw_err *read_vaddr(const struct search *search, uint64_t vaddr,
				 uint64_t len, struct part *ret)
{
	ret->vaddr = vaddr;
	for (size_t i = 0; i < search->n_segs; i++) {
		const struct mw_elf_segment *seg = &search->segs[i];
		if (seg->type == PT_LOAD && vaddr >= seg->vaddr &&
		    vaddr - seg->vaddr < seg->file_len &&
		    len <= seg->file_len - (vaddr - seg->vaddr))
			return read_part(search, seg->offset + (vaddr - seg->vaddr), len,
					 ret);
	}
	return NULL;
}

static bool word_at(const struct part *part, uint64_t vaddr, uint64_t *ret)
{
	uint64_t at = vaddr - part->vaddr;
	if (vaddr < part->vaddr || at > part->len || part->len - at < sizeof(*ret))
		return false;
	memcpy(ret, part->bytes + at, sizeof(*ret));
	return true;
}

static bool zero_between(const struct part *part, uint64_t start, uint64_t end)
{
	if (start < part->vaddr || end < start || end - part->vaddr > part->len)
		return false;
	for (uint64_t i = start - part->vaddr; i < end - part->vaddr; i++)
		if (part->bytes[i])
			return false;
	return true;
}

/*
 * Whether the word at `where`, which will hold `value` when the object runs, is `next`
 * of a main_arena that is as the compiler left it.
 */
static void try_next(struct search *search, uint64_t where, uint64_t value)
{
	size_t n_layouts;
	const struct mw_glibc_layout *layouts = mw_glibc_layouts(&n_layouts);
	uint64_t behind[3];
	for (size_t i = 0; i < n_layouts; i++) {
		const struct mw_state_layout *state = &layouts[i].state;
		if (where - value != state->next ||
		    (i && state->next == layouts[i - 1].state.next))
			continue;
		if (!zero_between(&search->data, value, where) ||
		    !word_at(&search->data, where + 8, &behind[0]) ||
		    !word_at(&search->data, where + 16, &behind[1]) ||
		    !word_at(&search->data, where + 24, &behind[2]) || behind[0] ||
		    behind[1] > 1 || behind[2])
			continue;
		search->n_found++;
		search->found->main_arena = value;
		search->found->facts.next = state->next;
		search->found->facts.attached = behind[1] ? 1 : -1;
		return;
	}
}

static void try_rela(struct search *search, const struct part *table)
{
	for (size_t i = 0; table->len - i >= sizeof(Elf64_Rela) && i < table->len;
	     i += sizeof(Elf64_Rela)) {
		Elf64_Rela rela;
		memcpy(&rela, table->bytes + i, sizeof(rela));
		if (ELF64_R_TYPE(rela.r_info) == R_X86_64_RELATIVE)
			try_next(search, rela.r_offset, (uint64_t)rela.r_addend);
	}
}

/* Without an addend of its own the value stands where it will be added to. */
static void try_in_place(struct search *search, uint64_t where)
{
	uint64_t value;
	if (word_at(&search->data, where, &value))
		try_next(search, where, value);
}

/* An even word is an address, an odd one a bitmap of the words behind the last. */
static void try_relr(struct search *search, const struct part *table)
{
	uint64_t where = 0, word;
	for (uint64_t at = 0; word_at(table, table->vaddr + at, &word); at += 8) {
		if (!(word & 1)) {
			try_in_place(search, word);
			where = word + 8;
			continue;
		}
		for (unsigned bit = 0; bit < RELR_BITS; bit++)
			if (word >> (bit + 1) & 1)
				try_in_place(search, where + 8 * bit);
		where += 8 * RELR_BITS;
	}
}

/* Tables that DT_ tags name. */
struct dynamic {
	uint64_t rela, rela_len, relr, relr_len;
};

static void take_tag(struct dynamic *dyn, const Elf64_Dyn *tag)
{
	switch (tag->d_tag) {
	case DT_RELA:
		dyn->rela = tag->d_un.d_ptr;
		break;
	case DT_RELASZ:
		dyn->rela_len = tag->d_un.d_val;
		break;
	case DT_RELR:
		dyn->relr = tag->d_un.d_ptr;
		break;
	case DT_RELRSZ:
		dyn->relr_len = tag->d_un.d_val;
		break;
	default:
		break;
	}
}

static struct mw_err *read_tags(const struct search *search,
				const struct mw_elf_segment *seg, struct dynamic *ret)
{
	auto_part table = { 0 };
	struct mw_err *err = read_part(search, seg->offset, seg->file_len, &table);
	if (err)
		return err;
	for (size_t at = 0; table.len - at >= sizeof(Elf64_Dyn);
	     at += sizeof(Elf64_Dyn)) {
		Elf64_Dyn tag;
		memcpy(&tag, table.bytes + at, sizeof(tag));
		if (tag.d_tag == DT_NULL)
			break;
		take_tag(ret, &tag);
	}
	return NULL;
}

static struct mw_err *read_dynamic(const struct search *search, struct dynamic *ret)
{
	for (size_t i = 0; i < search->n_segs; i++)
		if (search->segs[i].type == PT_DYNAMIC &&
		    search->segs[i].file_len <= MAX_DATA)
			return read_tags(search, &search->segs[i], ret);
	return NULL;
}

static struct mw_err *try_relocations(struct search *search)
{
	struct dynamic dyn = { 0 };
	auto_part rela = { 0 }, relr = { 0 };
	struct mw_err *err = read_dynamic(search, &dyn);
	if (!err && dyn.rela_len && dyn.rela_len <= MAX_RELOCS)
		err = read_vaddr(search, dyn.rela, dyn.rela_len, &rela);
	if (!err && dyn.relr_len && dyn.relr_len <= MAX_RELOCS)
		err = read_vaddr(search, dyn.relr, dyn.relr_len, &relr);
	if (err)
		return err;
	try_rela(search, &rela);
	try_relr(search, &relr);
	return NULL;
}

static void try_words(struct search *search)
{
	const struct part *data = &search->data;
	for (uint64_t at = -data->vaddr & 7; at < data->len; at += 8)
		try_in_place(search, data->vaddr + at);
}

uint16_t mw_glibc_par_at(const unsigned char *bytes, size_t len, bool *tcache)
{
	static const uint64_t head[4] = { 128 << 10, 128 << 10, 128 << 10, 8 };
	size_t n_layouts;
	const struct mw_glibc_layout *layouts = mw_glibc_layouts(&n_layouts);
	if (len < MW_GLIBC_PAR_LEN || memcmp(bytes, head, sizeof(head)) != 0)
		return 0;
	for (size_t i = n_layouts; i-- > 0;) {
		const struct mw_par_layout *par = &layouts[i].par;
		uint32_t n_mmaps_max;
		uint64_t bins = 0, max_bytes = 0;
		memcpy(&n_mmaps_max, bytes + par->n_mmaps_max, sizeof(n_mmaps_max));
		if (n_mmaps_max != 65536)
			continue;
		if (par->tcache_bins != UINT16_MAX) {
			memcpy(&bins, bytes + par->tcache_bins, sizeof(bins));
			memcpy(&max_bytes, bytes + par->tcache_max_bytes,
			       sizeof(max_bytes));
		}
		/* TCACHE_MAX_BINS small bins; 1032 or 1041 bytes fit the largest. */
		*tcache = bins == 64 && max_bytes >= 1024 && max_bytes < 1056;
		return par->n_mmaps_max;
	}
	return 0;
}

/* malloc_par is in the same data; it must be there once, or it is not believed. */
static void find_par(struct search *search)
{
	const struct part *data = &search->data;
	size_t n = 0;
	for (uint64_t at = -data->vaddr & 7; at < data->len; at += 8) {
		bool tcache = false;
		uint16_t max = mw_glibc_par_at(data->bytes + at, data->len - at, &tcache);
		if (!max)
			continue;
		search->found->mp = n++ ? 0 : data->vaddr + at;
		search->found->facts.n_mmaps_max = search->found->mp ? max : 0;
		search->found->facts.tcache = !search->found->mp ? 0 : tcache ? 1 : -1;
	}
}

/* "GNU C Library (…) stable release version 2.36." */
static bool take_banner(const unsigned char *text, size_t len, struct mw_glibc_file *ret)
{
	static const char banner[] = "GNU C Library ", before[] = " version 2.";
	const unsigned char *at = memmem(text, len, banner, sizeof(banner) - 1);
	size_t left = at ? len - (size_t)(at - text) : 0;
	const unsigned char *line = at ? memchr(at, '\n', left) : NULL;
	if (!line)
		return false;
	const unsigned char *digits =
		memmem(at, (size_t)(line - at), before, sizeof(before) - 1);
	if (!digits)
		return false;
	const char *pos = (const char *)digits + sizeof(before) - 1;
	uint64_t minor;
	if (!mw_take_dec(&pos, (const char *)line, &minor) || minor > 255)
		return false;
	ret->facts.minor = (unsigned)minor;
	char *end = ret->version;
	memcpy(end, "2.", 2);
	end = mw_put_dec(end + 2, minor);
	*end = '\0';
	return true;
}

/* Piece by piece, so that no more is read, and recorded, than up to the banner. */
static struct mw_err *find_banner_in(struct search *search,
				     const struct mw_elf_segment *seg, bool *ret)
{
	for (uint64_t at = 0; at < seg->file_len && !*ret; at += BANNER_STEP) {
		auto_part part = { 0 };
		uint64_t len = seg->file_len - at;
		if (len > BANNER_STEP + BANNER_MAX)
			len = BANNER_STEP + BANNER_MAX;
		struct mw_err *err = read_part(search, seg->offset + at, len, &part);
		if (err)
			return err;
		*ret = take_banner(part.bytes, part.len, search->found);
	}
	return NULL;
}

/*
 * Read-only data has it, which lies behind the text and the symbols; in libraries before
 * 2.31 or so that is part of the text.
 */
static struct mw_err *find_banner(struct search *search)
{
	bool found = false;
	struct mw_err *err = NULL;
	for (int text = 0; text <= 1; text++)
		for (size_t i = search->n_segs; i-- > 0 && !err && !found;) {
			const struct mw_elf_segment *seg = &search->segs[i];
			if (seg->type == PT_LOAD && !(seg->flags & PF_W) &&
			    !(seg->flags & PF_X) == !text && seg->file_len <= MAX_TEXT)
				err = find_banner_in(search, seg, &found);
		}
	return err;
}

/* One writable segment. Found twice is not found: then it is something else. */
static struct mw_err *search_data(struct search *search, const struct mw_elf_segment *seg,
				  bool fixed)
{
	search->data = (struct part){ .vaddr = seg->vaddr };
	struct mw_err *err = read_part(search, seg->offset, seg->file_len, &search->data);
	if (!err)
		err = try_relocations(search);
	if (!err && fixed && !search->n_found)
		try_words(search);
	if (!err && search->n_found == 1)
		find_par(search);
	free(search->data.bytes);
	search->data.bytes = NULL;
	return err;
}

struct mw_err *mw_glibc_inspect(mw_elf_read_fn *read, void *arg, const struct mw_elf *elf,
				struct mw_glibc_file *ret, bool *found)
{
	struct mw_glibc_file file = { 0 };
	struct search search = { .read = read, .arg = arg, .found = &file };
	struct mw_err *err = NULL;
	search.segs = mw_elf_segments(elf, &search.n_segs);
	bool fixed = mw_elf_type(elf) == ET_EXEC;
	for (size_t i = 0; !err && i < search.n_segs && !search.n_found; i++) {
		const struct mw_elf_segment *seg = &search.segs[i];
		if (seg->type == PT_LOAD && (seg->flags & PF_W) &&
		    seg->file_len <= MAX_DATA)
			err = search_data(&search, seg, fixed);
	}
	if (!err && search.n_found == 1)
		err = find_banner(&search);
	if (err)
		return err;
	*found = search.n_found == 1;
	if (*found)
		*ret = file;
	return NULL;
}
