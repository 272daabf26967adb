# SPDX-License-Identifier: MIT
# fish completion of memwhy(1).

function __memwhy_command
    set -l words (commandline -opc)
    if set -q words[2]; and contains -- $words[2] why map heap leaks page pmap free top size lab capture doctor help
        echo $words[2]
    else
        echo why
    end
end

function __memwhy_is
    contains -- (__memwhy_command) $argv
end

function __memwhy_first
    test (count (commandline -opc)) -eq 1
end

# How many operands stand before the cursor, besides the command.
function __memwhy_operands
    set -l words (commandline -opc)
    set -e words[1]
    set -l n 0
    set -l skip no
    if set -q words[1]; and contains -- $words[1] why map heap leaks page pmap free top size lab capture doctor help
        set -e words[1]
    end
    for word in $words
        if test $skip = yes
            set skip no
            continue
        end
        switch $word
            case --answers --step --variant --copies
                set skip yes
            case --root --diff --engine --sort --class --at --count --jobs -j --max-stop --core --exe --suppressions --threshold
                set skip yes
            case '-*'
            case '*'
                set n (math $n + 1)
        end
    end
    echo $n
end

# Pids with their names, then the names that need no quoting.
function __memwhy_processes
    set -l names
    ps -eo pid=,comm= | while read -l pid name
        printf '%s\t%s\n' $pid $name
        string match -qr '^[A-Za-z0-9_.+:@-]+$' -- $name
        and not contains -- $name $names
        and set -a names $name
    end
    printf '%s\tby name\n' $names
end

function __memwhy_wants_process
    not __memwhy_is help free top size lab
    and begin
        test (__memwhy_operands) -eq 0
        or __memwhy_is pmap page
    end
end

function __memwhy_wants_directory
    __memwhy_is capture
    and test (__memwhy_operands) -eq 1
end

complete -c memwhy -f

complete -c memwhy -n __memwhy_first -a why -d 'every resident byte by cause'
complete -c memwhy -n __memwhy_first -a map -d 'the address space, classified'
complete -c memwhy -n __memwhy_first -a heap -d 'what is live in its heap'
complete -c memwhy -n __memwhy_first -a leaks -d 'blocks that nothing leads to'
complete -c memwhy -n __memwhy_first -a page -d 'one page, its frame, who shares it'
complete -c memwhy -n __memwhy_first -a pmap -d 'the tables of procps'
complete -c memwhy -n __memwhy_first -a free -d "the machine's memory"
complete -c memwhy -n __memwhy_first -a top -d 'processes by what they cost'
complete -c memwhy -n __memwhy_first -a size -d 'sections of object files'
complete -c memwhy -n __memwhy_first -a lab -d 'experiments on virtual memory'
complete -c memwhy -n __memwhy_first -a capture -d 'record a process as a tree'
complete -c memwhy -n __memwhy_first -a doctor -d 'what may be read here'
complete -c memwhy -n __memwhy_first -a help -d 'help on a command'
complete -c memwhy -n '__memwhy_is help' -a 'why map heap leaks page pmap free top size lab capture doctor'
complete -c memwhy -n '__memwhy_is help' -l list -d 'names of the commands alone'
complete -c memwhy -n __memwhy_wants_process -a '(__memwhy_processes)'
complete -c memwhy -n __memwhy_wants_directory -a '(__fish_complete_directories)'

# common
set -l all '__memwhy_is why map heap leaks page pmap free top size lab capture doctor'
complete -c memwhy -n $all -l root -x -a '(__fish_complete_directories)' -d 'read a recorded tree'
set -l formats '__memwhy_is why map heap leaks page free top size lab capture doctor'
complete -c memwhy -n $formats -l json -d 'one JSON object'
complete -c memwhy -n $formats -l ndjson -d 'the rows, a JSON object a line'
complete -c memwhy -n $formats -l csv -d 'the rows as CSV'
complete -c memwhy -n $formats -s b -l bytes -d 'sizes in bytes'
complete -c memwhy -n $formats -s k -l kib -d 'sizes in KiB'
complete -c memwhy -n $formats -s m -l mib -d 'sizes in MiB'
complete -c memwhy -n $formats -s g -l gib -d 'sizes in GiB'
complete -c memwhy -n $formats -l color -a 'auto always never' -d colour
complete -c memwhy -n $formats -s v -l verbose -d 'show the evidence'
complete -c memwhy -n $all -s h -l help -d 'show help'
complete -c memwhy -n $all -s V -l version -d 'show the version'

