// Linear algebra on the last two axes; leading axes are batches. float32, float64 and complex64:
// other dtypes are refused where a decomposition is computed, since a rounded matrix is another
// one.
//
// Everything has derivatives of every order, forwards and backwards, unless its comment says
// otherwise. For complex matrices they are those of functions that do not depend on the phase of an
// eigenvector or a singular vector.
//
// What depends on the numbers (a singular matrix, one that is not positive definite) is found when
// the result is evaluated: a ValueError that names the function and the matrix of the batch.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tarn/array.h"

namespace tarn::linalg {

// Norms over one axis (of vectors) or two (of matrices); without axes a 1-d or 2-d array is one
// vector or matrix. Vectors: any ord, sum(|x|^ord)^(1/ord); inf, -inf; 0 counts what is not zero.
// Matrices: 1, -1 (sums of columns), inf, -inf (of rows), 2, -2 (largest, smallest singular value),
// "fro" or "f", "nuc". Real results; integers give float32. Where the 2-norm is 0, so is its
// derivative.
array norm(const array& a, double ord, const std::optional<std::vector<int>>& axis = std::nullopt,
           bool keepdims = false, StreamOrDevice s = {});
array norm(const array& a, double ord, int axis, bool keepdims = false, StreamOrDevice s = {});
array norm(const array& a, const std::string& ord,
           const std::optional<std::vector<int>>& axis = std::nullopt, bool keepdims = false,
           StreamOrDevice s = {});
array norm(const array& a, const std::string& ord, int axis, bool keepdims = false,
           StreamOrDevice s = {});
// The 2-norm of all elements, or over one axis or two.
array norm(const array& a, const std::optional<std::vector<int>>& axis = std::nullopt,
           bool keepdims = false, StreamOrDevice s = {});
array norm(const array& a, int axis, bool keepdims = false, StreamOrDevice s = {});

// {Q (..., M, K), R (..., K, N)}, K = min(M, N), by Householder reflections; R has a real diagonal,
// of either sign. Derivatives (Walter and Lehmann, "Algorithmic differentiation of linear algebra
// functions with application in optimum experimental design", 2010) need the first K columns to be
// independent.
std::pair<array, array> qr(const array& a, StreamOrDevice s = {});

// {U (..., M, M), S (..., K), Vt (..., N, N)}, or {S}: singular values falling, real. The largest
// element of a column of U is real and positive. Derivatives of the values are defined everywhere
// but at 0; those of vectors (Townsend, "Differentiating the singular value decomposition", 2016)
// are infinite where two values are equal or one is 0, and the columns beyond K turn as little as
// they can: right for functions of the space that they span. NaN and infinity are refused.
std::vector<array> svd(const array& a, bool compute_uv, StreamOrDevice s = {});
inline std::vector<array> svd(const array& a, StreamOrDevice s = {}) { return svd(a, true, s); }

array inv(const array& a, StreamOrDevice s = {});
// Of a triangular matrix; the other triangle is not read.
array tri_inv(const array& a, bool upper = false, StreamOrDevice s = {});
// The lower L with a = L L^H, or U = L^H. Only the lower triangle of a (the upper one for U) is
// read, and derivatives are with respect to that triangle (Murray, "Differentiation of the Cholesky
// decomposition", 2016): for symmetric gradients, decompose (a + a^T) / 2.
array cholesky(const array& a, bool upper = false, StreamOrDevice s = {});
// The pseudo-inverse: singular values up to 10 max(M, N) eps times the largest count as 0.
// Derivatives (Golub and Pereyra, "The differentiation of pseudo-inverses and nonlinear least
// squares problems", 1973) keep the rank.
array pinv(const array& a, StreamOrDevice s = {});
// The inverse of L L^H (of U^H U) from a Cholesky factor.
array cholesky_inv(const array& a, bool upper = false, StreamOrDevice s = {});

// {P uint32 (..., M), L (..., M, K), U (..., K, N)}: a = L[P, :] U, with partial pivoting.
std::vector<array> lu(const array& a, StreamOrDevice s = {});
// {L and U in one matrix (..., M, N), pivots uint32 (..., K)}: row i was exchanged with row
// pivots[i].
std::pair<array, array> lu_factor(const array& a, StreamOrDevice s = {});

// x with a x = b, a (..., N, N); b (N,) or (..., N, K), batches broadcast.
array solve(const array& a, const array& b, StreamOrDevice s = {});
// The same for a triangular a, whose other triangle is not read.
array solve_triangular(const array& a, const array& b, bool upper = false, StreamOrDevice s = {});

// The cross product of 3-vectors along an axis; a 2-vector's third component is 0.
array cross(const array& a, const array& b, int axis = -1, StreamOrDevice s = {});

// {values (..., N), vectors (..., N, N) in columns of length 1}, complex64 and in no order; also
// for float64 input, which is computed in float64 and rounded. The largest element of a vector is
// real and positive. Derivatives (Giles, "An extended collection of matrix derivative results for
// forward and reverse mode algorithmic differentiation", 2008; Boeddeker et al., "On the
// computation of complex-valued gradients", 2017) are infinite for vectors of equal values. NaN is
// refused.
std::pair<array, array> eig(const array& a, StreamOrDevice s = {});
array eigvals(const array& a, StreamOrDevice s = {});
// {values (..., N) rising, vectors (..., N, N) in columns} of a symmetric or Hermitian matrix, of
// which one triangle is read: UPLO "L" or "U"; derivatives are with respect to that triangle, see
// cholesky. The largest element of a vector is positive. Derivatives of vectors are infinite where
// two values are equal (Giles 2008; Seeger et al., "Auto-differentiating linear algebra", 2017).
// NaN is refused.
array eigvalsh(const array& a, std::string UPLO = "L", StreamOrDevice s = {});
std::pair<array, array> eigh(const array& a, std::string UPLO = "L", StreamOrDevice s = {});

// From the LU decomposition; integers are taken as float32. Their derivatives solve with a, so that
// they are errors where a is singular.
array det(const array& a, StreamOrDevice s = {});
// {sign, log |det|}: sign * exp(log |det|) = det, {0, -inf} for a singular matrix.
std::pair<array, array> slogdet(const array& a, StreamOrDevice s = {});

// e to the power of a square matrix, by scaling, a Pade approximant and squaring (Higham, "The
// scaling and squaring method for the matrix exponential revisited", 2005). Its derivative is a
// block of the exponential of a matrix twice as large (Al-Mohy and Higham, "Computing the Frechet
// derivative of the matrix exponential", 2009).
array matrix_exp(const array& a, StreamOrDevice s = {});

}  // namespace tarn::linalg
