# What every script here begins with: strict mode, the root of the tree, words to the user.
# shellcheck shell=bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '%s\n' "$*" >&2; }
die() {
  say "$*"
  exit 1
}

# Compilers to run at once: one a processor, and 1.5 GiB of memory for each.
compile_jobs() {
  local free_kb
  free_kb=$(awk '/^MemAvailable/ { print $2 }' /proc/meminfo)
  awk -v n="$(nproc)" -v m="$((free_kb / 1572864))" 'BEGIN { j = n < m ? n : m; print j < 1 ? 1 : j }'
}

# The interpreter that Debian's python3-venv belongs to, where there is one.
python() { if [ -x /usr/bin/python3 ]; then /usr/bin/python3 "$@"; else python3 "$@"; fi; }
