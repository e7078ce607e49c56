/* The daemon: wiring, order of start and stop, signals. */
#ifndef PROXY_DAEMON_H
#define PROXY_DAEMON_H

/* Serves in the foreground until a signal ends it. `path`: configuration, or NULL. Returns
 * the exit code of the process. Called once, by the main thread, before other threads. */
int daemon_run(const char *path);

#endif
