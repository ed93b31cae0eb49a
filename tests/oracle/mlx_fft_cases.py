"""Cases of Fourier transforms, for mlx_test.py."""

import mlx.core as mx

from mlx_cases import Case, draw

NORMS = ("backward", "ortho", "forward")
SHAPES = [((3, 8), -1), ((6, 5), 0), ((2, 3, 7), 1), ((0, 4), 1), ((4, 0), 1)]


def case(name, x, *args, **named):
    """named: what the driver reads; MLX takes the same, but for `n` of several axes."""
    given = {("s" if k == "n" and "axes" in named else k): v for k, v in named.items()}
    f = getattr(mx.fft, name)
    return Case(f"fft_{name}", [x], lambda: f(x, *args, **given), 4e-6, **named)


def one_axis():
    for name in ("fft", "ifft", "rfft", "irfft"):
        for dtype in ("float32", "float16", "bfloat16", "int32", "bool", "complex64"):
            if name == "rfft" and dtype == "complex64":
                continue
            for shape, axis in SHAPES:
                yield case(name, draw(shape, dtype), axis=axis)
            for n in (1, 4, 11, 12, 20, 0):
                yield case(name, draw((3, 9), dtype), n=n, axis=1)
                yield case(name, draw((5, 4), dtype), n=n, axis=-2)
        dtype = "float32" if name == "rfft" else "complex64"
        for n in (2, 3, 16, 60, 97, 128, 289, 1000, 1001, 2310, 4096, 5003):
            for norm in NORMS:
                yield case(name, draw((2, n), dtype, -1, 1), n=n, axis=1, norm=norm)
        yield case(name, draw((3, 4), dtype), axis=2)


def many_axes():
    for name in ("fftn", "ifftn", "rfftn", "irfftn", "fft2", "ifft2", "rfft2", "irfft2"):
        dtype = "float32" if name.startswith("r") else "complex64"
        x = draw((4, 5, 6), dtype, -1, 1)
        for norm in NORMS:
            for axes in ([0, 1], [-1, 0], [1, 2]):
                yield case(name, x, axes=axes, norm=norm)
                yield case(name, x, n=[3, 8], axes=axes, norm=norm)
            if name.endswith("n"):
                yield case(name, x, norm=norm)
                yield case(name, x, axes=[2, 0, 1], norm=norm)
        yield case(name, x, axes=[0, 0])
        yield case(name, x, axes=[0, 3])
        yield case(name, x, n=[3], axes=[0, 1])


def frequencies():
    for n in (1, 2, 5, 8, 101):
        for d in (1.0, 0.25):
            for name in ("fftfreq", "rfftfreq"):
                f = getattr(mx.fft, name)
                yield Case(f"fft_{name}", [], lambda f=f, n=n, d=d: f(n, d), n=n, d=d)
    for name in ("fftshift", "ifftshift"):
        for dtype in ("float32", "int32", "complex64"):
            for shape in ((5,), (3, 4), (2, 3, 5)):
                yield case(name, draw(shape, dtype))
                yield case(name, draw(shape, dtype), axes=[-1])


def transforms():
    yield from one_axis()
    yield from many_axes()
    yield from frequencies()
