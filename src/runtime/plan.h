// A plan: the steps that compute a graph, in stages, with their memory laid out, ready to run many
// times.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "runtime/backend.h"
#include "tarn/array.h"

namespace tarn {

// Who does a step. What `each` worker makes lies in memory of its own, so that whoever reads it
// need not wait for another.
enum class Who : uint8_t { all, one, each };

// Where an operand's bytes are.
struct Place {
  enum class Kind : uint8_t { leaf, constant, slab, own, buffer } kind = Kind::slab;
  int index = 0;      // of the leaf, constant or buffer
  size_t offset = 0;  // in the slab, or in each worker's own part
};

struct PlanOperand {
  Place place{};
  int64_t bytes_in = 0;  // the view's first element, from the place's start
};

// Why a fused step's result is stored although elementwise ops read it; for explain.
enum class Stored : uint8_t {
  unread,   // nothing in the plan does
  output,   // an array outside still names it
  reader,   // what reads it is no elementwise op
  repeats,  // the reader repeats it along other axes
  shared,   // several steps read it, and it costs too much to compute again
  full,     // the reader's step has as many ops or inputs as one may have
  alone     // fusing is off
};

struct PlanStep {
  Kernel kernel{};
  const Op* op = nullptr;
  Who who = Who::all;
  std::vector<Operand> shapes{};  // the inputs, then the output
  std::vector<PlanOperand> at{};  // likewise
  int params_of = -1;             // the graph item whose parameters the step reads at run time
  Params own_params{};            // otherwise
  std::optional<Place> scratch{};
  std::shared_ptr<const void> program{};
  std::string what{};  // for errors and explain
  Stored stored = Stored::unread;
  const Op* reader = nullptr;  // for Stored::reader and repeats
  bool on_device = false;
  int joined = 0;               // so many steps behind this one are done by its launch
  bool follows = false;         // is one of those
  std::vector<int> memories{};  // in a plan with a device: Plan::memories of `at`
  std::vector<ItemNumber> item_numbers{};
  size_t numbers_at = 0;  // the first of Plan::numbers that are the step's

  size_t numbers() const { return (kernel.number ? 1 : 0) + item_numbers.size(); }

  const Operand& out() const { return shapes.back(); }
};

// A piece of memory of a plan with a device: what is copied whole from one side to the other.
struct PlanMemory {
  Place place{};
  size_t bytes = 0;
};

struct PlanOutput {
  int item = 0;
  Place place{};
  int64_t bytes_in = 0;
  Strides strides{};  // empty: row-contiguous
};

// What running a step takes, packed in the order in which it is read: a plan is cold in the caches
// each time, since the weights of a model have passed through them.
struct StepRun {
  KernelFn run = nullptr;
  Who who = Who::all;
  int params_of = -1;
  PlanOperand out{};
  std::optional<Place> scratch{};
};
// The steps as one worker runs them: the same, but for the addresses of what is its own.
struct WorkerSteps {
  std::vector<Operand> inputs{};  // of all steps, one step's after the other's
  std::vector<Step> steps{};
};

// How far a worker's share is. Stages are numbered through all runs of a plan, and take turns in
// two sets of shares: a stage begins when all shares of the one before are done.
struct alignas(64) ShareState {
  std::atomic<uint64_t> begun{0}, done{0};  // the last stage
};

struct PlanBindings {
  std::vector<void*> leaves{}, buffers{};
  std::vector<const Params*> params{};  // by item
  std::vector<Buffer*> owners{};        // of the leaves, in a plan with a device; null: a number
};

// Steps behind each other that are given to a device at once.
struct StepRow {
  std::unique_ptr<Recording> recording{};
  size_t first = 0, last = 0;       // the steps
  std::vector<uint64_t> of_step{};  // what each was launched with: addresses and parameters
  uint64_t kernels = 0;             // Backend::kernels_made
  int refused = 0;                  // recordings that were soon of no use
};
// What a plan with a device keeps between runs.
struct PlanReplay {
  StepRow longest{};  // row without a step that checks; what any run uses
  StepRow whole{};    // all steps, for who keeps the plan (runtime/turns.h)
  int runs = 0;
  BufferRef slab{};                    // of a plan with a recording; else each run has its own
  std::vector<std::string> numbers{};  // by memory: the bytes of numbers that the slab has
  std::vector<int64_t> of_params{};    // the steps' numbers as the slab has them
};

struct Plan {
  std::vector<PlanStep> steps{};
  std::vector<size_t> stage_begins{};  // steps, and their number at the end
  std::vector<array> constants{};
  std::vector<size_t> buffer_bytes{};
  std::vector<PlanOutput> outputs{};
  size_t slab_bytes = 0, own_bytes = 0;  // shared, and beside it for each worker
  double cost = 0;                       // nanoseconds on one core, roughly
  bool baked = false;                    // holds run-time parameters: valid only for the same ones
  bool shared = false;                   // several workers run it
  size_t update_copy_bytes = 0;          // by updates that could not write in place
  const Backend* device = nullptr;       // runs some of the steps; null: the CPU runs all
  std::vector<PlanMemory> memories{};    // with a device
  size_t numbers = 0;                    // that kernels read when they run
  PlanReplay replay{};

  // For running; made at the first run that needs them.
  std::vector<StepRun> runs{};
  std::vector<PlanOperand> inputs_at{};  // of all steps
  std::vector<WorkerSteps> of_worker{};
  std::vector<ShareState> shares{};  // two for each worker
  uint64_t stages_run = 0;
  PlanBindings bindings{};
  std::vector<BufferRef> memory{};  // of the outputs

  size_t stages() const { return stage_begins.size() - 1; }
};

// Throws the first error a kernel threw, or Cancelled.
void execute(Plan& plan, const PlanBindings& bound, const std::stop_token& stop);
// The same for a plan with a device: one step after the other, each where its kernel is.
void execute_on_device(Plan& plan, const PlanBindings& bound, const std::stop_token& stop);
// Fills what running takes, for that many workers, unless it is there.
void make_ready(Plan& plan, int workers);

}  // namespace tarn
