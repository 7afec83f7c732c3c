#!/bin/sh
# Fuzz the codec's decoder: build the extension with coverage, ASan and UBSan into an environment of
# its own, and a program around it (src/binding/codec_fuzz.c), and run that on the seeds and on what
# libFuzzer makes of them.
# Usage: test_fuzz.sh [EXECUTIONS] [CORPUS]    (default: 200000, a fresh corpus)
# Needs clang with its sanitizer runtimes, and Python's headers and shared library.
set -eu
cd "$(dirname "$0")/.."
venv=$PWD/.venv-fuzz
runs=${1:-200000}
corpus=${2:-$venv/corpus}
flags='-fsanitize=address,undefined -fno-sanitize-recover=undefined -g -O1'

if ! command -v clang >/dev/null; then
    echo "test_fuzz.sh: clang is missing (on Debian: apt install clang)" >&2
    exit 1
fi
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
CC=clang CFLAGS="$flags -fsanitize=fuzzer-no-link" LDFLAGS="-fsanitize=address,undefined" \
    "$venv/bin/python" -m pip install -q '.[test]' \
    -Csetup-args=-Db_lundef=false -Csetup-args=-Dbuildtype=plain
mkdir -p "$corpus"
# shellcheck disable=SC2086,SC2046  # flags are words
clang $flags -fsanitize=fuzzer -Wall -Wextra -rdynamic src/binding/codec_fuzz.c \
    -o "$venv/codec_fuzz" $("$venv/bin/python" - <<'END'
import sysconfig
get = sysconfig.get_config_var
print(f"-I{sysconfig.get_path('include')} -L{get('LIBDIR')} -Wl,-rpath,{get('LIBDIR')}",
      f"-lpython{get('LDVERSION')}")
END
)
export PYTHONMALLOC=malloc PYTHONHASHSEED=0
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1
export UBSAN_OPTIONS=print_stacktrace=1
export PYGAS_FUZZ_PYTHON="$venv/bin/python" PYGAS_FUZZ_SETUP="$PWD/tools"
export PYGAS_FUZZ_CORPUS="$corpus"
"$venv/codec_fuzz" -runs="$runs" -max_len=512 -timeout=20 -rss_limit_mb=4096 -print_final_stats=1 \
    "$corpus"
