"""Cases of products, quantised weights and the parts of a transformer, for mlx_test.py."""

import mlx.core as mx
import numpy as np

from mlx_cases import FLOATS, Case, draw, filled


def products():
    for dtype in FLOATS + ["complex64", "int32"]:
        for a, b in [
            ((3, 4), (4, 5)),
            ((4,), (4, 5)),
            ((3, 4), (4,)),
            ((4,), (4,)),
            ((2, 3, 4), (4, 5)),
            ((2, 1, 3, 4), (3, 4, 2)),
            ((0, 4), (4, 5)),
            ((3, 0), (0, 5)),
            ((17, 130), (130, 33)),
            ((3, 4), (5, 4)),
        ]:
            x, y = draw(a, dtype, -1, 1), draw(b, dtype, -1, 1)
            yield Case("matmul", [x, y], lambda x=x, y=y: x @ y, 1e-5)
        c, x, y = draw((5,), dtype), draw((3, 4), dtype), draw((4, 5), dtype)
        yield Case(
            "addmm",
            [c, x, y],
            lambda c=c, x=x, y=y: mx.addmm(c, x, y, 0.5, 2.0),
            1e-5,
            alpha=0.5,
            beta=2.0,
        )
        x, y = draw((3, 4), dtype), draw((2, 4), dtype)
        yield Case("inner", [x, y], lambda x=x, y=y: mx.inner(x, y), 1e-5)
        yield Case("outer", [x, y], lambda x=x, y=y: mx.outer(x, y), 1e-5)
        x, y = draw((2, 3, 4), dtype), draw((4, 3, 5), dtype)
        yield Case(
            "tensordot",
            [x, y],
            lambda x=x, y=y: mx.tensordot(x, y, [[1, 2], [1, 0]]),
            1e-5,
            axes_a=[1, 2],
            axes_b=[1, 0],
        )
        x, y = draw((2, 3, 4), dtype), draw((3, 4, 5), dtype)
        yield Case("tensordot", [x, y], lambda x=x, y=y: mx.tensordot(x, y, 2), 1e-5, axis=2)


def wide_product(x, q, transpose, group, bits):
    """quantized_matmul in float32: MLX adds halves in halves."""
    words, scales, biases = q
    return mx.quantized_matmul(
        x.astype(mx.float32),
        words,
        scales.astype(mx.float32),
        biases.astype(mx.float32),
        transpose,
        group,
        bits,
    ).astype(x.dtype)


def quantisation():
    for dtype in ("float32", "float16", "bfloat16"):
        for bits in (2, 3, 4, 5, 6, 8):
            for group in (32, 64, 128):
                w, x = draw((8, 256), dtype), draw((3, 256), dtype, -1, 1)
                x2 = draw((3, 8), dtype, -1, 1)
                yield Case(
                    "quantize",
                    [w],
                    lambda w=w, g=group, b=bits: mx.quantize(w, g, b),
                    "exact",
                    group=group,
                    bits=bits,
                )
                q = mx.quantize(w, group, bits)
                yield Case(
                    "dequantize",
                    list(q),
                    lambda q=q, g=group, b=bits: mx.dequantize(*q, g, b),
                    group=group,
                    bits=bits,
                )
                for v, turned in ((x, True), (x2, False)):
                    yield Case(
                        "quantized_matmul",
                        [v, *q],
                        lambda v=v, q=q, t=turned, g=group, b=bits: wide_product(v, q, t, g, b),
                        1e-5,
                        transpose=turned,
                        group=group,
                        bits=bits,
                    )


def transformers():
    for dtype in ("float32", "float16", "bfloat16"):
        x, w, b = draw((2, 3, 64), dtype), draw((64,), dtype, 0.5, 2), draw((64,), dtype)
        yield Case(
            "rms_norm", [x, w], lambda x=x, w=w: mx.fast.rms_norm(x, w, 1e-5), 1e-5, eps=1e-5
        )
        yield Case("rms_norm", [x], lambda x=x: mx.fast.rms_norm(x, None, 1e-5), 1e-5, eps=1e-5)
        for weight in (None, w):
            for bias in (None, b):
                inputs = [a for a in (x, weight, bias) if a is not None]
                yield Case(
                    "layer_norm",
                    inputs,
                    lambda x=x, w=weight, b=bias: mx.fast.layer_norm(x, w, b, 1e-5),
                    1e-5,
                    eps=1e-5,
                    weight=weight is not None,
                    bias=bias is not None,
                )
        for traditional in (False, True):
            for dims, scale, offset in ((16, 1.0, 0), (8, 0.5, 7), (16, 1.0, 1000)):
                for shape in ((2, 5, 16), (1, 4, 3, 16)):
                    v = draw(shape, dtype)
                    yield Case(
                        "rope",
                        [v],
                        lambda v=v, d=dims, t=traditional, s=scale, o=offset: mx.fast.rope(
                            v, d, traditional=t, base=10000.0, scale=s, offset=o
                        ),
                        4e-2 if dtype == "bfloat16" else 3e-4,  # MLX turns halves in halves
                        dims=dims,
                        traditional=traditional,
                        base=10000.0,
                        scale=scale,
                        offset=offset,
                    )
            v, freqs = draw((2, 5, 16), dtype), draw((8,), "float32", 1, 30)
            yield Case(
                "rope",
                [v, freqs],
                lambda v=v, t=traditional, f=freqs: mx.fast.rope(
                    v, 16, traditional=t, base=None, scale=1.0, offset=3, freqs=f
                ),
                3e-4,
                dims=16,
                traditional=traditional,
                offset=3,
            )
        yield from attention(dtype)


def attention(dtype):
    f = mx.fast.scaled_dot_product_attention
    for heads, shared, rows, length in ((4, 4, 3, 6), (4, 2, 5, 5), (8, 2, 1, 40)):
        q = draw((2, heads, rows, 16), dtype, -1, 1)
        k, v = (draw((2, shared, length, 16), dtype, -1, 1) for _ in range(2))
        mask = draw((2, heads, rows, length), dtype, -1, 1)
        keep = filled((np.arange(rows * length).reshape(rows, length) % 3 != 1), "bool")
        sinks = draw((heads,), dtype, -1, 1)
        yield Case(
            "attention", [q, k, v], lambda q=q, k=k, v=v: f(q, k, v, scale=0.25), 1e-5, scale=0.25
        )
        yield Case(
            "attention",
            [q, k, v],
            lambda q=q, k=k, v=v: f(q, k, v, scale=0.25, mask="causal"),
            1e-5,
            scale=0.25,
            mode="causal",
        )
        for m in (mask, keep):
            yield Case(
                "attention",
                [q, k, v, m],
                lambda q=q, k=k, v=v, m=m: f(q, k, v, scale=0.25, mask=m),
                1e-5,
                scale=0.25,
                mode="array",
                mask=True,
            )
        yield Case(
            "attention",
            [q, k, v, sinks],
            lambda q=q, k=k, v=v, s=sinks: f(q, k, v, scale=0.25, sinks=s),
            1e-5,
            scale=0.25,
            sinks=True,
        )
