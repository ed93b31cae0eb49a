"""Cases of short-time transforms, convolved lines, distinct elements, the fused loss and the gated
delta rule, for mlx_test.py."""

import mlx.core as mx

from mlx_cases import COMMON, DTYPES, FLOATS, Case, draw, filled

HALVES = {"float32": 1e-5, "float16": 4e-3, "bfloat16": 3e-2}


def called(args):
    """What MLX calls the driver's arguments."""
    out = {k: v for k, v in args.items() if k != "apart"}
    return {**out, "center": not args.get("apart", False)}


def short_time():
    settings = [
        {},
        {"hop_length": 3},
        {"hop_length": 20},
        {"win_length": 9},
        {"apart": True},
        {"norm": "ortho"},
        {"norm": "forward", "apart": True},
        {"onesided": False},
    ]
    x = draw((2, 40), "float32", -1, 1)
    for n_fft in (16, 15, 4, 1):
        for given in settings:
            args = {"n_fft": n_fft, "hop_length": 1, **given} if n_fft == 1 else given
            args = {"n_fft": n_fft, **args}
            if args.get("win_length", 0) > n_fft:
                continue
            yield forth(x, args)
            yield from back(x, args)
    for mode in ("reflect", "constant", "edge", "symmetric"):
        yield forth(x, {"n_fft": 8, "pad_mode": mode})
    for dtype in ("float16", "bfloat16", "int32", "bool", "complex64"):
        yield forth(draw((3, 30), dtype), {"n_fft": 8})
    for length in (12, 9):
        window = mx.hanning(length)
        for args in ({"n_fft": 12, "hop_length": 4}, {"n_fft": 13, "hop_length": 2}):
            yield forth(x, args, window)
            yield from back(x, args, window)
    yield forth(x, {"n_fft": 16, "win_length": 9}, mx.hanning(12))
    yield forth(draw((3, 30), "complex64"), {"n_fft": 8, "onesided": True})
    for shape in ((3,), (7,), (2, 0, 30), (2, 3, 30)):
        yield forth(draw(shape, "float32"), {"n_fft": 8, "apart": True})
    yield forth(draw((100,), "float32"), {})
    bad = [{"n_fft": 0}, {"n_fft": 8, "hop_length": 0}, {"n_fft": 8, "win_length": 9}]
    for args in bad + [{"n_fft": 8, "pad_mode": "wrap"}]:
        yield forth(x, args)
    yield forth(x, {"n_fft": 8}, mx.ones((2, 4)))
    yield forth(draw((), "float32"), {"n_fft": 8})
    frames = mx.fft.stft(x, 16)
    for length in (0, 7, 40, 43, 100):
        yield inverse(frames, {"length": length})
    for args in ({}, {"n_fft": 17}, {"n_fft": 14}, {"n_fft": 20}, {"hop_length": 9}):
        yield inverse(frames, args)
    for args in ({"n_fft": 0}, {"hop_length": 0}, {"win_length": 17}):
        yield inverse(frames, args)
    yield inverse(frames, {}, mx.zeros((16,)))
    yield inverse(frames[0, 0], {})
    yield inverse(mx.real(frames), {})
    near = mx.array([1e-5, 3e-5, 1e-4, 1.0])  # squares on both sides of the smallest divisor
    tiny = {"n_fft": 4, "hop_length": 1, "apart": True}
    yield inverse(mx.fft.stft(x, 4, 1, window=near, center=False), tiny, near)


def forth(x, args, window=None):
    inputs = [x] if window is None else [x, window]
    run = lambda: mx.fft.stft(x, window=window, **called(args))
    return Case("fft_stft", inputs, run, 1e-5, **args)


def inverse(frames, args, window=None):
    inputs = [frames] if window is None else [frames, window]
    run = lambda: mx.fft.istft(frames, window=window, **called(args))
    # Divided by what may be 1e-8, rounding is as large as the smallest numbers.
    return Case("fft_istft", inputs, run, 1e-3 if window is not None else 1e-5, **args)


