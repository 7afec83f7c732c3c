#include "config.h"

#include "testing/check.h"

#include <string.h>

static gas_status_t read_with(const char *name, const char *value, gas_config_t *config)
{
    gas_status_t status;

    setenv(name, value, 1);
    status = gas_config_read(config);
    unsetenv(name);
    return status;
}

static void test_defaults(void)
{
    gas_config_t config;
    gas_config_row_t row;

    CHECK(gas_config_read(&config) == GAS_OK);
    CHECK(config.inline_max == 8192 && config.spin_us == 5);
    CHECK(strcmp(config.ucx_tls, "posix,cma,self") == 0);
    for (size_t i = 0; i < gas_config_count(); i++) {
        gas_config_row(&config, i, &row);
        CHECK(strcmp(row.value, row.preset) == 0);
        CHECK(strncmp(row.name, "PYGAS_", 6) == 0 && row.help[0] != '\0');
    }
}

static void test_sizes(void)
{
    static const struct {
        const char *text;
        size_t value;
    } good[] = {{"0", 0}, {"17", 17}, {"4k", 4096}, {"2M", 2u << 20}, {"1g", 1u << 30}, {"", 8192}};
    static const char *const bad[] = {"-1",
                                      "4kk",
                                      "k",
                                      " 4",
                                      "4 ",
                                      "0x10",
                                      "1e3",
                                      "4t",
                                      "18446744073709551616",
                                      "18446744073709551615k"};
    gas_config_t config;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        CHECK(read_with("PYGAS_INLINE_MAX", good[i].text, &config) == GAS_OK);
        CHECK(config.inline_max == good[i].value);
    }
    config.inline_max = 5;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK(read_with("PYGAS_INLINE_MAX", bad[i], &config) == GAS_ERR_INVALID);
        CHECK(strstr(gas_error_text(), "PYGAS_INLINE_MAX") != NULL);
        CHECK(config.inline_max == 5);
    }
}

static void test_counts_and_texts(void)
{
    char text[GAS_CONFIG_TEXT_MAX + 1];
    gas_config_t config;

    CHECK(read_with("PYGAS_SPIN_US", "1000000000", &config) == GAS_OK);
    CHECK(config.spin_us == 1000000000u);
    CHECK(read_with("PYGAS_SPIN_US", "1000000001", &config) == GAS_ERR_INVALID);
    CHECK(read_with("PYGAS_SPIN_US", "1k", &config) == GAS_ERR_INVALID);
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    CHECK(read_with("PYGAS_UCX_TLS", text, &config) == GAS_ERR_INVALID);
    text[sizeof(text) - 2] = '\0';
    CHECK(read_with("PYGAS_UCX_TLS", text, &config) == GAS_OK);
    CHECK(strcmp(config.ucx_tls, text) == 0);
}

int main(void)
{
    RUN(test_defaults);
    RUN(test_sizes);
    RUN(test_counts_and_texts);
    return 0;
}
