/* Blobs: who may read them, which bytes, and from where. */
#ifndef PROXY_BLOBGET_H
#define PROXY_BLOBGET_H

#include "proxy/api/request.h"

/* Decides everything before the status line: access, range, first byte in hand. */
CHECKED enum reason blobget_acquire(struct request *r);
bool blobget_respond(struct request *r);
/* The blob of this request could not be delivered: its repository's manifests go upstream for
 * a minute, and so do further ranges of it for this client. */
void blobget_failed(struct request *r, int code);
/* Counts what became of it. */
void blobget_account(struct request *r, bool complete);

#endif
