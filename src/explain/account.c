// SPDX-License-Identifier: MIT
/*
 * The account: every resident byte to exactly one cause. Segments tile all regions and
 * their counters come from the same pages, so the buckets and the rest sum to Rss by
 * construction; an assertion of the tests holds it.
 */
#include "explain/account.h"

#include "model/access.h"

#include <stdlib.h>
#include <string.h>

/* Titles of up to 29 letters leave an account 80 columns wide, its bar included. */
static const struct {
	const char *key, *title;
} causes[CAUSE_COUNT] = {
	[CAUSE_REST] = { "unknown", "not explained" },
	[CAUSE_HEAP] = { "heap", "heap (malloc)" },
	[CAUSE_HEAP_LIVE] = { "heap-live", "heap, live" },
	[CAUSE_HEAP_TRIMMABLE] = { "heap-trimmable", "heap, kept, trimmable" },
	[CAUSE_HEAP_KEPT] = { "heap-kept", "heap, kept by the allocator" },
	[CAUSE_HEAP_OVERHEAD] = { "heap-overhead", "heap, headers and fences" },
	[CAUSE_JAVA_HEAP] = { "java-heap", "Java heap" },
	[CAUSE_JVM_CODE] = { "jvm-code", "JVM compiled code" },
	[CAUSE_JVM] = { "jvm", "JVM: metaspace, CDS, GC" },
	[CAUSE_V8] = { "v8", "JavaScript heap and code (V8)" },
	[CAUSE_GO_HEAP] = { "go-heap", "Go heap" },
	[CAUSE_GO_RUNTIME] = { "go-runtime", "Go runtime" },
	[CAUSE_PYTHON] = { "python", "Python object arenas" },
	[CAUSE_PYTHON_KEPT] = { "python-kept", "Python objects, kept free" },
	[CAUSE_THREADS] = { "thread-stacks", "thread stacks and TLS" },
	[CAUSE_STACK] = { "main-stack", "main stack and environment" },
	[CAUSE_PROGRAM] = { "program", "program code and constants" },
	[CAUSE_PROGRAM_DATA] = { "program-data", "program variables" },
	[CAUSE_LIBRARIES] = { "libraries", "library code and constants" },
	[CAUSE_LIBRARY_DATA] = { "library-data", "library variables" },
	[CAUSE_COW] = { "cow-files", "file pages copied on write" },
	[CAUSE_FILES] = { "files", "mapped files" },
	[CAUSE_SHARED] = { "shared-memory", "shared memory" },
	[CAUSE_JIT] = { "jit", "code made at run time" },
	[CAUSE_KERNEL] = { "kernel", "vdso and kernel objects" },
	[CAUSE_NAMED] = { "named", "named by the program" },
	[CAUSE_RESERVED] = { "reserved", "guards and reserved space" },
};

