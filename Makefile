# The commands of this tree. Each is a script in tools/; this file only names them.
.DEFAULT_GOAL := help
.PHONY: help chat build test test-long test-gpu compare bench goldens clean

# The prompt's text goes through the environment, unexpanded: quotes, $ and newlines arrive whole.
# Only `make chat PROMPT=...` counts; a PROMPT that a shell happens to export does not.
ifeq ($(origin PROMPT),command line)
override PROMPT := $(value PROMPT)
export PROMPT
chat_mode := --prompt
else
unexport PROMPT
endif

help:
	@printf '%s\n' \
	  'make chat                chat with a small language model: installs, builds and fetches' \
	  '                         whatever is missing, then opens the chat' \
	  'make test                build and run all tests (at most 25 minutes on two cores)' \
	  '' \
	  'make chat PROMPT="..."   answer once; only the answer is on standard output' \
	  'make build               build/release/tarn, and nothing else' \
	  'make test-long           the tests again under sanitizers, at each instruction set and' \
	  '                         as 64-bit Arm (at most 75 minutes on two cores)' \
	  'make test-gpu            build/gpu-tests: tests for a machine with an NVIDIA GPU, which needs' \
	  '                         no compiler, network or CUDA there (docs/gpu.md)' \
	  'make bench               the benchmarks in bench/' \
	  'make compare             speed beside other libraries, on this machine; DEVICE=gpu: on its GPU' \
	  'make goldens             write the golden data of the tests again, from the oracles' \
	  'make clean               remove build/ (kept: the model cache and .venv-*)'

chat:
	@tools/chat.sh $(chat_mode)

build:
	@tools/setup.sh build
	@tools/build.sh release tarn_cli

test:
	@tools/test.sh

test-long:
	@tools/test_long.sh

test-gpu:
	@tools/test_gpu.sh

bench:
	@tools/bench.sh

compare:
ifeq ($(DEVICE),gpu)
	@tools/setup.sh build
	@python3 bench/compare_gpu.py
else
	@tools/setup.sh build model
	@tools/build.sh release tarn_cli
	@tools/fetch_model.py >/dev/null
	@python3 bench/compare.py
endif

goldens:
	@tools/goldens.sh

clean:
	@rm -rf build
