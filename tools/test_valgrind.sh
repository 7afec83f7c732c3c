#!/bin/sh
# Run the unit tests of the C runtime under valgrind's memcheck: bad reads and writes, uninitialised
# values, and leaks.
# Usage: test_valgrind.sh [suite ...]   (default: loopback ucx)
# VALGRIND_BUILD names another build directory than build-c-valgrind.
set -eu
cd "$(dirname "$0")/.."

build=${VALGRIND_BUILD:-build-c-valgrind}
[ -f "$build/build.ninja" ] || meson setup "$build" --werror -Dpython=false -Dtests=true \
    -Dbuildtype=debugoptimized

# As in test_c.sh.
if ! pkg-config --exists 'ucx >= 1.13' 2>/dev/null; then
    LD_LIBRARY_PATH=$(python3 tools/find_libucx.py)/lib
    export LD_LIBRARY_PATH
fi

# Everything is 20 to 50 times as slow, so limits of time in the tests are that much longer and what
# only measures speeds is done less often. Valgrind runs one thread at a time: in turns, as otherwise
# one that spins may keep the others from ever running.
export PYGAS_TEST_PATIENCE=20
for suite in ${*:-loopback ucx}; do
    meson test -C "$build" --print-errorlogs --suite "$suite" --timeout-multiplier 20 \
        --wrap="valgrind -q --fair-sched=yes --error-exitcode=99 --leak-check=full
                --show-leak-kinds=definite,indirect --errors-for-leak-kinds=definite,indirect
                --suppressions=$PWD/tools/valgrind.supp"
done
