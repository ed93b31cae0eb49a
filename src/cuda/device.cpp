#include "cuda/device.h"

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
thread_local cudaStream_t queue_of_thread = nullptr;

Fault* all_faults() {
  static Fault* const all = [] {
    void* p = nullptr;
    check(cudaHostAlloc(&p, faults * sizeof(Fault), cudaHostAllocMapped), "cudaHostAlloc");
    return new (p) Fault[faults];
  }();
  return all;
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

Fault* fault_of(const Op& op) {
  use_card();
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
  launched.clear();
  check_queue(result);
  for (const auto& [fault, op] : mine)
    require<IndexError>(!fault->met, "[{}] index {} is outside axis {}, which has size {}.",
                        op->name, fault->index, fault->axis, fault->size);
}

}  // namespace tarn::cuda
