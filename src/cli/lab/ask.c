// SPDX-License-Identifier: MIT
/* The one place where memwhy reads what somebody types. */
#include "cli/lab/lab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool mw_lab_prompt(const struct mw_cli *cli, const char *prompt, struct mw_buf *line)
{
	bool colour = cli->out_opts.colour;
	char *text = NULL;
	size_t cap = 0;
	mw_buf_clear(line);
	printf("  %s%-7s%s  > ", colour ? "\033[1m" : "", prompt,
	       colour ? "\033[0m" : "");
	fflush(stdout);
	ssize_t len = getline(&text, &cap, stdin);
	if (len < 0)
		putchar('\n');
	while (len > 0 && strchr(" \t\r\n", text[len - 1]))
		len--;
	const char *start = len > 0 ? text : "";
	size_t blanks = len > 0 ? strspn(start, " \t") : 0;
	bool ok = len >= 0 && mw_buf_add(line, start + blanks, (size_t)len - blanks);
	free(text);
	return ok;
}
