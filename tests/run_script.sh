#!/bin/sh
# Runs a test that is a script: run_script.sh PYTHON SCRIPT [argument...]
# An argument @MODEL@ becomes $TARN_TEST_MODEL. What is missing skips the test (77), or, where the
# environment says CI=true, fails it.
python=$1 script=$2
shift 2

missing() {
  echo "NOT RUN: $(basename "$script"): $1" >&2
  [ "$CI" = true ] && exit 1
  exit 77
}

[ -n "$python" ] || missing "no oracle; configure with -DTARN_ORACLE_PYTHON=..., as make test does."
[ -x "$python" ] || missing "there is no $python."
count=$#
while [ "$count" -gt 0 ]; do
  argument=$1
  shift
  if [ "$argument" = @MODEL@ ]; then
    [ -n "$TARN_TEST_MODEL" ] || missing "TARN_TEST_MODEL names no model, as make test does."
    argument=$TARN_TEST_MODEL
  fi
  set -- "$@" "$argument"
  count=$((count - 1))
done
exec "$python" "$script" "$@"
