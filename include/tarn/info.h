// What this library can do and what machine it runs on, as data.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tarn/array.h"

namespace tarn {

// One operation of the catalogue.
struct OpInfo {
  std::string name{};
  std::string kind{};        // elementwise, reduction, movement …
  std::string doc{};         // one line
  std::string dtypes{};      // "floats, complex"
  std::string derivative{};  // "own rule", "by expansion" or "none"
  std::string cpu_kernel{};  // kernel names joined by ", ", or "by expansion"
};
// In the catalogue's order.
std::vector<OpInfo> list_ops();

// A processor feature that kernels can use.
struct CpuFeatureInfo {
  std::string name{};
  bool usable = false;    // the processor has it and the system saves its registers
  std::string why_not{};  // when it is not usable
};

struct MachineInfo {
  std::string processor{};          // as the processor names itself
  std::string isa{};                // the kernel set in use
  std::vector<std::string> isas{};  // the kernel sets of this build that would run here
  std::vector<CpuFeatureInfo> features{};
  int threads = 1;     // what computations use
  int processors = 1;  // what the machine has
  uint64_t memory_bytes = 0, available_bytes = 0;
  std::vector<std::pair<std::string, uint64_t>> caches{};  // "L1d", 32768
  // Bytes read per second by one thread and by all; 0 until measure_bandwidth().
  double read_bandwidth_1 = 0, read_bandwidth_all = 0;
};
MachineInfo machine_info();
// Fills in the read bandwidths; takes half a second.
void measure_bandwidth(MachineInfo& info);

// The plan by which `a` would be computed: steps, what was fused and why something was not, bytes,
// kernels.
std::string explain(const array& a);

}  // namespace tarn
