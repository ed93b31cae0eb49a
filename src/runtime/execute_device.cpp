// Runs a plan of which a device computes some steps. Device steps are put into the device's queue;
// a CPU step waits for what it reads. Before each step, what it reads is brought to its side.
#include <atomic>
#include <exception>
#include <mutex>

#include "base/buffer.h"
#include "base/hash.h"
#include "base/require.h"
#include "base/residency.h"
#include "base/thread_pool.h"
#include "graph/node.h"
#include "runtime/eval.h"
#include "runtime/plan.h"

namespace tarn {
namespace {

// A piece of the plan's memory during one run.
struct Piece {
  Buffer* buffer = nullptr;  // keeps track itself; null: a part of the slab, or a number
  std::byte* host = nullptr;
  std::byte* device = nullptr;  // null: the buffer knows
  std::ptrdiff_t in_buffer = 0;
  size_t bytes = 0;
  bool on_host = false, on_device = false;
};

class DeviceRun {
 public:
  DeviceRun(Plan& plan, const PlanBindings& bound)
      : plan_(plan), bound_(bound), memory_(*plan.device->memory) {
    params_at_ = plan.slab_bytes + number_bytes * plan.memories.size();
    size_t bytes = params_at_ + sizeof(int64_t) * plan.numbers;
    slab_ = plan.replay.slab ? plan.replay.slab : BufferRef(allocate_on(memory_, bytes));
    slab_device_ = device_bytes_to_write(*slab_.get(), memory_);
    for (size_t m = 0; m < plan.memories.size(); ++m) pieces_.push_back(piece(m));
  }

  void run(const std::stop_token& stop) {
    find_row();
    bool check = false;
    try {
      write_params();
      for (size_t s = 0; s < plan_.steps.size(); ++s) {
        require<Cancelled>(!stop.stop_requested(), "[eval] stopped on request.");
        if (s == replay_.first && s < replay_.last) {
          row();
          s = replay_.last - 1;
          continue;
        }
        if (plan_.steps[s].follows) continue;
        for (size_t i = s; i <= last_of(s); ++i) prepare(i);
        launch(s);
        check |= checks(plan_.steps[s]);
      }
    } catch (...) {
      forget_findings();
      throw;
    }
    if (check && !runs_ahead()) plan_.device->check();
  }

 private:
  static constexpr size_t number_bytes = 16;

  // What earlier steps met would be thrown by the next evaluation.
  void forget_findings() const noexcept {
    try {
      plan_.device->check();
    } catch (...) {  // the error that ended this run is the one to be told
    }
  }

  Piece piece(size_t m) {
    const PlanMemory& from = plan_.memories[m];
    auto i = static_cast<size_t>(from.place.index);
    Piece p;
    p.bytes = from.bytes;
    switch (from.place.kind) {
      case Place::Kind::leaf:
        place_array(p, bound_.owners[i], bound_.leaves[i], m);
        break;
      case Place::Kind::constant: {
        const Node& n = *plan_.constants[i].node();
        place_array(p, n.buffer.get(), n.data, m);
        break;
      }
      case Place::Kind::buffer:
        place_array(p, plan_.memory[i].get(), plan_.memory[i]->data, m);
        break;
      case Place::Kind::slab:
      case Place::Kind::own:
        p.host = static_cast<std::byte*>(slab_->data) + from.place.offset;
        p.device = slab_device_ + from.place.offset;
        break;
    }
    return p;
  }
  void place_array(Piece& p, Buffer* buffer, void* data, size_t m) {
    p.host = static_cast<std::byte*>(data);
    p.buffer = buffer;
    if (buffer) {
      p.in_buffer = p.host - static_cast<std::byte*>(buffer->data);
    } else {
      p.device = slab_device_ + plan_.slab_bytes + number_bytes * m;
      p.bytes = sizeof(Node::number);
      p.on_host = true;
    }
  }

