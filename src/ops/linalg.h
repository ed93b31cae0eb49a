// Decompositions: ops on the matrices of the last two axes.
#pragma once

#include "ops/kinds.h"

namespace tarn::ops {

// Leading axes are batches, so a mapped axis is one more of them. An op with several results packs
// them, flat and one behind the other, along one last axis.
struct Decomposition {
  template <class T>
  static Arrays vmap(const Params& p, std::span<const array> in, const Batch& batch) {
    return {record(op_of<T>, p, align_batches(in, batch), {})};
  }
  template <class T>
  static std::vector<Maybe> pulled(const Call& call, std::span<const Maybe> g) {
    return adjoint_of(&T::vjp, call, g);
  }
  template <class T>
  static constexpr Op rules() {
    static_assert(HasShape<T> && HasVjp<T> && HasJvp<T>,
                  "a decomposition needs `infer`, `vjp` and `jvp`");
    Op op = detail::named<T>(tarn::Kind::decomposition);
    op.vmap = &vmap<T>;
    op.vjp = &pulled<T>;
    return op;
  }
};

enum class Triangle : uint8_t { none, lower, upper };

#define TARN_RULES                                                                    \
  using Kind = Decomposition;                                                         \
  static ArraySpec infer(const Params& params, std::span<const array> in);            \
  static std::vector<Maybe> vjp(const Call& call, std::span<const Maybe> cotangents); \
  static std::vector<Maybe> jvp(const Call& call, std::span<const Maybe> tangents);

// in: a (..., N, N), of which `part` is read and inverted (none: all of it).
struct Inverse {
  static constexpr Spec spec{"inv", Types::inexact, "The inverse of a matrix.", 1e-4};
  struct P {
    Triangle part = Triangle::none;
    TARN_FIELDS(part)
  };
  TARN_RULES
};
// in: a (..., N, N), b (..., N, K); batches broadcast.
struct Solve {
  static constexpr Spec spec{"solve", Types::inexact, "x with a x = b.", 1e-4};
  TARN_RULES
};
// in: a (..., N, N), b (..., N, K); batches broadcast. `unit`: a's diagonal counts as ones.
struct SolveTriangular {
  static constexpr Spec spec{"solve_triangular", Types::inexact, "x with a x = b, a triangular.",
                             1e-4};
  struct P {
    bool upper = false, unit = false;
    TARN_FIELDS(upper, unit)
  };
  TARN_RULES
};
// in: a (..., N, N), one triangle of which is read.
struct Cholesky {
  static constexpr Spec spec{"cholesky", Types::inexact, "The triangular root of a matrix.", 1e-4};
  struct P {
    bool upper = false;
    TARN_FIELDS(upper)
  };
  TARN_RULES
};
// in: a (..., M, N), M >= N. Packed: L and U in M x N, the order of the rows (M), the pivots (N).
struct LuFactor {
  static constexpr Spec spec{"lu_factor", Types::inexact, "L and U with partial pivoting.", 1e-4};
  TARN_RULES
};
// in: a (..., M, N), M >= N. Packed: Q (M x N), R (N x N).
struct Qr {
  static constexpr Spec spec{"qr", Types::inexact, "Orthonormal columns times a triangle.", 1e-4};
  TARN_RULES
};
// in: a (..., M, N). Packed: U (M x K or M x M), S (K), V^H (K x N or N x N); or S alone, real.
struct Svd {
  static constexpr Spec spec{"svd", Types::inexact, "Singular values, and vectors.", 1e-4};
  struct P {
    bool vectors = true, full = true;
    TARN_FIELDS(vectors, full)
  };
  TARN_RULES
};
// in: a (..., M, N).
struct PseudoInverse {
  static constexpr Spec spec{"pinv", Types::inexact, "The pseudo-inverse of a matrix.", 1e-4};
  TARN_RULES
};
// in: a (..., N, N), one triangle of which is read. Packed: values (N), vectors (N x N); or the
// values alone, real.
struct Eigh {
  static constexpr Spec spec{"eigh", Types::inexact,
                             "Eigenvalues, and vectors, of a Hermitian matrix.", 1e-4};
  struct P {
    bool upper = false, vectors = true;
    TARN_FIELDS(upper, vectors)
  };
  TARN_RULES
};
// in: a (..., N, N). Packed, complex: values (N), vectors (N x N); or the values alone.
struct Eig {
  static constexpr Spec spec{"eig", Types::inexact, "Eigenvalues, and vectors, of a square matrix.",
                             1e-4};
  struct P {
    bool vectors = true;
    TARN_FIELDS(vectors)
  };
  TARN_RULES
};
// in: a (..., N, N).
struct MatrixExp {
  static constexpr Spec spec{"matrix_exp", Types::inexact, "e to the power of a matrix.", 1e-5};
  TARN_RULES
};

#undef TARN_RULES

using DecompositionOps = List<Inverse, Solve, SolveTriangular, Cholesky, LuFactor, Qr, Svd,
                              PseudoInverse, Eigh, Eig, MatrixExp>;

// --- words of their rules

// M^T and M^H.
array turned(const array& m);
array adjoint(const array& m);
// A real dtype's numbers, from a complex value's real parts as well.
array real_part(const array& x);
Dtype real_of(Dtype t);
// The lower triangle with half the diagonal: half_lower(M) + half_lower(M)^H is the Hermitian
// matrix whose lower triangle is M's.
array half_lower(const array& m);
array hermitian(const array& m, bool upper);
// The cotangent of the triangle from that of the whole Hermitian matrix.
array triangle_of(const array& g, bool upper);
// v on the diagonal of a matrix of zeros.
array diagonal_matrix(const array& v);
array diagonal_of(const array& m);
// x / d; 0 where x is 0, whatever d is.
array ratio(const array& x, const array& d);
// Columns of m times v, and divided by it.
array times_columns(const array& m, const array& v);
// Rows (columns) [from, to) of matrices.
array rows_of(const array& m, int64_t from, int64_t to);
array columns_of(const array& m, int64_t from, int64_t to);
// Zeros below or beside, up to a size.
array with_size(const array& m, int64_t rows, int64_t columns);
// A result of `rows` x `columns` (-1: a vector) from a packed value; `at` moves behind it.
array unpacked(const array& packed, int64_t& at, int64_t rows, int64_t columns = -1);
array packed_of(const std::vector<array>& parts, size_t lead);
array triangular(const array& a, const array& b, bool upper, bool unit = false);

}  // namespace tarn::ops
