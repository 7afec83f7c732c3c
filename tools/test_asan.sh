#!/bin/sh
# Build the extension with ASan and UBSan into an environment of its own and run the Python tests of
# the codec, the payloads, the Proxy and the reference counts on it. The interpreter itself is not
# instrumented, so leaks are not looked for; and ASan keeps what is freed for a while, so the one
# test of the resident set is left out.
set -eu
cd "$(dirname "$0")/.."
venv=.venv-asan

[ -x $venv/bin/python ] || python3 -m venv $venv
# No isolation flags: the build takes UCX from where the ordinary installation takes it.
$venv/bin/python -m pip install -q '.[test]' \
    -Csetup-args=-Db_sanitize=address,undefined -Csetup-args=-Db_lundef=false \
    -Csetup-args=-Dbuildtype=debugoptimized -Csetup-args=-Dwerror=true
LD_PRELOAD="$(cc -print-file-name=libasan.so) $(cc -print-file-name=libubsan.so)" \
ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=halt_on_error=1 \
    $venv/bin/python -m pytest tests/test_codec*.py tests/test_payload.py tests/test_prefetch.py \
    tests/test_proxy.py tests/test_errors.py tests/test_memory.py tests/test_collect.py \
    tests/test_reclaim.py --deselect tests/test_memory.py::test_many_proxies_in_constant_memory