# those that look at a process
set -l look '__memwhy_is why map'
set -l stop '__memwhy_is why map heap leaks page capture'
complete -c memwhy -n '__memwhy_is why map heap leaks' -l largest -d 'the largest process that may be read'
complete -c memwhy -n $look -l engine -x -a 'auto pages smaps' -d 'where figures come from'
complete -c memwhy -n $look -s j -l jobs -x -d 'threads for the page walk'
complete -c memwhy -n $stop -l stop -d 'stop the target while looking'
complete -c memwhy -n $stop -l max-stop -x -d 'longest stop in milliseconds'
complete -c memwhy -n '__memwhy_is why' -l smaps -d 'read the totals of smaps too'

# heap
set -l heap '__memwhy_is why heap leaks'
set -l core '__memwhy_is heap leaks map'
complete -c memwhy -n $heap -l no-stop -d 'never stop the target'
complete -c memwhy -n $core -l core -r -F -d 'a core file, not this machine'
complete -c memwhy -n $core -l exe -r -F -d 'the program --core is of'
complete -c memwhy -n '__memwhy_is heap leaks' -l snapshot -d 'make it fork, look at the copy'
complete -c memwhy -n '__memwhy_is heap' -l arenas -d 'one row an arena'
complete -c memwhy -n '__memwhy_is heap' -l sizes -d 'live and kept blocks by size'
complete -c memwhy -n '__memwhy_is heap' -l threads -d 'threads, arenas, caches'
complete -c memwhy -n '__memwhy_is heap' -l pins -d 'what holds freed memory'
complete -c memwhy -n '__memwhy_is heap' -l checks -d 'what had to be equal'
complete -c memwhy -n '__memwhy_is heap leaks' -l no-contents -d 'no bytes of its own data'

# leaks
complete -c memwhy -n '__memwhy_is leaks' -s a -l all -d 'every group'
complete -c memwhy -n '__memwhy_is leaks' -l diff -r -F -d 'what grew since an earlier answer'
complete -c memwhy -n '__memwhy_is leaks' -l suppressions -r -F -d 'rules of what not to report'
complete -c memwhy -n '__memwhy_is leaks' -l threshold -x -d 'exit 1 only when more leaked'
complete -c memwhy -n '__memwhy_is leaks' -l possible -d 'count what is only possible'

# map
set -l classes unknown \
    exe exe.{text,rodata,relro,data,bss} \
    lib lib.{text,rodata,relro,data,bss} \
    loader loader.{text,rodata,relro,data,bss} \
    heap heap.{brk,arena,arena-reserve,mmap,jemalloc,tcmalloc,mimalloc,musl,partition} \
    stack stack.{main,args,thread,signal} tls guard \
    shm shm.{sysv,posix,memfd,anon,tmpfs} hugetlb jit \
    jvm jvm.{heap,code,metaspace,cds,other} v8 v8.{heap,code} \
    go go.{heap,runtime} python python.arena \
    io-uring perf aio secretmem device vdso vvar vsyscall uprobes \
    file file.{locale,gconv,font,icu,jar,db,other} \
    named reserved
complete -c memwhy -n '__memwhy_is map' -s a -l all -d 'every segment, not folded'
complete -c memwhy -n '__memwhy_is map' -l summary -d 'one row a class'
complete -c memwhy -n '__memwhy_is map' -l at -x -d 'what is at this address'
complete -c memwhy -n '__memwhy_is map' -l pages -d 'states of pages, as runs'
complete -c memwhy -n '__memwhy_is map' -l sort -x -d 'order of rows' \
    -a 'address size rss private shared swap pss class name'