  // The first byte on that side, with the values.
  std::byte* values(Piece& p, bool on_device) {
    if (p.buffer)
      return (on_device ? device_bytes(*p.buffer, memory_) : host_bytes(*p.buffer)) + p.in_buffer;
    bool& there = on_device ? p.on_device : p.on_host;
    if (!there) copy(p, on_device);
    there = true;
    return on_device ? p.device : p.host;
  }
  void copy(Piece& p, bool to_device) {
    if (p.bytes == 0 || (to_device && has_number(p))) return;
    if (to_device)
      memory_.to_device(p.device, p.host, p.bytes);
    else
      memory_.to_host(p.host, p.device, p.bytes), touch_mirror();
    count_transfer(to_device ? Side::device : Side::host, p.bytes);
  }
  // The slab's mirror has memory behind it from now on.
  void touch_mirror() { slab_->residency.load()->touched = true; }
  std::byte* room(Piece& p, bool on_device) {
    if (!on_device) touch_mirror();
    if (p.buffer)
      return (on_device ? device_bytes_to_write(*p.buffer, memory_)
                        : static_cast<std::byte*>(p.buffer->data)) +
             p.in_buffer;
    return on_device ? p.device : p.host;
  }
  void wrote(Piece& p, bool on_device) {
    if (p.buffer) return written_on(*p.buffer, on_device ? Side::device : Side::host);
    p.on_device = on_device, p.on_host = !on_device;
  }

  static bool checks(const PlanStep& s) { return s.on_device && s.kernel.checks; }
  // Brings what the step reads to its side, and finds the addresses of all it uses.
  void prepare(size_t s) {
    PlanStep& from = plan_.steps[s];
    Step& step = plan_.of_worker[0].steps[s];
    for (size_t i = 0; i < step.in.size(); ++i)
      step.in[i].data = values(piece_of(from, i), from.on_device) + from.at[i].bytes_in;
    Piece& out = piece_of(from, step.in.size());
    step.out.data = room(out, from.on_device) + from.at.back().bytes_in;
    if (from.scratch)
      step.scratch = (from.on_device ? slab_device_ : static_cast<std::byte*>(slab_->data)) +
                     from.scratch->offset;
    if (from.numbers() > 0)
      step.number = reinterpret_cast<const int64_t*>(slab_device_ + params_at_) + from.numbers_at;
    wrote(out, from.on_device);
    for (size_t i = 0; i < step.in.size() && from.kernel.writes >> i; ++i)
      if (from.kernel.writes >> i & 1) wrote(piece_of(from, i), from.on_device);
  }
  // The last of the steps that the launch of this one does.
  size_t last_of(size_t s) const { return s + static_cast<size_t>(plan_.steps[s].joined); }
  void launch(size_t s) {
    const PlanStep& from = plan_.steps[s];
    const Step& step = plan_.of_worker[0].steps[s];
    if (from.follows) return;
    if (from.joined > 0)
      from.kernel.run_joined({&step, 1 + static_cast<size_t>(from.joined)});
    else
      from.on_device ? from.kernel.run(step, 0, 1) : run_on_cpu(from, step);
  }
  // Finds the steps' parameters, and brings the device what those of the run come to.
  void write_params() {
    std::vector<int64_t> now(plan_.numbers);
    for (size_t s = 0; s < plan_.steps.size(); ++s) {
      const PlanStep& from = plan_.steps[s];
      Step& step = plan_.of_worker[0].steps[s];
      if (from.params_of >= 0) step.params = bound_.params[static_cast<size_t>(from.params_of)];
      int64_t* to = now.data() + from.numbers_at;
      if (from.kernel.number) *to++ = from.kernel.number(step);
      for (const auto& n : from.item_numbers)
        *to++ = n.of(step, *bound_.params[static_cast<size_t>(n.item)]);
    }
    if (now.empty() || (replay_.slab && replay_.of_params == now)) return;
    memory_.to_device(slab_device_ + params_at_, now.data(), sizeof(int64_t) * now.size());
    if (replay_.slab) replay_.of_params = std::move(now);
  }

  // --- the longest row of steps that only the device does, as one

  static constexpr size_t least_row = 4;  // steps; fewer gain nothing
  static constexpr int runs_before = 2;   // one by one: what runs once is not recorded
  static constexpr int most_refused = 3;  // then the plan's steps go on one by one
  static constexpr size_t most_kept = size_t{4} << 20;  // bytes of a slab

