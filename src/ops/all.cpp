#include "ops/all.h"

#include <vector>

#include "ops/back.h"
#include "ops/communications.h"
#include "ops/compound.h"
#include "ops/conv.h"
#include "ops/fft.h"
#include "ops/linalg.h"
#include "ops/low_rank.h"
#include "ops/movement.h"
#include "ops/products.h"
#include "ops/ragged.h"
#include "ops/reductions.h"
#include "ops/sparse.h"

namespace tarn::ops {

namespace {

struct Entry {
  const Op* op = nullptr;
  Types types = Types::number;
};
const std::vector<Entry>& entries() {
  static const auto list = [] {
    std::vector<Entry> out;
    auto add = [&]<class T>(type<T>) { out.push_back({&op_of<T>, T::spec.types}); };
    UnaryOps::each(add);
    BinaryOps::each(add);
    TernaryOps::each(add);
    out.push_back({&as_type_op});
    out.push_back({&copy_op});
    ReduceOps::each(add);
    ArgReduceOps::each(add);
    ScanOps::each(add);
    MovementOps::each(add);
    ContractionOps::each(add);
    SparseOps::each(add);
    ProductOps::each(add);
    LowRankOps::each(add);
    ConvolutionOps::each(add);
    TransformOps::each(add);
    DecompositionOps::each(add);
    FusedOps::each(add);
    RaggedOps::each(add);
    BackOps::each(add);
    SourceOps::each(add);
    CommunicationOps::each(add);
    return out;
  }();
  return list;
}

}  // namespace

std::span<const Op* const> all() {
  static const auto list = [] {
    std::vector<const Op*> out;
    for (const auto& e : entries()) out.push_back(e.op);
    return out;
  }();
  return list;
}

const char* types_of(const Op& op) {
  constexpr const char* words[] = {"bool",   "integers, bool",  "all but complex", "all",
                                   "floats", "floats, complex", "complex"};
  for (const auto& e : entries())
    if (e.op == &op) return words[static_cast<size_t>(e.types)];
  return "";
}

}  // namespace tarn::ops
