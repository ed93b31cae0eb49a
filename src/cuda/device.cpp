#include "cuda/device.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <vector>

#include "base/require.h"
#include "cuda/cards.h"

namespace tarn::cuda {
namespace {

constexpr int faults = 4096;

std::optional<int> number_in(const char* name) {
  const char* text = std::getenv(name);
  int number = 0;
  if (!text) return std::nullopt;
  auto [end, error] = std::from_chars(text, text + std::strlen(text), number);
  return error == std::errc() && *end == '\0' && number >= 0 ? number : -1;
}
// -1 when the one that is asked for is not there.
int chosen_card(int count) {
  if (auto asked = number_in("TARN_GPU")) return *asked < count ? *asked : -1;
  for (const char* place : {"OMPI_COMM_WORLD_LOCAL_RANK", "MLX_RANK"})
    if (auto rank = number_in(place); rank && *rank >= 0) return *rank % count;
  return 0;
}

const Card* find_card() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess || count == 0) return nullptr;
  int index = chosen_card(count);
  cudaDeviceProp p{};
  if (index < 0 || cudaGetDeviceProperties(&p, index) != cudaSuccess || p.major < 8 ||
      cudaSetDevice(index) != cudaSuccess)
    return nullptr;
  auto* c = new Card;  // never destroyed: arrays may outlive static objects
  c->index = index, c->id = p.uuid;
  c->memory = p.totalGlobalMem;
  c->processors = p.multiProcessorCount;
  c->major = p.major, c->minor = p.minor;
  c->name = p.name;
  if (cudaStreamCreateWithFlags(&c->queue, cudaStreamNonBlocking) != cudaSuccess) {
    delete c;
    return nullptr;
  }
  return c;
}

struct Launched {
  Fault* fault = nullptr;
  const Op* op = nullptr;
};
thread_local std::vector<Launched> launched;
thread_local std::vector<std::shared_ptr<RecordedFaults>> recordings_run;
thread_local RecordedFaults* faults_of_thread = nullptr;
thread_local cudaStream_t queue_of_thread = nullptr;

Fault* new_faults(int count) {
  void* p = nullptr;
  check(cudaHostAlloc(&p, count * sizeof(Fault), cudaHostAllocMapped), "cudaHostAlloc");
  return new (p) Fault[count];
}
Fault* all_faults() {
  static Fault* const all = new_faults(faults);
  return all;
}
// Those that recordings have given back.
struct UnusedFaults {
  std::mutex mutex{};
  std::vector<Fault*> all{};
};
UnusedFaults& unused_faults() {
  static auto* const unused = new UnusedFaults;  // recordings may outlive static objects
  return *unused;
}
void throw_if_met(const Fault& fault, const Op& op) {
  require<IndexError>(!fault.met, "[{}] index {} is outside axis {}, which has size {}.", op.name,
                      fault.index, fault.axis, fault.size);
}

}  // namespace

const Card* card() {
  static const Card* const found = find_card();
  return found;
}
void use_card() {
  thread_local bool used = false;
  if (!std::exchange(used, true)) check(cudaSetDevice(card()->index), "cudaSetDevice");
}
cudaStream_t queue() {
  use_card();
  return queue_of_thread ? queue_of_thread : card()->queue;
}
void set_queue_of_thread(cudaStream_t queue) { queue_of_thread = queue; }
std::mutex& workspace_mutex() {
  static auto* const m = new std::mutex;  // threads may evaluate while the program ends
  return *m;
}

void check(cudaError_t result, const char* doing) {
  require<DeviceError>(result == cudaSuccess, "[cuda] {} failed: {}.", doing,
                       cudaGetErrorString(result));
}

Fault* RecordedFaults::add(const Op& op) {
  constexpr int at_once = 64;
  UnusedFaults& unused = unused_faults();
  std::lock_guard lock(unused.mutex);
  if (unused.all.empty()) {
    Fault* more = new_faults(at_once);
    for (int i = 0; i < at_once; ++i) unused.all.push_back(more + i);
  }
  Fault* f = unused.all.back();
  unused.all.pop_back();
  *f = {};
  all_.emplace_back(f, &op);
  return f;
}
RecordedFaults::~RecordedFaults() {
  UnusedFaults& unused = unused_faults();
  std::lock_guard lock(unused.mutex);
  try {
    for (const auto& [fault, op] : all_) unused.all.push_back(fault);
  } catch (const std::bad_alloc&) {  // the host has no memory to remember them by: they are lost
  }
}
void RecordedFaults::check() {
  for (const auto& [fault, op] : all_) throw_if_met(std::exchange(*fault, {}), *op);
}
void set_faults_of_thread(RecordedFaults* faults) { faults_of_thread = faults; }
void note_run(const std::shared_ptr<RecordedFaults>& faults) {
  if (!faults->empty() && std::ranges::find(recordings_run, faults) == recordings_run.end())
    recordings_run.push_back(faults);
}

Fault* fault_of(const Op& op) {
  use_card();
  if (faults_of_thread) return faults_of_thread->add(op);
  static std::atomic<unsigned> next{0};
  if (launched.size() >= faults / 4) wait_and_check();  // before others take the same memory
  Fault* f = all_faults() + next.fetch_add(1) % faults;
  *f = {};
  launched.push_back({f, &op});
  return f;
}

void wait_and_check() {
  cudaError_t result = cudaStreamSynchronize(queue());
  auto mine = std::move(launched);
  auto recorded = std::move(recordings_run);
  launched.clear(), recordings_run.clear();
  check_queue(result);
  for (const auto& [fault, op] : mine) throw_if_met(*fault, *op);
  for (const auto& faults : recorded) faults->check();
}

}  // namespace tarn::cuda
