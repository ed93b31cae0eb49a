#include "ops/all.h"

#include <vector>

#include "ops/compound.h"
#include "ops/conv.h"
#include "ops/fft.h"
#include "ops/linalg.h"
#include "ops/movement.h"
#include "ops/products.h"
#include "ops/reductions.h"
#include "ops/sparse.h"

namespace tarn::ops {

std::span<const Op* const> all() {
  static const auto list = [] {
    std::vector<const Op*> out;
    auto add = [&]<class T>(type<T>) { out.push_back(&op_of<T>); };
    UnaryOps::each(add);
    BinaryOps::each(add);
    TernaryOps::each(add);
    out.push_back(&as_type_op);
    out.push_back(&copy_op);
    ReduceOps::each(add);
    ArgReduceOps::each(add);
    ScanOps::each(add);
    MovementOps::each(add);
    ContractionOps::each(add);
    SparseOps::each(add);
    ProductOps::each(add);
    ConvolutionOps::each(add);
    TransformOps::each(add);
    DecompositionOps::each(add);
    FusedOps::each(add);
    SourceOps::each(add);
    return out;
  }();
  return list;
}

}  // namespace tarn::ops
