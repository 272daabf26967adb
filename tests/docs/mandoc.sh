#!/bin/sh
# SPDX-License-Identifier: MIT
# Every page given is clean mdoc, by mandoc's own lint.
set -eu
if ! command -v mandoc >/dev/null; then
	echo "skipped: no mandoc here"
	exit 77
fi
# A page of another package that is not installed here is no fault of ours.
found=$(mandoc -Tlint -Wstyle "$@" 2>&1 |
	grep -v -e 'outdated mandoc.db' -e 'referenced manual not found' || :)
printf '%s\n' "$found"
[ -z "$found" ]
