#!/usr/bin/env bash
# Runs the tests of a build folder and says which did not run: tools/ctest.sh NAME PRESET [ctest options...]
# Keeps the output in build/ctest/NAME.log; .ci/run shows the closing lines again from there.
source "$(dirname "$0")/shell.sh"

name=$1 preset=$2
shift 2
mkdir -p build/ctest
log=build/ctest/$name.log
say "Tests, $name:"
status=0
ctest --test-dir "build/$preset" --output-on-failure --no-tests=error --timeout 600 \
  --parallel "$(nproc)" "$@" 2>&1 | tee "$log" || status=$?

# Cases that skip themselves inside a program that passes are not in ctest's own list.
cases=build/$preset/Testing/Temporary/LastTest.log
if skipped=$(grep -hE '^\[  SKIPPED \] [^ ]+ \([0-9]+ ms\)$' "$cases" | sort -u) &&
  [ -n "$skipped" ]; then
  printf 'Not run, each for the reason it gives in %s:\n%s\n' "$cases" "$skipped" | tee -a "$log"
fi
exit "$status"
