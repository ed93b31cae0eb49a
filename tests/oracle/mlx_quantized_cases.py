"""Cases of small floats, of products with quantised weights in every mode, and of products of
chosen matrices, segments and blocks, for mlx_test.py."""

import itertools

import mlx.core as mx
import numpy as np

from mlx_cases import FLOATS, Case, draw, filled, random

MODES = {"affine": (64, 4), "mxfp4": (32, 4), "mxfp8": (32, 8), "nvfp4": (16, 4)}
HALVES = ("float32", "float16", "bfloat16")


def wide(f, dtype):
    """f of float32 arrays, rounded once: MLX adds halves in halves, or not at all."""
    return lambda *inputs: f(
        *(a.astype(mx.float32) if a.dtype in (mx.float16, mx.bfloat16) else a for a in inputs)
    ).astype(dtype)


def optional(op, inputs, names, f, tolerance=None, **args):
    """A case whose inputs have names; those that are None are left out."""
    here = [(n, a) for n, a in zip(names, inputs) if a is not None]
    arrays = [a for _, a in here]
    return Case(op, arrays, f, tolerance, has=[n for n, _ in here], **args)


def weights_of_sizes(dtype):
    """Rows whose sizes differ by powers of ten, and one of zeros."""
    x = np.array(draw((8, 128), "float32"))
    x *= 10.0 ** np.arange(-4, 4)[:, None]
    x[3] = 0
    return filled(x, dtype)


def near_powers(dtype):
    """Groups whose largest number is near a power of two times that of a code."""
    steps = 1 + np.arange(-3, 4) / 512
    sizes = np.concatenate([top * 2.0**e * steps for top in (6, 448) for e in (-9, 0, 5)])
    x = np.array(draw((len(sizes), 32), "float32", -1, 1)) * sizes[:, None]
    x[:, 5] = sizes
    return filled(x, dtype)


def float8():
    codes = mx.arange(256).astype(mx.uint8)
    for dtype in HALVES:
        yield Case(
            "from_fp8",
            [codes],
            lambda d=dtype: mx.from_fp8(codes, getattr(mx, d)),
            "exact",
            dtype=dtype,
        )
    values = np.array(mx.from_fp8(codes[:127], mx.float32))
    ties = (values[:-1] + values[1:]) / 2
    near = [np.nextafter(ties, 0, dtype=np.float32), np.nextafter(ties, 9999, dtype=np.float32)]
    edges = [0.0, 448, 464, 465, 1e9, np.inf, np.nan, 2**-10, 2**-9, 1e-30, 1e-45]
    every = np.concatenate([values, ties, *near, edges]).astype(np.float32)
    for dtype in HALVES:
        x = filled(np.concatenate([every, -every]), dtype)
        yield Case("to_fp8", [x], lambda x=x: mx.to_fp8(x))
    yield Case("to_fp8", [codes], lambda: mx.to_fp8(codes))
    x = draw((3,), "float32")
    yield Case("from_fp8", [x], lambda: mx.from_fp8(x, mx.float32), dtype="float32")


def float_codes():
    for mode, dtype in itertools.product(("mxfp4", "mxfp8", "nvfp4"), HALVES):
        for w in (
            draw((8, 128), dtype),
            weights_of_sizes(dtype),
            near_powers(dtype),
            draw((2, 3, 64), dtype, -9, 9),
        ):
            yield Case(
                "quantize", [w], lambda w=w, m=mode: mx.quantize(w, mode=m), "exact", mode=mode
            )
            q = mx.quantize(w, mode=mode)
            for to in (None, *FLOATS):
                if dtype == "float16" and to == "float16":
                    continue  # MLX's powers of two overflow or vanish in float16
                yield Case(
                    "dequantize",
                    list(q),
                    # MLX reads float8 wrongly in float64.
                    lambda q=q, m=mode, t=to: (
                        mx.dequantize(*q, mode=m, dtype=mx.float32).astype(mx.float64)
                        if t == "float64"
                        else mx.dequantize(*q, mode=m, dtype=getattr(mx, t) if t else None)
                    ),
                    "exact",
                    mode=mode,
                    dtype=to,
                )
    for g in (0.5, 3.0, 2688.0):
        w, scale = draw((8, 128), "float32"), mx.array(g)
        yield optional(
            "quantize",
            [w, scale],
            ["w", "global"],
            lambda w=w, g=scale: mx.quantize(w, mode="nvfp4", global_scale=g),
            "exact",
            mode="nvfp4",
        )
        q = mx.quantize(w, mode="nvfp4", global_scale=scale)
        yield optional(
            "dequantize",
            [*q, scale],
            ["w", "scales", "global"],
            lambda q=q, g=scale: mx.dequantize(*q, mode="nvfp4", global_scale=g, dtype=mx.float32),
            mode="nvfp4",
            dtype="float32",
        )