  void find_row() {
    const auto& steps = plan_.steps;
    if (!plan_.device->record || replay_.runs++ > 0 || plan_.slab_bytes > most_kept) return;
    for (size_t s = 0, begin = 0; s <= steps.size(); ++s) {
      if (s < steps.size() && steps[s].on_device && !checks(steps[s])) continue;
      if (s - begin > replay_.last - replay_.first) replay_.first = begin, replay_.last = s;
      begin = s + 1;
    }
    if (replay_.last - replay_.first < least_row) replay_.last = replay_.first = 0;
  }
  // Of all that a step's launch is given.
  uint64_t signature(size_t first) const {
    Hash h;
    auto add = [&](const void* p) { h.add(reinterpret_cast<uintptr_t>(p)); };
    if (plan_.steps[first].follows) return 0;
    for (size_t s = first; s <= last_of(first); ++s) {
      const Step& step = plan_.of_worker[0].steps[s];
      for (const auto& in : step.in) add(in.data);
      add(step.out.data), add(step.scratch);
      if (plan_.steps[s].numbers() == 0) step.params->hash_runtime(h);
    }
    return h.a;
  }
  void row() {
    size_t count = replay_.last - replay_.first;
    for (size_t s = replay_.first; s < replay_.last; ++s) prepare(s);
    if (replay_.runs <= runs_before || replay_.refused >= most_refused) return one_by_one();
    std::vector<size_t> changed;
    replay_.of_step.resize(count);
    for (size_t i = 0; i < count; ++i)
      if (uint64_t now = signature(replay_.first + i); replay_.of_step[i] != now)
        replay_.of_step[i] = now, changed.push_back(i);
    auto again = [&](size_t i) { launch(replay_.first + i); };
    uint64_t kernels = plan_.device->kernels_made();
    // Back only once it has run: after an error it would not be what `of_step` says.
    std::unique_ptr<Recording> recording = std::move(replay_.recording);
    if (!recording || replay_.kernels != kernels) {
      recording = plan_.device->record(count, again);
      replay_.kernels = kernels;
      keep_slab();
    } else if (!changed.empty() &&
               (changed.size() > count / 2 || !recording->replace(changed, again))) {
      recording = nullptr;
    }
    if (!recording) {
      ++replay_.refused;
      return one_by_one();
    }
    recording->run();
    replay_.recording = std::move(recording);
  }
  void one_by_one() {
    for (size_t s = replay_.first; s < replay_.last; ++s) launch(s);
  }
  void keep_slab() {
    if (replay_.slab) return;
    replay_.slab = slab_;
    replay_.numbers.assign(pieces_.size(), {});
  }
  // Whether the kept slab has the number already; it will.
  bool has_number(const Piece& p) {
    if (!replay_.slab || p.buffer || p.device < slab_device_ + plan_.slab_bytes) return false;
    std::string& kept = replay_.numbers[static_cast<size_t>(&p - pieces_.data())];
    std::string now(reinterpret_cast<const char*>(p.host), p.bytes);
    if (kept == now) return true;
    kept = std::move(now);
    return false;
  }

  Piece& piece_of(const PlanStep& s, size_t operand) {
    return pieces_[static_cast<size_t>(s.memories[operand])];
  }

  static void run_on_cpu(const PlanStep& from, const Step& step) {
    struct Shared {
      KernelFn run;
      const Step& step;
      std::atomic<int> next{0};  // share; a worker that comes late finds none left
      std::mutex mutex{};
      std::exception_ptr error{};
    } shared{from.kernel.run, step};
    run_region(
        from.who == Who::all ? thread_count() : 1,
        [](void* at, int, int workers) {
          auto& s = *static_cast<Shared*>(at);
          try {
            for (int i; (i = s.next.fetch_add(1)) < workers;) s.run(s.step, i, workers);
          } catch (...) {
            std::lock_guard lock(s.mutex);
            if (!s.error) s.error = std::current_exception();
          }
        },
        &shared);
    if (shared.error) std::rethrow_exception(shared.error);
  }

  Plan& plan_;
  const PlanBindings& bound_;
  DeviceMemory& memory_;
  BufferRef slab_{};
  std::byte* slab_device_ = nullptr;
  size_t params_at_ = 0;  // in the slab
  std::vector<Piece> pieces_{};
  PlanReplay& replay_ = plan_.replay;
};

}  // namespace

void execute_on_device(Plan& plan, const PlanBindings& bound, const std::stop_token& stop) {
  require<Cancelled>(!stop.stop_requested(), "[eval] stopped on request.");
  make_ready(plan, 1);
  DeviceRun(plan, bound).run(stop);
}

}  // namespace tarn
