"""The cases of mlx_test.py: inputs, arguments and what MLX makes of them."""

import math

import mlx.core as mx
import numpy as np

FLOATS = ["float32", "float16", "bfloat16", "float64"]
INTEGERS = ["bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"]
DTYPES = FLOATS + INTEGERS + ["complex64"]
COMMON = ["float32", "bfloat16", "int32", "uint8", "bool", "complex64"]
SHAPES = [(3, 4), (), (0,), (37,), (2, 0, 3)]
random = np.random.default_rng(7)


def dtype_of(name):
    return mx.bool_ if name == "bool" else getattr(mx, name)


def filled(values, dtype):
    values = np.asarray(values)
    if dtype == "bool":
        return mx.array(values % 2 >= 1)
    if dtype.startswith("u"):
        values = np.abs(values)
    if "int" in dtype:
        return mx.array(values.astype(np.int64)).astype(dtype_of(dtype))
    if dtype == "float64":
        return mx.array(values.astype(np.float64), dtype=mx.float64)
    if dtype == "complex64":
        turned = np.flip(values) if values.ndim else values * 0.5
        return mx.array((values + 1j * turned).astype(np.complex64))
    return mx.array(values.astype(np.float32)).astype(dtype_of(dtype))


def draw(shape, dtype, low=-3, high=3):
    """Numbers in [low, high]; whole ones for integers, all different while there are enough."""
    n = math.prod(shape)
    if "int" in dtype or dtype == "bool":
        low, high = math.ceil(low), math.floor(high)
        values = random.integers(low, high + 1, n)
    else:
        values = low + (high - low) * (random.permutation(n) + random.uniform()) / max(n, 1)
    return filled(values.reshape(shape), dtype)


class Case:
    def __init__(self, op, inputs, mlx, tolerance=None, **args):
        self.op, self.inputs, self.mlx = op, inputs, mlx
        self.args, self.tolerance = args, tolerance

    def __str__(self):
        inputs = ", ".join(f"{str(a.dtype)[9:].lstrip('.')}{tuple(a.shape)}" for a in self.inputs)
        return f"{self.op}({inputs}) {self.args or ''}"


# --- element by element

# Ranges of operands: {op: (low, high)}.
RANGES = {
    "log": (0.1, 9),
    "log2": (0.1, 9),
    "log10": (0.1, 9),
    "log1p": (-0.9, 9),
    "sqrt": (0, 9),
    "rsqrt": (0.1, 9),
    "arcsin": (-1, 1),
    "arccos": (-1, 1),
    "arctanh": (-0.95, 0.95),
    "erfinv": (-0.99, 0.99),
    "arccosh": (1, 9),
    "tan": (-1.4, 1.4),
    "reciprocal": (0.5, 9),
    "exp": (-9, 9),
    "sinh": (-5, 5),
    "cosh": (-5, 5),
}
UNARY = """
abs negative sign square reciprocal floor ceil trunc exp expm1 log log2 log10 log1p sqrt rsqrt
sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh degrees radians sigmoid
erf erfinv conjugate real imag logical_not bitwise_invert isnan isinf isfinite isposinf isneginf
stop_gradient zeros_like ones_like atleast_1d atleast_2d atleast_3d contiguous round positive
""".split()
BINARY = (
    """add subtract multiply divide floor_divide remainder power maximum minimum arctan2 logaddexp
equal not_equal less less_equal greater greater_equal logical_and logical_or bitwise_and bitwise_or
bitwise_xor left_shift right_shift""".split()
)
# MLX's own error: it computes sin and cos of float64 in float32, for one.
LOOSE = {
    "sin": 1e-6,
    "cos": 1e-6,
    "erfinv": 3e-5,
    "power": 2e-5,
    "sinh": 1e-5,
    "cosh": 1e-5,
    "tan": 1e-5,
    "tanh": 1e-5,
    "expm1": 1e-5,
    "exp": 1e-5,
    "sigmoid": 1e-5,
    "logaddexp": 1e-5,
    "arctanh": 1e-5,
    "arcsinh": 1e-5,
    "erf": 1e-5,
    "arccosh": 1e-5,
    "log1p": 1e-5,
}
SPECIAL = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    math.inf,
    -math.inf,
    math.nan,
    0.5,
    -0.5,
    1.5,
    2.5,
    -2.5,
    1e-30,
    1e30,
    88.5,
    -88.5,
    3.4e38,
    1e-45,
    7.0,
    -7.0,
]


