#!/usr/bin/env bash
# The tests again, under address and undefined-behaviour sanitizers, under the thread sanitizer,
# with the kernels held to each lower instruction set that this processor has, those of the kernels
# for 64-bit Arm in an emulator, and some for longer: a training run killed at 100 points, threads
# that answer, swap and unload for a minute, in both builds. The tests labelled long (the whole model
# against its goldens, the consumers, the hostile templates) are left to `make test`.
source "$(dirname "$0")/shell.sh"

# What to run: any of isa, asan, tsan, stress, vocabularies, aarch64, cuda; all but the last without
# arguments. cuda compiles the GPU backend where nvcc is found and runs what needs no card.
# aarch64 is tools/test_aarch64.sh, which can be run alone. vocabularies compares tokenizers and chat
# templates with their references on the vocabularies of real models, and the answers of the one
# whose weights come with it.
stages=" ${*:-isa asan tsan stress vocabularies aarch64} "
wants() { [[ $stages == *" $1 "* ]]; }

tools/setup.sh build model test oracles
with_tests=(-DTARN_BUILD_TESTS=ON "-DTARN_ORACLE_PYTHON=$PWD/.venv-oracle/bin/python")
TARN_TEST_MODEL=$(tools/fetch_model.py)
export TARN_TEST_MODEL
export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:suppressions="'$PWD/tests/tsan.supp'"

# Each value of TARN_ISA, lowest first, and the flags of /proc/cpuinfo that it adds, as in
# src/cpu/isa.cpp.
isa_levels=(
  "baseline:"
  "avx2:avx2 fma f16c bmi2"
  "avx512:avx512f avx512dq avx512cd avx512bw avx512vl"
  "vnni:avx512_vnni avx512vbmi gfni"
  "amx:avx512_bf16 amx_tile amx_int8 amx_bf16"
)
if [ "$(uname -m)" = aarch64 ]; then
  isa_levels=("neon:asimd" "dotprod:asimddp" "i8mm:i8mm bf16")
fi

# What computes nothing, or the same as others: files, downloads, signatures, the tree itself.
no_kernels='^(hub|io|api|graph|repository)\.|^oracle\.(io|hub_cache|mlx_headers|chat_template)'

has_flags() {
  local flag
  for flag in $1; do grep -qw -m 1 "$flag" /proc/cpuinfo || return 1; done
}

failed=() absent=()
run() { tools/ctest.sh "$@" || failed+=("$1"); }

levels() {
  tools/build.sh release "${with_tests[@]}"
  local level name
  for level in "${isa_levels[@]}"; do
    name=${level%%:*}
    if [ ${#absent[@]} -eq 0 ] && has_flags "${level#*:}"; then
      TARN_ISA=$name run "isa-$name" release --label-exclude long --exclude-regex "$no_kernels"
    else
      absent+=("$name")
    fi
  done
}

# On one thread, or what other tests do on several, and slow under the thread sanitizer, so left to
# the other stages: the kernels alone, whose workers are called in turn, hostile vocabularies and
# files, sampling, long transforms, and training. tests/CMakeLists.txt says which cases of the
# program run there.
one_thread='^(cpu\.|lm\.(Hostile|Sample\.)|hostile\.FunctionFile|ops\.Fft\.Long|'
one_thread+='bindings\.(digits|transformer))'

# The thread sanitizer of g++ 12 cannot place its shadow under the address randomisation of newer
# kernels; without randomisation it can.
fixed=()
if setarch "$(uname -m)" -R true 2>/dev/null; then fixed=(setarch "$(uname -m)" -R); fi

threads() {
  tools/build.sh tsan "${with_tests[@]}"
  "${fixed[@]}" tools/ctest.sh tsan tsan --label-exclude long --exclude-regex "$one_thread" ||
    failed+=(tsan)
}

# Where a minute or a hundred times shows more than a moment does.
stress() {
  tools/build.sh release "${with_tests[@]}" lm_test train_driver
  tools/build.sh tsan "${with_tests[@]}" lm_test
  mkdir -p build/ctest
  local filter=ContainerThreads.GenerateSwapAndUnloadAtOnce:AdapterAnswers.SwapsDisturbNoAnswer
  local log=build/ctest/stress.log
  {
    TARN_TEST_KILLS=100 build/release/tests/lm_test \
      --gtest_filter=TrainTest.ARunThatIsKilledAnywhereEndsWithTheSameWeights &&
      TARN_TEST_SECONDS=60 build/release/tests/lm_test --gtest_filter="$filter" &&
      TARN_TEST_SECONDS=60 "${fixed[@]}" build/tsan/tests/lm_test --gtest_filter="$filter"
  } >"$log" 2>&1 || failed+=(stress)
}

gpu_code() {
  if ! command -v nvcc >/dev/null && [ ! -x /usr/local/cuda/bin/nvcc ]; then
    say "Not run, there is no nvcc: cuda"
    return
  fi
  tools/build.sh cuda "${with_tests[@]}" "-DTARN_CUDA_ARCHITECTURES=90a-real;80-virtual" \
    cuda_test runtime_test laws_test
  run cuda cuda --tests-regex '^(cuda\.|runtime\.(OneMemory|Joined)|laws\.(Devices|Lowering))'
}

if wants isa; then levels; fi
if wants cuda; then gpu_code; fi
if wants asan; then
  tools/build.sh asan "${with_tests[@]}"
  run asan asan --label-exclude long
fi
if wants tsan; then threads; fi
if wants stress; then stress; fi
if wants aarch64; then tools/test_aarch64.sh || failed+=(aarch64); fi

say "Not run again here: the tests labelled long; make test runs them."
if [ ${#absent[@]} -gt 0 ]; then
  say "Not run, this processor lacks them: TARN_ISA=${absent[*]}"
fi
if wants vocabularies; then
  tools/build.sh release "${with_tests[@]}" tokenizer_driver chat_template_driver lm_test
  mkdir -p build/ctest
  .venv-oracle/bin/python tests/oracle/vocabularies.py --folder build/vocabularies \
    --driver build/release/tests/tokenizer_driver \
    --templates build/release/tests/chat_template_driver >build/ctest/vocabularies.log 2>&1 ||
    failed+=(vocabularies)
  TARN_TEST_GEMMA=build/vocabularies/gemma3.gguf build/release/tests/lm_test \
    --gtest_filter='Gemma.*' >build/ctest/gemma.log 2>&1 ||
    failed+=(gemma)
fi
[ ${#failed[@]} -eq 0 ] || die "Failed: ${failed[*]} (logs in build/ctest)"
