"""Cases of windows, sums of products, searches and updates, for mlx_test.py."""

import mlx.core as mx
import numpy as np

from mlx_cases import DTYPES, FLOATS, Case, draw, filled

EINSUMS = [
    ("ij,jk->ik", [(3, 4), (4, 5)]),
    ("ij,jk", [(3, 4), (4, 5)]),
    ("ij->ji", [(3, 4)]),
    ("ii->i", [(4, 4)]),
    ("ii", [(4, 4)]),
    ("ij->", [(3, 4)]),
    ("i,j->ij", [(3,), (4,)]),
    ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]),
    ("bhqd,bhkd->bhqk", [(2, 3, 4, 5), (2, 3, 6, 5)]),
    ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 5)]),
    ("ab,bc,cd,de->ae", [(2, 9), (9, 3), (3, 4), (4, 2)]),
    ("...ij,...jk->...ik", [(2, 1, 3, 4), (5, 4, 2)]),
    ("...i->...", [(2, 3, 4)]),
    ("i...,i...->...", [(3, 2), (3, 2)]),
    ("iij,jk->ik", [(3, 3, 4), (4, 2)]),
    ("ij,ij,ij->i", [(3, 4), (3, 4), (3, 4)]),
    ("ij,kj->ik", [(3, 0), (2, 0)]),
    ("i,i", [(5,), (5,)]),
    ("ijk,jil->kl", [(3, 4, 5), (4, 3, 2)]),
    ("ab,cd->abcd", [(2, 3), (4, 2)]),
    ("i j, j k -> i k", [(3, 4), (4, 5)]),
    ("ij,jk->iz", [(3, 4), (4, 5)]),
    ("ij,jk->ik", [(3, 4), (5, 5)]),
]


def windows():
    for op in ("hanning", "hamming", "bartlett", "blackman"):
        for n in (0, 1, 2, 3, 8, 101):
            yield Case(op, [], lambda f=getattr(mx, op), n=n: f(n), 2e-6, n=n)


def sums_of_products():
    for subscripts, shapes in EINSUMS:
        for dtype in ("float32", "float64", "complex64", "bfloat16"):
            inputs = [draw(s, dtype, -1, 1) for s in shapes]
            yield Case(
                "einsum",
                inputs,
                lambda i=inputs, s=subscripts: mx.einsum(s, *i),
                3e-2 if dtype == "bfloat16" else 1e-5,
                subscripts=subscripts,
            )
        path = lambda i=inputs, s=subscripts: mx.array(
            np.array([n for step in mx.einsum_path(s, *i)[0] for n in step], np.int64)
        )
        yield Case("einsum_path", inputs, path, subscripts=subscripts)
    for dtype in DTYPES:
        for a, b in [
            ((2, 3), (3, 2)),
            ((3,), (2, 2)),
            ((2,), (3,)),
            ((), (2, 3)),
            ((1, 2, 2), (2,)),
        ]:
            x, y = draw(a, dtype), draw(b, dtype)
            yield Case("kron", [x, y], lambda x=x, y=y: mx.kron(x, y))
        if dtype in FLOATS + ["complex64"]:
            for a, b, axis in [((3, 4), (3, 4), -1), ((3, 4), (4,), -1), ((3, 4), (3, 4), 0)]:
                x, y = draw(a, dtype, -1, 1), draw(b, dtype, -1, 1)
                yield Case(
                    "vecdot",
                    [x, y],
                    lambda x=x, y=y, a=axis: mx.vecdot(x, y, axis=a),
                    {"bfloat16": 3e-2, "float16": 4e-3}.get(dtype, 1e-5),
                    axis=axis,
                )


