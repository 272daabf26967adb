// SPDX-License-Identifier: MIT
#include "kernel/files.h"

static const struct mw_file_place places[MW_FILE_COUNT] = {
	[MW_FILE_MAPS] = { "maps", MW_SCOPE_PROCESS },
	[MW_FILE_SMAPS] = { "smaps", MW_SCOPE_PROCESS },
	[MW_FILE_SMAPS_ROLLUP] = { "smaps_rollup", MW_SCOPE_PROCESS, .one_record = true },
	[MW_FILE_STATUS] = { "status", MW_SCOPE_THREAD, .one_record = true },
	[MW_FILE_STATM] = { "statm", MW_SCOPE_PROCESS, .one_record = true },
	[MW_FILE_STAT] = { "stat", MW_SCOPE_THREAD, .one_record = true },
	[MW_FILE_COMM] = { "comm", MW_SCOPE_THREAD, .one_record = true },
	[MW_FILE_CMDLINE] = { "cmdline", MW_SCOPE_PROCESS },
	[MW_FILE_AUXV] = { "auxv", MW_SCOPE_PROCESS },
	[MW_FILE_MOUNTINFO] = { "mountinfo", MW_SCOPE_PROCESS },
	[MW_FILE_SYSCALL] = { "syscall", MW_SCOPE_THREAD },
	[MW_FILE_CGROUP] = { "cgroup", MW_SCOPE_PROCESS },
	[MW_FILE_CGROUP_USAGE] = { "cgroup.usage", MW_SCOPE_CGROUP,
				   "memory.usage_in_bytes", "memory.current" },
	[MW_FILE_CGROUP_LIMIT] = { "cgroup.limit", MW_SCOPE_CGROUP,
				   "memory.limit_in_bytes", "memory.max" },
	[MW_FILE_CGROUP_SWAP] = { "cgroup.swap", MW_SCOPE_CGROUP,
				  "memory.memsw.usage_in_bytes", "memory.swap.current" },
	[MW_FILE_CGROUP_STAT] = { "cgroup.stat", MW_SCOPE_CGROUP, "memory.stat",
				  "memory.stat" },
	[MW_FILE_CGROUP_PATH] = { "cgroup.path", MW_SCOPE_CGROUP },
	[MW_FILE_MEMINFO] = { "meminfo", MW_SCOPE_PROC },
	[MW_FILE_BOOT_ID] = { "sys/kernel/random/boot_id", MW_SCOPE_PROC },
	[MW_FILE_MAX_MAP_COUNT] = { "sys/vm/max_map_count", MW_SCOPE_PROC },
	[MW_FILE_THP_ENABLED] = { "kernel/mm/transparent_hugepage/enabled",
				  MW_SCOPE_SYS },
	[MW_FILE_THP_SIZE] = { "kernel/mm/transparent_hugepage/hpage_pmd_size",
			       MW_SCOPE_SYS },
	[MW_FILE_YAMA_SCOPE] = { "sys/kernel/yama/ptrace_scope", MW_SCOPE_PROC },
	[MW_FILE_VMSTAT] = { "vmstat", MW_SCOPE_PROC },
	[MW_FILE_PRESSURE] = { "pressure/memory", MW_SCOPE_PROC },
	[MW_FILE_SWAPS] = { "swaps", MW_SCOPE_PROC },
	[MW_FILE_CPUINFO] = { "cpuinfo", MW_SCOPE_PROC },
	[MW_FILE_ZRAM] = { "block/zram0/mm_stat", MW_SCOPE_SYS },
	[MW_FILE_RANDOMIZE] = { "sys/kernel/randomize_va_space", MW_SCOPE_PROC },
	[MW_FILE_MMAP_RND_BITS] = { "sys/vm/mmap_rnd_bits", MW_SCOPE_PROC },
	[MW_FILE_MMAP_MIN_ADDR] = { "sys/vm/mmap_min_addr", MW_SCOPE_PROC },
	[MW_FILE_CGROUPS] = { "fs/cgroups", MW_SCOPE_SYS },
};

const struct mw_file_place *mw_file_place(enum mw_file file)
{
	return (unsigned)file < MW_FILE_COUNT ? &places[file] : NULL;
}

const char *mw_file_name(enum mw_file file)
{
	const struct mw_file_place *place = mw_file_place(file);

	return place ? place->path : "unknown file";
}

struct mw_err *mw_file_check(enum mw_file file, pid_t pid, pid_t tid)
{
	const struct mw_file_place *place = mw_file_place(file);

	if (!place)
		return mw_err_new(MW_ERR_USAGE, 0, NULL, "no such file: %d", (int)file);
	bool process = place->scope < MW_SCOPE_PROC;
	if (process ? pid <= 0 : pid != 0)
		return mw_err_new(MW_ERR_USAGE, 0, place->path,
				  process ? "%s belongs to a process, not to pid %d"
					  : "%s belongs to the machine, not to pid %d",
				  place->path, (int)pid);
	if (tid < 0 || (tid && place->scope != MW_SCOPE_THREAD))
		return mw_err_new(MW_ERR_USAGE, 0, place->path,
				  "%s is not kept for thread %d", place->path, (int)tid);
	return NULL;
}
