"""Cases of convolutions, for mlx_test.py."""

import mlx.core as mx

from mlx_cases import Case, draw

# (N, spatial, C_in), kernel, C_out and what else is not as usual. MLX adds halves in halves, so
# they are compared with what it makes of float32.
SHAPES = [
    ((2, 9), 3, (3,), 4, {}),
    ((2, 9), 4, (3,), 6, {"groups": 2, "stride": (2,), "padding": (1,)}),
    ((1, 12), 5, (4,), 5, {"groups": 5, "dilation": (2,), "padding": (3,)}),
    ((0, 9), 3, (3,), 4, {}),
    ((2, 3), 3, (5,), 4, {}),
    ((2, 6, 7), 3, (3, 3), 8, {"padding": (1, 1)}),
    ((2, 6, 7), 3, (1, 1), 8, {}),
    ((1, 9, 8), 16, (3, 2), 16, {"groups": 16, "padding": (2, 1), "stride": (1, 2)}),
    ((1, 9, 8), 4, (3, 2), 12, {"groups": 4, "dilation": (2, 3), "padding": (0, 2)}),
    ((3, 17, 19), 20, (5, 4), 33, {"stride": (3, 2), "padding": (2, 3)}),
    ((1, 4, 5, 6), 3, (2, 3, 2), 4, {"padding": (1, 0, 1), "stride": (1, 2, 2)}),
    ((2, 4, 5, 4), 4, (3, 2, 1), 2, {"dilation": (1, 2, 1), "groups": 1}),
]


def wide(f, x, w, *args, **more):
    """In float32: MLX adds halves in halves."""
    out = f(x.astype(mx.float32), w.astype(mx.float32), *args, **more)
    return out.astype(x.dtype)


def one_or_all(numbers):
    return numbers[0] if len(numbers) == 1 else tuple(numbers)


def plain(dtype, outer, channels, kernel, outputs, more):
    n, groups = len(kernel), more.get("groups", 1)
    x = draw((*outer, channels), dtype, -1, 1)
    w = draw((outputs, *kernel, channels // groups), dtype, -1, 1)
    stride, padding = more.get("stride", (1,) * n), more.get("padding", (0,) * n)
    dilation = more.get("dilation", (1,) * n)
    settings = [one_or_all(v) for v in (stride, padding, dilation)]
    args = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    f = getattr(mx, f"conv{n}d")
    yield Case(
        f"conv{n}d",
        [x, w],
        lambda: wide(f, x, w, *settings, groups),
        1e-5,
        **args,
    )
    for extra in ((0,) * n, tuple(s - 1 for s in stride)):
        back = getattr(mx, f"conv_transpose{n}d")
        yield Case(
            f"conv_transpose{n}d",
            [x, w],
            lambda e=one_or_all(extra): wide(back, x, w, *settings, e, groups),
            1e-5,
            output_padding=extra,
            **args,
        )


def general(dtype):
    for outer, channels, kernel, outputs, stride, lo, hi, dilation, spread, groups in [
        ((2, 7), 4, (3,), 6, [2], [1], [3], [2], [3], 2),
        ((2, 7), 4, (3,), 6, [], [], [], [], [], 1),
        ((2, 5, 6), 3, (3, 2), 4, [2, 1], [0, 2], [1, 0], [1, 2], [2, 1], 1),
        ((2, 5, 6), 4, (3, 2), 4, [1], [2], [1], [1], [2], 4),
        ((1, 9, 8), 2, (2, 3), 4, [1, 1], [-2, 0], [-1, -3], [1, 1], [1, 1], 1),
        ((1, 3, 4, 5), 2, (2, 2, 3), 4, [1, 2, 1], [1, 0, 2], [0, 1, 0], [1, 1, 1], [2, 1, 1], 1),
    ]:
        for flip in (False, True):
            x = draw((*outer, channels), dtype, -1, 1)
            w = draw((outputs, *kernel, channels // groups), dtype, -1, 1)
            settings = [v or d for v, d in ((stride, [1]), (dilation, [1]), (spread, [1]))]
            padding = (lo or [0], hi or [0])
            yield Case(
                "conv_general",
                [x, w],
                lambda x=x, w=w, s=settings, p=padding, g=groups, f=flip: wide(
                    mx.conv_general, x, w, s[0], p, s[1], s[2], g, f
                ),
                1e-5,
                stride=stride,
                lo=lo,
                hi=hi,
                dilation=dilation,
                input_dilation=spread,
                groups=groups,
                flip=flip,
            )


def convolutions():
    for dtype in ("float32", "float16", "bfloat16"):
        for shape in SHAPES:
            yield from plain(dtype, *shape)
        yield from general(dtype)
