// SPDX-License-Identifier: MIT
// Threads that do a job and stay parked in a read(), which allocates nothing.

#include "old-symbols.h"
#include "pattern.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAX_THREADS = 64 };

struct thread {
	pthread_t id;
	struct job job;
	void (*run)(struct job *);
	int parks;
};

static struct thread threads[MAX_THREADS];
static unsigned n_parked;
static atomic_uint n_ready; /* have done their job, or are calm again */
static atomic_int stirring;
static int gate[2] = { -1, -1 };

void churn_once(uint64_t *random, size_t slot, size_t end)
{
	uint64_t r = next_random(random);
	size_t at = slot + r % (end - slot);

	if (slots[at])
		drop(at);
	else
		keep(at, 1 + (r >> 40) % (r >> 60 ? 600 : 20000));
}

// The block that holds a thread's dtv comes from malloc, and stays with its stack.
static void *work(void *arg)
{
	struct thread *thread = arg;
	char byte;

	thread->run(&thread->job);
	if (!thread->parks)
		return NULL;
	say("thread tid=%ld slots=%zu\n", syscall(SYS_gettid), thread->job.slot);
	atomic_fetch_add(&n_ready, 1);
	while (read(gate[0], &byte, 1) == 1) {
		while (atomic_load(&stirring))
			churn_once(&thread->job.random, thread->job.slot,
				   thread->job.end);
		atomic_fetch_add(&n_ready, 1);
	}
	return NULL;
}

static void start(struct thread *thread, unsigned at, size_t slots_each, uint64_t arg,
		  void (*run)(struct job *), int parks)
{
	size_t slot = (at + 1) * slots_each;

	must(at < MAX_THREADS && slot + slots_each <= N_SLOTS, "too many threads");
	*thread = (struct thread){
		.job = { .at = at,
			 .slot = slot,
			 .end = slot + slots_each,
			 .random = 0x9e3779b97f4a7c15u * (at + 1),
			 .arg = arg },
		.run = run,
		.parks = parks,
	};
	must(pthread_create(&thread->id, NULL, work, thread) == 0, "pthread_create");
}

static void wait_for(unsigned n)
{
	while (atomic_load(&n_ready) < n)
		usleep(500);
}

void run_threads(unsigned n, size_t slots_each, uint64_t arg, void (*run)(struct job *))
{
	must(gate[0] >= 0 || pipe(gate) == 0, "pipe");
	for (unsigned i = 0; i < n; i++)
		start(&threads[n_parked + i], n_parked + i, slots_each, arg, run, 1);
	n_parked += n;
	wait_for(n_parked);
}

void run_and_join(unsigned n, size_t slots_each, uint64_t arg, void (*run)(struct job *))
{
	struct thread gone[MAX_THREADS];

	must(n <= MAX_THREADS, "too many threads");
	for (unsigned i = 0; i < n; i++)
		start(&gone[i], i, slots_each, arg, run, 0);
	for (unsigned i = 0; i < n; i++)
		must(pthread_join(gone[i].id, NULL) == 0, "pthread_join");
}

unsigned parked_threads(void)
{
	return n_parked;
}

void stir(void)
{
	atomic_store(&n_ready, 0);
	atomic_store(&stirring, 1);
	for (unsigned i = 0; i < n_parked; i++)
		must(write(gate[1], "c", 1) == 1, "write");
}

void calm(void)
{
	atomic_store(&stirring, 0);
	wait_for(n_parked);
}
