#!/usr/bin/env bash
# From nothing to a chat. With --prompt it answers $PROMPT once, and only that is on standard output.
source "$(dirname "$0")/shell.sh"

tools/setup.sh build model >&2
tools/build.sh release tarn_cli >&2
tools/fetch_model.py >/dev/null

if [ "${1:-}" = --prompt ]; then
  exec build/release/tarn chat --prompt="$PROMPT" --temp 0
fi
if [ ! -t 0 ]; then
  exec build/release/tarn chat
fi

# Ctrl-C stops an answer, not the chat. make dies of the second one, so the chat is a foreground
# job of its own, which alone gets the terminal's signals. Ctrl-Z comes straight back: make cannot
# be suspended with it.
set -m
status=0
build/release/tarn chat || status=$?
while [ "$status" = 148 ]; do
  status=0
  fg >/dev/null || status=$?
done
exit "$status"
