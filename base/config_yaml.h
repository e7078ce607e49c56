/* YAML events into the values of a config. Private to base/config*.c. */
#ifndef BASE_CONFIG_YAML_H
#define BASE_CONFIG_YAML_H

#include "base/config_value.h"

/* Reads one document into the current layer; `file` lives as long as the config. */
CHECKED int config_yaml_read(struct config *c, const char *text, size_t len, const char *file,
                             struct err *e);

#endif