def quantised_products():
    for mode, dtype in itertools.product(MODES, HALVES):
        for rows, turned in itertools.product((1, 3, 40), (True, False)):
            w = draw((64, 128), "float32")
            q = mx.quantize(w, mode=mode)
            x = draw((rows, 128 if turned else 64), dtype, -1, 1)
            f = wide(
                lambda x, *q, t=turned, m=mode: mx.quantized_matmul(x, *q, transpose=t, mode=m),
                mx.float32 if mode == "affine" else x.dtype,
            )
            yield Case(
                "quantized_matmul",
                [x, *q],
                lambda f=f, x=x, q=q: f(x, *q),
                1e-5,
                transpose=turned,
                mode=mode,
            )
        q = mx.quantize(draw((3, 8, 64), "float32"), mode=mode)
        for shape in ((3, 2, 64), (2, 1, 5, 64), (64,)):
            x = draw(shape, "float32", -1, 1)
            if len(shape) == 1:
                q = [part[0] for part in q]
            yield Case(
                "quantized_matmul",
                [x, *q],
                lambda x=x, q=q, m=mode: mx.quantized_matmul(x, *q, mode=m),
                1e-5,
                transpose=True,
                mode=mode,
            )
        yield from gathered(mode, dtype)


def gathered(mode, dtype):
    rising, mixed = mx.arange(6).astype(mx.uint32), mx.array([2, 0, 5, 5, 1, 3])
    sorted_, chosen = mx.array([0, 0, 0, 1, 2, 2]), mx.array([[1], [0]])
    for (lhs, rhs), rows, turned in itertools.product(
        ((rising, sorted_), (mixed, sorted_), (mixed, None), (None, chosen)), (1, 4), (True, False)
    ):
        if lhs is mixed and rhs is None:
            lhs = mx.array([[2], [0]])
        w = draw((3, 8, 64), "float32")
        q = mx.quantize(w, mode=mode)
        x = draw((6, rows, 64 if turned else 8), dtype, -1, 1)
        f = wide(
            lambda x, *q, lhs=lhs, rhs=rhs, t=turned, m=mode: mx.gather_qmm(
                x, *q, lhs_indices=lhs, rhs_indices=rhs, transpose=t, mode=m
            ),
            mx.float32 if mode == "affine" else x.dtype,
        )
        names = ["x", "w", "scales", "biases"][: 1 + len(q)] + ["lhs", "rhs"]
        yield optional(
            "gather_qmm",
            [x, *q, lhs, rhs],
            names,
            lambda f=f, x=x, q=q: f(x, *q),
            1e-5,
            transpose=turned,
            mode=mode,
        )


def activations():
    for mode, dtype in itertools.product(("nvfp4", "mxfp8", "mxfp4"), HALVES):
        x, w = draw((1, 128), dtype, -1, 1), draw((8, 128), "float32")
        q = mx.quantize(w, mode=mode)
        # MLX rounds the ties of activations, which halves have, to even, those of weights down.
        rounded = mx.dequantize(*mx.quantize(x, mode=mode), mode=mode, dtype=mx.float32)
        whole = mx.quantized_matmul(rounded, *q, mode=mode).astype(x.dtype)
        for v, want in ((x, whole), (x[None], whole[None])):
            yield optional(
                "qqmm",
                [v, *q],
                ["x", "w", "scales"],
                (
                    (lambda v=v, q=q, m=mode: mx.qqmm(v, *q, mode=m))
                    if dtype == "float32"
                    else (lambda a=want: a)
                ),
                1e-5,
                mode=mode,
            )


def chosen_activations():
    """MLX computes gather_qqmm on cards only; on others it is gather_qmm of rounded inputs."""
    lhs, rhs = mx.array([0, 3, 2]), mx.array([1, 0, 0])
    for mode in ("nvfp4", "mxfp8"):
        x, w = draw((4, 3, 128), "float32", -1, 1), draw((2, 8, 128), "float32")
        q = mx.quantize(w, mode=mode)
        rounded = mx.dequantize(*mx.quantize(x, mode=mode), mode=mode, dtype=mx.float32)
        for left, right in ((lhs, rhs), (None, mx.array([[1], [0]])), (lhs[:, None], rhs)):
            yield optional(
                "gather_qqmm",
                [x, *q, left, right],
                ["x", "w", "scales", "lhs", "rhs"],
                lambda x=rounded, q=q, l=left, r=right, m=mode: mx.gather_qmm(
                    x, *q, lhs_indices=l, rhs_indices=r, mode=m
                ),
                1e-5,
                mode=mode,
            )


