#include "boot.h"

#include <stdio.h>

gas_status_t gas_boot_create(const char *spec, gas_boot_t **boot)
{
    int fd, rank, size, end = 0;

    if (spec == NULL || *spec == '\0')
        return gas_boot_single_create(boot);
    if (sscanf(spec, "fd:%d,rank:%d,size:%d,key:%*32[0-9a-f]%n", &fd, &rank, &size, &end) != 3 ||
        end == 0 || spec[end] != '\0' || fd < 0 || size < 1 || rank < 0 || rank >= size)
        return gas_error(GAS_ERR_INVALID,
                         "PYGAS_BOOT is '%.200s', which no launcher of this version wrote: "
                         "start the program with `pygas run`, or unset PYGAS_BOOT to run it alone",
                         spec);
    return gas_boot_launcher_create(fd, rank, size, boot);
}
