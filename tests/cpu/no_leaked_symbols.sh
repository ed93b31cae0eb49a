#!/bin/sh
# Objects that are compiled for one instruction set must define no weak symbol: the linker would
# take one object's copy for the whole program, and an older processor would meet instructions it
# does not have. no_leaked_symbols.sh NM OBJECT...
nm=$1
shift
[ $# -gt 0 ] || { echo "no objects given" >&2; exit 1; }
status=0
for object in "$@"; do
  leaked=$("$nm" --defined-only -C "$object") || exit 1
  leaked=$(printf '%s\n' "$leaked" | grep -E ' [WuV] ' | grep -v ' V DW\.ref\.')
  if [ -n "$leaked" ]; then
    printf '%s defines weak symbols:\n%s\n' "$object" "$leaked"
    status=1
  fi
done
exit $status
