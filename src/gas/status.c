#include "status.h"

#include <stdarg.h>
#include <stdio.h>

static _Thread_local char error_text[1024];

const char *gas_status_name(gas_status_t status)
{
    switch (status) {
    case GAS_OK:
        return "ok";
    case GAS_BUSY:
        return "busy";
    case GAS_WORK:
        return "work is queued";
    case GAS_TIMEOUT:
        return "timed out";
    case GAS_INTERRUPTED:
        return "interrupted";
    case GAS_ERR_NO_MEMORY:
        return "out of memory";
    case GAS_ERR_INVALID:
        return "invalid argument";
    case GAS_ERR_IO:
        return "operating system error";
    case GAS_ERR_PROTOCOL:
        return "malformed message";
    case GAS_ERR_CLOSED:
        return "closed";
    case GAS_ERR_TRANSPORT:
        return "transport error";
    case GAS_ERR_UNREACHABLE:
        return "unreachable";
    case GAS_ERR_UNSUPPORTED:
        return "not supported";
    }
    return "unknown status";
}

gas_status_t gas_error(gas_status_t status, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(error_text, sizeof(error_text), format, args);
    va_end(args);
    return status;
}

const char *gas_error_text(void)
{
    return error_text;
}
