// The machine: what the processor offers and how fast its memory reads.
#include <sys/sysinfo.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/buffer.h"
#include "base/thread_pool.h"
#include "cpu/heavy.h"
#include "cpu/isa.h"
#include "cpu/share.h"
#include "tarn/info.h"

namespace tarn {
namespace {

std::string first_line(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

std::string processor_name() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.rfind("model name", 0) == 0 && line.find(": ") != std::string::npos)
      return line.substr(line.find(": ") + 2);
  return "unknown";
}

std::vector<std::pair<std::string, uint64_t>> caches() {
  std::vector<std::pair<std::string, uint64_t>> list;
  const std::filesystem::path root = "/sys/devices/system/cpu/cpu0/cache";
  for (int i = 0; i < 8; ++i) {
    auto folder = root / ("index" + std::to_string(i));
    std::string level = first_line(folder / "level"), type = first_line(folder / "type");
    std::string size = first_line(folder / "size");
    if (level.empty() || size.empty() || type == "Instruction") continue;
    uint64_t unit = size.back() == 'K' ? 1024 : size.back() == 'M' ? 1 << 20 : 1;
    list.emplace_back("L" + level + (type == "Data" ? "d" : ""),
                      std::strtoull(size.c_str(), nullptr, 10) * unit);
  }
  return list;
}

// Sums that the workers take piece by piece.
struct Reading {
  cpu::FoldRows fold{};
  std::atomic<int> next{0};
  static constexpr int pieces = 256;

  void work() {
    for (int piece; (piece = next.fetch_add(1, std::memory_order_relaxed)) < pieces;)
      cpu::heavy().fold_rows(fold, piece, pieces);
  }
};

// Bytes per second of summing 256 MiB with `threads` threads, best of a quarter of a second.
double read_speed(int threads) {
  constexpr int64_t count = int64_t{64} << 20, row = 4096;
  BufferRef memory(allocate_buffer(count * 4)), sums(allocate_buffer(count / row * 4));
  auto* numbers = static_cast<float*>(memory->data);
  for (int64_t i = 0; i < count; ++i) numbers[i] = static_cast<float>(i % 1021);
  Reading reading;
  reading.fold.x = numbers, reading.fold.x_stride = row;
  reading.fold.rows = count / row, reading.fold.cols = row;
  reading.fold.y = sums->data;
  double best = 0, spent = 0;
  while (spent < 0.25) {
    auto start = std::chrono::steady_clock::now();
    reading.next = 0;
    run_region(
        threads, [](void* r, int, int) { static_cast<Reading*>(r)->work(); }, &reading);
    double t = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = std::max(best, static_cast<double>(count) * 4 / t);
    spent += t;
  }
  return best;
}

}  // namespace

MachineInfo machine_info() {
  MachineInfo info;
  info.processor = processor_name();
  info.isa = cpu::name(cpu::best_isa());
  for (auto isa : cpu::available_isas()) info.isas.emplace_back(cpu::name(isa));
  for (const auto& f : cpu::cpu_features()) info.features.push_back({f.name, f.usable, f.why_not});
  info.threads = thread_count();
  info.processors = static_cast<int>(std::thread::hardware_concurrency());
  info.memory_bytes =
      static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  std::ifstream in("/proc/meminfo");
  for (std::string line; std::getline(in, line);)
    if (line.rfind("MemAvailable:", 0) == 0)
      info.available_bytes = std::strtoull(line.c_str() + 13, nullptr, 10) * 1024;
  info.caches = caches();
  return info;
}

void measure_bandwidth(MachineInfo& info) {
  info.read_bandwidth_1 = read_speed(1);
  info.read_bandwidth_all = read_speed(info.threads);
}

}  // namespace tarn
