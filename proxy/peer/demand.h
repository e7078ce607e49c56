/* One request of another node, from its first line to the last byte of its answer; it belongs to
 * the thread of its connection. */
#ifndef PROXY_DEMAND_H
#define PROXY_DEMAND_H

#include "base/must.h"
#include "proxy/http/listener.h"

struct MHD_Connection;
struct cache;
struct conn;
struct demand;
struct p2p;
struct squeeze;
struct uploads;

/* What all of them share; fixed at open. */
struct demand_rooms {
    struct cache *cache;
    struct p2p *p2p;
    struct uploads *uploads;
    struct squeeze *squeeze;
};

/* As in struct listener_ops, in this order. */
struct demand *demand_new(struct demand_rooms *rooms, struct MHD_Connection *http,
                          struct conn *conn, const char *target);
bool demand_judge(struct demand *d, const char *method, const struct listener_verdict *guard,
                  bool *ret_refused);
void demand_body(struct demand *d, const char *bytes, size_t len);
bool demand_answer(struct demand *d);
void demand_account(struct demand *d, bool complete);

#endif
