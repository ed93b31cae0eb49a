#!/usr/bin/env bash
# Builds and runs every benchmark of bench/, or those whose names are given: tools/bench.sh [NAME...]
source "$(dirname "$0")/shell.sh"

tools/setup.sh build model bench
tools/build.sh release -DTARN_BUILD_BENCH=ON
TARN_TEST_MODEL=$(tools/fetch_model.py)
export TARN_TEST_MODEL
if [ $# -eq 0 ]; then
  for file in build/release/bench/*_bench; do set -- "$@" "$(basename "$file")"; done
fi
for name in "$@"; do
  [ -x "build/release/bench/$name" ] || die "There is no benchmark build/release/bench/$name."
  "build/release/bench/$name"
done
