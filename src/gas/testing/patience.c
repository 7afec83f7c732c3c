#include "patience.h"

#include <stdlib.h>

static unsigned factor = 1;

/* Before there are threads; getenv() costs more than a loop that is measured should pay. */
__attribute__((constructor)) static void find_factor(void)
{
    const char *text = getenv("PYGAS_TEST_PATIENCE");
    int number = text == NULL ? 1 : atoi(text);

    if (number > 1)
        factor = (unsigned)number;
}

unsigned patience(void)
{
    return factor;
}

uint64_t deadline_in(unsigned seconds)
{
    return gas_clock_now() + (uint64_t)seconds * patience() * 1000000000u;
}

unsigned rounds(unsigned count)
{
    unsigned fewer = count / patience();

    return fewer > 0 ? fewer : 1;
}
