// Runs a plan of which a device computes some steps.
#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>

#include "base/hash.h"
#include "base/require.h"
#include "base/thread_pool.h"
#include "graph/node.h"
#include "runtime/device_run.h"
#include "runtime/eval.h"

namespace tarn {
namespace {

bool checks(const PlanStep& s) { return s.on_device && s.kernel.checks; }

void run_on_cpu(const PlanStep& from, const Step& step) {
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

}  // namespace

DeviceRun::DeviceRun(Plan& plan, const PlanBindings& bound)
    : plan_(plan), bound_(bound), memory_(*plan.device->memory) {
  params_at_ = plan.slab_bytes + number_bytes * plan.memories.size();
  size_t bytes = params_at_ + sizeof(int64_t) * plan.numbers;
  slab_ = plan.replay.slab ? plan.replay.slab : BufferRef(allocate_on(memory_, bytes));
  slab_device_ = device_bytes_to_write(*slab_.get(), memory_);
  for (size_t m = 0; m < plan.memories.size(); ++m) pieces_.push_back(piece(m));
}

void DeviceRun::run(const std::vector<int64_t>& numbers, const std::stop_token& stop) {
  find_row();
  try {
    bring(numbers);
    run_steps(stop);
  } catch (...) {
    forget_findings();
    throw;
  }
  bool check = std::any_of(plan_.steps.begin(), plan_.steps.end(), checks);
  if (check && !runs_ahead()) plan_.device->check();
}
void DeviceRun::run_steps(const std::stop_token& stop) {
  for (size_t s = 0; s < plan_.steps.size(); ++s) {
    require<Cancelled>(!stop.stop_requested(), "[eval] stopped on request.");
    if (s == row_->first && s < row_->last) {
      run_row();
      s = row_->last - 1;
      continue;
    }
    if (plan_.steps[s].follows) continue;
    for (size_t i = s; i <= last_of(s); ++i) prepare(i);
    launch(s);
  }
}

bool DeviceRun::run_again(const std::vector<int64_t>& numbers, const std::stop_token& stop) {
  bool has_row = row_->first < row_->last;
  if (has_row && (!row_->recording || row_->kernels != plan_.device->kernels_made())) return false;
  require<Cancelled>(!stop.stop_requested(), "[eval] stopped on request.");
  try {
    bring(numbers);
    for (size_t s = 0; s < plan_.steps.size(); ++s) {
      if (has_row && s == row_->first)
        row_->recording->run(), s = row_->last - 1;
      else
        launch(s);
    }
  } catch (...) {
    forget_findings();
    throw;
  }
  return true;
}

// What earlier steps met would be thrown by the next evaluation.
void DeviceRun::forget_findings() const noexcept {
  try {
    plan_.device->check();
  } catch (...) {  // the error that ended this run is the one to be told
  }
}

// --- where the plan's memory is

DeviceRun::Piece DeviceRun::piece(size_t m) {
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
void DeviceRun::place_array(Piece& p, Buffer* buffer, void* data, size_t m) {
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
std::byte* DeviceRun::values(Piece& p, bool on_device) {
  if (p.buffer)
    return (on_device ? device_bytes(*p.buffer, memory_) : host_bytes(*p.buffer)) + p.in_buffer;
  bool& there = on_device ? p.on_device : p.on_host;
  if (!there) copy(p, on_device);
  there = true;
  return on_device ? p.device : p.host;
}
void DeviceRun::copy(Piece& p, bool to_device) {
  if (p.bytes == 0 || (to_device && has_number(p))) return;
  if (to_device)
    memory_.to_device(p.device, p.host, p.bytes);
  else
    memory_.to_host(p.host, p.device, p.bytes), touch_mirror();
  count_transfer(to_device ? Side::device : Side::host, p.bytes);
}
// The slab's mirror has memory behind it from now on.
void DeviceRun::touch_mirror() { slab_->residency.load()->touched = true; }
std::byte* DeviceRun::room(Piece& p, bool on_device) {
  if (!on_device) touch_mirror();
  if (p.buffer)
    return (on_device ? device_bytes_to_write(*p.buffer, memory_)
                      : static_cast<std::byte*>(p.buffer->data)) +
           p.in_buffer;
  return on_device ? p.device : p.host;
}
void DeviceRun::wrote(Piece& p, bool on_device) {
  if (p.buffer) return written_on(*p.buffer, on_device ? Side::device : Side::host);
  p.on_device = on_device, p.on_host = !on_device;
}

// --- steps

// Brings what the step reads to its side, and finds the addresses of all it uses.
void DeviceRun::prepare(size_t s) {
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
void DeviceRun::launch(size_t s) {
  const PlanStep& from = plan_.steps[s];
  const Step& step = plan_.of_worker[0].steps[s];
  if (from.follows) return;
  if (from.joined > 0)
    from.kernel.run_joined({&step, 1 + static_cast<size_t>(from.joined)});
  else
    from.on_device ? from.kernel.run(step, 0, 1) : run_on_cpu(from, step);
}

std::vector<int64_t> DeviceRun::read_params() {
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
  return now;
}
void DeviceRun::bring(const std::vector<int64_t>& numbers) {
  if (numbers.empty() || (replay_.slab && replay_.of_params == numbers)) return;
  memory_.to_device(slab_device_ + params_at_, numbers.data(), sizeof(int64_t) * numbers.size());
  replay_.of_params = numbers;
}

// --- rows

namespace {

constexpr size_t least_row = 4;                // steps; fewer gain nothing
constexpr int runs_before = 2;                 // one by one: what runs once is not recorded
constexpr int most_refused = 3;                // then the plan's steps go on one by one
constexpr size_t most_kept = size_t{4} << 20;  // bytes of a slab

}  // namespace

void DeviceRun::find_row() {
  const auto& steps = plan_.steps;
  if (!plan_.device->record || replay_.runs++ > 0 || plan_.slab_bytes > most_kept) return;
  for (size_t s = 0, begin = 0; s <= steps.size(); ++s) {
    if (s < steps.size() && steps[s].on_device && !checks(steps[s])) continue;
    if (StepRow& r = replay_.longest; s - begin > r.last - r.first) r.first = begin, r.last = s;
    begin = s + 1;
  }
  if (row_->last - row_->first < least_row) row_->last = row_->first = 0;
}
void DeviceRun::record_all() {
  if (!plan_.device->record || plan_.slab_bytes > most_kept) return;
  row_ = &replay_.whole;
  row_->last = plan_.steps.size();
}
// Of all that a step's launch is given.
uint64_t DeviceRun::signature(size_t first) const {
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
void DeviceRun::run_row() {
  StepRow& r = *row_;
  size_t count = r.last - r.first;
  for (size_t s = r.first; s < r.last; ++s) prepare(s);
  if (replay_.runs <= runs_before || r.refused >= most_refused) return row_one_by_one();
  std::vector<size_t> changed;
  r.of_step.resize(count);
  for (size_t i = 0; i < count; ++i)
    if (uint64_t now = signature(r.first + i); r.of_step[i] != now)
      r.of_step[i] = now, changed.push_back(i);
  auto again = [&](size_t i) { launch(r.first + i); };
  uint64_t kernels = plan_.device->kernels_made();
  // Back only once it has run: after an error it would not be what `of_step` says.
  std::unique_ptr<Recording> recording = std::move(r.recording);
  if (!recording || r.kernels != kernels) {
    recording = plan_.device->record(count, again);
    r.kernels = kernels;
    keep_slab();
  } else if (!changed.empty() &&
             (changed.size() > count / 2 || !recording->replace(changed, again))) {
    recording = nullptr;
  }
  if (!recording) {
    ++r.refused;
    return row_one_by_one();
  }
  recording->run();
  r.recording = std::move(recording);
}
void DeviceRun::row_one_by_one() {
  for (size_t s = row_->first; s < row_->last; ++s) launch(s);
}
void DeviceRun::keep_slab() {
  if (replay_.slab) return;
  replay_.slab = slab_;
  replay_.numbers.assign(pieces_.size(), {});
}
// Whether the kept slab has the number already; it will.
bool DeviceRun::has_number(const Piece& p) {
  if (!replay_.slab || p.buffer || p.device < slab_device_ + plan_.slab_bytes) return false;
  std::string& kept = replay_.numbers[static_cast<size_t>(&p - pieces_.data())];
  std::string now(reinterpret_cast<const char*>(p.host), p.bytes);
  if (kept == now) return true;
  kept = std::move(now);
  return false;
}

void execute_on_device(Plan& plan, const PlanBindings& bound, const std::stop_token& stop) {
  require<Cancelled>(!stop.stop_requested(), "[eval] stopped on request.");
  make_ready(plan, 1);
  DeviceRun run(plan, bound);
  run.run(run.read_params(), stop);
}

}  // namespace tarn
