#!/bin/sh
# SPDX-License-Identifier: MIT
#
# usage: build.sh CC CXX SOURCES OUT
#
# Builds every lab: each folder of SOURCES with a file "steps" becomes one of OUT, with
# the program, the steps and the source to be shown. Only what is older than its source
# is built. Never with our flags or sanitizers: a lab's memory must be its own doing.
set -eu
cc=$1 cxx=$2 src=$3 out=$4

# What is read of a lab again at run time: the text of its file and nothing else.
put()
{
	cmp -s "$1" "$2" || cp "$1" "$2"
}

# compile SOURCE OUTPUT FLAG...
compile()
{
	from=$1 to=$2
	shift 2
	[ -z "$(find "$from" "$src"/*.h -newer "$to" 2>/dev/null || echo missing)" ] && return
	case $from in
	*.cc) compiler=$cxx ;;
	*) compiler=$cc ;;
	esac
	[ -n "$compiler" ] || {
		echo "$to: not built, there is no compiler for it" >&2
		return
	}
	# shellcheck disable=SC2086 # a compiler may be "ccache cc"
	$compiler -O0 -g -Wall -Wextra -Wl,-z,now -I"$src" "$from" -o "$to" "$@" ||
		{ [ $# -gt 0 ] && echo "$to: not built" >&2; }
}

# Those that are no more would still be found beside the program.
for steps in "$out"/*/steps; do
	dir=${steps%/steps}
	[ ! -e "$steps" ] || [ -e "$src/${dir##*/}/steps" ] || rm -r "$dir"
done

for steps in "$src"/*/steps; do
	dir=${steps%/steps}
	name=${dir##*/}
	mkdir -p "$out/$name"
	put "$steps" "$out/$name/steps"
	for file in "$dir"/*.c "$dir"/*.cc "$dir/build"; do
		[ ! -e "$file" ] || put "$file" "$out/$name/${file##*/}"
	done
	compile "$dir/lab.c" "$out/$name/$name"
	[ -e "$dir/build" ] || continue
	while read -r variant source flags; do
		# shellcheck disable=SC2086 # flags are words
		[ -z "$variant" ] || compile "$dir/$source" "$out/$name/$name-$variant" $flags
	done <"$dir/build"
done
