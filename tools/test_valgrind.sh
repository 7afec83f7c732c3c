#!/bin/sh
# Run the unit tests of the C runtime under valgrind's memcheck: bad reads and writes, uninitialised
# values, and leaks. Takes some minutes.
# Usage: test_valgrind.sh [suite ...]   (default: loopback)
# Suite ucx works too, but some of its tests measure times, which valgrind stretches.
set -eu
cd "$(dirname "$0")/.."

build=build-c-valgrind
[ -f "$build/build.ninja" ] || meson setup "$build" --werror -Dpython=false -Dtests=true \
    -Dbuildtype=debugoptimized

# As in test_c.sh.
if ! pkg-config --exists 'ucx >= 1.13' 2>/dev/null; then
    LD_LIBRARY_PATH=$(python3 tools/find_libucx.py)/lib
    export LD_LIBRARY_PATH
fi

for suite in ${*:-loopback}; do
    meson test -C "$build" --print-errorlogs --suite "$suite" --timeout-multiplier 10 \
        --wrap="valgrind -q --error-exitcode=99 --leak-check=full
                --show-leak-kinds=definite,indirect --errors-for-leak-kinds=definite,indirect
                --suppressions=$PWD/tools/valgrind.supp"
done
