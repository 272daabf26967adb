#!/bin/sh
# SPDX-License-Identifier: MIT
# Every page given is clean mdoc, by mandoc's own lint.
set -eu
if ! command -v mandoc >/dev/null; then
	echo "skipped: no mandoc here"
	exit 77
fi
# What it says of the pages and what it says of itself come on two ways, which would be
# mixed in the middle of lines. A page of another package that is not installed here is
# no fault of ours.
found=$({
	mandoc -Tlint -Wstyle "$@" 2>/dev/null || :
	mandoc -Tlint -Wstyle "$@" 2>&1 >/dev/null || :
} | grep -v -e 'outdated mandoc.db' -e 'referenced manual not found' || :)
printf '%s\n' "$found"
[ -z "$found" ]