def chosen_products():
    for dtype in ("float32", "float16", "bfloat16"):
        a, b = draw((4, 3, 5), dtype, -1, 1), draw((2, 5, 6), dtype, -1, 1)
        lhs, rhs = mx.array([0, 3, 1]), mx.array([1, 0, 1])
        for left, right in (
            (lhs, rhs),
            (None, mx.array([[1], [0]])),
            (mx.array([[3], [2]]), None),
            (mx.array([[0], [1]]), rhs),
            (lhs > 1, rhs),
        ):
            f = wide(lambda a, b, x=left, y=right: mx.gather_mm(a, b, x, y), a.dtype)
            yield optional(
                "gather_mm",
                [a, b, left, right],
                ["a", "b", "lhs", "rhs"],
                lambda f=f, a=a, b=b: f(a, b),
                1e-5,
            )
        many, rows = draw((40, 1, 5), dtype, -1, 1), mx.sort(
            mx.array(random.integers(0, 2, 40).astype(np.uint32))
        )
        index = mx.arange(40)
        f = wide(lambda a, b, i=index, r=rows: mx.gather_mm(a, b, i, r), a.dtype)
        yield optional(
            "gather_mm",
            [many, b, index, rows],
            ["a", "b", "lhs", "rhs"],
            lambda f=f, a=many, b=b: f(a, b),
            1e-5,
            sorted=True,
        )
        x, y = draw((7, 50), dtype, -1, 1), draw((50, 4), dtype, -1, 1)
        for segments in (
            mx.array([[0, 20], [20, 50], [3, 3], [10, 45]]),
            mx.array([[[0, 1]], [[1, 50]]]).astype(mx.uint32),
        ):
            f = wide(lambda x, y, s=segments: mx.segmented_mm(x, y, s), x.dtype)
            yield Case("segmented_mm", [x, y, segments], lambda f=f, x=x, y=y: f(x, y), 1e-5)
        yield from blocks(dtype)


def blocks(dtype):
    for block, (m, k, n) in itertools.product((32, 64), ((70, 40, 33), (64, 128, 96), (5, 64, 1))):
        a, b = draw((2, m, k), dtype, 0.1, 1), draw((k, n), dtype, 0.1, 1)
        rows, inner, columns = (-(-size // block) for size in (m, k, n))
        for kind in ("bool", dtype):
            out, lhs, rhs = (
                draw(shape, kind, 0, 1)
                for shape in ((rows, columns), (2, rows, inner), (inner, columns))
            )
            for masks in ((out, None, None), (None, lhs, None), (out, lhs, rhs), (None, lhs, rhs)):
                f = wide(lambda a, b, s=block, m=masks: mx.block_masked_mm(a, b, s, *m), a.dtype)
                yield optional(
                    "block_masked_mm",
                    [a, b, *masks],
                    ["a", "b", "out", "lhs", "rhs"],
                    lambda f=f, a=a, b=b: f(a, b),
                    1e-5,
                    block=block,
                )


def transforms():
    for dtype in (*HALVES, "int32", "bool"):
        for n in (1, 2, 8, 12, 20, 28, 24, 80, 112, 256, 4096, 768):
            if n == 1 and dtype in ("int32", "bool"):
                continue  # MLX leaves integers alone when there is nothing to add
            x = draw((3, n), dtype, -1, 1)
            to = x.dtype if dtype in HALVES else mx.float32
            for scale in (None, 1.0):
                f = wide(lambda x, s=scale: mx.hadamard_transform(x, s), to)
                yield Case(
                    "hadamard_transform",
                    [x],
                    lambda f=f, x=x: f(x),
                    1e-5,
                    scale=scale,
                )
    x = draw((3, 7), "float32")
    yield Case("hadamard_transform", [x], lambda x=x: mx.hadamard_transform(x))


def quantised():
    for cases in (
        float8,
        float_codes,
        quantised_products,
        activations,
        chosen_activations,
        chosen_products,
        transforms,
    ):
        yield from cases()