complete -c memwhy -n '__memwhy_is map' -l class -x -a "$classes" -d 'only this class'
complete -c memwhy -n '__memwhy_is map' -l diff -r -F -d 'compare with an earlier answer'
complete -c memwhy -n '__memwhy_is map' -l watch -d 'again and again'
complete -c memwhy -n '__memwhy_is map' -l count -x -d 'end --watch after so many times'
complete -c memwhy -n '__memwhy_is map' -l pmap -d 'be pmap: all that follows is its command line'

# page
complete -c memwhy -n '__memwhy_is page' -l same -d "one address in several processes"

# pmap
complete -c memwhy -n '__memwhy_is pmap' -s x -l extended -d "resident and dirty pages"
complete -c memwhy -n '__memwhy_is pmap' -s X -l more -d "most columns of smaps"
complete -c memwhy -n '__memwhy_is pmap' -s d -l device -d "offset and device"
complete -c memwhy -n '__memwhy_is pmap' -s q -l quiet -d "no header, no sums"
complete -c memwhy -n '__memwhy_is pmap' -s p -l show-path -d "whole paths"
complete -c memwhy -n '__memwhy_is pmap' -s A -l range -x -d "only what lies in this range"
complete -c memwhy -n '__memwhy_is pmap' -s c -l read-rc -d "columns of ~/.pmaprc"
complete -c memwhy -n '__memwhy_is pmap' -s C -l read-rc-from -r -F -d "columns of a file"
complete -c memwhy -n '__memwhy_is pmap' -s n -l create-rc -d "make a ~/.pmaprc"
complete -c memwhy -n '__memwhy_is pmap' -s N -l create-rc-to -r -F -d "make a file for -C"
complete -c memwhy -n '__memwhy_is pmap' -s k -l use-kernel-name -d "names as the kernel has them"
complete -c memwhy -n '__memwhy_is pmap' -s r -l sunos -d "ignored"

# free
complete -c memwhy -n '__memwhy_is free' -l cgroup -d "from a cgroup's use to its processes"
complete -c memwhy -n '__memwhy_is free' -l watch -d "again and again"
complete -c memwhy -n '__memwhy_is free' -s k -l kibi -d "in KiB"
complete -c memwhy -n '__memwhy_is free' -s m -l mebi -d "in MiB"
complete -c memwhy -n '__memwhy_is free' -s g -l gibi -d "in GiB"
complete -c memwhy -n '__memwhy_is free' -l tebi -d "in TiB"
complete -c memwhy -n '__memwhy_is free' -l pebi -d "in PiB"
complete -c memwhy -n '__memwhy_is free' -l kilo -d "in kilobytes"
complete -c memwhy -n '__memwhy_is free' -l mega -d "in megabytes"
complete -c memwhy -n '__memwhy_is free' -l giga -d "in gigabytes"
complete -c memwhy -n '__memwhy_is free' -l tera -d "in terabytes"
complete -c memwhy -n '__memwhy_is free' -l peta -d "in petabytes"
complete -c memwhy -n '__memwhy_is free' -s h -l human -d "each number in its own unit"
complete -c memwhy -n '__memwhy_is free' -l si -d "powers of 1000"
complete -c memwhy -n '__memwhy_is free' -s l -l lohi -d "low and high memory"
complete -c memwhy -n '__memwhy_is free' -s L -l line -d "one line"
complete -c memwhy -n '__memwhy_is free' -s t -l total -d "memory and swap together"
complete -c memwhy -n '__memwhy_is free' -s v -l committed -d "what is committed"
complete -c memwhy -n '__memwhy_is free' -s w -l wide -d "buffers and cache apart"
complete -c memwhy -n '__memwhy_is free' -s s -l seconds -x -d "again every N seconds"
complete -c memwhy -n '__memwhy_is free' -s c -l count -x -d "end after N times"