def unary():
    for op in UNARY:
        f = getattr(mx, op)
        low, high = RANGES.get(op, (-3, 3))
        for dtype in DTYPES:
            for shape in SHAPES:
                x = draw(shape, dtype, low, high)
                yield Case(op, [x], lambda f=f, x=x: f(x), LOOSE.get(op))
        for dtype in ("float32", "float16", "bfloat16"):
            x = filled(np.array(SPECIAL), dtype)
            yield Case(op, [x], lambda f=f, x=x: f(x), LOOSE.get(op))


def binary():
    for op in BINARY:
        f = getattr(mx, op)
        for a in DTYPES:
            for b in DTYPES:
                low, high = (0.5, 3) if op in ("divide", "power") else (-9, 9)
                x, y = draw((2, 3), a, low, high), draw((2, 3), b, 1, 3)
                yield Case(op, [x, y], lambda f=f, x=x, y=y: f(x, y), LOOSE.get(op))
        for a, b in [
            ((3, 1), (1, 4)),
            ((), (5,)),
            ((2, 1, 3), (4, 1)),
            ((0,), (1,)),
            ((), ()),
            ((3,), (2,)),
        ]:
            for dtype in ("float32", "int32"):
                x, y = draw(a, dtype), draw(b, dtype, 1, 3)
                yield Case(op, [x, y], lambda f=f, x=x, y=y: f(x, y), LOOSE.get(op))
        for dtype in ("float32", "bfloat16"):
            x = filled(np.repeat(SPECIAL, len(SPECIAL)), dtype)
            y = filled(np.tile(SPECIAL, len(SPECIAL)), dtype)
            half = 0.1 if op == "logaddexp" and dtype == "bfloat16" else 0  # MLX stays in halves
            yield Case(op, [x, y], lambda f=f, x=x, y=y: f(x, y), max(half, LOOSE.get(op, 0)))


def mixed():
    for dtype in DTYPES:
        x, y, c = draw((3, 4), dtype), draw((3, 4), dtype), draw((3, 4), "bool", 0, 1)
        yield Case("where", [c, x, y], lambda c=c, x=x, y=y: mx.where(c, x, y))
        low, high = draw((), dtype, 0, 0), draw((4,), dtype, 1, 2)
        yield Case(
            "clip", [x, low, high], lambda x=x, a=low, b=high: mx.clip(x, a, b), low=True, high=True
        )
        yield Case("clip", [x, low], lambda x=x, a=low: mx.clip(x, a, None), low=True)
        yield Case("clip", [x, high], lambda x=x, b=high: mx.clip(x, None, b), high=True)
        yield Case("clip", [x], lambda x=x: mx.clip(x, None, None))
        for decimals in (-1, 0, 2):
            v = draw((3, 4), dtype, -90, 90)
            yield Case(
                "round", [v], lambda v=v, d=decimals: mx.round(v, d), 1e-5, decimals=decimals
            )
        b = draw((3, 4), dtype, 1, 3)
        v = draw((3, 4), dtype, 0, 9)
        yield Case("divmod", [v, b], lambda v=v, b=b: mx.divmod(v, b))
        for other in DTYPES:
            v = draw((3, 4), dtype, 0, 100)
            yield Case("astype", [v], lambda v=v, o=other: v.astype(dtype_of(o)), dtype=other)
        yield Case("copy", [x], lambda x=x: mx.array(x))
        yield Case(
            "isclose",
            [x, x + x * filled(1e-6, "float32") if dtype in FLOATS else y],
            lambda x=x, y=y, d=dtype: mx.isclose(
                x, x + x * filled(1e-6, "float32") if d in FLOATS else y
            ),
        )
        for eq in (False, True):
            yield Case(
                "array_equal",
                [x, x],
                lambda x=x, e=eq: mx.array_equal(x, x, equal_nan=e),
                equal_nan=eq,
            )
            yield Case(
                "allclose",
                [x, y],
                lambda x=x, y=y, e=eq: mx.allclose(x, y, equal_nan=e),
                equal_nan=eq,
            )
    yield Case(
        "array_equal", [draw((3,), "float32"), draw((4,), "float32")], lambda: mx.array(False)
    )
    for dtype in ("float32", "float16", "bfloat16"):
        s = filled(np.array(SPECIAL), dtype)
        yield Case("nan_to_num", [s], lambda s=s: mx.nan_to_num(s))
        yield Case(
            "nan_to_num",
            [s],
            lambda s=s: mx.nan_to_num(s, nan=1.5, posinf=2, neginf=-2),
            nan=1.5,
            posinf=2,
            neginf=-2,
        )
        for eq in (False, True):
            yield Case(
                "isclose", [s, s], lambda s=s, e=eq: mx.isclose(s, s, equal_nan=e), equal_nan=eq
            )


