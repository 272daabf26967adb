#!/bin/sh
# SPDX-License-Identifier: MIT
#
# usage: lint.sh format|tidy|cppcheck SOURCE_ROOT CLANG_BUILD_DIR
#
# Silent and 0 when all is well, 77 (skipped) when the tool is not installed.
set -eu
check=$1
build=$3
cd "$2"

with()
{
	command -v "$1" >/dev/null || {
		echo "$1 is not installed: ./run deps"
		exit 77
	}
}

# Every C file of ours, as the arguments of a command.
over_sources()
{
	find include src agents tests bench labs -name '*.[ch]' -print0 2>/dev/null |
		xargs -0 "$@"
}

case $check in
format)
	with clang-format
	over_sources clang-format --dry-run -Werror
	;;
tidy)
	# What it says goes to stdout; stderr only counts the warnings of system headers.
	with clang-tidy
	find src agents -name '*.c' 2>/dev/null | sort |
		xargs -P "$(nproc)" -n 4 clang-tidy --quiet -p "$build" 2>/dev/null
	;;
cppcheck)
	# returnDanglingLifetime: an error returned by a call that was given `&got` does
	# not point there.
	with cppcheck
	mkdir -p "$build/cppcheck"
	cppcheck --quiet --project="$build/compile_commands.json" -j "$(nproc)" \
		--cppcheck-build-dir="$build/cppcheck" --error-exitcode=1 --inline-suppr \
		--enable=warning,performance,portability \
		--suppress=missingIncludeSystem --suppress=returnDanglingLifetime \
		--template='{file}:{line}: {severity}: {message} [{id}]'
	;;
*)
	echo "lint.sh: no check called '$check'" >&2
	exit 2
	;;
esac