def back(x, args, window=None):
    frames = mx.fft.stft(x, window=window, **called(args))
    yield inverse(frames, {"onesided": True, **args}, window)


def lines():
    sizes = ((7, 3), (3, 7), (5, 5), (6, 2), (4, 4), (1, 3), (1, 1), (0, 3))
    for dtype in ("float32", "float16", "bfloat16", "complex64"):
        for n, m in sizes:
            a, v = draw((n,), dtype), draw((m,), dtype)
            for mode in ("full", "same", "valid"):
                run = lambda a=a, v=v, m=mode: mx.convolve(a, v, mode=m)
                yield Case("convolve", [a, v], run, HALVES.get(dtype, 1e-5), mode=mode)
    x = draw((5,), "float32")
    yield Case("convolve", [x, x], lambda: mx.convolve(x, x, mode="most"), mode="most")
    yield Case("convolve", [x[None], x], lambda: mx.convolve(x[None], x))


def distinct():
    flags = {"return_index": True, "return_inverse": True, "return_counts": True}
    asked = {"index": True, "inverse": True, "counts": True}
    for dtype in DTYPES:
        for shape in ((12,), (3, 4), (), (1,)):
            x = draw(shape, dtype, -2, 2)
            x = mx.concatenate([x.flatten(), x.flatten()])
            for size in (0, 1, 3, 40):
                run = lambda x=x, n=size: mx.unique(x, n, **flags)
                yield Case("unique", [x], run, size=size, **asked)
        fill = draw((), dtype, 1, 1)
        run = lambda x=x, f=fill: mx.unique(x, 5, fill_value=f)
        yield Case("unique", [x, fill], run, size=5)
    x, none = draw((2, 3), "int32"), draw((0, 2), "float32")
    yield Case("unique", [x], lambda: mx.unique(x, 4, return_inverse=True), size=4, inverse=True)
    yield Case("unique", [x], lambda: mx.unique(x, 4, return_counts=True), size=4, counts=True)
    yield Case("unique", [x], lambda: mx.unique(x, -1), size=-1)
    yield Case("unique", [x, x], lambda: mx.unique(x, 3, fill_value=x), size=3)
    yield Case("unique", [none], lambda: mx.unique(none, 3), size=3)
    yield Case("unique", [none], lambda: mx.unique(none, 0, **flags), size=0, **asked)
    seven = mx.array(7.0)
    run = lambda: mx.unique(none, 3, fill_value=seven, **flags)
    yield Case("unique", [none, seven], run, size=3, **asked)
    odd = filled([float("nan"), 1, float("nan"), 0.0, -0.0, float("inf")], "float32")
    yield Case("unique", [odd], lambda: mx.unique(odd, 6, **flags), size=6, **asked)


def extremes():
    for dtype in DTYPES:
        for shape, axes in (((3, 4), None), ((3, 4), [1]), ((2, 3, 4), [0, -1]), ((), None)):
            x = draw(shape, dtype, -30, 30)
            for keep in (False, True):
                run = lambda x=x, a=axes, k=keep: mx.minmax(x, axis=a, keepdims=k)
                yield Case("minmax", [x], run, axes=axes, keepdims=keep)
    odd = filled([float("nan"), 1, 2], "float32")
    yield Case("minmax", [odd], lambda: mx.minmax(odd))
    none = draw((0,), "float32")
    yield Case("minmax", [none], lambda: mx.minmax(none))


def parts_sorted(x, k, axis):
    """What is defined of a partition: the element at k, and what lies on both sides."""
    n = x.shape[axis]
    k = k % n
    before, at, after = mx.split(x, [k, k + 1], axis)
    return mx.concatenate([mx.sort(before, axis), at, mx.sort(after, axis)], axis)


