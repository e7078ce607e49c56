/* A blob whose file is in memory because the disk cannot take it: all its readers, and other nodes,
 * share what arrives, as of one on the disk, but only a window of it is kept.
 *
 *   0            first          slowest reader                     end             size
 *   |..............|===============|=================================|..............|
 *     gone           for others      arriving, for all readers here    not wanted yet
 *
 * The window moves on with its slowest reader, by whole pieces, and never beyond what the hash
 * threads have read. Where the fastest waits at its end for WINDOW_HOLD_MS the slowest is left
 * behind: it goes on by itself (pass.h). Who begins within the blob does so from the state of the
 * digest that is kept for each piece.
 *
 * Such a blob is on no account of the disk. It is VERIFIED at best, and gone with its last
 * reference. Memory: cache_config.memory_bytes for all windows together. */
#ifndef CACHE_WINDOW_H
#define CACHE_WINDOW_H

#include "cache/inside.h"

#define WINDOW_BYTES      (16u * 1024 * 1024) /* of one blob, but */
#define WINDOW_PIECES_MIN 8
#define WINDOW_BLOB_MAX   (UINT64_C(64) << 30)
#define WINDOW_BEHIND     4 /* this part of it stays behind the slowest reader */
#define WINDOW_HOLD_MS    500

/* In the place of a reader. */
#define READER_NONE UINT64_MAX       /* it is free */
#define READER_LEFT (UINT64_MAX - 1) /* who was left behind has it still */

/* Makes it the file of a blob that is ASKED: FILLING then, and 0. ERR_FULL: no memory is left. */
CHECKED int window_begin(struct blob *b, uint64_t size);
/* The same for a blob that goes on where `failed` got to (cache_take_over): the window
 * begins near its slowest reader, with what its file holds there, and with the state of the digest
 * of what came before. ERR_FULL also when that file cannot be read. */
CHECKED int window_take_over(struct blob *b, struct blob *failed);
void window_free(struct blob *b); /* no window is fine */

/* The byte at pos was here and is not any more; or it is so far off that this window will not bring
 * it before long. */
bool window_is_behind_locked(const struct blob *b, uint64_t pos) NEEDS(b->lock);
/* Bytes [start, end) are kept, or may be written; the rest of those that arrived is gone. */
uint64_t window_start_locked(const struct blob *b) NEEDS(b->lock);
uint64_t window_end_locked(const struct blob *b) NEEDS(b->lock);
/* Clears bit i % 8 of bits[i / 8] for each piece i that is gone. */
void window_hide_locked(const struct blob *b, uint8_t *bits) NEEDS(b->lock);
/* The writer was told ERR_AGAIN: its waker is due when the window moves. */
void window_refused_locked(struct blob *b) NEEDS(b->lock);

/* Readers have moved, or came, or left: the window may move on. Under no lock. */
void window_slide(struct blob *b);
/* A reader has been waiting since then for the byte at pos. Returns when to ask again (clock_ms),
 * INT64_MAX: never. */
int64_t window_hold(struct blob *b, uint64_t pos, int64_t since_ms);
/* The hash threads have read up to there, where a piece ends or the blob. */
void window_hashed(struct blob *b, uint64_t end);
/* The digest's state at the start of the piece of pos, and that start; NULL: it is not known. */
struct digester *window_state(struct blob *b, uint64_t pos, uint64_t *ret_start);
/* [pos, pos + len) in a file of its own, at the same place, that nobody else changes. 0,
 * ERR_NOT_FOUND when some of it is not here any more, or -errno. */
CHECKED int window_copy(struct blob *b, uint64_t pos, uint64_t len, int *ret_fd);

#endif
