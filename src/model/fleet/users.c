// SPDX-License-Identifier: MIT
/*
 * Names of users, of this machine's own list. Not getpwuid(): it loads whatever
 * nsswitch.conf names into the program, which a static one cannot; users of a directory
 * server appear by number.
 */
#include "model/fleet/impl.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>

enum { MAX_USERS = 1 << 16 };

static struct mw_err *read_users(struct mw_fleet_look *look)
{
	FILE *file = fopen("/etc/passwd", "re");
	struct passwd entry, *found;
	char room[4096];
	bool ok = true;
	while (file && ok && look->users.n < MAX_USERS &&
	       fgetpwent_r(file, &entry, room, sizeof(room), &found) == 0) {
		struct mw_fleet_user user = {
			entry.pw_uid, mw_arena_strdup(&look->fleet->arena, entry.pw_name)
		};
		ok = user.name && mw_vec_add(&look->users, user);
	}
	if (file)
		fclose(file);
	return ok ? NULL : mw_err_nomem();
}

static const char *find(const struct mw_fleet_look *look, uint64_t uid)
{
	for (size_t i = 0; i < look->users.n; i++)
		if (look->users.items[i].uid == uid)
			return look->users.items[i].name;
	return NULL;
}

const char *mw_fleet_user_name(struct mw_fleet_look *look, uint64_t uid)
{
	if (uid == MW_FLEET_UNKNOWN)
		return "";
	/* A recording has the numbers of another machine. */
	if (!look->users_read && mw_source_facts(look->src)->live) {
		look->users_read = true;
		mw_auto_err err = read_users(look);
		if (err)
			return NULL;
	}
	const char *name = find(look, uid);
	if (name)
		return name;
	name = mw_arena_printf(&look->fleet->arena, "%" PRIu64, uid);
	if (!name || !mw_vec_add(&look->users, (struct mw_fleet_user){ uid, name }))
		return NULL;
	return name;
}
