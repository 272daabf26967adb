// SPDX-License-Identifier: MIT
#include <memwhy/explain.h>

#include <string.h>

struct class_name {
	const char *key, *title;
};

/* Keys are part of the JSON format (docs/formats.md): they never change. */
static const struct class_name names[MW_CLASS_COUNT] = {
	[MW_CLASS_UNKNOWN] = { "unknown", "unknown" },
	[MW_CLASS_EXE_TEXT] = { "exe.text", "program code" },
	[MW_CLASS_EXE_RODATA] = { "exe.rodata", "program read-only data" },
	[MW_CLASS_EXE_RELRO] = { "exe.relro", "program relocated constants" },
	[MW_CLASS_EXE_DATA] = { "exe.data", "program data" },
	[MW_CLASS_EXE_BSS] = { "exe.bss", "program zeroed data (bss)" },
	[MW_CLASS_LIB_TEXT] = { "lib.text", "library code" },
	[MW_CLASS_LIB_RODATA] = { "lib.rodata", "library read-only data" },
	[MW_CLASS_LIB_RELRO] = { "lib.relro", "library relocated constants" },
	[MW_CLASS_LIB_DATA] = { "lib.data", "library data" },
	[MW_CLASS_LIB_BSS] = { "lib.bss", "library zeroed data (bss)" },
	[MW_CLASS_LOADER_TEXT] = { "loader.text", "dynamic loader code" },
	[MW_CLASS_LOADER_RODATA] = { "loader.rodata", "dynamic loader read-only data" },
	[MW_CLASS_LOADER_RELRO] = { "loader.relro",
				    "dynamic loader relocated constants" },
	[MW_CLASS_LOADER_DATA] = { "loader.data", "dynamic loader data" },
	[MW_CLASS_LOADER_BSS] = { "loader.bss", "dynamic loader zeroed data (bss)" },
	[MW_CLASS_HEAP_BRK] = { "heap.brk", "heap (brk)" },
	[MW_CLASS_HEAP_ARENA] = { "heap.arena", "glibc thread arena" },
	[MW_CLASS_HEAP_ARENA_RESERVE] = { "heap.arena-reserve",
					  "glibc thread arena, reserved" },
	[MW_CLASS_HEAP_MMAP] = { "heap.mmap", "malloc block with its own mapping" },
	[MW_CLASS_HEAP_JEMALLOC] = { "heap.jemalloc", "jemalloc heap" },
	[MW_CLASS_HEAP_TCMALLOC] = { "heap.tcmalloc", "tcmalloc heap" },
	[MW_CLASS_HEAP_MIMALLOC] = { "heap.mimalloc", "mimalloc heap" },
	[MW_CLASS_HEAP_MUSL] = { "heap.musl", "musl heap" },
	[MW_CLASS_HEAP_PARTITION] = { "heap.partition", "PartitionAlloc heap" },
	[MW_CLASS_STACK_MAIN] = { "stack.main", "main stack" },
	[MW_CLASS_STACK_ARGS] = { "stack.args", "arguments and environment" },
	[MW_CLASS_STACK_THREAD] = { "stack.thread", "thread stack" },
	[MW_CLASS_STACK_SIGNAL] = { "stack.signal", "signal stack" },
	[MW_CLASS_TLS] = { "tls", "thread-local storage" },
	[MW_CLASS_GUARD] = { "guard", "guard pages" },
	[MW_CLASS_SHM_SYSV] = { "shm.sysv", "System V shared memory" },
	[MW_CLASS_SHM_POSIX] = { "shm.posix", "POSIX shared memory" },
	[MW_CLASS_SHM_MEMFD] = { "shm.memfd", "memfd" },
	[MW_CLASS_SHM_ANON] = { "shm.anon", "anonymous shared memory" },
	[MW_CLASS_SHM_TMPFS] = { "shm.tmpfs", "file on tmpfs" },
	[MW_CLASS_HUGETLB] = { "hugetlb", "hugetlb pages" },
	[MW_CLASS_JIT] = { "jit", "generated code" },
	[MW_CLASS_JVM_HEAP] = { "jvm.heap", "Java heap" },
	[MW_CLASS_JVM_CODE] = { "jvm.code", "Java compiled code" },
	[MW_CLASS_JVM_METASPACE] = { "jvm.metaspace", "Java metaspace" },
	[MW_CLASS_JVM_CDS] = { "jvm.cds", "Java class archive" },
	[MW_CLASS_JVM_OTHER] = { "jvm.other", "Java VM internals" },
	[MW_CLASS_V8_HEAP] = { "v8.heap", "V8 heap" },
	[MW_CLASS_V8_CODE] = { "v8.code", "V8 compiled code" },
	[MW_CLASS_GO_HEAP] = { "go.heap", "Go heap" },
	[MW_CLASS_GO_RUNTIME] = { "go.runtime", "Go runtime metadata" },
	[MW_CLASS_PYTHON_ARENA] = { "python.arena", "Python object arena" },
	[MW_CLASS_IO_URING] = { "io-uring", "io_uring rings" },
	[MW_CLASS_PERF] = { "perf", "perf event buffer" },
	[MW_CLASS_AIO] = { "aio", "asynchronous I/O ring" },
	[MW_CLASS_SECRETMEM] = { "secretmem", "secret memory" },
	[MW_CLASS_DEVICE] = { "device", "device memory" },
	[MW_CLASS_VDSO] = { "vdso", "kernel code for user space (vdso)" },
	[MW_CLASS_VVAR] = { "vvar", "kernel data for user space (vvar)" },
	[MW_CLASS_VSYSCALL] = { "vsyscall", "old system call page (vsyscall)" },
	[MW_CLASS_UPROBES] = { "uprobes", "uprobe trampolines" },
	[MW_CLASS_FILE_LOCALE] = { "file.locale", "locale data" },
	[MW_CLASS_FILE_GCONV] = { "file.gconv", "character set tables" },
	[MW_CLASS_FILE_FONT] = { "file.font", "font" },
	[MW_CLASS_FILE_ICU] = { "file.icu", "Unicode data (ICU)" },
	[MW_CLASS_FILE_JAR] = { "file.jar", "Java archive" },
	[MW_CLASS_FILE_DB] = { "file.db", "database file" },
	[MW_CLASS_FILE_OTHER] = { "file.other", "mapped file" },
	[MW_CLASS_NAMED] = { "named", "named by the program" },
	[MW_CLASS_RESERVED] = { "reserved", "reserved address space" },
};

const char *mw_class_key(enum mw_class class)
{
	if (class < 0 || class >= MW_CLASS_COUNT)
		class = MW_CLASS_UNKNOWN;
	return names[class].key;
}

const char *mw_class_title(enum mw_class class)
{
	if (class < 0 || class >= MW_CLASS_COUNT)
		class = MW_CLASS_UNKNOWN;
	return names[class].title;
}

bool mw_class_from_key(const char *key, enum mw_class *ret)
{
	for (int class = 0; class < MW_CLASS_COUNT; class ++) {
		if (!strcmp(names[class].key, key)) {
			*ret = (enum mw_class) class;
			return true;
		}
	}
	return false;
}

const char *mw_confidence_name(enum mw_confidence confidence)
{
	switch (confidence) {
	case MW_GUESS:
		return "guess";
	case MW_LIKELY:
		return "likely";
	case MW_CERTAIN:
		return "certain";
	}
	return "guess";
}
