// Which instruction set level the CPU kernels run at: chosen once, lowered by TARN_ISA.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace tarn::cpu {

// Of x86 from baseline to amx, of 64-bit Arm from neon to i8mm, which takes bf16 along; other
// processors have baseline alone. Each level contains the ones before it.
enum class Isa { baseline, avx2, avx512, vnni, amx, neon, dotprod, i8mm };

const char* name(Isa isa);

// The levels that this machine runs, lowest first. A level counts only when the processor's
// feature bits, the operating system's saved state, the kernel's permission and (for tiles) a
// probe instruction all agree.
std::span<const Isa> available_isas();

// The level in use: the highest available one, or the one that TARN_ISA names. Throws DeviceError,
// listing the available levels, when TARN_ISA names a level that is unknown or not available.
Isa best_isa();

// Changes the level in use, for tests that run every level in one process. Not while kernels run.
void set_isa(Isa isa);

// One line of the doctor page: a feature of the processor and whether kernels may use it.
struct CpuFeature {
  std::string name{};
  bool usable = false;
  std::string why_not{};
};
std::vector<CpuFeature> cpu_features();

}  // namespace tarn::cpu