/* clang-format off */
static const unsigned char cause_of[MW_CLASS_COUNT] = {
	[MW_CLASS_UNKNOWN] = CAUSE_REST,
	[MW_CLASS_EXE_TEXT] = CAUSE_PROGRAM, [MW_CLASS_EXE_RODATA] = CAUSE_PROGRAM,
	[MW_CLASS_EXE_RELRO] = CAUSE_PROGRAM_DATA,
	[MW_CLASS_EXE_DATA] = CAUSE_PROGRAM_DATA,
	[MW_CLASS_EXE_BSS] = CAUSE_PROGRAM_DATA,
	[MW_CLASS_LIB_TEXT] = CAUSE_LIBRARIES, [MW_CLASS_LIB_RODATA] = CAUSE_LIBRARIES,
	[MW_CLASS_LIB_RELRO] = CAUSE_LIBRARY_DATA,
	[MW_CLASS_LIB_DATA] = CAUSE_LIBRARY_DATA,
	[MW_CLASS_LIB_BSS] = CAUSE_LIBRARY_DATA,
	[MW_CLASS_LOADER_TEXT] = CAUSE_LIBRARIES,
	[MW_CLASS_LOADER_RODATA] = CAUSE_LIBRARIES,
	[MW_CLASS_LOADER_RELRO] = CAUSE_LIBRARY_DATA,
	[MW_CLASS_LOADER_DATA] = CAUSE_LIBRARY_DATA,
	[MW_CLASS_LOADER_BSS] = CAUSE_LIBRARY_DATA,
	[MW_CLASS_HEAP_BRK] = CAUSE_HEAP, [MW_CLASS_HEAP_ARENA] = CAUSE_HEAP,
	[MW_CLASS_HEAP_ARENA_RESERVE] = CAUSE_RESERVED, [MW_CLASS_HEAP_MMAP] = CAUSE_HEAP,
	[MW_CLASS_HEAP_JEMALLOC] = CAUSE_HEAP, [MW_CLASS_HEAP_TCMALLOC] = CAUSE_HEAP,
	[MW_CLASS_HEAP_MIMALLOC] = CAUSE_HEAP, [MW_CLASS_HEAP_MUSL] = CAUSE_HEAP,
	[MW_CLASS_HEAP_PARTITION] = CAUSE_HEAP,
	[MW_CLASS_STACK_MAIN] = CAUSE_STACK, [MW_CLASS_STACK_ARGS] = CAUSE_STACK,
	[MW_CLASS_STACK_THREAD] = CAUSE_THREADS, [MW_CLASS_STACK_SIGNAL] = CAUSE_THREADS,
	[MW_CLASS_TLS] = CAUSE_THREADS, [MW_CLASS_GUARD] = CAUSE_RESERVED,
	[MW_CLASS_SHM_SYSV] = CAUSE_SHARED, [MW_CLASS_SHM_POSIX] = CAUSE_SHARED,
	[MW_CLASS_SHM_MEMFD] = CAUSE_SHARED, [MW_CLASS_SHM_ANON] = CAUSE_SHARED,
	[MW_CLASS_SHM_TMPFS] = CAUSE_SHARED, [MW_CLASS_HUGETLB] = CAUSE_SHARED,
	[MW_CLASS_JIT] = CAUSE_JIT,
	[MW_CLASS_JVM_HEAP] = CAUSE_JAVA_HEAP, [MW_CLASS_JVM_CODE] = CAUSE_JVM_CODE,
	[MW_CLASS_JVM_METASPACE] = CAUSE_JVM, [MW_CLASS_JVM_CDS] = CAUSE_JVM,
	[MW_CLASS_JVM_OTHER] = CAUSE_JVM,
	[MW_CLASS_V8_HEAP] = CAUSE_V8, [MW_CLASS_V8_CODE] = CAUSE_V8,
	[MW_CLASS_GO_HEAP] = CAUSE_GO_HEAP, [MW_CLASS_GO_RUNTIME] = CAUSE_GO_RUNTIME,
	[MW_CLASS_PYTHON_ARENA] = CAUSE_PYTHON,
	[MW_CLASS_IO_URING] = CAUSE_KERNEL, [MW_CLASS_PERF] = CAUSE_KERNEL,
	[MW_CLASS_AIO] = CAUSE_KERNEL, [MW_CLASS_SECRETMEM] = CAUSE_KERNEL,
	[MW_CLASS_DEVICE] = CAUSE_KERNEL, [MW_CLASS_VDSO] = CAUSE_KERNEL,
	[MW_CLASS_VVAR] = CAUSE_KERNEL, [MW_CLASS_VSYSCALL] = CAUSE_KERNEL,
	[MW_CLASS_UPROBES] = CAUSE_KERNEL,
	[MW_CLASS_FILE_LOCALE] = CAUSE_FILES, [MW_CLASS_FILE_GCONV] = CAUSE_FILES,
	[MW_CLASS_FILE_FONT] = CAUSE_FILES, [MW_CLASS_FILE_ICU] = CAUSE_FILES,
	[MW_CLASS_FILE_JAR] = CAUSE_FILES, [MW_CLASS_FILE_DB] = CAUSE_FILES,
	[MW_CLASS_FILE_OTHER] = CAUSE_FILES,
	[MW_CLASS_NAMED] = CAUSE_NAMED, [MW_CLASS_RESERVED] = CAUSE_RESERVED,
};
/* clang-format on */

enum mw_cause mw_cause_of(enum mw_class class)
{
	return cause_of[class];
}

/* Copies in code, constants and plain files; in variables copying is the rule. */
static uint64_t copied_on_write(const struct mw_region *region,
				const struct mw_segment *seg)
{
	enum mw_cause cause = cause_of[seg->class];
	if (!region->ino || (region->perms & MW_PERM_SHARED) ||
	    !(seg->counts.have & MW_HAVE_KINDS))
		return 0;
	bool is = cause == CAUSE_PROGRAM || cause == CAUSE_LIBRARIES ||
		  cause == CAUSE_FILES;
	return is ? seg->counts.anon : 0;
}

static void add_bytes(struct mw_bucket *bucket, uint64_t bytes, uint64_t private_bytes,
		      const struct mw_counts *counts)
{
	bucket->bytes += bytes;
	if (!(counts->have & MW_HAVE_USS) || bucket->private_bytes == MW_UNKNOWN)
		bucket->private_bytes = MW_UNKNOWN;
	else
		bucket->private_bytes += private_bytes;
	bucket->n++;
}

