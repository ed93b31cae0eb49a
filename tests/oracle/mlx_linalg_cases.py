"""Cases of linear algebra, for mlx_test.py.

What is unique up to signs, phases or order is compared as what it multiplies to.
"""

import mlx.core as mx
import numpy as np

from mlx_cases import Case, draw, filled

linalg = mx.linalg
SQUARE = [(3, 3), (2, 4, 4), (1, 1), (2, 3, 5, 5), (20, 20)]
OBLONG = SQUARE + [(4, 3), (3, 4), (2, 5, 2), (1, 6)]
TYPES = ("float32", "float64")
LOOSE = {"float32": 2e-4, "float64": 1e-10, "complex64": 5e-4}


def matrix(shape, dtype, ahead=3.0):
    """Mixed numbers, with `ahead` and more added to the diagonal."""
    small = np.array(draw(shape, "float64", -1, 1))
    small = small + np.eye(shape[-2], shape[-1]) * (ahead + np.arange(shape[-1]))
    return filled(small, dtype)


def adjoint(m):
    return mx.conjugate(mx.swapaxes(m, -1, -2))


def product(left, values, right):
    """left diag(values) right over the columns that have a value."""
    k = values.shape[-1]
    return (left[..., :k] * values[..., None, :].astype(left.dtype)) @ right[..., :k, :]


def svd(a):
    u, s, vt = linalg.svd(a)
    return [product(u, s, vt), s, 1 + u @ adjoint(u), 1 + vt @ adjoint(vt)]


def qr(a):
    q, r = linalg.qr(a)
    return [q @ r, mx.abs(q), mx.abs(r)]


def eigh(a, uplo):
    w, v = linalg.eigh(a, uplo)
    return [w, product(v, w, adjoint(v))]


def eig(a):
    w, v = linalg.eig(a)
    back = np.array(v) * np.array(w)[..., None, :] @ np.linalg.inv(np.array(v))
    return [mx.sort(mx.real(w), -1), mx.array(back.astype(np.complex64))]


def squares():
    for dtype in TYPES:
        near = LOOSE[dtype]
        for shape in SQUARE:
            a = matrix(shape, dtype)
            p = a @ mx.swapaxes(a, -1, -2)
            for op in ("inv", "det", "slogdet"):
                turned = a[..., ::-1, :]
                for x in (a, turned):
                    yield Case("linalg_" + op, [x], lambda f=op, x=x: getattr(linalg, f)(x), near)
            for upper in (False, True):
                for op, x in (("tri_inv", a), ("cholesky", p), ("cholesky_inv", a)):
                    yield Case(
                        "linalg_" + op,
                        [x],
                        lambda f=op, x=x, u=upper: getattr(linalg, f)(x, u),
                        near,
                        upper=upper,
                    )
                b = draw(shape[:-1] + (3,), dtype)
                yield Case(
                    "linalg_solve_triangular",
                    [a, b],
                    lambda a=a, b=b, u=upper: linalg.solve_triangular(a, b, upper=u),
                    near,
                    upper=upper,
                )
            yield Case("linalg_solve", [a, b], lambda a=a, b=b: linalg.solve(a, b), near)
    a, b = matrix((3, 3), "float32"), draw((3,), "float32")
    yield Case("linalg_solve", [a, b], lambda: linalg.solve(a, b), 2e-4)
    for dtype in ("int32", "float16", "bool"):
        x = draw((3, 3), dtype)
        for op in ("inv", "pinv", "cholesky", "qr", "lu", "eigvals"):
            yield Case("linalg_" + op, [x], lambda f=op, x=x: getattr(linalg, f)(x))
        yield Case("linalg_solve", [x, x], lambda x=x: linalg.solve(x, x))
    whole = draw((3, 3), "int32")
    yield Case("linalg_det", [whole], lambda: linalg.det(whole), 2e-4)
    flat = mx.array([[1.0, 2.0], [2.0, 4.0]])
    for op in ("inv", "det", "slogdet", "lu"):
        yield Case("linalg_" + op, [flat], lambda f=op: getattr(linalg, f)(flat), 2e-4)
    for op in ("inv", "cholesky", "eigvals", "det"):
        oblong = matrix((2, 3), "float32")
        yield Case("linalg_" + op, [oblong], lambda f=op, x=oblong: getattr(linalg, f)(x))