def partitions():
    for dtype in FLOATS + ["int32"]:
        x = draw((3, 9), dtype, -90, 90)
        for k, axis in ((0, 1), (4, -1), (-1, 1), (1, 0)):
            run = lambda x=x, k=k, a=axis: parts_sorted(mx.partition(x, k, axis=a), k, a)
            yield Case("partition", [x], run, k=k, axis=axis)
            if dtype == "int32":
                continue  # equal elements may stand in any order

            def order(x=x, k=k, a=axis):
                found = mx.argpartition(x, k, axis=a)
                ranks = mx.argsort(mx.argsort(x, axis=a), axis=a)
                by_rank = mx.take_along_axis(ranks, found, a)
                return mx.take_along_axis(mx.argsort(x, axis=a), parts_sorted(by_rank, k, a), a)

            yield Case("argpartition", [x], order, k=k, axis=axis)


def small_words():
    for dtype in COMMON:
        x, y = draw((3, 4), dtype), draw((4,), dtype)
        yield Case("logical_xor", [x, y], lambda x=x, y=y: mx.logical_xor(x, y))
        value = draw((), "float32", 1, 3)
        run = lambda x=x, v=value: mx.full_like(x, v)
        yield Case("full_like", [x, value], run)
        run = lambda x=x, v=value: mx.full_like(x, v, dtype=mx.float16)
        yield Case("full_like", [x, value], run, dtype="float16")
        z = draw((2, 3, 4), dtype)
        yield Case("matrix_transpose", [z], lambda z=z: mx.matrix_transpose(z))
        yield Case("matrix_transpose", [y], lambda y=y: mx.matrix_transpose(y))
        run = lambda x=x: mx.view(x, mx.uint8)
        if dtype != "bool":
            yield Case("view", [x], run, "exact", dtype="uint8")


def losses():
    for dtype in FLOATS:
        for shape in ((3, 5), (2, 3, 7), (4,), (3, 2000)):
            x, y = draw(shape, dtype), draw(shape[:-1], "int32", 0, 3)
            run = lambda x=x, y=y: mx.fast.cross_entropy(x.astype(mx.float32), y)
            if dtype == "float32":
                run = lambda x=x, y=y: mx.fast.cross_entropy(x, y)
            yield Case("fast_cross_entropy", [x, y], run, 1e-5)
    x = draw((3, 5), "float32")
    for y in (draw((2,), "int32"), draw((3, 1), "int32"), draw((3,), "float32")):
        yield Case("fast_cross_entropy", [x, y], lambda y=y: mx.fast.cross_entropy(x, y))
    odd = filled([[float("inf"), 0, 1], [-float("inf")] * 3, [float("nan"), 0, 0]], "float32")
    y = mx.array([0, 1, 2])
    yield Case("fast_cross_entropy", [odd, y], lambda: mx.fast.cross_entropy(odd, y))


def delta_rules():
    for dtype in ("float32", "float16", "bfloat16", "float64"):
        wide = "float64" if dtype == "float64" else "float32"
        for steps, shared, heads, columns, rows in ((5, 2, 4, 8, 6), (70, 1, 2, 33, 20)):
            q, k = (draw((2, steps, shared, columns), dtype, -0.3, 0.3) for _ in range(2))
            v, beta = draw((2, steps, heads, rows), dtype), draw((2, steps, heads), dtype, 0, 1)
            state = draw((2, heads, rows, columns), wide)
            mask = filled(draw((2, steps), "float32", 0, 9), "bool")
            for gates in ((2, steps, heads), (2, steps, heads, columns)):
                g = draw(gates, dtype, 0.3, 1)
                for s, m in ((None, None), (state, None), (state, mask)):
                    inputs = [q, k, v, g, beta] + [x for x in (s, m) if x is not None]
                    run = lambda i=(q, k, v, g, beta, s, m): mx.fast.gated_delta_update(*i)
                    # Half of a masked result is zeros, which hides how large the others are.
                    loose = {"float64": 1e-9, "float32": 1e-3}.get(dtype, HALVES.get(dtype))
                    args = {"state": s is not None, "mask": m is not None}
                    yield Case("gated_delta_update", inputs, run, loose, **args)


def signals():
    for cases in (short_time, lines, distinct, extremes, partitions, small_words):
        yield from cases()
    yield from losses()
    yield from delta_rules()