# top
complete -c memwhy -n '__memwhy_is top' -l by -x -a 'process user command cgroup file' -d rows
complete -c memwhy -n '__memwhy_is top' -s s -l sort -x -a 'pss uss rss swap pagetables faults growth age pid name' -d order
complete -c memwhy -n '__memwhy_is top' -s r -l reverse -d 'smallest first'
complete -c memwhy -n '__memwhy_is top' -s f -l filter -x -d 'only what has this'
complete -c memwhy -n '__memwhy_is top' -s n -l rows -x -d 'so many rows'
complete -c memwhy -n '__memwhy_is top' -s t -l tree -d 'children below parents'
complete -c memwhy -n '__memwhy_is top' -s p -l percent -d 'shares of memory'
complete -c memwhy -n '__memwhy_is top' -l kernel -d 'kernel threads too'
complete -c memwhy -n '__memwhy_is top' -l budget -x -d 'milliseconds for walks of page tables'
complete -c memwhy -n '__memwhy_is top' -s c -l columns -x -d 'these columns'
complete -c memwhy -n '__memwhy_is top' -s 1 -l once -d 'no screen'
complete -c memwhy -n '__memwhy_is top' -l watch -d 'again and again'
complete -c memwhy -n '__memwhy_is top' -l count -x -d 'end --watch after so many times'

# size
complete -c memwhy -n '__memwhy_is size' -F
complete -c memwhy -n '__memwhy_is size' -s B -l berkeley -d "a line an object"
complete -c memwhy -n '__memwhy_is size' -s A -l sysv -d "a line a section"
complete -c memwhy -n '__memwhy_is size' -s G -l gnu -d "constants as data"
complete -c memwhy -n '__memwhy_is size' -l format -x -a 'berkeley sysv gnu' -d "style"
complete -c memwhy -n '__memwhy_is size' -s o -l octal -d "numbers in octal"
complete -c memwhy -n '__memwhy_is size' -s d -l decimal -d "numbers in decimal"
complete -c memwhy -n '__memwhy_is size' -s x -l hex -d "numbers in hex"
complete -c memwhy -n '__memwhy_is size' -l radix -x -a '8 10 16' -d "radix"
complete -c memwhy -n '__memwhy_is size' -s t -l totals -d "add the sums"
complete -c memwhy -n '__memwhy_is size' -l common -d "count common symbols"
complete -c memwhy -n '__memwhy_is size' -s f -l no-effect -d "ignored"
complete -c memwhy -n '__memwhy_is size' -l segments -d "sections, segments, mappings"
complete -c memwhy -n '__memwhy_is size' -l live -x -a '(__memwhy_processes)' -d "what is resident in a process"
complete -c memwhy -n '__memwhy_is size' -l vs -r -F -d "compare with another build"

# lab
function __memwhy_wants_lab
    __memwhy_is lab
    and test (__memwhy_operands) -eq 0
end
function __memwhy_labs
    set -l words (commandline -opc)
    type -q -- $words[1]
    and command $words[1] lab --names 2>/dev/null
end
complete -c memwhy -n __memwhy_wants_lab -a '(__memwhy_labs)' -d lab
complete -c memwhy -n '__memwhy_is lab' -l auto -d 'ask nothing'
complete -c memwhy -n '__memwhy_is lab' -l answers -r -F -d 'grade predictions'
complete -c memwhy -n '__memwhy_is lab' -l step -x -d 'only this step'
complete -c memwhy -n '__memwhy_is lab' -l two-terminals -d 'the program alone'
complete -c memwhy -n '__memwhy_is lab' -l source -x -a 'lab.c steps' -d 'print its source'
complete -c memwhy -n '__memwhy_is lab' -l variant -x -d 'another of its programs'
complete -c memwhy -n '__memwhy_is lab' -l copies -x -d 'so many processes'
complete -c memwhy -n '__memwhy_is lab' -s a -l all -d 'run every lab'
complete -c memwhy -n '__memwhy_is lab' -l names -d 'names of the labs alone'

# capture
complete -c memwhy -n '__memwhy_is capture' -l memory -d 'record memory contents too'
complete -c memwhy -n '__memwhy_is capture' -l scrub -d 'replace names and paths'
complete -c memwhy -n '__memwhy_is capture' -l symbols -d 'record symbol tables too'
