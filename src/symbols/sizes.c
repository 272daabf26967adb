// SPDX-License-Identifier: MIT
#include "symbols/sizes.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

/* What an object's sections are marked with while they are put in order. */
enum { LISTED = 1, HIDDEN = 2 };

struct order {
	const struct mw_elf *elf;
	const struct mw_elf_section *sections;
	size_t n;
	unsigned char *marks;
	struct mw_listing *ret;
};

/* Strings of a symbol table are found through it, whatever they are called. */
static void hide_strings(struct order *order)
{
	for (size_t i = 1; i < order->n; i++) {
		const struct mw_elf_section *s = &order->sections[i];
		if (s->type == SHT_SYMTAB && s->link < order->n &&
		    !(order->sections[s->link].flags & SHF_ALLOC))
			order->marks[s->link] |= HIDDEN;
	}
}

static bool is_hidden(const struct order *order, size_t i)
{
	const struct mw_elf_section *s = &order->sections[i];
	bool alloc = s->flags & SHF_ALLOC;
	switch (s->type) {
	case SHT_NULL:
	case SHT_SYMTAB:
	case SHT_SYMTAB_SHNDX:
		return true;
	case SHT_STRTAB:
		return !alloc &&
		       ((order->marks[i] & HIDDEN) || !strcmp(s->name, ".shstrtab"));
	case SHT_REL:
	case SHT_RELA:
		return !alloc && mw_elf_type(order->elf) == ET_REL &&
		       s->link < order->n && order->sections[s->link].type == SHT_SYMTAB;
	default:
		return false;
	}
}

static void list(struct order *order, size_t i)
{
	if ((order->marks[i] & LISTED) || is_hidden(order, i))
		return;
	order->marks[i] |= LISTED;
	order->ret->order[order->ret->n++] = (uint32_t)i;
}

/* Relocations bring the symbols they are for with them, wherever those stand. */
static void list_all(struct order *order)
{
	hide_strings(order);
	for (size_t i = 1; i < order->n; i++) {
		const struct mw_elf_section *s = &order->sections[i];
		bool relocations = s->type == SHT_REL || s->type == SHT_RELA;
		if (relocations && s->link < order->n &&
		    order->sections[s->link].type == SHT_DYNSYM)
			list(order, s->link);
		list(order, i);
	}
}

struct mw_err *mw_listing_make(struct mw_elf *elf, struct mw_listing *ret)
{
	struct mw_listing listing = { 0 };
	struct order order = { .elf = elf, .ret = &listing };
	struct mw_err *err = mw_elf_sections(elf, &order.sections, &order.n);
	if (err)
		return err;
	listing.sections = order.sections;
	listing.order = calloc(order.n + 1, sizeof(*listing.order));
	order.marks = calloc(order.n + 1, 1);
	if (!listing.order || !order.marks) {
		free(order.marks);
		mw_listing_deinit(&listing);
		return mw_err_nomem();
	}
	list_all(&order);
	free(order.marks);
	*ret = listing;
	return NULL;
}

void mw_listing_deinit(struct mw_listing *listing)
{
	free(listing->order);
	*listing = (struct mw_listing){ 0 };
}

static void add_section(struct mw_sizes *sizes, const struct mw_elf_section *section)
{
	bool empty = section->type == SHT_NOBITS;
	if (!(section->flags & SHF_ALLOC))
		return;
	if (section->flags & SHF_EXECINSTR) {
		sizes->text += section->len;
	} else if (!(section->flags & SHF_WRITE)) {
		sizes->rodata += section->len;
		sizes->rodata_empty += empty ? section->len : 0;
	} else if (empty) {
		sizes->bss += section->len;
	} else {
		sizes->data += section->len;
	}
}

struct mw_sizes mw_sizes_of(const struct mw_listing *listing)
{
	struct mw_sizes sizes = { 0 };
	for (size_t i = 0; i < listing->n; i++)
		add_section(&sizes, &listing->sections[listing->order[i]]);
	return sizes;
}
