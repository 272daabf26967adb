// SPDX-License-Identifier: MIT
/*
 * Objects that count who refers to them, and go when nobody does. Beside them the same
 * by hand, and in an arena.
 */
#include "lab.h"
#include <malloc.h>

enum { NODES = 100, ARENA = 4000 };

/* What every counted object begins with. */
struct object {
	size_t count;
	void (*destroy)(struct object *self);
};

static void *retain(void *self)
{
	struct object *object = self;
	if (object)
		object->count++;
	return object;
}

static void release(void *self)
{
	struct object *object = self;
	if (object && --object->count == 0)
		object->destroy(object);
}

/* *slot = value. The new one first: it may be the old one. */
static void assign(void *slot, void *value)
{
	void *old = *(void **)slot;
	*(void **)slot = retain(value);
	release(old);
}

static void *make(size_t size, void (*destroy)(struct object *self))
{
	struct object *object = calloc(1, size);
	if (!object)
		_exit(1);
	object->count = 1;
	object->destroy = destroy;
	return object;
}

/* An object that owns a block. */
struct text {
	struct object object;
	char *letters;
};

static void destroy_text(struct object *self)
{
	free(((struct text *)self)->letters);
	free(self);
}

static struct text *make_text(const char *letters)
{
	struct text *text = make(sizeof(*text), destroy_text);
	text->letters = strdup(letters);
	return text;
}

/* An object that refers to another one. */
struct node {
	struct object object;
	struct node *next;
};

static void destroy_node(struct object *self)
{
	release(((struct node *)self)->next);
	free(self);
}

/* Owns the reference to `next` from now on. */
static struct node *make_node(struct node *next)
{
	struct node *node = make(sizeof(*node), destroy_node);
	node->next = next;
	return node;
}

/* Memory that is given out piece by piece, and taken back as a whole. */
struct arena {
	size_t used;
	char room[ARENA];
};

static void *arena_alloc(struct arena *arena, size_t size)
{
	void *ret = arena->room + arena->used;
	size = (size + 15) / 16 * 16;
	if (size > ARENA - arena->used)
		_exit(1);
	arena->used += size;
	return ret;
}

/* Calls leave copies of pointers on the stack, where a search for leaks finds them. */
static void wipe_stack(void)
{
	volatile char below[4096];
	for (size_t i = 0; i < sizeof(below); i++)
		below[i] = 0;
}

static void texts(void)
{
	struct text *a, *b, *c;
	lab_step("make", "a = make_text(\"some letters\");");
	a = make_text("some letters");
	lab_addr("a", a);
	lab_value("used",
		  (long long)(malloc_usable_size(a) + malloc_usable_size(a->letters)));

	lab_step("copy", "b = retain(a);");
	b = retain(a);

	lab_step("release", "release(a); a = NULL;");
	release(a);
	a = NULL;

	lab_step("second", "c = make_text(\"other letters\");");
	c = make_text("other letters");
	lab_addr("c", c);

	lab_step("assign", "assign(&b, c);   b = c, with counting");
	assign(&b, c);
	lab_value("same", b == c);

	lab_step("self", "release(c); c = NULL; assign(&b, b);");
	release(c);
	c = NULL;
	assign(&b, b);

	lab_step("last", "release(b);");
	release(b);
}

static void lists(void)
{
	struct node *head = NULL, *x, *y;
	lab_value("nodes", NODES);
	lab_step("list", "for (i = 0; i < 100; i++) head = make_node(head);");
	for (int i = 0; i < NODES; i++)
		head = make_node(head);
	lab_value("node", (long long)malloc_usable_size(head));

	lab_step("list-gone", "release(head); head = NULL;");
	release(head);
	head = NULL;

	lab_step("cycle",
		 "x = make_node(NULL); y = make_node(retain(x)); x->next = retain(y);");
	x = make_node(NULL);
	y = make_node(retain(x));
	x->next = retain(y);
	lab_addr("x", x);
	lab_addr("y", y);

	uintptr_t hidden = ~(uintptr_t)x;
	lab_step("cycle-left", "release(x); release(y); x = y = NULL;");
	release(x);
	release(y);
	x = y = NULL;
	wipe_stack();

	lab_step("break", "assign(&x->next, NULL);   x is known once more");
	x = (struct node *)~hidden;
	assign(&x->next, NULL);
}

static void others(void)
{
	struct node *head = NULL;
	lab_step("manual", "100 nodes from malloc() as before; free(head);");
	for (int i = 0; i < NODES; i++) {
		struct node *node = malloc(sizeof(*node));
		node->next = head;
		head = node;
	}
	free(head);

	lab_step("arena",
		 "arena = calloc(1, sizeof(*arena)); 100 nodes in it, in a circle");
	struct arena *arena = calloc(1, sizeof(*arena));
	struct node *first = arena_alloc(arena, sizeof(*first)), *last = first;
	for (int i = 1; i < NODES; i++)
		last = last->next = arena_alloc(arena, sizeof(*last));
	last->next = first;
	lab_addr("first", first);
	lab_addr("last", last);
	lab_value("arena", (long long)malloc_usable_size(arena));

	lab_step("arena-gone", "free(arena);");
	free(arena);
}

int main(void)
{
	lab_start();
	texts();
	lists();
	others();
	lab_end();
	return 0;
}
