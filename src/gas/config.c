#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum setting_type { SETTING_SIZE, SETTING_COUNT, SETTING_TEXT } setting_type_t;

typedef struct setting {
    const char *name;
    setting_type_t type;
    size_t offset;
    const char *preset;
    const char *help;
} setting_t;

static const setting_t settings[] = {
#define SETTING(field, type, name, preset, help)                                                   \
    {name, SETTING_##type, offsetof(gas_config_t, field), preset, help},
#include "config.def"
#undef SETTING
};

static const char *const type_names[] = {"size", "count", "text"};

/* A whole number with an optional k, m or g; false if `text` is anything else or too large. */
static int parse_number(const char *text, int with_suffix, uint64_t *out)
{
    char *end;
    uint64_t value;
    unsigned shift = 0;

    if (*text < '0' || *text > '9')
        return 0;
    errno = 0;
    value = strtoull(text, &end, 10);
    if (errno != 0)
        return 0;
    if (with_suffix && *end != '\0') {
        switch (*end | 0x20) {
        case 'k':
            shift = 10;
            break;
        case 'm':
            shift = 20;
            break;
        case 'g':
            shift = 30;
            break;
        default:
            return 0;
        }
        end++;
    }
    if (*end != '\0' || value > (UINT64_MAX >> shift))
        return 0;
    *out = value << shift;
    return 1;
}

static gas_status_t setting_parse(const setting_t *setting, const char *text, gas_config_t *config)
{
    void *field = (char *)config + setting->offset;
    uint64_t number = 0;

    switch (setting->type) {
    case SETTING_SIZE:
        if (!parse_number(text, 1, &number) || number > SIZE_MAX)
            return gas_error(GAS_ERR_INVALID,
                             "%s is '%s': give a number of bytes, such as 4096 or 64k",
                             setting->name, text);
        *(size_t *)field = (size_t)number;
        return GAS_OK;
    case SETTING_COUNT:
        if (!parse_number(text, 0, &number) || number > 1000000000u)
            return gas_error(GAS_ERR_INVALID, "%s is '%s': give a whole number up to 10^9",
                             setting->name, text);
        *(uint64_t *)field = number;
        return GAS_OK;
    case SETTING_TEXT:
        if (strlen(text) >= GAS_CONFIG_TEXT_MAX)
            return gas_error(GAS_ERR_INVALID, "%s is longer than %d characters", setting->name,
                             GAS_CONFIG_TEXT_MAX - 1);
        strcpy(field, text);
        return GAS_OK;
    }
    return GAS_ERR_INVALID;
}

gas_status_t gas_config_read(gas_config_t *config)
{
    gas_config_t result;
    gas_status_t status;

    memset(&result, 0, sizeof(result));
    for (size_t i = 0; i < gas_config_count(); i++) {
        const char *text = getenv(settings[i].name);

        if (text == NULL || *text == '\0')
            text = settings[i].preset;
        status = setting_parse(&settings[i], text, &result);
        if (status != GAS_OK)
            return status;
    }
    if (result.request_share < 1 || result.request_share > 100)
        return gas_error(GAS_ERR_INVALID,
                         "PYGAS_REQUEST_SHARE is %" PRIu64 ": give a percentage from 1 to 100",
                         result.request_share);
    *config = result;
    return GAS_OK;
}

size_t gas_config_count(void)
{
    return sizeof(settings) / sizeof(settings[0]);
}

void gas_config_row(const gas_config_t *config, size_t index, gas_config_row_t *row)
{
    const setting_t *setting = &settings[index];
    const void *field = (const char *)config + setting->offset;

    row->name = setting->name;
    row->type = type_names[setting->type];
    row->preset = setting->preset;
    row->help = setting->help;
    if (setting->type == SETTING_TEXT)
        snprintf(row->value, sizeof(row->value), "%s", (const char *)field);
    else if (setting->type == SETTING_SIZE)
        snprintf(row->value, sizeof(row->value), "%zu", *(const size_t *)field);
    else
        snprintf(row->value, sizeof(row->value), "%" PRIu64, *(const uint64_t *)field);
}

int gas_config_is_preset(const gas_config_t *config, const char *name)
{
    for (size_t i = 0; i < gas_config_count(); i++) {
        gas_config_row_t row;

        gas_config_row(config, i, &row);
        if (strcmp(row.name, name) == 0)
            return strcmp(row.value, row.preset) == 0;
    }
    return 0;
}

bool gas_config_debugs(const gas_config_t *config, const char *word)
{
    size_t length = strlen(word);
    const char *at = config->debug;

    while (*at != '\0') {
        size_t span;

        at += strspn(at, " ,");
        span = strcspn(at, " ,");
        if (span == length && memcmp(at, word, length) == 0)
            return true;
        at += span;
    }
    return false;
}
