// SPDX-License-Identifier: MIT
#include "explain/elf_parts.h"

#include <elf.h>
#include <inttypes.h>
#include <string.h>

static enum mw_class class_of(enum mw_elf_role role, enum mw_elf_part part)
{
	static const enum mw_class first[] = {
		[ROLE_EXE] = MW_CLASS_EXE_TEXT,
		[ROLE_LIB] = MW_CLASS_LIB_TEXT,
		[ROLE_LOADER] = MW_CLASS_LOADER_TEXT,
	};
	return (enum mw_class)((int)first[role] + (int)part);
}

static bool is_anonymous(const struct mw_region *region)
{
	return !region->name[0] || !strcmp(region->name, "[heap]") ||
	       !strncmp(region->name, "[anon:", 6);
}

/* The first region that ends above `addr`. */
static size_t region_from(const struct mw_elf_scan *scan, uint64_t addr)
{
	size_t lo = 0, hi = scan->n_regions;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (scan->regions[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* A piece of the address space to claim for an object. */
struct piece {
	uint64_t start, end;
	enum mw_elf_part part;
	enum mw_confidence confidence;
	const char *evidence;
};

static struct mw_err *claim_piece(struct mw_elf_scan *scan,
				  const struct mw_elf_object *object,
				  const struct piece *piece)
{
	if (piece->start >= piece->end)
		return NULL;
	return mw_claim(scan->cx, &(struct mw_claim){
					  .start = piece->start,
					  .end = piece->end,
					  .class = class_of(object->role, piece->part),
					  .confidence = piece->confidence,
					  .rank = MW_RANK_ELF,
					  .name = object->name,
					  .evidence = piece->evidence,
				  });
}

static const char *load_evidence(struct mw_elf_scan *scan, struct mw_elf_object *object,
				 size_t i, uint64_t bias)
{
	const struct mw_elf_segment *load = &object->loads[i];
	if (!object->evidence[i])
		object->evidence[i] = mw_arena_printf(
			mw_classify_arena(scan->cx),
			"PT_LOAD %c%c%c at file offset 0x%" PRIx64 ", base 0x%" PRIx64,
			load->flags & PF_R ? 'r' : '-', load->flags & PF_W ? 'w' : '-',
			load->flags & PF_X ? 'x' : '-', load->offset, bias);
	return object->evidence[i];
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/*
 * The part of the code's segment that is not code, by section headers: objects linked
 * without -z separate-code keep headers, constants and unwind tables there. Pages that
 * hold both stay code.
 */
static struct mw_err *claim_mixed_text(struct mw_elf_scan *scan,
				       struct mw_elf_object *object,
				       const struct piece *text, uint64_t bias)
{
	size_t n;
	const struct mw_elf_section *sections;
	uint64_t code = UINT64_MAX, code_end = 0;
	mw_auto_err err = mw_elf_sections(object->elf, &sections, &n);
	if (err)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		uint64_t end, addr = sections[i].addr + bias;
		if (!(sections[i].flags & SHF_EXECINSTR) ||
		    __builtin_add_overflow(addr, sections[i].len, &end))
			continue;
		code = min_u64(code, addr);
		code_end = max_u64(code_end, end);
	}
	if (code >= code_end || code_end > UINT64_MAX - scan->mask)
		return NULL;
	struct piece piece = {
		text->start, min_u64(code & ~scan->mask, text->end), PART_RODATA,
		MW_CERTAIN, "headers and constants before the code, by section headers"
	};
	struct mw_err *fatal = claim_piece(scan, object, &piece);
	if (fatal)
		return fatal;
	piece.start = max_u64((code_end + scan->mask) & ~scan->mask, text->start);
	piece.end = text->end;
	piece.evidence = "constants and unwind tables after the code, by section headers";
	return claim_piece(scan, object, &piece);
}

/* A read-only piece of a writable segment: glibc rounds RELRO's ends down to pages. */
static struct mw_err *claim_relro(struct mw_elf_scan *scan, struct mw_elf_object *object,
				  struct piece piece, uint64_t bias)
{
	uint64_t relro = (object->relro + bias) & ~scan->mask;
	uint64_t relro_end = (object->relro_end + bias) & ~scan->mask;
	piece.part = PART_RELRO;
	if (piece.start >= relro && piece.end <= relro_end) {
		piece.confidence = MW_CERTAIN;
		piece.evidence = "PT_GNU_RELRO, and read-only";
	} else {
		piece.confidence = MW_LIKELY;
		piece.evidence = "data made read-only after loading";
	}
	return claim_piece(scan, object, &piece);
}

/*
 * Where bss begins, in whole pages. The file's last page often holds both data and bss:
 * it counts for the one that fills more of it.
 */
static uint64_t bss_start(const struct mw_elf_scan *scan,
			  const struct mw_elf_segment *load, uint64_t bias)
{
	uint64_t file_end = load->vaddr + bias + load->file_len;
	uint64_t mem_end = load->vaddr + bias + load->mem_len;
	uint64_t page = file_end & ~scan->mask;
	uint64_t data_len = file_end - max_u64(page, load->vaddr + bias);
	uint64_t bss_len = min_u64(page + scan->mask + 1, mem_end) - file_end;
	if (mem_end <= file_end || data_len > bss_len)
		return (file_end + scan->mask) & ~scan->mask;
	return page;
}

/* What lies beyond the file's part of a PT_LOAD, the last page of the file included. */
static struct mw_err *claim_bss(struct mw_elf_scan *scan, struct mw_elf_object *object,
				const struct mw_elf_segment *load, uint64_t bias,
				const struct mw_region *region)
{
	uint64_t end = load->vaddr + bias + load->mem_len + scan->mask;
	if (!(load->flags & PF_W) || load->mem_len <= load->file_len)
		return NULL;
	struct piece bss = {
		.start = max_u64(region->start, bss_start(scan, load, bias)),
		.end = min_u64(region->end, end & ~scan->mask),
		.part = PART_BSS,
		.confidence = MW_CERTAIN,
		.evidence = "beyond the file's part of a PT_LOAD: zeroed at start",
	};
	return claim_piece(scan, object, &bss);
}

/* One PT_LOAD of one instance, where it meets one region. */
static struct mw_err *claim_overlap(struct mw_elf_scan *scan,
				    struct mw_elf_object *object, size_t i, uint64_t bias,
				    const struct mw_region *region)
{
	const struct mw_elf_segment *load = &object->loads[i];
	uint64_t file_end = load->vaddr + bias + load->file_len + scan->mask;
	struct piece piece = {
		.start = max_u64(region->start, (load->vaddr + bias) & ~scan->mask),
		.end = min_u64(region->end, file_end & ~scan->mask),
		.part = PART_RODATA,
		.confidence = MW_CERTAIN,
		.evidence = load_evidence(scan, object, i, bias),
	};
	if (!piece.evidence)
		return mw_err_nomem();
	bool anonymous = is_anonymous(region);
	if (!anonymous && !mw_elf_same_file(region, object->region))
		return NULL;
	if (anonymous && piece.start < piece.end) {
		piece.confidence = MW_LIKELY;
		piece.evidence = "anonymous memory put in place of a part of the file";
	}
	if (load->flags & PF_X || region->perms & MW_PERM_EXEC)
		piece.part = PART_TEXT;
	else if (load->flags & PF_W || region->perms & MW_PERM_WRITE)
		piece.part = PART_DATA;
	struct mw_err *err;
	if (piece.part == PART_DATA && !(region->perms & MW_PERM_WRITE))
		err = claim_relro(scan, object, piece, bias);
	else
		err = claim_piece(scan, object, &piece);
	if (!err && piece.part == PART_TEXT && object->mixed_text)
		err = claim_mixed_text(scan, object, &piece, bias);
	return err ? err : claim_bss(scan, object, load, bias, region);
}

static struct mw_err *claim_instance(struct mw_elf_scan *scan,
				     struct mw_elf_object *object, uint64_t bias)
{
	memset(object->evidence, 0, sizeof(object->evidence));
	for (size_t i = 0; i < object->n_loads; i++) {
		const struct mw_elf_segment *load = &object->loads[i];
		uint64_t start = (load->vaddr + bias) & ~scan->mask;
		uint64_t end =
			load->vaddr + bias + max_u64(load->mem_len, load->file_len);
		if (end < start || end > UINT64_MAX - 2 * scan->mask)
			continue;
		for (size_t r = region_from(scan, start);
		     r < scan->n_regions && scan->regions[r].start < end && scan->steps;
		     r++, scan->steps--) {
			struct mw_err *err =
				claim_overlap(scan, object, i, bias, &scan->regions[r]);
			if (err)
				return err;
		}
	}
	return NULL;
}

/* True when the region can be part of PT_LOAD `load`; then *bias is its load base. */
static bool match_load(const struct mw_elf_scan *scan, const struct mw_elf_segment *load,
		       const struct mw_region *region, uint64_t *bias)
{
	uint64_t from = load->offset & ~scan->mask, end;
	if (!load->file_len || __builtin_add_overflow(load->offset, load->file_len, &end))
		return false;
	if (region->offset < from || region->offset >= end)
		return false;
	*bias = region->start - region->offset + load->offset - load->vaddr;
	return true;
}

/* How well permissions fit: two segments often share one page of the file. */
static unsigned fit(const struct mw_elf_segment *load, const struct mw_region *region,
		    const struct mw_elf_scan *scan)
{
	unsigned score = 1;
	if (!(load->flags & PF_X) == !(region->perms & MW_PERM_EXEC))
		score += 4;
	if (!(load->flags & PF_W) == !(region->perms & MW_PERM_WRITE))
		score += 2;
	return score + (region->offset == (load->offset & ~scan->mask));
}

/* Finds each load base the object's regions speak for, and claims that instance. */
struct mw_err *mw_elf_claim_object(struct mw_elf_scan *scan, struct mw_elf_object *object)
{
	bool any = false;
	uint64_t current = 0;
	for (size_t i = 0; i < object->n; i++) {
		const struct mw_region *region =
			&scan->regions[scan->order[object->first + i]];
		unsigned best = 0;
		bool member = false;
		uint64_t bias, best_bias = 0;
		/* A hole is left over from mapping the whole file: its offset misleads.
		 */
		if (!(region->perms & (MW_PERM_READ | MW_PERM_WRITE | MW_PERM_EXEC)))
			continue;
		for (size_t j = 0; j < object->n_loads; j++) {
			if (!match_load(scan, &object->loads[j], region, &bias))
				continue;
			member |= any && bias == current;
			unsigned score = fit(&object->loads[j], region, scan);
			if (score > best) {
				best = score;
				best_bias = bias;
			}
		}
		if (member || !best)
			continue;
		any = true;
		current = best_bias;
		struct mw_err *err = claim_instance(scan, object, current);
		if (err)
			return err;
	}
	return NULL;
}

/* A file that cannot be read still shows its parts by their permissions. */
struct mw_err *mw_elf_claim_by_perms(struct mw_elf_scan *scan,
				     const struct mw_elf_object *object)
{
	for (size_t i = 0; i < object->n; i++) {
		const struct mw_region *region =
			&scan->regions[scan->order[object->first + i]];
		struct piece piece = { region->start, region->end, PART_RODATA, MW_LIKELY,
				       "by permissions: the file could not be read" };
		if (region->perms & MW_PERM_EXEC)
			piece.part = PART_TEXT;
		else if (region->perms & MW_PERM_WRITE)
			piece.part = PART_DATA;
		else if (!(region->perms & MW_PERM_READ))
			continue;
		struct mw_err *err = claim_piece(scan, object, &piece);
		if (err)
			return err;
	}
	return NULL;
}

/* Older loaders leave the space between two segments mapped, but inaccessible. */
struct mw_err *mw_elf_claim_holes(struct mw_elf_scan *scan,
				  const struct mw_elf_object *object)
{
	for (size_t i = 0; i < object->n; i++) {
		const struct mw_region *region =
			&scan->regions[scan->order[object->first + i]];
		if (region->perms & (MW_PERM_READ | MW_PERM_WRITE | MW_PERM_EXEC))
			continue;
		struct mw_claim claim = {
			.start = region->start,
			.end = region->end,
			.class = MW_CLASS_RESERVED,
			.confidence = MW_CERTAIN,
			.rank = MW_RANK_ELF,
			.name = object->name,
			.evidence = "the hole between two segments of an object",
		};
		struct mw_err *err = mw_claim(scan->cx, &claim);
		if (err)
			return err;
	}
	return NULL;
}
