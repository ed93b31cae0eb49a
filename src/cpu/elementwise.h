// Fused elementwise steps: a tape of blocks that runs over pieces that stay in the first cache.
#pragma once

#include <memory>
#include <span>

#include "cpu/blocks.h"
#include "runtime/backend.h"

namespace tarn::cpu {

std::shared_ptr<const void> compile_chain(std::span<const FusedOp> chain,
                                          std::span<const Operand> in);
void run_chain(const Step& step, int worker, int workers);

// The block that does `op` on dtype `from`, at the instruction set in use; null when there is none.
Block block_for(const Op* op, Dtype from, Dtype to);
const Blocks& blocks();

}  // namespace tarn::cpu
