/*
 * Who may read what: content is reached only through a repository that names it, never by
 * knowing its digest.
 *
 *   auth     what opens a digest                            how long
 *   public   a link: a manifest of the repository names it,  for good
 *            or upstream said yes to HEAD
 *   node     the same                                        300 s, then asked again; while
 *                                                            upstream is silent, and its last
 *                                                            word was yes: tags.stale_if_error
 *   pass     a grant: upstream said yes to the client's      300 s, in memory only, and only
 *            own Authorization                               for the same Authorization
 *
 * Any thread.
 */
#ifndef PROXY_ACCESS_H
#define PROXY_ACCESS_H

#include "cache/cache.h"
#include "proxy/settings.h"

struct manifest;
struct origin;

#define ACCESS_FRESH_S    300
#define ACCESS_GRANTS_MAX 16384 /* about 4 MiB; the oldest goes first */

enum access_verdict {
    ACCESS_YES,
    ACCESS_ASK,          /* upstream decides */
    ACCESS_ASK_ELSE_YES, /* upstream decides; yes when it cannot be reached */
};
/* Pure. `age_s`: since upstream last said yes; may be negative after a clock jump. */
enum access_verdict access_judge(enum registry_auth auth, bool linked, int64_t age_s,
                                 int64_t stale_s);

struct access;
struct access *access_new(struct cache *c);
void access_free(struct access *a);
/* `ret` is filled when there is a link or grant, whatever its age. */
enum access_verdict access_look(struct access *a, const struct origin *o, const struct digest *d,
                                struct link *ret);
/* Upstream said yes just now. `type` is that of a manifest, "" for blobs. */
void access_grant(struct access *a, const struct origin *o, const struct digest *d, uint64_t size,
                  const char *type);
/* As access_grant, for all that the manifest names. */
void access_grant_children(struct access *a, const struct origin *o, const struct manifest *m);
/* Upstream said no just now: what the node's credentials opened stays closed when upstream falls
 * silent after it. Public links stay, grants end by themselves. */
void access_revoke(struct access *a, const struct origin *o, const struct digest *d);
/* As access_revoke, for all that the manifest names. */
void access_revoke_children(struct access *a, const struct origin *o, const struct manifest *m);

#endif
