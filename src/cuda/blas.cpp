#include "cuda/blas.h"

#include <cublasLt.h>

#include <array>
#include <map>
#include <mutex>
#include <optional>

#include "cuda/arena.h"
#include "cuda/device.h"
#include "cuda/dynamic_library.h"
#include "cuda/layout.h"

namespace tarn::cuda {
namespace {

constexpr size_t workspace_bytes = size_t{32} << 20;

struct Library {
  decltype(&cublasLtCreate) create = nullptr;
  decltype(&cublasLtMatmul) matmul = nullptr;
  decltype(&cublasLtMatmulAlgoGetHeuristic) choose = nullptr;
  decltype(&cublasLtMatmulDescInit_internal) describe = nullptr;
  decltype(&cublasLtMatmulDescSetAttribute) set = nullptr;
  decltype(&cublasLtMatrixLayoutInit_internal) layout = nullptr;
  decltype(&cublasLtMatrixLayoutSetAttribute) set_layout = nullptr;
  decltype(&cublasLtMatmulPreferenceInit_internal) preference = nullptr;
  decltype(&cublasLtMatmulPreferenceSetAttribute) set_preference = nullptr;
  cublasLtHandle_t handle = nullptr;
  void* workspace = nullptr;
};

bool find_all(void* from, Library& l) {
  return find(from, "cublasLtCreate", l.create) && find(from, "cublasLtMatmul", l.matmul) &&
         find(from, "cublasLtMatmulAlgoGetHeuristic", l.choose) &&
         find(from, "cublasLtMatmulDescInit_internal", l.describe) &&
         find(from, "cublasLtMatmulDescSetAttribute", l.set) &&
         find(from, "cublasLtMatrixLayoutInit_internal", l.layout) &&
         find(from, "cublasLtMatrixLayoutSetAttribute", l.set_layout) &&
         find(from, "cublasLtMatmulPreferenceInit_internal", l.preference) &&
         find(from, "cublasLtMatmulPreferenceSetAttribute", l.set_preference);
}

// Null when the library is not there.
const Library* load() {
  constexpr const char* names[] = {"libcublasLt.so.13", "libcublasLt.so.12",
                                   "/usr/local/cuda/lib64/libcublasLt.so.13",
                                   "/usr/local/cuda/lib64/libcublasLt.so.12"};
  static Library l;
  auto take = [](void* from) {
    return find_all(from, l) && l.create(&l.handle) == CUBLAS_STATUS_SUCCESS;
  };
  if (!open_first(names, take)) return nullptr;
  l.workspace = arena().allocate(workspace_bytes);
  return &l;
}
const Library* library() {
  static const Library* const loaded = load();
  return loaded;
}

struct Types {
  cudaDataType data{};
  cublasComputeType_t compute{};
  cudaDataType scale{};
};
std::optional<Types> types_of(int type) {
  if (type == column(float32)) return Types{CUDA_R_32F, CUBLAS_COMPUTE_32F, CUDA_R_32F};
  if (type == column(float16)) return Types{CUDA_R_16F, CUBLAS_COMPUTE_32F, CUDA_R_32F};
  if (type == column(bfloat16)) return Types{CUDA_R_16BF, CUBLAS_COMPUTE_32F, CUDA_R_32F};
  if (type == column(float64)) return Types{CUDA_R_64F, CUBLAS_COMPUTE_64F, CUDA_R_64F};
  return std::nullopt;
}

// The library's description of a product, with the algorithm that it chose. It counts by columns:
// c^T (n, m) = b^T a^T, so b comes first.
struct Product {
  cublasLtMatmulDescOpaque_t product{};
  cublasLtMatrixLayoutOpaque_t b{}, a{}, c{};
  cublasLtMatmulAlgo_t algorithm{};
  bool usable = false;
};

void lay_out(const Library& l, cublasLtMatrixLayoutOpaque_t& to, cudaDataType type, int64_t rows,
             int64_t cols, int64_t lead, int64_t batch, int64_t step) {
  l.layout(&to, sizeof to, type, static_cast<uint64_t>(rows), static_cast<uint64_t>(cols), lead);
  auto count = static_cast<int32_t>(batch);
  l.set_layout(&to, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count);
  l.set_layout(&to, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &step, sizeof step);
}

Product describe(const Library& l, const MatmulCall& c, const BlasShape& s, const Types& t) {
  Product p;
  l.describe(&p.product, sizeof p.product, t.compute, t.scale);
  cublasOperation_t b_op = s.b_turned ? CUBLAS_OP_T : CUBLAS_OP_N;
  cublasOperation_t a_op = s.a_turned ? CUBLAS_OP_T : CUBLAS_OP_N;
  l.set(&p.product, CUBLASLT_MATMUL_DESC_TRANSA, &b_op, sizeof b_op);
  l.set(&p.product, CUBLASLT_MATMUL_DESC_TRANSB, &a_op, sizeof a_op);
  lay_out(l, p.b, t.data, s.b_turned ? c.k : c.n, s.b_turned ? c.n : c.k, s.b_lead, c.batch,
          s.b_step);
  lay_out(l, p.a, t.data, s.a_turned ? c.m : c.k, s.a_turned ? c.k : c.m, s.a_lead, c.batch,
          s.a_step);
  lay_out(l, p.c, c.c_in_float ? CUDA_R_32F : t.data, c.n, c.m, c.n, c.batch, c.m * c.n);
  cublasLtMatmulPreferenceOpaque_t preference{};
  l.preference(&preference, sizeof preference);
  l.set_preference(&preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace_bytes,
                   sizeof workspace_bytes);
  cublasLtMatmulHeuristicResult_t found{};
  int count = 0;
  p.usable = l.choose(l.handle, &p.product, &p.b, &p.a, &p.c, &p.c, &preference, 1, &found,
                      &count) == CUBLAS_STATUS_SUCCESS &&
             count > 0;
  p.algorithm = found.algo;
  return p;
}

// Choosing takes longer than many a product: what was chosen for a shape stays. Alignment is part
// of it, since algorithms may need it.
Product product_of(const Library& l, const MatmulCall& c, const BlasShape& s, const Types& t) {
  using Key = std::array<int64_t, 14>;
  static auto* const known = new std::map<Key, Product>;
  static std::mutex mutex;
  auto low = [](const void* p) {
    return static_cast<int64_t>(reinterpret_cast<uintptr_t>(p) % 16);
  };
  Key key{c.m,      c.n,      c.k,        c.batch,    c.type,   s.a_lead, s.b_lead,
          s.a_step, s.b_step, s.a_turned, s.b_turned, low(c.a), low(c.b), c.c_in_float};
  std::lock_guard lock(mutex);
  auto it = known->find(key);
  if (it == known->end()) it = known->emplace(key, describe(l, c, s, t)).first;
  return it->second;
}

}  // namespace

bool has_blas() { return library() != nullptr; }

bool multiply_by_blas(const MatmulCall& c, const BlasShape& s) {
  auto types = types_of(c.type);
  const Library* l = types ? library() : nullptr;
  if (!l || c.batch > INT32_MAX) return false;
  Product p = product_of(*l, c, s, *types);
  if (!p.usable) return false;
  const float one32 = 1, zero32 = 0;
  const double one64 = 1, zero64 = 0;
  bool wide = types->scale == CUDA_R_64F;
  const void *one = &one32, *zero = &zero32;
  if (wide) one = &one64, zero = &zero64;
  const void *from = c.added ? c.added : c.c, *times = c.added ? one : zero;
  std::lock_guard lock(workspace_mutex());
  return l->matmul(l->handle, &p.product, one, c.b, &p.b, c.a, &p.a, times, from, &p.c, c.c, &p.c,
                   &p.algorithm, l->workspace, workspace_bytes, queue()) == CUBLAS_STATUS_SUCCESS;
}

}  // namespace tarn::cuda
