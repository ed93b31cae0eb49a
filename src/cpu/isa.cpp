#include "cpu/isa.h"

#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>

#include "base/require.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <csetjmp>
#include <csignal>

#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace tarn::cpu {
namespace {

constexpr std::array kNames{"baseline", "avx2", "avx512", "vnni", "amx", "neon", "dotprod", "i8mm"};

// What a level needs beyond the one before it.
struct Level {
  Isa isa;
  std::vector<std::string_view> needs;
};

#if defined(__x86_64__)

constexpr Isa kLowest = Isa::baseline;

struct Leaf {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Leaf cpuid(uint32_t leaf, uint32_t sub) {
  Leaf r;
  if (__get_cpuid_count(leaf, sub, &r.eax, &r.ebx, &r.ecx, &r.edx) == 0) return {};
  return r;
}

// XCR0: which register files the operating system saves on a switch. 0 where it saves none.
uint64_t saved_state(const Leaf& one) {
  constexpr uint32_t kOsxsave = 1u << 27;
  if ((one.ecx & kOsxsave) == 0) return 0;
  uint32_t lo = 0, hi = 0;
  asm volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
  return (uint64_t{hi} << 32) | lo;
}

constexpr uint64_t kYmm = 0x6;               // SSE and AVX state
constexpr uint64_t kZmm = 0xe6;              // and masks, upper halves, registers 16 to 31
constexpr uint64_t kTiles = 0x60000 | kZmm;  // and tile configuration and data

#if defined(__linux__)

sigjmp_buf illegal_return;
void on_illegal(int) { siglongjmp(illegal_return, 1); }

// The 64 bytes that LDTILECFG reads. Written through asm with the whole struct as operand: the
// compiler's own intrinsic declares 8 bytes, and the rest is then optimised away.
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t bytes_per_row[16] = {64};
  uint8_t rows[16] = {16};
};

// Loads a tile configuration and clears one tile. Machine code, so that no compiler flag and no
// assembler version matters.
bool tile_instructions_run() {
  static TileConfig config;
  struct sigaction ours = {}, theirs = {};
  ours.sa_handler = on_illegal;
  if (sigaction(SIGILL, &ours, &theirs) != 0) return false;
  bool ran = false;
  if (sigsetjmp(illegal_return, 1) == 0) {
    asm volatile(
        ".byte 0xc4,0xe2,0x78,0x49,0x00\n\t"  // ldtilecfg [rax]
        ".byte 0xc4,0xe2,0x7b,0x49,0xc0\n\t"  // tilezero tmm0
        ".byte 0xc4,0xe2,0x78,0x49,0xc0"      // tilerelease
        :
        : "a"(&config), "m"(config)
        : "memory");
    ran = true;
  }
  sigaction(SIGILL, &theirs, nullptr);
  return ran;
}

// The kernel hands out tile registers on request only, and refuses a process whose alternate
// signal stack is too small for them.
std::string tiles_why_not() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  if (syscall(SYS_arch_prctl, kRequestPermission, kTileData) != 0)
    return "the kernel refuses the tile registers (ARCH_REQ_XCOMP_PERM)";
  if (!tile_instructions_run()) return "a tile instruction faults";
  return {};
}

#else
std::string tiles_why_not() { return "tiles are used on Linux only"; }
#endif

struct Bit {
  const char* name;
  uint32_t word;
  int bit;
  uint64_t state;
};

std::vector<CpuFeature> detect() {
  const Leaf one = cpuid(1, 0), seven = cpuid(7, 0), seven_one = cpuid(7, 1);
  const uint64_t saved = saved_state(one);
  const Bit bits[] = {
      {"avx2", seven.ebx, 5, kYmm},
      {"fma", one.ecx, 12, kYmm},
      {"f16c", one.ecx, 29, kYmm},
      {"bmi2", seven.ebx, 8, 0},
      {"avx512f", seven.ebx, 16, kZmm},
      {"avx512dq", seven.ebx, 17, kZmm},
      {"avx512cd", seven.ebx, 28, kZmm},
      {"avx512bw", seven.ebx, 30, kZmm},
      {"avx512vl", seven.ebx, 31, kZmm},
      {"avx512_vnni", seven.ecx, 11, kZmm},
      {"avx512_vbmi", seven.ecx, 1, kZmm},
      {"gfni", seven.ecx, 8, 0},
      {"avx512_bf16", seven_one.eax, 5, kZmm},
      {"amx_tile", seven.edx, 24, kTiles},
      {"amx_int8", seven.edx, 25, kTiles},
      {"amx_bf16", seven.edx, 22, kTiles},
  };
  std::vector<CpuFeature> features;
  std::optional<std::string> tiles;
  for (const Bit& b : bits) {
    std::string why;
    if (((b.word >> b.bit) & 1) == 0) {
      why = "the processor lacks it";
    } else if ((saved & b.state) != b.state) {
      why = "the operating system does not save its registers (XCR0)";
    } else if (b.state == kTiles) {
      if (!tiles) tiles = tiles_why_not();
      why = *tiles;
    }
    const bool usable = why.empty();
    features.push_back(CpuFeature{b.name, usable, std::move(why)});
  }
  return features;
}

