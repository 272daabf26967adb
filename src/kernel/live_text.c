// SPDX-License-Identifier: MIT
/*
 * Reading text files: whole, or piece by piece. The kernel takes 200 ms to print smaps
 * of 60,000 mappings, and parsing it a tenth of that: so one thread waits for the kernel
 * while the other parses what came before.
 */
#include "base/buf.h"
#include "kernel/live.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
	/* seq_file hands out 4 KiB a read whatever is asked; others give all. */
	SLURP_FIRST = 4 << 10, /* most files are shorter */
	SLURP_CHUNK = 64 << 10,
	AHEAD_CHUNK = 256 << 10, /* of what is read ahead: each piece wakes a thread */
	/* 65,530 mappings with the longest names make 270 MiB of maps. */
	SLURP_MAX = 1 << 30,
};

/* How much the next read asks for. */
static size_t room_after(const struct mw_buf *out)
{
	return out->len < 4 * SLURP_FIRST ? SLURP_FIRST : SLURP_CHUNK;
}

/* One read into `out`. 0 at the end, -1 with errno. */
static ssize_t slurp_some(int fd, struct mw_buf *out)
{
	size_t room = room_after(out);
	ssize_t got;

	if (!mw_buf_reserve(out, room)) {
		errno = ENOMEM;
		return -1;
	}
	do
		got = read(fd, out->data + out->len, room);
	while (got < 0 && errno == EINTR);
	if (got > 0)
		out->len += (size_t)got;
	out->data[out->len] = '\0';
	return got;
}

int mw_live_slurp(int fd, bool one_record, struct mw_buf *out)
{
	size_t before = out->len, room = room_after(out);
	ssize_t got;
	int errnum = 0;

	while ((got = slurp_some(fd, out)) > 0) {
		if (one_record && (size_t)got < room)
			break;
		room = room_after(out);
		if (out->len - before > SLURP_MAX) {
			errno = EFBIG;
			got = -1;
			break;
		}
	}
	if (got < 0) {
		errnum = errno;
		out->len = before;
		if (out->data)
			out->data[before] = '\0';
	}
	return errnum;
}

/* A piece of the file, and how it went on after it. */
struct piece {
	struct mw_buf text;
	bool full;  /* of those read ahead: whose turn it is */
	bool last;  /* nothing comes after it */
	int errnum; /* or this came */
};

/* Appends one piece: whole chunks, as the kernel gives it page by page. */
static void read_piece(int fd, struct piece *piece, size_t len)
{
	size_t want = piece->text.len + len;
	ssize_t got;

	while ((got = slurp_some(fd, &piece->text)) > 0 && piece->text.len < want)
		;
	piece->last = got <= 0;
	piece->errnum = got < 0 ? errno : 0;
}

/* One piece is filled while the other is used, so that neither side waits in step. */
struct ahead {
	int fd;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t turn;
	struct piece pieces[2];
	unsigned next; /* to be used */
	bool stop;
};

/* Waits for a piece to be full, or not to be; false when all shall end. */
static bool wait_for(struct ahead *ahead, const struct piece *piece, bool full)
{
	pthread_mutex_lock(&ahead->lock);
	while (piece->full != full && !ahead->stop)
		pthread_cond_wait(&ahead->turn, &ahead->lock);
	bool go = !ahead->stop;
	pthread_mutex_unlock(&ahead->lock);
	return go;
}

static void give_turn(struct ahead *ahead, struct piece *piece, bool full)
{
	pthread_mutex_lock(&ahead->lock);
	piece->full = full;
	pthread_cond_signal(&ahead->turn);
	pthread_mutex_unlock(&ahead->lock);
}

static void *read_ahead(void *arg)
{
	struct ahead *ahead = arg;
	bool last = false;

	for (unsigned i = 0; !last; i = !i) {
		struct piece *piece = &ahead->pieces[i];
		if (!wait_for(ahead, piece, false))
			break;
		read_piece(ahead->fd, piece, AHEAD_CHUNK);
		last = piece->last;
		give_turn(ahead, piece, true);
	}
	return NULL;
}

/* Puts what was read meanwhile behind what is left of the piece before. */
static void take_over(struct ahead *ahead, struct piece *piece)
{
	struct piece *from = &ahead->pieces[ahead->next];

	(void)wait_for(ahead, from, true);
	piece->last = from->last;
	piece->errnum = from->errnum;
	if (!mw_buf_add(&piece->text, mw_buf_str(&from->text), from->text.len))
		piece->errnum = ENOMEM;
	mw_buf_clear(&from->text);
	give_turn(ahead, from, false);
	ahead->next = !ahead->next;
}

static bool start(struct ahead *ahead, int fd, bool may_start)
{
	*ahead = (struct ahead){ .fd = fd };
	pthread_mutex_init(&ahead->lock, NULL);
	pthread_cond_init(&ahead->turn, NULL);
	return may_start && pthread_create(&ahead->thread, NULL, read_ahead, ahead) == 0;
}

static void finish(struct ahead *ahead, bool started)
{
	if (started) {
		pthread_mutex_lock(&ahead->lock);
		ahead->stop = true;
		pthread_cond_signal(&ahead->turn);
		pthread_mutex_unlock(&ahead->lock);
		pthread_join(ahead->thread, NULL);
	}
	pthread_cond_destroy(&ahead->turn);
	pthread_mutex_destroy(&ahead->lock);
	for (unsigned i = 0; i < 2; i++)
		mw_buf_deinit(&ahead->pieces[i].text);
}

/* Hands a piece over; what was not used stays. */
static struct mw_err *hand_over(struct piece *piece, mw_text_sink *take, void *ctx)
{
	struct mw_buf *text = &piece->text;
	size_t used = 0;
	struct mw_err *err = take(ctx, mw_buf_str(text), text->len, piece->last, &used);

	if (err)
		return err;
	text->len -= used;
	if (used)
		memmove(text->data, text->data + used, text->len);
	return NULL;
}

/* The rest of a file that is longer than one piece; without a thread if none is left. */
static struct mw_err *stream_rest(int fd, bool may_start, struct piece *piece,
				  mw_text_sink *take, void *ctx)
{
	struct ahead ahead;
	bool started = start(&ahead, fd, may_start);
	struct mw_err *err = NULL;

	while (!err && !piece->last && !piece->errnum) {
		if (started)
			take_over(&ahead, piece);
		else
			read_piece(fd, piece, SLURP_CHUNK);
		if (!piece->errnum && piece->text.len > SLURP_MAX)
			piece->errnum = EFBIG;
		if (!piece->errnum)
			err = hand_over(piece, take, ctx);
	}
	finish(&ahead, started);
	return err;
}

struct mw_err *mw_live_stream(int fd, bool ahead, mw_text_sink *take, void *ctx,
			      int *errnum)
{
	struct piece piece = { 0 };
	struct mw_err *err = NULL;

	read_piece(fd, &piece, SLURP_CHUNK);
	if (!piece.errnum)
		err = hand_over(&piece, take, ctx);
	if (!err && !piece.errnum && !piece.last)
		err = stream_rest(fd, ahead, &piece, take, ctx);
	*errnum = err ? 0 : piece.errnum;
	mw_buf_deinit(&piece.text);
	return err;
}
