#!/bin/sh
# Build the C runtime without Python and run its unit tests: plain, under ASan and UBSan, under TSan.
# Usage: test_c.sh [plain|address|thread ...]   (default: all three)
# TSan runs on the loopback only: UCX is not instrumented.
set -eu
cd "$(dirname "$0")/.."

variant() {
    name=$1 suites=$2
    shift 2
    build=build-c-$name
    [ -f "$build/build.ninja" ] || meson setup "$build" --werror -Dpython=false -Dtests=true "$@"
    # shellcheck disable=SC2086  # the suites are words
    meson test -C "$build" --print-errorlogs $suites
}

# With UCX from its wheel the test programs have to be told where it is.
if ! pkg-config --exists 'ucx >= 1.13' 2>/dev/null; then
    LD_LIBRARY_PATH=$(python3 tools/find_libucx.py)/lib
    export LD_LIBRARY_PATH
fi

# Address-space randomization of recent kernels is wider than older ThreadSanitizers can bear.
fixed_addresses() {
    if setarch -R true 2>/dev/null; then setarch -R "$@"; else "$@"; fi
}

for kind in ${*:-plain address thread}; do
    case $kind in
    plain) variant plain "" ;;
    address) variant address "" -Dbuildtype=debugoptimized -Db_sanitize=address,undefined ;;
    thread) fixed_addresses "$0" thread-here ;;
    thread-here) variant thread "--suite loopback" -Dbuildtype=debugoptimized -Db_sanitize=thread ;;
    *) echo "unknown kind $kind" >&2; exit 2 ;;
    esac
done
python3 tools/check_layers.py build-c-plain/src/gas/libgas.a
