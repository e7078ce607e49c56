/*
 * What is sent upstream for a minute after it failed here: the manifests of a repository
 * (so that a runtime's retry goes to the registry for the whole image), and the resumed
 * requests of one client for one blob. Keys are texts. Any thread.
 */
#ifndef PROXY_BREAKER_H
#define PROXY_BREAKER_H

#include "base/must.h"

#define BREAKER_OPEN_MS 60000
#define BREAKER_KEY_MAX 640
#define BREAKERS_MAX    1024 /* when more are open, the oldest is forgotten */

struct breaker;
struct breaker *breaker_new(void);
void breaker_free(struct breaker *b);
/* True when it was not open before. */
bool breaker_trip(struct breaker *b, const char *key, int64_t now_ms);
bool breaker_is_open(struct breaker *b, const char *key, int64_t now_ms);

#endif
