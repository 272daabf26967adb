# SPDX-License-Identifier: MIT
# fish completion of memwhy(1).

function __memwhy_command
    set -l words (commandline -opc)
    if set -q words[2]; and contains -- $words[2] why map heap leaks capture doctor help
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
    if set -q words[1]; and contains -- $words[1] why map heap leaks capture doctor help
        set -e words[1]
    end
    for word in $words
        if test $skip = yes
            set skip no
            continue
        end
        switch $word
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
    not __memwhy_is help
    and test (__memwhy_operands) -eq 0
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
complete -c memwhy -n __memwhy_first -a capture -d 'record a process as a tree'
complete -c memwhy -n __memwhy_first -a doctor -d 'what may be read here'
complete -c memwhy -n __memwhy_first -a help -d 'help on a command'
complete -c memwhy -n '__memwhy_is help' -a 'why map heap leaks capture doctor'
complete -c memwhy -n '__memwhy_is help' -l list -d 'names of the commands alone'
complete -c memwhy -n __memwhy_wants_process -a '(__memwhy_processes)'
complete -c memwhy -n __memwhy_wants_directory -a '(__fish_complete_directories)'

# common
set -l all '__memwhy_is why map heap leaks capture doctor'
complete -c memwhy -n $all -l root -x -a '(__fish_complete_directories)' -d 'read a recorded tree'
complete -c memwhy -n $all -l json -d 'one JSON object'
complete -c memwhy -n $all -l ndjson -d 'the rows, a JSON object a line'
complete -c memwhy -n $all -l csv -d 'the rows as CSV'
complete -c memwhy -n $all -s b -l bytes -d 'sizes in bytes'
complete -c memwhy -n $all -s k -l kib -d 'sizes in KiB'
complete -c memwhy -n $all -s m -l mib -d 'sizes in MiB'
complete -c memwhy -n $all -s g -l gib -d 'sizes in GiB'
complete -c memwhy -n $all -l color -a 'auto always never' -d colour
complete -c memwhy -n $all -s v -l verbose -d 'show the evidence'
complete -c memwhy -n $all -s h -l help -d 'show help'
complete -c memwhy -n $all -l version -d 'show the version'

# those that look at a process
set -l look '__memwhy_is why map'
set -l stop '__memwhy_is why map heap leaks capture'
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

# capture
complete -c memwhy -n '__memwhy_is capture' -l memory -d 'record memory contents too'
complete -c memwhy -n '__memwhy_is capture' -l scrub -d 'replace names and paths'
complete -c memwhy -n '__memwhy_is capture' -l symbols -d 'record symbol tables too'
