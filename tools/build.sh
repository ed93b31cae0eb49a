#!/usr/bin/env bash
# Builds targets of a preset, configuring only when needed: tools/build.sh PRESET [-DNAME=ON...] [TARGET...]
source "$(dirname "$0")/shell.sh"

preset=$1
shift
folder=build/$preset
# What ccache must know to keep objects that read precompiled headers.
export CCACHE_SLOPPINESS=pch_defines,time_macros
options=() targets=()
for word in "$@"; do
  case "$word" in
    -D*) options+=("$word") ;;
    *) targets+=("$word") ;;
  esac
done

# A tree that was moved cannot go on with its old paths.
if [ -f "$folder/CMakeCache.txt" ] &&
  ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$PWD" "$folder/CMakeCache.txt"; then
  rm -rf "$folder"
fi

is_configured() {
  [ -f "$folder/build.ninja" ] && [ ! CMakePresets.json -nt "$folder/build.ninja" ] || return 1
  local option
  for option in "${options[@]}"; do
    option=${option#-D}
    grep -qxE "${option%%=*}:[A-Z]+=${option#*=}" "$folder/CMakeCache.txt" || return 1
  done
}

if ! is_configured; then
  mkdir -p "$folder"
  # A first configuration for the program alone does without the tests and their libraries; one that
  # has them keeps them.
  if [ ! -f "$folder/CMakeCache.txt" ]; then options=(-DTARN_BUILD_TESTS=OFF "${options[@]}"); fi
  if command -v ccache >/dev/null; then export CMAKE_CXX_COMPILER_LAUNCHER=ccache; fi
  if ! cmake --preset "$preset" "${options[@]}" >"$folder/configure.log" 2>&1; then
    tail -n 25 "$folder/configure.log" >&2
    die "cmake --preset $preset failed; the whole log is $folder/configure.log."
  fi
  touch "$folder/build.ninja"
fi

if plan=$(ninja -C "$folder" -n "${targets[@]}" 2>&1) && [[ $plan == *"no work to do."* ]]; then
  exit 0
fi
say "Building $folder (the first time takes some minutes)"
ninja -C "$folder" -j "$(compile_jobs)" "${targets[@]}" >&2 ||
  die "The build of $folder failed; the compiler's words are above."
