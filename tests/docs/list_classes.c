// SPDX-License-Identifier: MIT
/* Every class the library knows, one key a line: what the documentation must list. */
#include <memwhy/explain.h>

#include <stdio.h>

int main(void)
{
	for (int class = 0; class < MW_CLASS_COUNT; class ++)
		printf("%s\n", mw_class_key((enum mw_class) class));
	return 0;
}