static void add_swap(struct mw_bucket *bucket, const struct mw_counts *counts)
{
	if (!(counts->have & MW_HAVE_SWAP) || bucket->swap == MW_UNKNOWN)
		bucket->swap = MW_UNKNOWN;
	else
		bucket->swap += counts->swap;
}

/*
 * A copied page is almost always exclusive; where a forked child shares some, the
 * private part of the copies cannot exceed the segment's.
 */
static void add_segment(struct mw_explain *ex, struct mw_bucket *buckets,
			const struct mw_region *region, const struct mw_segment *seg)
{
	const struct mw_counts *c = &seg->counts;
	struct mw_bucket *bucket = &buckets[cause_of[seg->class]];
	uint64_t cow = copied_on_write(region, seg);
	uint64_t cow_private = cow < c->uss ? cow : c->uss;
	ex->cow += cow;
	if (cow)
		add_bytes(&buckets[CAUSE_COW], cow, cow_private, c);
	if (c->rss > cow || c->swap)
		add_bytes(bucket, c->rss - cow, c->uss - cow_private, c);
	add_swap(bucket, c);
}

static int by_bytes(const void *a, const void *b)
{
	const struct mw_bucket *x = a, *y = b;
	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? 1 : -1;
	return strcmp(x->cause, y->cause);
}

/* Drops what is empty, moves the unknown to the rest, and orders by size. */
static struct mw_err *publish(struct mw_explain *ex, struct mw_bucket *buckets, size_t n)
{
	struct mw_account *account = &ex->pub.account;
	struct mw_bucket *out = mw_arena_calloc(&ex->arena, n, sizeof(*out));
	if (!out)
		return mw_err_nomem();
	for (size_t i = 0; i < n; i++) {
		struct mw_bucket *b = &buckets[i];
		account->rss += b->bytes;
		if (!strcmp(b->cause, causes[CAUSE_REST].key)) {
			account->rest = b->bytes;
			continue;
		}
		if (!b->bytes && (!b->swap || b->swap == MW_UNKNOWN))
			continue;
		b->shared_bytes = b->private_bytes == MW_UNKNOWN
					  ? MW_UNKNOWN
					  : b->bytes - b->private_bytes;
		out[account->n_buckets++] = *b;
	}
	qsort(out, account->n_buckets, sizeof(*out), by_bytes);
	account->buckets = out;
	return NULL;
}

static void count_thread_stacks(struct mw_explain *ex)
{
	size_t n;
	const struct mw_thread *threads = mw_snapshot_threads(ex->pub.snap, &n);
	for (size_t i = 0; i < n; i++)
		ex->n_threads += threads[i].has_stack;
}

static struct mw_err *from_segments(struct mw_explain *ex)
{
	struct mw_bucket buckets[CAUSE_COUNT] = { 0 };
	size_t n, n_regions;
	const struct mw_segment *segs = mw_layout_segments(ex->layout, &n);
	const struct mw_region *regions = mw_snapshot_regions(ex->pub.snap, &n_regions);
	for (unsigned i = 0; i < CAUSE_COUNT; i++) {
		buckets[i].cause = causes[i].key;
		buckets[i].title = causes[i].title;
	}
	for (size_t i = 0; i < n; i++)
		add_segment(ex, buckets, &regions[segs[i].region], &segs[i]);
	mw_account_walked(ex, buckets);
	if (ex->n_threads) {
		char *title = mw_arena_printf(&ex->arena, "thread stacks and TLS (%zu)",
					      (size_t)ex->n_threads);
		if (!title)
			return mw_err_nomem();
		buckets[CAUSE_THREADS].title = title;
	}
	return publish(ex, buckets, CAUSE_COUNT);
}

/* Where mappings may not be read, the kinds of status are all there is. */
static struct mw_err *from_status(struct mw_explain *ex)
{
	const struct mw_process *p = mw_snapshot_process(ex->pub.snap);
	struct mw_bucket buckets[] = {
		{ .cause = "anonymous",
		  .title = "anonymous (heap, stacks)",
		  .bytes = p->rss_anon },
		{ .cause = "file-backed",
		  .title = "file-backed (code, mapped files)",
		  .bytes = p->rss_file },
		{ .cause = "shared-memory",
		  .title = "shared memory",
		  .bytes = p->rss_shmem },
	};
	if (p->rss_anon == MW_UNKNOWN || p->rss_file == MW_UNKNOWN ||
	    p->rss_shmem == MW_UNKNOWN) {
		ex->pub.account.rss = p->vm_rss == MW_UNKNOWN ? 0 : p->vm_rss;
		ex->pub.account.rest = ex->pub.account.rss;
		return NULL;
	}
	for (size_t i = 0; i < 3; i++)
		buckets[i].private_bytes = buckets[i].swap = MW_UNKNOWN;
	return publish(ex, buckets, 3);
}