# --- reductions, scans, sorting


def reductions():
    for op in "all any sum prod max min mean logsumexp median var std".split():
        f = getattr(mx, op)
        for dtype in DTYPES:
            low, high = (0.5, 1.6) if op == "prod" and dtype in FLOATS else (-3, 3)
            for shape, axes in [
                ((3, 4), None),
                ((3, 4), [0]),
                ((3, 4), [-1]),
                ((2, 3, 4), [0, 2]),
                ((40,), [0]),
                ((), None),
                ((0, 3), [1]),
                ((3, 300), [1]),
                ((3, 4), [5]),
            ]:
                x = draw(shape, dtype, low, high)
                for keep in (False, True):
                    yield Case(
                        op,
                        [x],
                        lambda f=f, x=x, a=axes, k=keep: f(x, axis=a, keepdims=k),
                        1e-5,
                        axes=axes,
                        keepdims=keep,
                    )
    # From a reduction over an empty axis MLX sometimes does not return.
    for op, value in (("all", True), ("any", False), ("sum", 0.0), ("prod", 1.0)):
        empty = draw((0, 3), "float32")
        yield Case(op, [empty], lambda v=value: mx.array([v] * 3), axes=[0])
    for op, f in (("max", mx.max), ("min", mx.min)):
        yield Case(op, [empty], lambda f=f, x=empty: f(x, axis=0), axes=[0])
    for op in ("var", "std"):
        f, x = getattr(mx, op), draw((3, 5), "float32")
        for ddof in (1, 2):
            yield Case(
                op, [x], lambda f=f, x=x, d=ddof: f(x, axis=[1], ddof=d), 1e-5, axes=[1], ddof=ddof
            )
    for op in ("argmax", "argmin"):
        f = getattr(mx, op)
        for dtype in DTYPES:
            for shape, axis in [
                ((3, 4), None),
                ((3, 4), 0),
                ((3, 4), -1),
                ((30,), 0),
                ((), None),
                ((0, 3), 1),
            ]:
                x = draw(shape, dtype, -30, 30)
                # With keepdims MLX reads beyond the shape of a 0-d array, and may not return.
                for keep in (False, True) if shape else (False,):
                    yield Case(
                        op,
                        [x],
                        lambda f=f, x=x, a=axis, k=keep: f(x, axis=a, keepdims=k),
                        axis=axis,
                        keepdims=keep,
                    )


