/* The page of the admin port: page.html as it was when this program was built. Any thread. */
#ifndef PROXY_PAGE_H
#define PROXY_PAGE_H

#include "base/must.h"

const char *page_text(void);
/* Its Content-Security-Policy: only its own style and script, by their hashes, and requests to
 * where it came from. */
const char *page_policy(void);

#endif
