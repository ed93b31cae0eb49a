// The operations that a program defines itself: their definition, as nodes carry it.
#pragma once

#include <memory>

#include "graph/op.h"
#include "tarn/custom_op.h"

namespace tarn {

struct CustomOpFunction::Definition {
  CustomOp told{};
  Op op{};
};
using CustomDefinition = CustomOpFunction::Definition;

struct CustomOpParams {
  std::shared_ptr<const CustomDefinition> definition{};
  TARN_FIELDS(definition)
};

// What CustomOp::cuda makes.
Arrays expand_with_cuda(const Params& params, std::span<const array> in);

// The row of the kernel tables that runs them all.
extern const Op custom_op_row;

}  // namespace tarn
