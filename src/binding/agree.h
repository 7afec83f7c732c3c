/* A vote of all ranks. */
#ifndef PYGAS_BINDING_AGREE_H
#define PYGAS_BINDING_AGREE_H

#include "state.h"

/*
 * True if `mine` is true on every rank. Collective. Attached, and stays attached: no Python code
 * runs in this process until it returns, so every rank must be about to call it. False if a rank
 * does not come within some seconds. After pg_enter().
 */
bool pg_agree(bool mine);

#endif
