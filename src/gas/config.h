/*
 * Settings of the runtime, read once from the environment when a job starts. One table
 * (config.def) drives the parser and everything that shows the settings.
 */
#ifndef GAS_CONFIG_H
#define GAS_CONFIG_H

#include "status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GAS_CONFIG_TEXT_MAX 128

#define GAS_CONFIG_FIELD_SIZE(field) size_t field;
#define GAS_CONFIG_FIELD_COUNT(field) uint64_t field;
#define GAS_CONFIG_FIELD_TEXT(field) char field[GAS_CONFIG_TEXT_MAX];

typedef struct gas_config {
#define SETTING(field, type, name, preset, help) GAS_CONFIG_FIELD_##type(field)
#include "config.def"
#undef SETTING
} gas_config_t;

/* One row of the table, with the value that is in force as text. */
typedef struct gas_config_row {
    const char *name;
    const char *type;
    const char *preset;
    const char *help;
    char value[GAS_CONFIG_TEXT_MAX];
} gas_config_row_t;

/* Defaults, overridden by the environment. GAS_ERR_INVALID names the variable and what it takes. */
gas_status_t gas_config_read(gas_config_t *config);

/* True if the setting of that environment variable has its default value. */
int gas_config_is_preset(const gas_config_t *config, const char *name);

size_t gas_config_count(void);

/* Row `index` of the table with the value of `config`; index < gas_config_count(). */
void gas_config_row(const gas_config_t *config, size_t index, gas_config_row_t *row);

/* True if `word` is among those that PYGAS_DEBUG lists. */
bool gas_config_debugs(const gas_config_t *config, const char *word);

#endif
