// SPDX-License-Identifier: MIT
/*
 * What C++ adds: new, new[], nothrow and placement new, and their errors. The program of
 * C goes on as this one; started by itself this one begins there.
 */
#include "crash.h"
#include <cstddef>
#include <new>

static const size_t COUNT = 10;

struct thing {
	long value = 1;
	~thing()
	{
		static int destroyed;
		lab_value("destroyed", ++destroyed);
	}
};

/* Pointers whose values no compiler knows: it would warn. */
typedef int *volatile blind_int;
typedef thing *volatile blind_thing;
static volatile size_t huge = (size_t)1 << 62;

/* Room for a thing, and words before it as before a block of malloc. */
static struct {
	long before[4];
	alignas(16) char place[sizeof(thing)];
} room;

static int delete_array(void *p)
{
	blind_int array = static_cast<int *>(p);
	delete array;
	return 0;
}

static int delete_thing(void *p)
{
	blind_thing it = static_cast<thing *>(p);
	delete it;
	return 0;
}

static int ask_too_much(void *)
{
	char *volatile p = new char[huge];
	p[0] = 'x';
	return 0;
}

static int ask_too_much_quietly(void *)
{
	char *volatile p = new (std::nothrow) char[huge];
	lab_addr("got", p);
	p[0] = 'x';
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 2) { /* begin in C: "errors-new" -> "errors" */
		argv[0][strlen(argv[0]) - strlen("-new")] = '\0';
		execv(argv[0], argv);
		return 1;
	}
	lab_start();
	int *numbers = new int[COUNT];
	thing *things = new thing[COUNT];
	lab_addr("numbers", numbers);
	lab_addr("things", things);
	lab_value("things_count", COUNT);
	crash_step("mismatch",
		   "int *p = new int[10]; in a child: delete p;   not delete[]",
		   delete_array, numbers);
	crash_step("cookie", "thing *p = new thing[10]; in a child: delete p;",
		   delete_thing, things);
	crash_step("throw", "in a child: char *p = new char[1 << 62]; p[0] = 'x';",
		   ask_too_much, NULL);
	crash_step("nothrow", "in a child: the same with new (std::nothrow)",
		   ask_too_much_quietly, NULL);

	lab_addr("room", room.place);
	lab_step("placement", "thing *it = new (room.place) thing;");
	thing *it = new (room.place) thing;
	lab_addr("it", it);
	crash_step("placed", "in a child: delete it;", delete_thing, it);
	lab_end();
	return 0;
}
