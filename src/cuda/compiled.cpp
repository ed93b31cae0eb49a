#include "cuda/compiled.h"

#include <cuda_runtime_api.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <mutex>
#include <string_view>
#include <thread>
#include <unordered_map>

#include "base/cache_folder.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/signals_blocked.h"
#include "base/text.h"
#include "cuda/device.h"
#include "cuda/nvrtc.h"
#include "io/atomic_write.h"

namespace tarn::cuda {
namespace {

// A compilation takes 0.3 s of one core; an interpreted run loses some 1 us, and 1 ms for each 2^20
// elements. A program that ends soon compiles nothing.
constexpr int64_t enough_work = int64_t{1} << 22;
constexpr int64_t of_a_run = enough_work / 16;
constexpr std::chrono::seconds longest_wait{3};  // at the end of a program
constexpr size_t most_kernels = 4096;            // in one program; further chains stay interpreted
constexpr uint64_t most_bytes = uint64_t{64} << 20;

enum class Mode : uint8_t { interpreted, when_worth_it, compiled };
std::atomic<bool> at_once{false};
Mode mode() {
  static const Mode chosen = [] {
    const char* value = std::getenv("TARN_CHAINS");
    std::string_view text = value ? value : "";
    if (text == "interpreted") return Mode::interpreted;
    return text == "compiled" ? Mode::compiled : Mode::when_worth_it;
  }();
  return chosen == Mode::when_worth_it && at_once ? Mode::compiled : chosen;
}
int capability() { return card()->major * 10 + card()->minor; }

// --- on disk

std::filesystem::path path_of(const std::string& source) {
  return cache_folder() / "kernels" / (name_of_compiled(source, capability()) + ".cubin");
}
// What a file begins with, so that one that was cut or changed is not taken for a kernel.
std::string seal_of(std::string_view binary) {
  Hash h;
  h.add(binary);
  return fmt::format("{:016x}{:016x}", h.a, h.b);
}
constexpr size_t seal_bytes = 32;

// Empty when there is none that is whole.
std::string read_kept(const std::filesystem::path& path) try {
  if (!std::filesystem::exists(path)) return {};
  std::string all = read_text(path.string(), most_bytes);
  if (all.size() <= seal_bytes) return {};
  std::string binary = all.substr(seal_bytes);
  return all.substr(0, seal_bytes) == seal_of(binary) ? binary : std::string();
} catch (const std::exception&) {  // it is compiled again
  return {};
}
void keep(const std::filesystem::path& path, const std::string& binary) try {
  std::filesystem::create_directories(path.parent_path());
  io::AtomicFile file(path.string());
  file.write(seal_of(binary));
  file.write(binary);
  file.commit();
} catch (const std::exception&) {  // a disk that is full or read-only costs the next program 0.3 s
}

// --- making

std::atomic<uint64_t> made_so_far{0};

const void* load(const std::string& binary, const char* name) {
  use_card();
  cudaLibrary_t library = nullptr;
  if (cudaLibraryLoadData(&library, binary.data(), nullptr, nullptr, 0, nullptr, nullptr, 0) !=
      cudaSuccess)
    return nullptr;
  cudaKernel_t kernel = nullptr;
  cudaFuncAttributes attributes{};
  // Asking for the attributes loads it: a first launch need not.
  if (cudaLibraryGetKernel(&kernel, library, name) != cudaSuccess ||
      cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(kernel)) != cudaSuccess)
    return nullptr;
  return reinterpret_cast<const void*>(kernel);  // the library is never unloaded
}
void make(CompiledKernel& k) {
  k.is_ready(make_kernel(k.source(), "chain").kernel);
  made_so_far.fetch_add(1, std::memory_order_release);
}

// One thread that makes what is asked for, in the order of asking.
class Workshop {
 public:
  void ask(std::shared_ptr<CompiledKernel> kernel) {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    waiting_.push_back(std::move(kernel));
    if (!thread_.joinable()) {
      SignalsBlocked blocked;
      thread_ = std::thread([this] { work(); }), process_ = getpid();
    }
    changed_.notify_one();
  }
  // Ends with the kernel at hand; the others stay interpreted. One that takes longer is left
  // behind.
  void close() {
    std::unique_lock lock(mutex_);
    closed_ = true;
    changed_.notify_all();
    // The copy of a process that fork() makes has no such thread.
    if (thread_.joinable() && process_ == getpid())
      changed_.wait_for(lock, longest_wait, [&] { return !working_; });
  }

 private:
  void work() {
    for (;;) {
      std::shared_ptr<CompiledKernel> next;
      {
        std::unique_lock lock(mutex_);
        working_ = false;
        changed_.notify_all();
        changed_.wait(lock, [&] { return closed_ || !waiting_.empty(); });
        if (closed_) return;
        working_ = true;
        next = std::move(waiting_.front());
        waiting_.pop_front();
      }
      try {
        make(*next);
      } catch (const std::bad_alloc&) {  // this chain stays interpreted
      }
    }
  }

  std::mutex mutex_{};
  std::condition_variable changed_{};
  std::deque<std::shared_ptr<CompiledKernel>> waiting_{};
  std::thread thread_{};
  pid_t process_ = 0;
  bool closed_ = false, working_ = false;
};

Workshop& workshop() {
  static auto* const one = new Workshop;  // threads may evaluate while the program ends
  return *one;
}
// What the compiler made on the way it takes down at the end of the program, by handlers that run
// before any registered earlier, and a kernel at hand must be done by then. The destructors of the
// main thread's own variables run before all handlers.
struct EndOfMainThread {
  ~EndOfMainThread() {
    if (gettid() == getpid()) workshop().close();
  }
  bool is_awaited() const { return true; }
};
thread_local EndOfMainThread end_of_main_thread;
[[maybe_unused]] const bool end_is_awaited = end_of_main_thread.is_awaited();

}  // namespace

void compile_at_once() { at_once = true; }
uint64_t kernels_made() { return made_so_far.load(std::memory_order_acquire); }

MadeKernel make_kernel(const std::string& source, const char* name) {
  std::filesystem::path path = path_of(source);
  std::string binary = read_kept(path);
  if (!binary.empty())
    if (const void* kernel = load(binary, name)) return {kernel, {}};
  Compilation made = compile_source(source, capability());
  const void* kernel = made.binary.empty() ? nullptr : load(made.binary, name);
  if (kernel) keep(path, made.binary);
  return {kernel, std::move(made.log)};
}

bool CompiledKernel::worth_compiling(int64_t elements) {
  int64_t more = of_a_run + elements;
  int64_t before = work_.fetch_add(more, std::memory_order_relaxed);
  return before < enough_work && before + more >= enough_work;
}

std::shared_ptr<CompiledKernel> compiled_kernel(const std::string& source) {
  static std::mutex mutex;
  static auto* const known = new std::unordered_map<std::string, std::shared_ptr<CompiledKernel>>;
  if (mode() == Mode::interpreted || !has_compiler()) return nullptr;
  std::lock_guard lock(mutex);
  auto it = known->find(source);
  if (it != known->end()) return it->second;
  if (known->size() >= most_kernels) return nullptr;
  return known->emplace(source, std::make_shared<CompiledKernel>(source)).first->second;
}

const void* kernel_for(const std::shared_ptr<CompiledKernel>& compiled, int64_t elements) {
  if (!compiled) return nullptr;
  if (const void* kernel = compiled->ready()) return kernel;
  if (mode() == Mode::compiled) {
    make(*compiled);
    return compiled->ready();
  }
  if (compiled->worth_compiling(elements)) workshop().ask(compiled);
  return nullptr;
}

}  // namespace tarn::cuda
