// Everything the card can do. The first row of an op whose predicate holds wins; an op without a
// row is computed by its expansion, or by the CPU.
#include <exception>

#include "cuda/arena.h"
#include "cuda/compiled.h"
#include "cuda/device.h"
#include "cuda/replay.h"
#include "cuda/table.h"
#include "runtime/backend.h"

namespace tarn {
namespace {

std::unordered_map<std::string, std::variant<std::string, size_t>> info() {
  const cuda::Card& c = *cuda::card();
  return {{"device_name", c.name},
          {"architecture", fmt::format("sm_{}{}", c.major, c.minor)},
          {"memory_size", c.memory},
          {"multiprocessors", static_cast<size_t>(c.processors)}};
}

// Null when the card cannot be used: a program then runs as on a machine without one.
const Backend* make_backend() try {
  if (!cuda::card()) return nullptr;
  auto* b = new Backend;  // threads may evaluate while the program ends
  cuda::add_chains(*b);
  cuda::add_reductions(b->table);
  cuda::add_movements(b->table);
  cuda::add_products(b->table);
  cuda::add_rows(b->table);
  cuda::add_derivatives(b->table);
  cuda::add_communications(b->table);
  cuda::add_custom(b->table);
  cuda::add_convolutions(b->table);
  cuda::add_scans(b->table);
  cuda::add_sorts(b->table);
  b->memory = &cuda::arena();
  b->computes_again = true;
  b->fold = cuda::fold_values;
  b->record = cuda::record;
  b->kernels_made = cuda::kernels_made;
  b->check = cuda::wait_and_check;
  b->info = info;
  return b;
} catch (const DeviceError&) {
  return nullptr;
}

}  // namespace

const Backend* cuda_backend() {
  static const Backend* const backend = make_backend();
  return backend;
}

}  // namespace tarn