/* Resident bytes of one shared-memory file in this process. */
static uint64_t mapped_shmem(const struct mw_snapshot *snap, uint64_t dev, uint64_t ino)
{
	size_t n;
	uint64_t ret = 0;
	const struct mw_region *regions = mw_snapshot_regions(snap, &n);
	for (size_t i = 0; i < n; i++)
		if (regions[i].ino == ino && regions[i].dev == dev)
			ret += regions[i].counts.shmem + regions[i].counts.hugetlb;
	return ret;
}

static bool seen_before(const struct mw_fds *fds, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (fds->items[k].dev == fds->items[i].dev &&
		    fds->items[k].ino == fds->items[i].ino)
			return true;
	return false;
}

/* Shared memory held open, minus what of it is mapped and so part of Rss. */
static struct mw_err *unmapped_shmem(struct mw_explain *ex, uint64_t *ret)
{
	const struct mw_snapshot *snap = ex->pub.snap;
	struct mw_fds fds = { 0 };
	struct mw_err *err = mw_source_list_fds(mw_snapshot_source(snap),
						mw_snapshot_process(snap)->pid, &fds);
	*ret = err ? MW_UNKNOWN : 0;
	for (size_t i = 0; !err && i < fds.n; i++) {
		const struct mw_fd *fd = &fds.items[i];
		uint64_t mapped = mapped_shmem(snap, fd->dev, fd->ino);
		if (!seen_before(&fds, i) && fd->bytes > mapped)
			*ret += fd->bytes - mapped;
	}
	mw_fds_deinit(&fds);
	if (err && err->code != MW_ERR_NOMEM) {
		const char *remedy =
			err->code != MW_ERR_DENIED
				? ""
				: mw_advice_access(mw_snapshot_source(snap), &ex->arena,
						   mw_snapshot_process(snap)->pid);
		struct mw_err *gap =
			mw_explain_gap(ex, "shared memory held open but not mapped",
				       err->msg, remedy ? remedy : "");
		mw_err_free(err);
		return gap;
	}
	return err;
}

enum { KERNEL_STACK = 16 * 1024, N_OUTSIDE = 5 };

static struct mw_err *fill_outside(struct mw_explain *ex)
{
	const struct mw_process *p = mw_snapshot_process(ex->pub.snap);
	const struct mw_counts *sum = &mw_snapshot_totals(ex->pub.snap)->sum;
	struct mw_outside *out = mw_arena_calloc(&ex->arena, N_OUTSIDE, sizeof(*out));
	uint64_t unmapped = 0;
	if (!out)
		return mw_err_nomem();
	struct mw_err *err =
		p->vm_size == MW_UNKNOWN ? NULL : unmapped_shmem(ex, &unmapped);
	if (err)
		return err;
	out[0] = (struct mw_outside){ "page-tables", "page tables", p->vm_pte,
				      "status VmPTE" };
	out[1] = (struct mw_outside){ "swap", "swap", p->vm_swap, "status VmSwap" };
	if (sum->have & MW_HAVE_SWAP && sum->swap != p->vm_swap) {
		/* VmSwap leaves out what is shared. */
		out[1].bytes = sum->swap;
		out[1].how = "swapped pages of all mappings";
	}
	out[2] = (struct mw_outside){ "hugetlb", "hugetlb pages", p->hugetlb,
				      "status HugetlbPages" };
	out[3] = (struct mw_outside){ "kernel-stacks", "kernel stacks",
				      (uint64_t)p->n_threads * KERNEL_STACK,
				      "16 KiB a thread (x86-64)" };
	out[4] = (struct mw_outside){ "unmapped-shared-memory", "unmapped shared memory",
				      unmapped,
				      "open files on tmpfs, less their mapped pages" };
	ex->pub.account.outside = out;
	ex->pub.account.n_outside = p->vm_size == MW_UNKNOWN ? 0 : N_OUTSIDE;
	return NULL;
}

struct mw_err *mw_account_make(struct mw_explain *ex)
{
	const struct mw_totals *totals = mw_snapshot_totals(ex->pub.snap);
	count_thread_stacks(ex);
	struct mw_err *err =
		totals->sum.have & MW_HAVE_RSS ? from_segments(ex) : from_status(ex);
	return err ? err : fill_outside(ex);
}
