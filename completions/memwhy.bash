# SPDX-License-Identifier: MIT
# bash completion of memwhy(1). Needs nothing but bash.

# Processes of this machine: their pids, and names that need no quoting.
_memwhy_processes()
{
	local dir name
	local -A seen=()
	for dir in /proc/[0-9]*; do
		printf '%s\n' "${dir#/proc/}"
		{ read -r name <"$dir/comm"; } 2>/dev/null || continue
		[[ $name == *[!A-Za-z0-9_.+:@-]* || -n ${seen[$name]-} ]] && continue
		seen[$name]=1
		printf '%s\n' "$name"
	done
}

_memwhy_classes='unknown
	exe exe.text exe.rodata exe.relro exe.data exe.bss
	lib lib.text lib.rodata lib.relro lib.data lib.bss
	loader loader.text loader.rodata loader.relro loader.data loader.bss
	heap heap.brk heap.arena heap.arena-reserve heap.mmap heap.jemalloc heap.tcmalloc
	heap.mimalloc heap.musl heap.partition
	stack stack.main stack.args stack.thread stack.signal tls guard
	shm shm.sysv shm.posix shm.memfd shm.anon shm.tmpfs hugetlb jit
	jvm jvm.heap jvm.code jvm.metaspace jvm.cds jvm.other v8 v8.heap v8.code
	go go.heap go.runtime python python.arena
	io-uring perf aio secretmem device vdso vvar vsyscall uprobes
	file file.locale file.gconv file.font file.icu file.jar file.db file.other
	named reserved'

_memwhy_options()
{
	local common='--root --json --ndjson --csv -b --bytes -k --kib -m --mib -g --gib
		--color -v --verbose -h --help -V --version'
	local stop='--stop --max-stop'
	local look="$stop --largest --engine -j --jobs"
	case $1 in
	why) printf '%s' "$common $look --smaps --no-stop" ;;
	heap) printf '%s' "$common $stop --no-stop --snapshot --largest --core --exe
		--arenas --sizes --threads --pins --checks --no-contents" ;;
	leaks) printf '%s' "$common $stop --no-stop --snapshot --largest --core --exe
		-a --all --diff --suppressions --threshold --possible --no-contents" ;;
	map) printf '%s' "$common $look --core --exe -a --all --summary --at --pages
		--sort --class --diff --watch --count --pmap" ;;
	capture) printf '%s' "$common $stop --memory --scrub --symbols" ;;
	page) printf '%s' "$common $stop --same" ;;
	pmap) printf '%s' "--root -h --help -V --version -x --extended -X --more -d --device -q --quiet -p
		--show-path -A --range -c --read-rc -C --read-rc-from -n --create-rc -N
		--create-rc-to -k --use-kernel-name -r --sunos" ;;
	free) printf '%s' "$common --cgroup --watch -k --kibi -m --mebi -g --gibi --tebi --pebi
		--kilo --mega --giga --tera --peta -h --human --si -l --lohi -L --line -t
		--total -v --committed -w --wide -s --seconds -c --count" ;;
	top) printf '%s' "$common --by -s --sort -r --reverse -f --filter -n --rows -t --tree
		-p --percent --kernel --budget -c --columns -1 --once --watch --count" ;;
	size) printf '%s' "$common -B --berkeley -A --sysv -G --gnu --format -o --octal -d
		--decimal -x --hex --radix -t --totals --common -f --no-effect --segments
		--live --vs" ;;
	lab) printf '%s' "$common --auto --answers --step --two-terminals --source --variant
		--copies -a --all --names" ;;
	doctor) printf '%s' "$common" ;;
	help) printf '%s' '--list' ;;
	esac
}

