#include "cpu/heavy.h"

#include "cpu/isa.h"

namespace tarn::cpu {

// Defined by heavy_table.cpp, compiled once for each level.
namespace baseline {
extern const Heavy kernels;
}
#if defined(__x86_64__)
namespace avx2 {
extern const Heavy kernels;
}
namespace avx512 {
extern const Heavy kernels;
}
namespace vnni {
extern const Heavy kernels;
}
#endif

const Heavy& heavy(Isa isa) {
  switch (isa) {
#if defined(__x86_64__)
    case Isa::avx2:
      return avx2::kernels;
    case Isa::avx512:
      return avx512::kernels;
    case Isa::vnni:
    case Isa::amx:
      return vnni::kernels;
#endif
    default:
      return baseline::kernels;
  }
}

const Heavy& heavy() { return heavy(best_isa()); }

}  // namespace tarn::cpu
