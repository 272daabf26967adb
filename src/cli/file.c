// SPDX-License-Identifier: MIT
/* Files that the user names: earlier answers, rules. */
#include "base/read.h"
#include "cli/cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* A pipe that nobody writes to must not hang us; one that is slow is waited for. */
struct mw_err *mw_cli_read_file(const char *path, uint64_t max, struct mw_buf *ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct mw_err *err =
		fd < 0 || fcntl(fd, F_SETFL, 0) < 0 ? mw_err_sys(errno, path) : NULL;
	if (!err)
		err = mw_read_all(fd, path, max, ret);
	if (fd >= 0)
		close(fd);
	if (err && err->code == MW_ERR_NOTFOUND)
		err->code = MW_ERR_USAGE;
	return err;
}

struct mw_err *mw_cli_blame(struct mw_err *err, const char *path)
{
	if (!err || err->code != MW_ERR_FORMAT)
		return err;
	struct mw_err *ret = mw_err_new(MW_ERR_FORMAT, 0, path, "%s: %s", path, err->msg);
	mw_err_free(err);
	return ret;
}
