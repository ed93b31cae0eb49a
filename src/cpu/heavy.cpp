#include "cpu/heavy.h"

#include "cpu/heavy_back.h"
#include "cpu/heavy_conv.h"
#include "cpu/isa.h"

namespace tarn::cpu {

// Defined by heavy_table.cpp, heavy_back_rows.cpp and heavy_conv.cpp, compiled once for each level.
#if defined(__aarch64__)
namespace neon {
extern const Heavy kernels;
extern const HeavyBack back_kernels;
extern const HeavyConv conv_kernels;
}  // namespace neon
namespace dotprod {
extern const Heavy kernels;
extern const HeavyBack back_kernels;
extern const HeavyConv conv_kernels;
}  // namespace dotprod
namespace i8mm {
extern const Heavy kernels;
extern const HeavyBack back_kernels;
extern const HeavyConv conv_kernels;
}  // namespace i8mm
#else
namespace baseline {
extern const Heavy kernels;
extern const HeavyBack back_kernels;
extern const HeavyConv conv_kernels;
}  // namespace baseline
#endif
#if defined(__x86_64__)
namespace avx2 {
extern const Heavy kernels;
extern const HeavyBack back_kernels;
extern const HeavyConv conv_kernels;
}  // namespace avx2
namespace avx512 {
extern const Heavy kernels;
extern const HeavyBack back_kernels;
extern const HeavyConv conv_kernels;
}  // namespace avx512

// What the next levels add to the one before them: heavy_balanced.cpp, and heavy_amx*.cpp.
namespace vnni {
void qmm_balanced(const Qmm& q, int worker, int workers);
size_t qmm_balanced_scratch(const Qmm& q, int workers);

const Heavy& kernels() {
  static const Heavy table = [] {
    Heavy h = avx512::kernels;
    h.qmm_balanced = qmm_balanced;
    h.qmm_balanced_scratch = qmm_balanced_scratch;
    return h;
  }();
  return table;
}
}  // namespace vnni

namespace amx {
void gemm(const Gemm& g, int worker, int workers);
size_t gemm_scratch(const Gemm& g, int workers);
void attention(const Attention& a, int worker, int workers);
size_t attention_scratch(const Attention& a, int workers);
void qmm_balanced(const Qmm& q, int worker, int workers);
size_t qmm_balanced_scratch(const Qmm& q, int workers);
void pack_activations(const PackActivations& p, int worker, int workers);
size_t packed_bytes(int64_t m, int64_t cols, int group);
void qmm_back(const Qmm& q, int worker, int workers);
size_t qmm_back_scratch(const Qmm& q, int workers);
void pack_back(const PackActivations& p, int worker, int workers);
size_t back_packed_bytes(int64_t m, int64_t cols);

const Heavy& kernels() {
  static const Heavy table = [] {
    Heavy h = vnni::kernels();
    h.gemm = gemm;
    h.gemm_scratch = gemm_scratch;
    h.attention = attention;
    h.attention_scratch = attention_scratch;
    h.qmm_balanced = qmm_balanced;
    h.qmm_balanced_scratch = qmm_balanced_scratch;
    h.pack_activations = pack_activations;
    h.packed_bytes = packed_bytes;
    return h;
  }();
  return table;
}

const HeavyBack& back_kernels() {
  static const HeavyBack table = [] {
    HeavyBack h = avx512::back_kernels;
    h.qmm = qmm_back;
    h.qmm_scratch = qmm_back_scratch;
    h.pack = pack_back;
    h.packed_bytes = back_packed_bytes;
    return h;
  }();
  return table;
}
}  // namespace amx
#endif

namespace {

struct Tables {
  const Heavy& kernels;
  const HeavyBack& back;
  const HeavyConv& conv;
};

Tables tables_of(Isa isa) {
  switch (isa) {
#if defined(__x86_64__)
    case Isa::avx2:
      return {avx2::kernels, avx2::back_kernels, avx2::conv_kernels};
    case Isa::avx512:
      return {avx512::kernels, avx512::back_kernels, avx512::conv_kernels};
    case Isa::vnni:
      return {vnni::kernels(), avx512::back_kernels, avx512::conv_kernels};
    case Isa::amx:
      return {amx::kernels(), amx::back_kernels(), avx512::conv_kernels};
#endif
#if defined(__aarch64__)
    case Isa::dotprod:
      return {dotprod::kernels, dotprod::back_kernels, dotprod::conv_kernels};
    case Isa::i8mm:
      return {i8mm::kernels, i8mm::back_kernels, i8mm::conv_kernels};
    default:
      return {neon::kernels, neon::back_kernels, neon::conv_kernels};
#else
    default:
      return {baseline::kernels, baseline::back_kernels, baseline::conv_kernels};
#endif
  }
}

}  // namespace

const Heavy& heavy(Isa isa) { return tables_of(isa).kernels; }
const Heavy& heavy() { return heavy(best_isa()); }
const HeavyBack& heavy_back(Isa isa) { return tables_of(isa).back; }
const HeavyBack& heavy_back() { return heavy_back(best_isa()); }
const HeavyConv& heavy_conv(Isa isa) { return tables_of(isa).conv; }
const HeavyConv& heavy_conv() { return heavy_conv(best_isa()); }

}  // namespace tarn::cpu
