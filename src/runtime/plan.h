// A plan: the steps that compute a graph, with their memory laid out, ready to run many times.
#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "runtime/backend.h"
#include "tarn/array.h"

namespace tarn {

// Where an operand's bytes are.
struct Place {
  enum class Kind : uint8_t { leaf, constant, slab, buffer } kind = Kind::slab;
  int index = 0;      // of the leaf, constant or buffer
  size_t offset = 0;  // in the slab
};

struct PlanOperand {
  Place place{};
  int64_t bytes_in = 0;  // the view's first element, from the place's start
};

struct PlanStep {
  Kernel kernel{};
  Step step{};
  std::vector<PlanOperand> in{};
  PlanOperand out{};
  int params_of = -1;   // the graph item whose parameters the step reads at run time
  Params own_params{};  // otherwise
  size_t scratch_at = 0;
  bool barrier_before = false;
  bool serial = false;
  std::shared_ptr<const void> program{};
  std::string what{};  // for errors and explain
};

struct PlanOutput {
  int item = 0;
  Place place{};
  int64_t bytes_in = 0;
  Strides strides{};  // empty: row-contiguous
};

struct Plan {
  std::vector<PlanStep> steps{};
  std::vector<array> constants{};
  std::vector<size_t> buffer_bytes{};
  std::vector<PlanOutput> outputs{};
  size_t slab_bytes = 0;
  double cost = 0;     // nanoseconds on one core, roughly
  bool baked = false;  // holds run-time parameters: valid only for the same ones
  int barriers = 0;
  size_t update_copy_bytes = 0;  // by updates that could not write in place
};

struct PlanBindings {
  std::vector<void*> leaves{}, buffers{};
  std::vector<const Params*> params{};  // by item
};

// Throws the first error a kernel threw, or Cancelled.
void execute(Plan& plan, const PlanBindings& bound, const std::stop_token& stop);

}  // namespace tarn
