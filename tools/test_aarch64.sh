#!/usr/bin/env bash
# Cross-compiles the arrays for 64-bit Arm and runs the tests of the kernels in an emulator, as one
# processor of each instruction set level. It shows what is computed, not how fast, and not the
# weaker order of memory of such processors: qemu keeps this machine's.
source "$(dirname "$0")/shell.sh"

[ "$(uname -m)" != aarch64 ] || die "This is such a machine: tools/test_long.sh isa runs the tests on it."
tools/setup.sh build test aarch64
# Language models are half of what there is to compile, and have no kernels of their own.
tools/build.sh aarch64 -DTARN_BUILD_TESTS=ON -DTARN_LM=OFF cpu_test ops_test laws_test
# What cpu.no_leaked_symbols of the whole build looks for.
mapfile -t units < <(find build/aarch64/CMakeFiles -path '*/tarn_heavy_*' -name '*.o')
tests/cpu/no_leaked_symbols.sh aarch64-linux-gnu-nm "${units[@]}"
logs=build/ctest
mkdir -p "$logs"

emulate() { # PROCESSOR PROGRAM ARGUMENT...
  qemu-aarch64 -L build/aarch64-sysroot -cpu "$1" "build/aarch64/tests/$2" "${@:3}" </dev/null
}

# What a processor makes the library choose from, by the names of the tests of every level.
levels_of() {
  emulate "$1" cpu_test --gtest_list_tests --gtest_filter='Levels/RowsTest.*' |
    sed -n 's/^  [A-Za-z]*\/\([a-z0-9]*\) .*/\1/p' | sort -u | paste -sd ' '
}

# Some tests of one program, held to a level.
part() { # LEVEL PROCESSOR PROGRAM FILTER
  local log=$logs/aarch64-$1-$3.log began=$SECONDS status=0
  TARN_ISA=$1 emulate "$2" "$3" --gtest_brief=1 --gtest_filter="$4" >"$log" 2>&1 || status=$?
  say "  $1, $3: passed $(sed -n 's/^\[  PASSED  \] //p' "$log") Exit status $status," \
    "$((SECONDS - began)) s, $log"
  return "$status"
}

# Waits for the parts that were begun; the first failure is the result.
parts_end() {
  local status=0 job
  for job in "$@"; do wait "$job" || status=1; done
  return "$status"
}

quantised='QuantizedMatmul.*:GatherQmm.*:Quantize.*:LowRankMatmul.*'
failed=()
# A level, a processor whose highest it is, and what the library finds there.
while read -r level processor expected; do
  found=$(levels_of "$processor")
  [ "$found" = "$expected" ] ||
    die "As $processor the library has the levels $found; it should have $expected."
  say "As $processor, whose levels are: $found"
  # Attention is the same code at each level but for bfloat16, and takes two thirds of the time.
  case "$level" in
    neon)
      kernels='-*HalvesAreRoundedAtTheEnd*'
      ops='-Fft.LongLinesKeepTheirDigits:Hadamard.IsOrthogonalAndItsOwnInverseTurned'
      laws='Values.*:-*DoNotDependOnStrides'
      ;;
    dotprod) kernels='-Levels/AttentionTest.*' ops=$quantised laws='' ;;
    i8mm)
      kernels='-*IsTheSoftmaxOfMaskedScores*'
      ops=$quantised laws='Settings.EveryInstructionSetIsTheLowest'
      ;;
  esac
  jobs=()
  part "$level" "$processor" cpu_test "*/$level:IsaTest.*:$kernels" & jobs+=($!)
  part "$level" "$processor" ops_test "$ops" & jobs+=($!)
  if [ -n "$laws" ]; then part "$level" "$processor" laws_test "$laws" & jobs+=($!); fi
  parts_end "${jobs[@]}" || failed+=("$level")
done <<'END'
neon cortex-a72 neon
dotprod neoverse-n1 dotprod neon
i8mm max dotprod i8mm neon
END

[ ${#failed[@]} -eq 0 ] || die "Failed as 64-bit Arm: ${failed[*]} (logs in $logs)"
