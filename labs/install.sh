#!/bin/sh
# SPDX-License-Identifier: MIT
#
# usage: install.sh SOURCES BUILT TO
#
# Installs every built lab below TO, whole: programs, sources that are shown, steps.
# Called by `meson install`, which says in the environment what comes before TO.
set -eu
src=$1 built=$2
case $3 in
/*) to=${DESTDIR:-}$3 ;;
*) to=$MESON_INSTALL_DESTDIR_PREFIX/$3 ;;
esac

for steps in "$src"/*/steps; do
	name=${steps%/steps}
	name=${name##*/}
	install -d "$to/$name"
	for file in "$built/$name"/*; do
		mode=644
		[ ! -x "$file" ] || mode=755
		install -m "$mode" "$file" "$to/$name/"
	done
done
