// SPDX-License-Identifier: MIT
// Shared memory of each kind, mapped and not mapped.

#include "zoo.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/shm.h>
#include <unistd.h>

enum { LEN = 256 * ZOO_KIB, RW = PROT_READ | PROT_WRITE, FAR_LEN = 3 * ZOO_MIB };

// Maps all of `fd` shared, fills it, says what it is. The mapping stays.
static void show_fd(const char *class, const char *what, int fd)
{
	void *p;

	zoo_must(ftruncate(fd, LEN) == 0, what);
	p = zoo_map(LEN, RW, MAP_SHARED, fd);
	zoo_must(p != MAP_FAILED, what);
	zoo_touch(p, LEN);
	zoo_range_rss(class, what, p, LEN, LEN);
}

static void sysv(void)
{
	int id = shmget(IPC_PRIVATE, LEN, IPC_CREAT | 0600);
	void *p;

	if (id < 0) {
		zoo_skip("shm-sysv");
		return;
	}
	p = shmat(id, NULL, 0);
	// Marked now, destroyed with the last attachment: nothing stays behind.
	shmctl(id, IPC_RMID, NULL);
	zoo_must(p != (void *)-1, "shmat");
	zoo_touch(p, LEN);
	zoo_range_rss("shm.sysv", "shm-sysv", p, LEN, LEN);
}

static void posix(void)
{
	static char path[64];
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "/memwhy-zoo-%d", (int)getpid());
	fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0) {
		zoo_skip("shm-posix");
		return;
	}
	show_fd("shm.posix", "shm-posix", fd);
	close(fd);
	snprintf(path, sizeof(path), "/dev/shm%s", name);
	zoo_remove_at_exit(path);

	snprintf(name, sizeof(name), "/memwhy-zoo-gone-%d", (int)getpid());
	fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
	zoo_must(fd >= 0, "shm_open");
	shm_unlink(name);
	show_fd("shm.posix", "shm-posix-unlinked", fd);
	close(fd);
}

// Memory that is nobody's Rss: held by a descriptor only.
static void memfds(void)
{
	char block[ZOO_PAGE];
	int fd = memfd_create("zoo", MFD_CLOEXEC);

	zoo_must(fd >= 0, "memfd_create");
	show_fd("shm.memfd", "memfd", fd);
	close(fd);
	fd = memfd_create("zoo-far", MFD_CLOEXEC);
	zoo_must(fd >= 0, "memfd_create");
	memset(block, 1, sizeof(block));
	for (size_t i = 0; i < FAR_LEN; i += sizeof(block))
		zoo_must(write(fd, block, sizeof(block)) == (ssize_t)sizeof(block),
			 "write memfd");
	zoo_outside("unmapped-shared-memory", FAR_LEN);
}

static void anon(void)
{
	void *p = zoo_map(LEN, RW, MAP_SHARED | MAP_ANONYMOUS, -1);
	int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);

	zoo_must(p != MAP_FAILED, "shared anonymous");
	zoo_touch(p, LEN);
	zoo_range_rss("shm.anon", "shm-anon", p, LEN, LEN);
	if (fd < 0) {
		zoo_skip("dev-zero");
		return;
	}
	p = zoo_map(LEN, RW, MAP_SHARED, fd);
	zoo_must(p != MAP_FAILED, "/dev/zero");
	zoo_touch(p, LEN);
	zoo_range_rss("shm.anon", "dev-zero-shared", p, LEN, LEN);
	// The old way to get anonymous memory: it keeps the device's name.
	p = zoo_map(LEN, RW, MAP_PRIVATE, fd);
	zoo_must(p != MAP_FAILED, "/dev/zero");
	zoo_touch(p, LEN);
	zoo_range_rss("unknown|named|device", "dev-zero-private", p, LEN, LEN);
	close(fd);
}

// A tmpfs of our own, in a mount namespace of our own: it goes when we go.
static void tmpfs(void)
{
	char path[4096], *dir;
	int fd;

	if (unshare(CLONE_NEWNS) != 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
		zoo_skip("tmpfs");
		return;
	}
	dir = zoo_make_dir("zoo-tmpfs");
	if (mount("zoo", dir, "tmpfs", MS_NOSUID | MS_NODEV, "size=4m") != 0) {
		zoo_skip("tmpfs");
		return;
	}
	snprintf(path, sizeof(path), "%s/file", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	zoo_must(fd >= 0, path);
	show_fd("shm.tmpfs", "tmpfs", fd);
	close(fd);
}

void zoo_shared(void)
{
	sysv();
	posix();
	memfds();
	anon();
	tmpfs();
}
