#!/usr/bin/env bash
# Writes the golden data of the tests again, each set by its script and with the pinned oracles.
source "$(dirname "$0")/shell.sh"

tools/setup.sh model oracles
for script in tests/golden/make_*.py; do
  [ -f "$script" ] || die "tests/golden has no make_*.py."
  say "$script"
  .venv-oracle/bin/python "$script"
done
