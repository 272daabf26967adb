// SPDX-License-Identifier: MIT
/*
 * Symbols: values by name, names by address. The tables are read whole when first
 * asked for, and sorted when so many addresses were asked for that it pays.
 */
#include "symbols/elf_impl.h"

#include <stdlib.h>
#include <string.h>

/* Sorting costs about as much as ten searches of the table as it is. */
enum { UNSORTED_SEARCHES = 6 };

void mw_elf_symbols_deinit(struct mw_elf_symbols *symbols)
{
	free(symbols->entries);
	free(symbols->strings);
	free(symbols->places);
	*symbols = (struct mw_elf_symbols){ 0 };
}

/* An object has at most one symbol table of each type (gABI, "Sections"). */
static const struct mw_elf_section *section_of_type(const struct mw_elf_section *sections,
						    size_t n, uint32_t type)
{
	for (size_t i = 0; i < n; i++)
		if (sections[i].type == type)
			return &sections[i];
	return NULL;
}

/* Symbols and their names. A length that is no multiple of the entry loses its rest. */
static struct mw_err *read_symbols(const struct mw_elf *elf,
				   const struct mw_elf_section *table,
				   const struct mw_elf_section *strings,
				   struct mw_elf_symbols *ret)
{
	size_t entry_len = MW_ELF_SIZEOF(elf, Sym);
	unsigned char *text = NULL;
	if (strings->type != SHT_STRTAB || table->entry_len != entry_len)
		return mw_elf_broken("symbol table header");
	uint64_t n = table->len / entry_len;
	struct mw_err *err = mw_elf_read_table(elf, "symbol names", strings->offset,
					       strings->len, &text);
	if (!err)
		err = mw_elf_read_table(elf, "symbols", table->offset, n * entry_len,
					&ret->entries);
	if (err) {
		free(text);
		return err;
	}
	ret->n = (size_t)n;
	ret->strings = (char *)text;
	ret->strings_len = (size_t)strings->len;
	return NULL;
}

/* The table of one kind; one that the object does not have is empty. */
static struct mw_err *load_symbols(struct mw_elf *elf, enum mw_elf_table which,
				   struct mw_elf_symbols **ret)
{
	struct mw_elf_symbols *symbols = &elf->tables[which];
	const struct mw_elf_section *sections;
	size_t n;
	*ret = symbols;
	if (symbols->loaded)
		return NULL;
	struct mw_err *err = mw_elf_sections(elf, &sections, &n);
	if (err)
		return err;
	const struct mw_elf_section *table = section_of_type(
		sections, n, which == MW_ELF_SYMTAB ? SHT_SYMTAB : SHT_DYNSYM);
	if (table && table->link >= n)
		return mw_elf_broken("symbol table header");
	if (table)
		err = read_symbols(elf, table, &sections[table->link], symbols);
	symbols->loaded = !err;
	return err;
}

static const unsigned char *entry_at(const struct mw_elf *elf,
				     const struct mw_elf_symbols *symbols, size_t i)
{
	return symbols->entries + i * MW_ELF_SIZEOF(elf, Sym);
}

/* NULL when the name lies outside the table. */
static const char *name_of(const struct mw_elf *elf, const struct mw_elf_symbols *symbols,
			   const unsigned char *entry)
{
	uint64_t at = MW_ELF_FIELD(elf, entry, Sym, st_name);
	return at < symbols->strings_len ? symbols->strings + at : NULL;
}

/* Undefined symbols only name what another object has. Entry 0 is always empty. */
static bool find_value(const struct mw_elf *elf, const struct mw_elf_symbols *symbols,
		       const char *name, uint64_t *ret)
{
	for (size_t i = 1; i < symbols->n; i++) {
		const unsigned char *entry = entry_at(elf, symbols, i);
		const char *own = name_of(elf, symbols, entry);
		if (!own || strcmp(own, name) != 0 ||
		    MW_ELF_FIELD(elf, entry, Sym, st_shndx) == SHN_UNDEF)
			continue;
		*ret = MW_ELF_FIELD(elf, entry, Sym, st_value);
		return true;
	}
	return false;
}

/* .dynsym first: it is the smaller one. */
struct mw_err *mw_elf_symbol_value(struct mw_elf *elf, const char *name, uint64_t *ret)
{
	static const enum mw_elf_table order[] = { MW_ELF_DYNSYM, MW_ELF_SYMTAB };
	for (int i = 0; i < MW_ELF_N_TABLES; i++) {
		struct mw_elf_symbols *symbols;
		struct mw_err *err = load_symbols(elf, order[i], &symbols);
		if (err)
			return err;
		if (find_value(elf, symbols, name, ret))
			return NULL;
	}
	return mw_err_new(MW_ERR_NOTFOUND, 0, name, "no symbol %s", name);
}

/*
 * Several names often share an address (malloc, __libc_malloc): global ones before
 * weak and local ones, then those with fewer underscores in front.
 */
static uint32_t rank_of(unsigned info, const char *name)
{
	unsigned bind = ELF64_ST_BIND(info);
	uint32_t rank = bind == STB_GLOBAL ? 0 : bind == STB_WEAK ? 1 : 2;
	size_t underscores = strspn(name, "_");
	return rank * 16 + (underscores < 15 ? (uint32_t)underscores : 15);
}

