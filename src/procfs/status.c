// SPDX-License-Identifier: MIT
/*
 * "Key:\tvalue" lines, whose number differs between kernels: HugetlbPages came with
 * Linux 4.4, RssAnon with 4.5, Kthread after 6.1. The Name line comes first and is the
 * only one a process writes; its newlines are escaped ("\\n"), so it cannot feign
 * another line.
 */
#include "procfs/status.h"

#include "base/num.h"

#include <string.h>

/* How a value is written. */
enum line_kind {
	LINE_KB,  /* a size in kB, kept in bytes */
	LINE_DEC, /* the first number */
	LINE_HEX,
	LINE_EUID,  /* real, effective, saved, file system */
	LINE_NSPID, /* one id a nested namespace, outermost first */
};

struct line_key {
	const char *name;
	unsigned char len;
	unsigned char kind;
	unsigned short at; /* of the member in mw_status */
};

#define LINE(name, kind, member)                                           \
	{                                                                  \
		name ":", sizeof(name), kind,                              \
			(unsigned short)offsetof(struct mw_status, member) \
	}
static const struct line_key line_keys[] = {
	LINE("Uid", LINE_EUID, uid),
	LINE("NSpid", LINE_NSPID, ns_pid),
	LINE("Kthread", LINE_DEC, kthread),
	LINE("VmPeak", LINE_KB, vm_peak),
	LINE("VmSize", LINE_KB, vm_size),
	LINE("VmLck", LINE_KB, vm_lck),
	LINE("VmPin", LINE_KB, vm_pin),
	LINE("VmHWM", LINE_KB, vm_hwm),
	LINE("VmRSS", LINE_KB, vm_rss),
	LINE("RssAnon", LINE_KB, rss_anon),
	LINE("RssFile", LINE_KB, rss_file),
	LINE("RssShmem", LINE_KB, rss_shmem),
	LINE("VmPTE", LINE_KB, vm_pte),
	LINE("VmSwap", LINE_KB, vm_swap),
	LINE("HugetlbPages", LINE_KB, hugetlb),
	LINE("Threads", LINE_DEC, n_threads),
	LINE("CapEff", LINE_HEX, cap_eff),
	LINE("Seccomp", LINE_DEC, seccomp),
};
#undef LINE

/* The n-th number of a line whose numbers are parted by blanks (n from 0). */
static bool nth_number(const char *pos, const char *eol, unsigned n, uint64_t *ret)
{
	uint64_t value;
	do {
		mw_skip_blanks(&pos, eol);
		if (!mw_take_dec(&pos, eol, &value))
			return false;
	} while (n--);
	*ret = value;
	return true;
}

/* n_ns counts the namespaces: more than one means that the target is in a nested one. */
static void take_ns_pids(const char *pos, const char *eol, struct mw_status *ret)
{
	unsigned n = 0;
	while (mw_take_dec(&pos, eol, &ret->ns_pid)) {
		mw_skip_blanks(&pos, eol);
		n++;
	}
	ret->n_ns = n;
}

/* A value that is cut, no number or too large leaves the member unknown. */
static void take_value(const struct line_key *key, const char *pos, const char *eol,
		       struct mw_status *ret)
{
	uint64_t value;
	bool ok = false;
	mw_skip_blanks(&pos, eol);
	switch ((enum line_kind)key->kind) {
	case LINE_KB:
		ok = mw_take_dec(&pos, eol, &value) && eol - pos >= 3 &&
		     memcmp(pos, " kB", 3) == 0 &&
		     !__builtin_mul_overflow(value, 1024, &value);
		break;
	case LINE_DEC:
		ok = mw_take_dec(&pos, eol, &value);
		break;
	case LINE_HEX:
		ok = mw_take_hex(&pos, eol, &value);
		break;
	case LINE_EUID:
		ok = nth_number(pos, eol, 1, &value);
		break;
	case LINE_NSPID:
		take_ns_pids(pos, eol, ret);
		return;
	}
	if (ok)
		memcpy((char *)ret + key->at, &value, sizeof(value));
}

/* Missing lines stay all ones: UINT64_MAX in every 64-bit member. */
void mw_status_parse(const char *text, size_t len, struct mw_status *ret)
{
	const char *pos = text, *end = text + len;
	memset(ret, 0xff, sizeof(*ret));
	ret->n_ns = 0;
	while (pos < end) {
		const char *eol = mw_line_end(pos, end);
		for (size_t i = 0; i < sizeof(line_keys) / sizeof(line_keys[0]); i++) {
			const struct line_key *key = &line_keys[i];
			if ((size_t)(eol - pos) >= key->len && *pos == *key->name &&
			    memcmp(pos, key->name, key->len) == 0) {
				take_value(key, pos + key->len, eol, ret);
				break;
			}
		}
		pos = eol < end ? eol + 1 : end;
	}
}
