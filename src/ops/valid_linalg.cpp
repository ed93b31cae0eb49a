// Decompositions that come from a file, see valid.h.
#include "ops/linalg.h"
#include "ops/valid_words.h"

namespace tarn::ops {
namespace {

bool is_matrix(const array& a) {
  Dtype t = a.dtype();
  return a.ndim() >= 2 && (t == float32 || t == float64 || t == complex64);
}
bool is_square(const array& a) { return is_matrix(a) && a.shape(-1) == a.shape(-2); }
bool is_tall(const array& a) { return is_matrix(a) && a.shape(-2) >= a.shape(-1); }
bool is_system(In in) {
  return in.size() == 2 && same_dtypes(in) && is_square(in[0]) && in[1].ndim() >= 2 &&
         in[1].shape(-2) == in[0].shape(-1);
}

bool valid(type<Inverse>, const Params& p, In in) {
  return in.size() == 1 && is_square(in[0]) && p.as<Inverse::P>().part <= Triangle::upper;
}
bool valid(type<Solve>, const Params&, In in) { return is_system(in); }
bool valid(type<SolveTriangular>, const Params&, In in) { return is_system(in); }
bool valid(type<LuFactor>, const Params&, In in) { return in.size() == 1 && is_tall(in[0]); }
bool valid(type<Qr>, const Params&, In in) { return in.size() == 1 && is_tall(in[0]); }
bool valid(type<Svd>, const Params&, In in) { return in.size() == 1 && is_matrix(in[0]); }
bool valid(type<PseudoInverse>, const Params&, In in) { return in.size() == 1 && is_matrix(in[0]); }
template <class T>
bool valid(type<T>, const Params&, In in) {
  return in.size() == 1 && is_square(in[0]);
}

}  // namespace

void add_decomposition_checks(std::unordered_map<const Op*, Check>& checks) {
  DecompositionOps::each([&]<class T>(type<T>) {
    checks[&op_of<T>] = [](const Params& p, In in) { return valid(type<T>{}, p, in); };
  });
}

}  // namespace tarn::ops
