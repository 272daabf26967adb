// SPDX-License-Identifier: MIT
// A process with about 100 mappings and 4 GiB resident, all in 4 KiB pages.

#include "target.h"

enum { N = 50 };

int main(void)
{
	size_t each = ((size_t)4 << 30) / N / BENCH_PAGE * BENCH_PAGE;

	for (size_t i = 0; i < N; i++) {
		char *p = bench_touched(each);

		// A closed page at its end keeps it from merging with the next.
		bench_must(mprotect(p, BENCH_PAGE, PROT_READ) == 0, "mprotect");
	}
	bench_wait();
	return 0;
}