def missing_numbers():
    nan = math.nan
    for rows in ([[1, nan, 3], [nan, nan, nan], [3, 2, 1]], [[nan, 1, 2], [2, 1, nan], [0, 5, 0]]):
        for dtype in FLOATS:
            x = filled(np.array(rows), dtype)
            for op in "max min sum prod mean logsumexp median var".split():
                yield Case(op, [x], lambda f=getattr(mx, op), x=x: f(x, axis=[1]), 1e-8, axes=[1])
            for op in ("argmax", "argmin"):
                f = getattr(mx, op)
                yield Case(op, [x], lambda f=f, x=x: f(x, axis=1), axis=1, nan=True)
            for op in ("sort", "argsort"):
                yield Case(op, [x], lambda f=getattr(mx, op), x=x: f(x, axis=1), axis=1)
            for op in ("cummax", "cummin", "cumsum", "logcumsumexp"):
                f = getattr(mx, op)
                yield Case(op, [x], lambda f=f, x=x: f(x, axis=1), 1e-8, axis=1, inclusive=True)
            yield Case("softmax", [x], lambda x=x: mx.softmax(x, axis=1), 1e-7, axes=[1])


def scans_and_sorts():
    for op in "cumsum cumprod cummax cummin logcumsumexp".split():
        f = getattr(mx, op)
        for dtype in DTYPES:
            low, high = (0.5, 1.6) if op == "cumprod" and dtype in FLOATS else (-3, 3)
            for shape, axis in [((3, 4), 0), ((3, 4), -1), ((40,), 0), ((0, 3), 1)]:
                x = draw(shape, dtype, low, high)
                for reverse in (False, True):
                    for inclusive in (True, False):
                        # MLX adds and multiplies halves in halves.
                        yield Case(
                            op,
                            [x],
                            lambda f=f, x=x, a=axis, r=reverse, i=inclusive: f(
                                x, axis=a, reverse=r, inclusive=i
                            ),
                            {"float16": 1e-2, "bfloat16": 1e-1}.get(dtype, 1e-5),
                            axis=axis,
                            reverse=reverse,
                            inclusive=inclusive,
                        )
    for dtype in DTYPES:
        for shape, axis in [((3, 40), -1), ((7, 3), 0), ((5,), 0), ((3, 0), 1), ((2, 3), None)]:
            x = draw(shape, dtype, -90, 90)
            yield Case("sort", [x], lambda x=x, a=axis: mx.sort(x, axis=a), axis=axis)
            if dtype in FLOATS:  # the order of equals is MLX's own
                yield Case("argsort", [x], lambda x=x, a=axis: mx.argsort(x, axis=a), axis=axis)
        if dtype not in FLOATS:
            continue
        x = draw((3, 9), dtype, -90, 90)
        for k, axis in [(0, 1), (4, -1), (-1, 1), (1, 0)]:
            # Only what is defined: the element at k.
            yield Case(
                "topk",
                [x],
                lambda x=x, k=k, a=axis: mx.sort(mx.topk(x, abs(k), axis=a), a),
                k=abs(k),
                axis=axis,
            )
    for dtype in FLOATS + ["int32", "bool"]:
        for shape, axes in [
            ((3, 4), [1]),
            ((3, 4), [0]),
            ((3, 4), [0, 1]),
            ((3, 300), [-1]),
            ((0, 3), [1]),
            ((), []),
        ]:
            x = draw(shape, dtype)
            yield Case(
                "softmax",
                [x],
                lambda x=x, a=axes, p=dtype in FLOATS: mx.softmax(x, axis=a, precise=p),
                1e-5,
                axes=axes,
            )
        x = draw((4, 5), dtype)
        for offset in (-1, 0, 2):
            traced = lambda x=x, o=offset: mx.trace(x, o, 0, 1)
            yield Case("trace", [x], traced, 1e-5, offset=offset)


def all_cases():
    from mlx_layout_cases import creation, indexing, layout
    from mlx_more_cases import more
    from mlx_product_cases import products, quantisation, transformers
    from mlx_quantized_cases import quantised
    from mlx_random_cases import draws
    from mlx_signal_cases import signals
    from mlx_transform_cases import transformed
    from mlx_word_cases import words

    groups = (unary, binary, mixed, reductions, missing_numbers, scans_and_sorts, products)
    groups += (quantisation, quantised, transformers, layout, indexing, creation, draws, more)
    for cases in groups + (signals, transformed, words):
        yield from cases()
