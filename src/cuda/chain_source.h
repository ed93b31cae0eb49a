// A fused elementwise step as the source of a kernel of its own.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cuda/chain.h"
#include "runtime/backend.h"

namespace tarn::cuda {

inline constexpr int compiled_threads = 256;

// The step for the interpreter. Nothing when it is longer or reads more than a program holds.
std::optional<ChainProgram> program_of(std::span<const FusedOp> chain, std::span<const Operand> in);

struct ChainSource {
  std::string text{};            // defines `chain`; equal for steps that can share a kernel
  int64_t elements_a_block = 0;  // of the result
  std::vector<int> strided{};    // inputs whose strides are parameters
  std::vector<int> alignment{};  // in bytes: of each input's first element, then of the result's
};
// `program` has the shape, joined axes and strides of the same step.
ChainSource source_of(std::span<const FusedOp> chain, std::span<const Operand> in,
                      const ChainProgram& program);

// A launch's parameters, in the order in which the source reads them. False: an array does not lie
// where the kernel's vectors need it.
bool fill_words(const ChainSource& source, const ChainProgram& program,
                std::vector<int64_t>& words);

}  // namespace tarn::cuda