def factors():
    for dtype in TYPES + ("complex64",):
        near = LOOSE[dtype]
        for shape in OBLONG:
            a = matrix(shape, dtype)
            yield Case("linalg_svd", [a], lambda a=a: svd(a), near)
            yield Case("linalg_svd_values", [a], lambda a=a: linalg.svd(a, False), near)
            if dtype == "complex64":
                continue
            turned = a[..., ::-1, :]
            for x in (a, turned):
                yield Case("linalg_qr", [x], lambda x=x: qr(x), near)
                yield Case("linalg_lu", [x], lambda x=x: linalg.lu(x), near)
                yield Case("linalg_lu_factor", [x], lambda x=x: linalg.lu_factor(x), near)
                yield Case("linalg_pinv", [x], lambda x=x: linalg.pinv(x), near)
        for shape in SQUARE:
            a = matrix(shape, dtype, 0)
            for uplo in "LU":  # the two triangles differ: one of them is read
                yield Case("linalg_eigh", [a], lambda a=a, u=uplo: eigh(a, u), near, uplo=uplo)
                yield Case(
                    "linalg_eigvalsh",
                    [a],
                    lambda a=a, u=uplo: linalg.eigvalsh(a, u),
                    near,
                    uplo=uplo,
                )
            yield Case("linalg_eig", [a], lambda a=a: eig(a), 2e-3)
            yield Case(
                "linalg_eigvals",
                [a],
                lambda a=a: mx.sort(mx.real(linalg.eigvals(a)), -1),
                2e-3,
            )


def norm_case(x, ord=None, axes=None, keepdims=False):
    args = dict(axes=axes, keepdims=keepdims)
    if ord is None:
        return Case("linalg_norm", [x], lambda: linalg.norm(x, **swapped(args)), 2e-4, **args)
    word = ord if isinstance(ord, str) else str(ord) if abs(ord) == float("inf") else ord
    return Case(
        "linalg_norm", [x], lambda: linalg.norm(x, ord, **swapped(args)), 2e-4, ord=word, **args
    )


def swapped(args):
    return {("axis" if key == "axes" else key): value for key, value in args.items()}


def norms():
    inf = float("inf")
    for dtype in ("float32", "float64", "float16", "int32", "complex64"):
        x = draw((2, 3, 4), dtype)
        for keepdims in (False, True):
            for axes in (None, [0], [-1], [0, 2], [2, 1], [0, 1, 2]):
                yield norm_case(x, None, axes, keepdims)
                for ord in (0.0, 1.0, -1.0, 2.0, -2.0, 3.0, 0.5, inf, -inf, "fro", "nuc", "f", "x"):
                    yield norm_case(x, ord, axes, keepdims)
        yield norm_case(x[0], 1.0)
        yield norm_case(x[0, 0], 3.0)
    for dtype in ("float32", "float16", "int32", "complex64"):
        for a, b, axis in (
            ((3,), (3,), -1),
            ((2, 3), (3,), -1),
            ((2,), (3,), -1),
            ((2, 2), (2, 2), -1),
            ((3, 2), (3, 2), 0),
            ((4,), (4,), -1),
            ((3,), (3,), 1),
        ):
            x, y = draw(a, dtype), draw(b, dtype)
            yield Case(
                "linalg_cross",
                [x, y],
                lambda x=x, y=y, n=axis: linalg.cross(x, y, axis=n),
                2e-2 if dtype == "float16" else 1e-5,
                axis=axis,
            )


def linalg_cases():
    yield from squares()
    yield from factors()
    yield from norms()
