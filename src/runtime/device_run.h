// A plan with a device, bound to its memory for one run or for many.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stop_token>
#include <vector>

#include "base/buffer.h"
#include "base/residency.h"
#include "runtime/plan.h"

namespace tarn {

// Device steps are put into the device's queue; a CPU step waits for what it reads. Before each
// step, what it reads is brought to its side.
class DeviceRun {
 public:
  DeviceRun(Plan& plan, const PlanBindings& bound);
  // From now on all steps are one recording, where the device records. For a plan that has steps on
  // the device alone and is nobody else's until what they met has been asked for: a recorded launch
  // notes it in the same place each time.
  void record_all();

  // Finds the steps' parameters. What those of the run come to for kernels (Kernel::number).
  std::vector<int64_t> read_params();
  void run(const std::vector<int64_t>& numbers, const std::stop_token& stop);
  // Once more, where nothing but the numbers has changed since run(): only the steps' launches.
  // False: nothing was done and run() is needed, since a recording is missing or old.
  bool run_again(const std::vector<int64_t>& numbers, const std::stop_token& stop);

 private:
  // A piece of the plan's memory during one run.
  struct Piece {
    Buffer* buffer = nullptr;  // keeps track itself; null: a part of the slab, or a number
    std::byte* host = nullptr;
    std::byte* device = nullptr;  // null: the buffer knows
    std::ptrdiff_t in_buffer = 0;
    size_t bytes = 0;
    bool on_host = false, on_device = false;
  };
  static constexpr size_t number_bytes = 16;

  Piece piece(size_t memory);
  void place_array(Piece& p, Buffer* buffer, void* data, size_t memory);
  Piece& piece_of(const PlanStep& s, size_t operand) {
    return pieces_[static_cast<size_t>(s.memories[operand])];
  }
  std::byte* values(Piece& p, bool on_device);
  void copy(Piece& p, bool to_device);
  void touch_mirror();
  std::byte* room(Piece& p, bool on_device);
  void wrote(Piece& p, bool on_device);

  void bring(const std::vector<int64_t>& numbers);
  void run_steps(const std::stop_token& stop);
  void prepare(size_t step);
  // The last of the steps that the launch of this one does.
  size_t last_of(size_t step) const { return step + static_cast<size_t>(plan_.steps[step].joined); }
  void launch(size_t step);
  void forget_findings() const noexcept;

  void find_row();
  uint64_t signature(size_t first) const;
  void run_row();
  void row_one_by_one();
  void keep_slab();
  bool has_number(const Piece& p);

  Plan& plan_;
  const PlanBindings& bound_;
  DeviceMemory& memory_;
  BufferRef slab_{};
  std::byte* slab_device_ = nullptr;
  size_t params_at_ = 0;  // in the slab
  std::vector<Piece> pieces_{};
  PlanReplay& replay_ = plan_.replay;
  StepRow* row_ = &replay_.longest;
};

}  // namespace tarn
