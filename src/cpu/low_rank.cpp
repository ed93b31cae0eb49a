// Products with quantised weights and a low-rank term: steps turned into calls of the heavy
// kernels.
#include "ops/low_rank.h"
#include "cpu/heavy_back.h"
#include "cpu/move.h"
#include "cpu/quantized_steps.h"
#include "cpu/reduce.h"

namespace tarn::cpu {
namespace {

using P = ops::QuantizedMatmul::P;

constexpr int64_t kManyRows = 16;  // from here on products of floats add terms, and tiles are used
bool takes_term(const Step& s) {
  return takes<ops::QuantizedMatmul>(s) && qmm_of(s).m >= kManyRows;
}
bool rounds(const Step& s) {
  const auto& p = s.params->as<P>();
  return p.precision == Precision::balanced && p.coding == Coding::affine;
}
// In tiles, where the level has them: then rows are rounded to bfloat16.
bool takes_tiles(const Step& s) {
  return heavy_back().qmm && takes_term(s) && rounds(s) && qmm_plus_of(s).rank <= kMostTileRank;
}
bool takes_tiles_there(const Step& s) { return takes_tiles(s) && s.params->as<P>().transpose; }
bool takes_tiles_back(const Step& s) { return takes_tiles(s) && !s.params->as<P>().transpose; }
// Where rows are rounded to 16 bits.
bool takes_digits_there(const Step& s) {
  return takes<ops::QuantizedMatmul>(s) && rounds(s) && s.params->as<P>().transpose &&
         (!heavy_back().qmm || qmm_of(s).m < kManyRows);
}
// Where activations are to be rounded, a product of floats is another one.
bool takes_floats(const Step& s) {
  return takes_term(s) && !(rounds(s) && s.params->as<P>().transpose);
}

Qmm packed_of(const Step& s) {
  Qmm q = qmm_plus_of(s);
  q.packed = s.in.back().data, q.scratch = s.scratch;
  return q;
}
void run_there(const Step& s, int worker, int workers) {
  heavy().qmm_balanced(packed_of(s), worker, workers);
}
void run_back(const Step& s, int worker, int workers) {
  heavy_back().qmm(packed_of(s), worker, workers);
}
void run_floats(const Step& s, int worker, int workers) {
  Qmm q = qmm_plus_of(s);
  q.scratch = s.scratch;
  heavy().qmm_exact(q, worker, workers);
}
size_t there_scratch(const Step& s, int workers) {
  return heavy().qmm_balanced_scratch(qmm_plus_of(s), workers);
}
size_t back_scratch(const Step& s, int workers) {
  return heavy_back().qmm_scratch(qmm_plus_of(s), workers);
}
size_t floats_scratch(const Step& s, int workers) {
  return heavy().qmm_exact_scratch(qmm_plus_of(s), workers);
}

}  // namespace

void add_low_rank(KernelTable& t) {
  auto row = [](KernelFn run, bool (*fits)(const Step&), size_t (*scratch)(const Step&, int),
                const Packing* packing, std::string_view name) {
    Kernel k{.run = run, .fits = fits, .scratch = scratch};
    k.packing = packing, k.cost = qmm_cost, k.name = name;
    return k;
  };
  const Op& op = ops::op_of<ops::QuantizedMatmulPlus>;
  for (auto fits : {takes_tiles_there, takes_digits_there})
    t.add(op, row(run_there, fits, there_scratch, &packed_activations, "rounded activations"));
  t.add(op, row(run_back, takes_tiles_back, back_scratch, &packed_cotangents, "bfloat16 tiles"));
  t.add(op, row(run_floats, takes_floats, floats_scratch, nullptr, "float activations"));
}

}  // namespace tarn::cpu
