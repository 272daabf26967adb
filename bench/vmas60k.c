// SPDX-License-Identifier: MIT
// A process with 60,000 mappings and 2 GiB resident: neighbours differ in protection.

#include "target.h"

enum { N = 60000, PAGES_EACH = 9 };

int main(void)
{
	size_t each = (size_t)PAGES_EACH * BENCH_PAGE;
	char *p = bench_touched(N * each);

	for (size_t i = 0; i < N; i += 2)
		bench_must(mprotect(p + i * each, each, PROT_READ) == 0, "mprotect");
	bench_wait();
	return 0;
}
