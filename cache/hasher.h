/* The hash threads: each follows the held prefix of one blob at a time by reading the file
 * back (page cache), so that neither the fetch thread nor a client waits for SHA. */
#ifndef CACHE_HASHER_H
#define CACHE_HASHER_H

#include "base/lock.h"
#include "base/thread.h"

#define HASHER_THREADS_MAX 16

struct blob;

struct hasher {
    struct thread threads[HASHER_THREADS_MAX]; /* opener only */
    unsigned count;                            /* opener only; constant while it is open */
    uint64_t bytes_s;                          /* of one of them; constant while it is open */
    bool started;                              /* opener only: lock and more are there */

    struct lock lock;
    struct cond more;
    struct blob *first, **last; /* lock: queue through blob->hash_next */
    bool stopping;              /* lock */
};

/* For so many processors, each of which hashes so many bytes a second (pace.h). */
CHECKED int hasher_start(struct hasher *h, unsigned cpus, uint64_t bytes_s);
/* Gives all queued blobs back and waits for the threads. Also for one never started. */
void hasher_stop(struct hasher *h);
void hasher_release(struct hasher *h); /* after hasher_stop */
/* Takes over one reference; blob->hashing was just set by the caller. */
void hasher_push(struct hasher *h, struct blob *b);

#endif