/* False for what is no place in memory: undefined, absolute, TLS, unsized symbols. */
static bool take_place(const struct mw_elf *elf, const struct mw_elf_symbols *symbols,
		       size_t i, struct mw_elf_place *ret)
{
	const unsigned char *entry = entry_at(elf, symbols, i);
	unsigned info = (unsigned)MW_ELF_FIELD(elf, entry, Sym, st_info);
	unsigned type = ELF64_ST_TYPE(info);
	uint64_t section = MW_ELF_FIELD(elf, entry, Sym, st_shndx);
	uint64_t start = MW_ELF_FIELD(elf, entry, Sym, st_value), end;
	uint64_t len = MW_ELF_FIELD(elf, entry, Sym, st_size);
	const char *name = name_of(elf, symbols, entry);
	if (type != STT_FUNC && type != STT_OBJECT && type != STT_GNU_IFUNC)
		return false;
	if (elf->machine == EM_ARM && type == STT_FUNC)
		start &= ~UINT64_C(1); /* the Thumb bit */
	if (section == SHN_UNDEF || section == SHN_ABS || section == SHN_COMMON || !len ||
	    __builtin_add_overflow(start, len, &end) || !name || !*name)
		return false;
	*ret = (struct mw_elf_place){
		.start = start,
		.end = end,
		.index = (uint32_t)i,
		.rank = rank_of(info, name),
	};
	return true;
}

/* By start; of equal ones the best name last, where the search from above meets it. */
static int compare_places(const void *a, const void *b)
{
	const struct mw_elf_place *x = a, *y = b;
	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	if (x->rank != y->rank)
		return x->rank > y->rank ? -1 : 1;
	return x->index > y->index ? -1 : x->index < y->index;
}

/*
 * Functions may lie inside each other (cold parts, assembler), so that the last one to
 * begin before an address need not hold it. max_end says how far back looking pays.
 */
static struct mw_err *sort_places(const struct mw_elf *elf,
				  struct mw_elf_symbols *symbols)
{
	size_t n = 0;
	if (symbols->places || !symbols->n)
		return NULL;
	struct mw_elf_place *places = calloc(symbols->n, sizeof(*places));
	if (!places)
		return mw_err_nomem();
	for (size_t i = 1; i < symbols->n; i++)
		n += take_place(elf, symbols, i, &places[n]);
	qsort(places, n, sizeof(*places), compare_places);
	uint64_t max_end = 0;
	for (size_t i = 0; i < n; i++) {
		if (places[i].end > max_end)
			max_end = places[i].end;
		places[i].max_end = max_end;
	}
	symbols->places = places;
	symbols->n_places = n;
	return NULL;
}

/* The innermost place that holds vaddr: the one with the highest start. */
static const struct mw_elf_place *search_sorted(const struct mw_elf_symbols *symbols,
						uint64_t vaddr)
{
	size_t low = 0, high = symbols->n_places;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (symbols->places[mid].start <= vaddr)
			low = mid + 1;
		else
			high = mid;
	}
	while (low-- > 0 && symbols->places[low].max_end > vaddr)
		if (symbols->places[low].end > vaddr)
			return &symbols->places[low];
	return NULL;
}

/* The same place, by looking at all of them. */
static bool search_all(const struct mw_elf *elf, const struct mw_elf_symbols *symbols,
		       uint64_t vaddr, struct mw_elf_place *ret)
{
	struct mw_elf_place place;
	bool found = false;
	for (size_t i = 1; i < symbols->n; i++) {
		if (!take_place(elf, symbols, i, &place) || place.start > vaddr ||
		    place.end <= vaddr)
			continue;
		if (!found || compare_places(&place, ret) > 0)
			*ret = place;
		found = true;
	}
	return found;
}

/* Finds the place of vaddr in one table; *found stays false when none holds it. */
static struct mw_err *find_place(const struct mw_elf *elf, struct mw_elf_symbols *symbols,
				 uint64_t vaddr, struct mw_elf_place *ret, bool *found)
{
	if (symbols->n_searches < UNSORTED_SEARCHES) {
		symbols->n_searches++;
		*found = search_all(elf, symbols, vaddr, ret);
		return NULL;
	}
	struct mw_err *err = sort_places(elf, symbols);
	if (err)
		return err;
	const struct mw_elf_place *place = search_sorted(symbols, vaddr);
	*found = place != NULL;
	if (place)
		*ret = *place;
	return NULL;
}

struct mw_err *mw_elf_symbol_at(struct mw_elf *elf, uint64_t vaddr, const char **name,
				uint64_t *offset)
{
	for (int which = 0; which < MW_ELF_N_TABLES; which++) {
		struct mw_elf_symbols *symbols;
		struct mw_elf_place place = { 0 };
		bool found = false;
		struct mw_err *err =
			load_symbols(elf, (enum mw_elf_table)which, &symbols);
		if (!err)
			err = find_place(elf, symbols, vaddr, &place, &found);
		if (err)
			return err;
		if (found) {
			*name = name_of(elf, symbols,
					entry_at(elf, symbols, place.index));
			*offset = vaddr - place.start;
			return NULL;
		}
	}
	return mw_err_new(MW_ERR_NOTFOUND, 0, NULL, "no symbol holds 0x%llx",
			  (unsigned long long)vaddr);
}

struct mw_err *mw_elf_common_bytes(struct mw_elf *elf, uint64_t *ret)
{
	struct mw_elf_symbols *symbols;
	struct mw_err *err = load_symbols(elf, MW_ELF_SYMTAB, &symbols);
	uint64_t sum = 0;
	for (size_t i = 1; !err && i < symbols->n; i++) {
		const unsigned char *entry = entry_at(elf, symbols, i);
		if (MW_ELF_FIELD(elf, entry, Sym, st_shndx) == SHN_COMMON)
			sum += MW_ELF_FIELD(elf, entry, Sym, st_size);
	}
	if (!err)
		*ret = sum;
	return err;
}