def searches():
    odd = [float("nan"), float("inf"), -float("inf"), 0.0, -0.0, 1.5]
    for dtype in DTYPES:
        x = draw((3, 5), dtype)
        for n, axis in ((1, -1), (2, 0), (0, 1), (4, 1), (9, 1)):
            yield Case(
                "diff", [x], lambda x=x, n=n, a=axis: mx.diff(x, n=n, axis=a), n=n, axis=axis
            )
        for axis in (None, 0, 1):
            for keep in (False, True):
                yield Case(
                    "count_nonzero",
                    [x],
                    lambda x=x, a=axis, k=keep: mx.count_nonzero(x, axis=a, keepdims=k),
                    axis=axis,
                    keepdims=keep,
                )
        for shape, values in (((9,), (4, 3)), ((1,), (5,)), ((0,), (2,)), ((6,), ())):
            line, wanted = mx.sort(draw(shape, dtype)), draw(values, dtype)
            if dtype == "complex64":
                continue
            for side in ("left", "right"):
                yield Case(
                    "searchsorted",
                    [line, wanted],
                    lambda a=line, v=wanted, s=side: mx.searchsorted(a, v, side=s),
                    side=side,
                )
        square = draw((4, 4), dtype)
        yield Case(
            "trace_as",
            [square],
            lambda x=square: mx.trace(x, 0, 0, 1, dtype=mx.float32),
            dtype="float32",
        )
    yield Case(
        "count_nonzero",
        [mx.array(odd)],
        lambda: mx.count_nonzero(mx.array(odd)),
        keepdims=False,
    )
    x = draw((3, 5), "float32", -1, 1)
    for scan in ("cumsum", "cumprod", "cummax", "cummin", "logcumsumexp"):
        for reverse in (False, True):
            for inclusive in (False, True):
                yield Case(
                    "scan_flat",
                    [x],
                    lambda f=getattr(mx, scan), r=reverse, i=inclusive: f(
                        x, reverse=r, inclusive=i
                    ),
                    1e-5,
                    scan=scan,
                    reverse=reverse,
                    inclusive=inclusive,
                )


def updates():
    for dtype in ("float32", "int32", "bfloat16", "bool", "complex64"):
        x, start = draw((4, 5, 6), dtype), mx.array([1, 2])
        size, axes = [2, 5, 3], [0, 2]
        yield Case(
            "slice_at",
            [x, start],
            lambda x=x: mx.slice(x, start, tuple(axes), tuple(size)),
            axes=axes,
            size=size,
        )
        update = draw((2, 5, 3), dtype)
        yield Case(
            "slice_update_at",
            [x, update, start],
            lambda x=x, u=update: mx.slice_update(x, u, start, tuple(axes)),
            axes=axes,
        )
        for mode in ("reflect", "symmetric"):
            for width in ([[1, 2], [0, 0], [2, 1]], [[3, 3], [4, 0], [0, 5]]):
                yield Case(
                    "pad",
                    [x, mx.array(0)],
                    lambda x=x, w=width, m=mode: mx.pad(x, [tuple(p) for p in w], mode=m),
                    width=width,
                    mode=mode,
                )
        for shift, axes_ in (([1, -2], [0, 2]), ([7], [1]), ([2, 3], [1, 1])):
            yield Case(
                "roll_each",
                [x],
                lambda x=x, s=shift, a=axes_: mx.roll(x, tuple(s), tuple(a)),
                shift=shift,
                axes=axes_,
            )
        if dtype in ("float32", "int32", "bfloat16"):
            for way in ("add", "multiply", "maximum", "minimum"):
                part = draw((2, 3), dtype)
                y = draw((4, 6), dtype)
                yield Case(
                    "slice_update_with",
                    [y, part],
                    lambda y=y, p=part, w=way: getattr(y.at[1:3, 0:6:2], w)(p),
                    way=way,
                    start=[1, 0],
                    stop=[3, 6],
                    steps=[1, 2],
                )
        mask = filled(np.arange(20).reshape(4, 5) % 3, "bool")
        source = draw((20 * 6,), dtype)

        def masked(x=x, mask=mask, source=source):
            y = mx.array(x)
            taken = np.repeat(np.array(mask).reshape(-1), 6)
            y[mask] = source[: int(taken.sum())].reshape(-1, 6)
            return y

        yield Case("masked_scatter", [x, mask, source], masked)


def more():
    from mlx_conv_cases import convolutions
    from mlx_fft_cases import transforms
    from mlx_linalg_cases import linalg_cases

    yield from convolutions()
    yield from transforms()
    yield from linalg_cases()
    for cases in (windows, sums_of_products, searches, updates):
        yield from cases()
