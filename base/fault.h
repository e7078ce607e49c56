/* Fault points for tests: base/fs calls fault_point() before each file-system
 * call. Nothing is armed in the daemon, and arming is not reachable from outside
 * the process. */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include "base/must.h"

/* The nth call from now (1 = next) returns -error_number; with every=true the
 * calls after it too. error_number 0 means: call stop(name) instead, which does not
 * return (crash tests). */
void fault_arm(uint64_t nth, int error_number, bool every, void (*stop)(const char *name));
/* `count` calls from the nth on return -error_number. */
void fault_arm_some(uint64_t nth, uint64_t count, int error_number);
/* The next call of that name, a string that stays; others are not counted then. */
void fault_arm_next(const char *name, int error_number);
void fault_disarm(void);
uint64_t fault_count(void); /* calls since the last arm or disarm */
CHECKED int fault_point(const char *name);

#endif