# What may follow an option; fails when the option takes nothing (or nothing known).
_memwhy_argument()
{
	local option=$1 cur=$2
	case $option in
	--root) mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
	--answers) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
	--source) mapfile -t COMPREPLY < <(compgen -W 'lab.c steps' -- "$cur") ;;
	--step | --variant | --copies) COMPREPLY=() ;;
	--core | --exe) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
	--diff | --suppressions) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
	--color) mapfile -t COMPREPLY < <(compgen -W 'auto always never' -- "$cur") ;;
	--engine) mapfile -t COMPREPLY < <(compgen -W 'auto pages smaps' -- "$cur") ;;
	--by) mapfile -t COMPREPLY < <(compgen -W 'process user command cgroup file' -- "$cur") ;;
	--filter | --rows | --budget) COMPREPLY=() ;;
	--sort)
		[[ $command == top ]] && mapfile -t COMPREPLY < <(compgen -W 'pss uss rss swap
			pagetables faults growth age pid name' -- "$cur") && return
		mapfile -t COMPREPLY < <(compgen -W 'address size rss private shared
		swap pss class name' -- "$cur") ;;
	--class) mapfile -t COMPREPLY < <(compgen -W "$_memwhy_classes" -- "$cur") ;;
	--vs | --read-rc-from | --create-rc-to)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
	--live) mapfile -t COMPREPLY < <(compgen -W "$(_memwhy_processes)" -- "$cur") ;;
	--format) mapfile -t COMPREPLY < <(compgen -W 'berkeley sysv gnu' -- "$cur") ;;
	--radix) mapfile -t COMPREPLY < <(compgen -W '8 10 16' -- "$cur") ;;
	--at | --count | --jobs | -j | --max-stop | --threshold | --range | --seconds)
		COMPREPLY=() ;;
	*) return 1 ;;
	esac
}

_memwhy()
{
	local cur=${COMP_WORDS[COMP_CWORD]} command='' operands=0 i word skip=''
	COMPREPLY=()
	# "--opt=val" reaches us as three words; --color and --watch take theirs only so.
	if [[ $cur == = ]]; then
		_memwhy_argument "${COMP_WORDS[COMP_CWORD - 1]}" ''
		return
	fi
	if [[ ${COMP_WORDS[COMP_CWORD - 1]} == = && $COMP_CWORD -gt 1 ]]; then
		_memwhy_argument "${COMP_WORDS[COMP_CWORD - 2]}" "$cur"
		return
	fi
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if [[ -n $skip ]]; then
			skip=
			continue
		fi
		case $word in
		=) skip=1 ;;
		--answers | --step | --variant | --copies | \
			--root | --diff | --engine | --sort | --class | --at | --count | --jobs | \
			--vs | --live | --format | --by | --filter | --rows | --budget | --columns | --radix | --range | --seconds | \
			--read-rc-from | --create-rc-to | \
			-j | --max-stop | --core | --exe | --suppressions | \
			--threshold) [[ ${COMP_WORDS[i + 1]} == = ]] || skip=1 ;;
		-*) ;;
		why | map | heap | leaks | page | pmap | free | top | size | lab | capture | doctor | help)
			if [[ $i == 1 ]]; then
				command=$word
			else
				((operands++))
			fi
			;;
		*) ((operands++)) ;;
		esac
	done
	if [[ -n $skip ]]; then
		_memwhy_argument "${COMP_WORDS[COMP_CWORD - 1]}" "$cur"
		return
	fi
	if [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_memwhy_options "${command:-why}")" \
			-- "$cur")
	elif [[ $command == help ]]; then
		mapfile -t COMPREPLY < <(compgen -W 'why map heap leaks page pmap free top size lab capture doctor' -- "$cur")
	elif [[ $command == capture && $operands -ge 1 ]]; then
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
	elif [[ $command == lab ]]; then
		((operands == 0)) && mapfile -t COMPREPLY < <(compgen -W \
			"$("${COMP_WORDS[0]}" lab --names 2>/dev/null)" -- "$cur"
			[[ $cur == */* ]] && compgen -d -- "$cur")
	elif [[ $command == size ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
	elif [[ $command == free || $command == top ]]; then
		COMPREPLY=()
	elif [[ $command == pmap || $command == page ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_memwhy_processes)" -- "$cur")
	elif [[ $operands == 0 ]]; then
		local words=''
		((COMP_CWORD == 1)) && words='why map heap leaks page pmap free top size lab
			capture doctor help '
		mapfile -t COMPREPLY < <(compgen -W "$words$(_memwhy_processes)" -- "$cur")
	fi
}

complete -o filenames -F _memwhy memwhy
