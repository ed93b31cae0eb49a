// Fused elementwise steps as a kernel sees them: loads, instructions over registers, one store.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace tarn::cuda {

inline constexpr int chain_threads = 128;
inline constexpr int most_chain_items = 16;
inline constexpr int most_chain_inputs = 24;  // as many as runtime/fuse.cpp gives a step
inline constexpr int most_chain_axes = 8;
inline constexpr int most_instructions = 128;
inline constexpr int most_chain_shared = 96 << 10;  // bytes; what every card of sm_80 and later has

// Where the table of formulas has the block of an op: rows follow UnaryOps, BinaryOps, TernaryOps
// and then the casts, columns the dtypes.
inline constexpr int block_columns = 14;
int first_row_of(int arity);  // 1, 2, 3; 4: the casts

enum class Reach : uint8_t { contiguous, one, strided };
struct ChainInput {
  const void* data = nullptr;
  int64_t strides[most_chain_axes] = {};  // in elements
  uint8_t reg = 0;
  uint8_t size = 4;  // bytes of an element
  uint8_t half = 0;  // 1: float16, 2: bfloat16; widened to float
  Reach reach = Reach::contiguous;
};
struct ChainInstruction {
  uint16_t block = 0;
  uint8_t in[3] = {0, 0, 0};
  uint8_t out = 0;
};
// Passed by value: a launch's parameters may take 4 KB.
struct ChainProgram {
  ChainInput inputs[most_chain_inputs] = {};
  ChainInstruction tape[most_instructions] = {};
  int64_t shape[most_chain_axes] = {};
  int64_t size = 0;  // elements
  void* out = nullptr;
  int16_t input_count = 0, instructions = 0, axes = 0;
  int16_t items = 8;      // elements of a thread
  uint8_t reg_bytes = 4;  // of an element in a register
  uint8_t registers = 0;
  uint8_t result = 0;  // the register that is stored
  uint8_t out_size = 4, out_half = 0;
};
static_assert(sizeof(ChainProgram) <= 4096);

void launch_chain(const ChainProgram& program, cudaStream_t stream);

}  // namespace tarn::cuda
