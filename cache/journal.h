/* The journal of soft facts: tags, links, ages. Losing it costs a question to upstream,
 * never correctness, so every failure here is survived. Disk thread only (and the start). */
#ifndef CACHE_JOURNAL_H
#define CACHE_JOURNAL_H

#include "cache/record.h"
#include "cache/store.h"

/* A journal longer than this is not read at start; a rewrite happens long before. */
#define JOURNAL_MAX_BYTES (64u * 1024 * 1024)

struct journal {
    const struct store *store;
    int fd;              /* -1: not open; the next write is a rewrite */
    bool unread;         /* the disk did not give all of it: the rewrite leaves it beside */
    uint64_t size;       /* where the next record goes */
    uint64_t base_bytes; /* size after the last rewrite */
};

/* What a later version would write in a way that this one must not read on. One without its number
 * is of version 1. */
#define JOURNAL_VERSION 1
/* 0, or ERR_VERSION: a later version wrote the journal. Changes nothing. */
CHECKED int journal_check(const struct store *s);
/* Appends the record that a journal begins with. */
CHECKED int journal_head(struct buf *ret);
/* Reads what is there, gives each record to fn, and cuts a damaged or torn tail.
 * ret_cut_bytes tells how much. Never fails: what cannot be read is as if it were empty. */
void journal_open(struct journal *j, const struct store *s,
                  void (*fn)(void *arg, const struct record *r), void *arg,
                  uint64_t *ret_cut_bytes);
void journal_close(struct journal *j);
/* Appends encoded records and syncs them. After an error the journal wants a rewrite. */
CHECKED int journal_append(struct journal *j, const struct buf *records);
/* Replaces the whole journal in one step; one that could not be read stays as DIR/journal.unread.
 */
CHECKED int journal_rewrite(struct journal *j, const struct buf *records);
/* Must or should it be rewritten: not open, or grown far beyond its last rewrite. */
bool journal_wants_rewrite(const struct journal *j);

#endif
