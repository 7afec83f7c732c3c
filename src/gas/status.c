#include "status.h"

#include <stdarg.h>
#include <stdio.h>

static _Thread_local char error_text[1024];
static _Thread_local int error_rank = -1;

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
    case GAS_ERR_RANK_FAILED:
        return "a rank has failed";
    case GAS_ERR_MISMATCH:
        return "ranks disagree";
    }
    return "unknown status";
}

gas_status_t gas_error(gas_status_t status, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(error_text, sizeof(error_text), format, args);
    va_end(args);
    error_rank = -1;
    return status;
}

gas_status_t gas_error_of_rank(gas_status_t status, int rank, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(error_text, sizeof(error_text), format, args);
    va_end(args);
    error_rank = rank;
    return status;
}

int gas_error_rank(void)
{
    return error_rank;
}

const char *gas_error_text(void)
{
    return error_text;
}
