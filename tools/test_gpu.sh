#!/usr/bin/env bash
# Makes build/gpu-tests: programs for a machine with an NVIDIA GPU, with the libraries they need, and
# run.sh, which runs them there. Needs nvcc here, and no GPU.
source "$(dirname "$0")/shell.sh"

tools/setup.sh build test
tools/build.sh cuda -DTARN_BUILD_TESTS=ON -DTARN_BUILD_BENCH=ON laws_test runtime_test \
  distributed_test mistaken_ranks_driver gpu_bench tarn_cli
folder=build/gpu-tests
rm -rf "$folder"
mkdir -p "$folder/lib" "$folder/golden/lm"
cp tests/golden/lm/families.json "$folder/golden/lm"
cp bench/compare_gpu.py bench/compare_gpu_torch.py bench/compare_report.py bench/compare_sides.py \
  bench/gpu_targets.json "$folder"
for program in tests/laws_test tests/runtime_test tests/distributed_test \
  tests/mistaken_ranks_driver bench/gpu_bench tarn; do
  strip -o "$folder/$(basename "$program")" "build/cuda/$program"
  # Everything but the system's own C library, whose version must be that of the machine.
  ldd "build/cuda/$program" | awk '$3 ~ /^\// { print $3 }' |
    grep -vE '/(libc|libm|libdl|libpthread|librt)\.so' | xargs -r cp -Lu -t "$folder/lib"
done
cat >"$folder/run.sh" <<'END'
#!/bin/sh
# run.sh: the tests. run.sh compiled: those of kernels, with every chain compiled first, in 16
# processes; run.sh background: with an empty cache, while chains are compiled. run.sh bench: the
# benchmark. run.sh compare: the table of bench/compare_gpu.py, where there is Python. run.sh memcheck (or another tool of compute-sanitizer): a small part of the tests under
# it. run.sh two: the tests of ranks on two cards, and what ranks gain; run.sh ranks N: those tests
# alone, on N cards.
cd "$(dirname "$0")" || exit
if [ "$1" = compare ]; then  # Python has libraries of its own
  shift
  exec python3 compare_gpu.py --driver "./run.sh bench" --json compare-gpu.json "$@"
fi
export TARN_NEEDS_CARD=1
export LD_LIBRARY_PATH="$PWD/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
case "$1" in
  memcheck | racecheck | initcheck | synccheck)
    exec compute-sanitizer --tool "$1" --error-exitcode 9 ./laws_test --gtest_filter='Devices.ComputeWhat*' ;;
  compiled | background)
    export TARN_CHAINS="$1"
    if [ "$1" = background ]; then TARN_CACHE=$(mktemp -d) && export TARN_CACHE; fi
    parts=0 failed=0 all=
    while [ "$parts" -lt 16 ]; do
      TARN_SAMPLE_SHARD=$parts/16 ./laws_test --gtest_filter='Devices.Compute*' &
      all="$all $!" parts=$((parts + 1))
    done
    for part in $all; do wait "$part" || failed=1; done
    exit "$failed" ;;
  bench)
    shift
    exec ./gpu_bench "$@" ;;
  two)
    ./run.sh ranks 2 || exit
    for what in sums "divided 1B" "divided 3B" "divided 8B" "training 1B"; do
      # shellcheck disable=SC2086
      ./tarn launch -n 2 --backend nccl ./gpu_bench $what || exit
    done
    exit ;;
  ranks)
    export TARN_DEVICE=gpu TARN_GOLDENS="$PWD/golden"
    ./tarn launch -n "$2" --backend nccl ./distributed_test --gtest_brief=1 || exit
    # A rank that ends is told to the others, which wait for nothing.
    said=$(timeout 60 ./tarn launch -n "$2" --backend nccl ./mistaken_ranks_driver ends 2>&1)
    case "$said" in
      *"[all_sum] rank 1 is gone: it ended, or closed its connection, before this communication was done."*) exit 0 ;;
    esac
    echo "A rank that ended was not noticed: $said"
    exit 1 ;;
esac
tests='FollowingTurns.*:OneMemory.*:Joined.*:Decoding.*:Prompts.*:Training.*'
./runtime_test --gtest_filter="$tests:CudaKernels.*:Lines.*:*LinesOf.*:Copies.*" && ./laws_test --gtest_filter='Devices.*'
END
chmod +x "$folder/run.sh"
say "$folder is complete: copy it to the machine with the GPU and run run.sh there."
