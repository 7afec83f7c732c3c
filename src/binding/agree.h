/* A vote of the ranks that have not failed. */
#ifndef PYGAS_BINDING_AGREE_H
#define PYGAS_BINDING_AGREE_H

#include "state.h"

/*
 * True only if `mine` is true on every rank but for the first `failures` that have failed; then it
 * is true on all of them, unless one more fails meanwhile. Collective; `number` is that of the
 * vote, the same on all ranks. Attached, and stays attached: no Python code runs in this process
 * until it returns, so every rank must be about to call it. False if a rank does not come within
 * some seconds. After pg_enter().
 */
bool pg_agree(bool mine, uint32_t number, size_t failures);

#endif
