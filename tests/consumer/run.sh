#!/bin/sh
# Builds and runs a program outside the tree that uses Tarn: run.sh WAY SOURCE BUILD COMPILER
# WAY is the name of a folder here. The installed ways use what BUILD installs into an empty prefix.
set -eu
way=$1 source=$2 build=$3 compiler=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$source/tests/consumer/$way" "$work/program"
cd "$work"

cached() { sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"; }

# The same flags as in BUILD.
configure() {
  cmake -S program -B out -G Ninja -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_CXX_FLAGS_RELEASE="$(cached CMAKE_CXX_FLAGS_RELEASE)" \
    -DCMAKE_CXX_COMPILER_LAUNCHER="$(cached CMAKE_CXX_COMPILER_LAUNCHER)" "$@"
}

case "$way" in
  find_package)
    cmake --install "$build" --prefix "$work/prefix"
    configure -DCMAKE_PREFIX_PATH="$work/prefix"
    cmake --build out
    ;;
  pkg_config)
    cmake --install "$build" --prefix "$work/prefix"
    mkdir out
    PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name tarn.pc)")
    export PKG_CONFIG_PATH
    # shellcheck disable=SC2046 # the words are flags
    "$compiler" -std=c++20 program/main.cpp -o out/program \
      $(pkg-config --define-variable=prefix="$work/prefix" --cflags --libs tarn)
    # shellcheck disable=SC2046
    "$compiler" -std=c++20 "$source/tests/consumer/find_package/mlx.cpp" -o out/mlx_program \
      $(pkg-config --define-variable=prefix="$work/prefix" --cflags --libs tarn-mlx)
    ;;
  add_subdirectory)
    configure -DTARN_SOURCE="$source" -DTARN_WERROR="$(cached TARN_WERROR)"
    cmake --build out
    [ ! -e out/tarn/tests ] || { echo "a library inside a project builds its tests"; exit 1; }
    ;;
esac

for program in out/*program; do
  answer=$(LD_LIBRARY_PATH="$work/prefix/lib" "$program")
  echo "$program: $answer"
  [ "$answer" = "array([2, 4, 6], dtype=float32)" ]
done
