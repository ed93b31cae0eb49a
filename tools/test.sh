#!/usr/bin/env bash
# All tests of the release build, with the oracles and the default model.
source "$(dirname "$0")/shell.sh"

tools/setup.sh build model test oracles
with_tests=(-DTARN_BUILD_TESTS=ON "-DTARN_ORACLE_PYTHON=$PWD/.venv-oracle/bin/python")
tools/build.sh release "${with_tests[@]}"
TARN_TEST_MODEL=$(tools/fetch_model.py)
export TARN_TEST_MODEL
tools/ctest.sh release release "$@"
