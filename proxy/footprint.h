/* Resident memory of an idle node. */
#ifndef PROXY_FOOTPRINT_H
#define PROXY_FOOTPRINT_H

/* Gives back the pages of code that only the start needed. Once, when the start is over. */
void footprint_trim(void);

#endif
