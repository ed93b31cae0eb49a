// Everything the CPU can do. The first row of an op whose predicate holds wins; an op without a
// row is computed by its expansion.
#include "cpu/custom.h"
#include "cpu/decompose.h"
#include "cpu/elementwise.h"
#include "cpu/move.h"
#include "cpu/reduce.h"
#include "runtime/backend.h"

namespace tarn {

const Backend& cpu_backend() {
  static const Backend backend = [] {
    Backend b;
    cpu::add_reductions(b.table);
    cpu::add_movements(b.table);
    cpu::add_scans_and_sorts(b.table);
    cpu::add_sources(b.table);
    cpu::add_contractions(b.table);
    cpu::add_products(b.table);
    cpu::add_derivatives(b.table);  // before the exact products
    cpu::add_quantized(b.table);
    cpu::add_low_rank(b.table);
    cpu::add_low_rank_rows(b.table);
    cpu::add_convolutions(b.table);
    cpu::add_transforms(b.table);
    cpu::add_rows(b.table);
    cpu::add_attention(b.table);
    cpu::add_delta_rules(b.table);
    cpu::add_sparse(b.table);
    cpu::add_custom(b.table);
    cpu::add_communications(b.table);
    cpu::add_decompositions(b.table);
    b.fused = {.run = cpu::run_chain, .accepts = Accepts::any, .name = "blocks"};
    b.compile = cpu::compile_chain;
    return b;
  }();
  return backend;
}

}  // namespace tarn