const std::vector<Level>& levels() {
  static const std::vector<Level> table = {
      {Isa::avx2, {"avx2", "fma", "f16c", "bmi2"}},
      {Isa::avx512, {"avx512f", "avx512dq", "avx512cd", "avx512bw", "avx512vl"}},
      {Isa::vnni, {"avx512_vnni", "avx512_vbmi", "gfni"}},
      {Isa::amx, {"avx512_bf16", "amx_tile", "amx_int8", "amx_bf16"}},
  };
  return table;
}

#elif defined(__aarch64__)

constexpr Isa kLowest = Isa::neon;

// What the kernel says that programs may use: the processor has it, and its state is saved.
std::vector<CpuFeature> detect() {
  std::vector<CpuFeature> features{{"neon", true, {}}};
#if defined(__linux__)
  const unsigned long first = getauxval(AT_HWCAP), second = getauxval(AT_HWCAP2);
#else
  const unsigned long first = 0, second = 0;
#endif
  // Linux' numbers, which headers older than a feature do not have.
  const auto add = [&](const char* feature, unsigned long word, int bit) {
    const bool usable = (word >> bit & 1) != 0;
    features.push_back({feature, usable, usable ? "" : "the processor or the kernel lacks it"});
  };
  add("dotprod", first, 20);
  add("i8mm", second, 13);
  add("bf16", second, 14);
  return features;
}

const std::vector<Level>& levels() {
  static const std::vector<Level> table = {
      {Isa::dotprod, {"dotprod"}},
      {Isa::i8mm, {"i8mm", "bf16"}},
  };
  return table;
}

#else

constexpr Isa kLowest = Isa::baseline;

std::vector<CpuFeature> detect() { return {}; }
const std::vector<Level>& levels() {
  static const std::vector<Level> table;
  return table;
}

#endif

const std::vector<CpuFeature>& features() {
  static const std::vector<CpuFeature> found = detect();
  return found;
}

bool usable(std::string_view feature) {
  for (const CpuFeature& f : features())
    if (f.name == feature) return f.usable;
  return false;
}

std::vector<Isa> detect_isas() {
  std::vector<Isa> found{kLowest};
  for (const Level& level : levels()) {
    for (std::string_view need : level.needs)
      if (!usable(need)) return found;
    found.push_back(level.isa);
  }
  return found;
}

std::string available_names() {
  std::string names;
  for (Isa isa : available_isas()) {
    if (!names.empty()) names += ", ";
    names += name(isa);
  }
  return names;
}

bool is_available(Isa isa) {
  for (Isa one : available_isas())
    if (one == isa) return true;
  return false;
}

Isa chosen_isa() {
  const char* wanted = std::getenv("TARN_ISA");
  if (wanted == nullptr || *wanted == '\0') return available_isas().back();
  for (Isa isa : available_isas())
    if (std::strcmp(name(isa), wanted) == 0) return isa;
  fail<DeviceError>("[cpu] TARN_ISA is \"{}\"; this machine has {}.", wanted, available_names());
}

std::optional<Isa>& override_isa() {
  static std::optional<Isa> isa;
  return isa;
}

}  // namespace

const char* name(Isa isa) { return kNames[static_cast<size_t>(isa)]; }

std::span<const Isa> available_isas() {
  static const std::vector<Isa> found = detect_isas();
  return found;
}

Isa best_isa() {
  if (override_isa()) return *override_isa();
  static const Isa chosen = chosen_isa();
  return chosen;
}

void set_isa(Isa isa) {
  require<DeviceError>(is_available(isa), "[cpu] level {} is not available; this machine has {}.",
                       name(isa), available_names());
  override_isa() = isa;
}

std::vector<CpuFeature> cpu_features() { return features(); }

}  // namespace tarn::cpu
