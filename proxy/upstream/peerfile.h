/* A manifest that another node has stored, fetched by its digest on the caller's thread: one
 * signed GET to that node's peer port, without proxy, redirect or retry. A client waits for it, so
 * it does not stand in line behind the transfers of the fetch thread. Any thread that may wait. */
#ifndef PROXY_PEERFILE_H
#define PROXY_PEERFILE_H

#include "base/buf.h"
#include "base/digest.h"
#include "p2p/p2p.h"

#define PEERFILE_CONNECT_MS 250

/* What is known of the node itself. */
enum peerfile_met {
    PEERFILE_MET,    /* it answered */
    PEERFILE_MUTE,   /* it did not, and perhaps that was not its fault */
    PEERFILE_ABSENT, /* it took no connection */
};

/* Appends it to ret, within its limit. The bytes have the digest. 0; ERR_NOT_FOUND: that node does
 * not have it; ERR_BUSY; ERR_DENIED; ERR_DIGEST; ERR_LIMIT; ERR_TIMEOUT; ERR_UPSTREAM (no answer
 * that can be used). */
CHECKED int peerfile_get(struct p2p *p, const struct node_addr *addr, const struct digest *d,
                         int64_t deadline_ms, struct buf *ret, enum peerfile_met *ret_met);

#endif
