"""Cases of random numbers from keys, bit for bit or nearly, for mlx_test.py."""

import mlx.core as mx
import numpy as np

from mlx_cases import INTEGERS, Case, draw, dtype_of

r = mx.random
FLOATS = ("float32", "float16", "bfloat16")
# Of distributions that pass through erfinv or log.
LOOSE = {"float32": 1e-5, "float16": 4e-3, "bfloat16": 3e-2}
SHAPES = ([], [1], [2], [3], [5], [7, 3], [64], [0], [2, 3, 5], [1001])
# Parameters that broadcast to (2, 3, 5).
BROADCAST = ((), (5,), (3, 1), (2, 1, 1), (2, 3, 5))
SEEDS = (0, 5, 2**40 + 17)


def ones_beside(shape, dtype, low, high):
    """Two arrays that broadcast together, the second above the first by `high - low` or more."""
    first = draw(shape, dtype, low, low + 1)
    second = draw(tuple(reversed(shape)) if len(shape) < 2 else (1,), dtype, high, high + 1)
    return first, second


def keys():
    for seed in (0, 1, 42, 2**32 - 1, 2**40 + 17, 2**64 - 1):
        yield Case("random_key", [], lambda s=seed: r.key(s), seed=seed)

    def seeded(seed):
        r.seed(seed)
        return [r.uniform(shape=(5,)), r.uniform(shape=(3,)), r.normal((4,))]

    for seed in (0, 7):
        yield Case("random_seed", [], lambda s=seed: seeded(s), 1e-5, seed=seed)
    for seed in SEEDS:
        key = r.key(seed)
        for count in (1, 2, 3, 10, 101):
            yield Case("random_split", [key], lambda k=key, n=count: r.split(k, n), count=count)
        # Bits have no name of their own in MLX's Python: split draws (n, 2) words.
        for n in (1, 5, 64):
            words = lambda k=key, n=n: r.split(k, n)
            yield Case("random_bits", [key], words, shape=[n, 2], width=4)


def uniform_case(key, low, high, shape, dtype):
    run = lambda: r.uniform(low, high, shape, dtype_of(dtype), key)
    return Case("random_uniform", [key, low, high], run, "exact", shape=shape, dtype=dtype)


def randint_case(key, low, high, shape, dtype):
    run = lambda: r.randint(low, high, shape, dtype_of(dtype), key)
    return Case("random_randint", [key, low, high], run, shape=shape, dtype=dtype)


def bernoulli_case(key, p, shape):
    return Case("random_bernoulli", [key, p], lambda: r.bernoulli(p, shape, key), shape=shape)


def exact():
    for seed in SEEDS:
        key = r.key(seed)
        for shape in SHAPES:
            for dtype in FLOATS:
                for low, high in ((0.0, 1.0), (-2.0, 5.0)):
                    a, b = (mx.array(v).astype(dtype_of(dtype)) for v in (low, high))
                    yield uniform_case(key, a, b, shape, dtype)
            for dtype in INTEGERS[1:]:
                yield randint_case(key, mx.array(3), mx.array(100), shape, dtype)
            for p in (0.0, 0.3, 1.0):
                yield bernoulli_case(key, mx.array(p), shape)
        for given in BROADCAST:
            shape = [2, 3, 5]
            for dtype in FLOATS:
                low, high = ones_beside(given, dtype, -2, 3)
                yield uniform_case(key, low, high, shape, dtype)
            for dtype in ("int32", "uint8", "int64"):
                low, high = ones_beside(given, "int32", 2, 90)
                yield randint_case(key, low, high, shape, dtype)
            yield bernoulli_case(key, draw(given, "float32", 0, 1), shape)
            yield bernoulli_case(key, draw(given, "bfloat16", 0, 1), shape)
        yield uniform_case(key, mx.zeros((4,)), mx.ones((4,)), [2, 3], "float32")
        for count in (1, 2, 10, 1000):
            run = lambda k=key, n=count: r.permutation(n, key=k)
            yield Case("random_permutation", [key], run, count=count)
        for dtype in ("float32", "int8", "bool", "complex64"):
            for shape, axis in (((6, 7), 0), ((6, 7), 1), ((2, 3, 4), -1), ((9,), 0), ((0, 3), 0)):
                x = draw(shape, dtype)
                run = lambda k=key, x=x, a=axis: r.permutation(x, axis=a, key=k)
                yield Case("random_permutation", [key, x], run, "exact", axis=axis)


def normal_numbers():
    for seed in SEEDS:
        key = r.key(seed)
        for shape in SHAPES:
            size = dict(shape=shape)
            run = lambda k=key, s=shape: r.normal(s, mx.complex64, key=k)
            yield Case("random_complex_normal", [key], run, 1e-5, **size)
            for dtype in FLOATS:
                t = dtype_of(dtype)
                for loc, scale in ((0.0, 1.0), (3.0, 0.5)):
                    args = {"dtype": dtype, "loc": loc, "scale": scale, **size}
                    run = lambda k=key, s=shape, t=t, l=loc, c=scale: r.normal(s, t, l, c, k)
                    yield Case("random_normal", [key], run, 1e-5, **args)
                    run = lambda k=key, s=shape, t=t, l=loc, c=scale: r.laplace(s, t, l, c, k)
                    yield Case("random_laplace", [key], run, LOOSE[dtype], **args)
                run = lambda k=key, s=shape, t=t: r.gumbel(s, t, k)
                loose = 1e-4 if dtype == "float32" else 0.1
                yield Case("random_gumbel", [key], run, loose, dtype=dtype, **size)
        for given in BROADCAST:
            yield from around(key, given)


def around(key, given):
    """Distributions whose parameters are arrays."""
    shape = [2, 3, 5]
    for dtype in FLOATS:
        t, args = dtype_of(dtype), {"shape": shape, "dtype": dtype}
        loc, scale = draw(given, dtype), draw((5,), dtype, 0.5, 2)
        run = lambda l=loc, c=scale, t=t: r.normal(shape, t, l, c, key)
        yield Case("random_normal_around", [key, loc, scale], run, LOOSE[dtype], **args)
        low, high = ones_beside(given, "float32", -2, 0.5)
        run = lambda a=low, b=high, t=t: r.truncated_normal(a, b, shape, t, key)
        yield Case("random_truncated_normal", [key, low, high], run, LOOSE[dtype], **args)


def choices():
    for seed in SEEDS:
        key = r.key(seed)
        for dtype in ("float32", "float16", "bfloat16"):
            for axis in (0, 1, -1):
                x = draw((6, 7), dtype)
                run = lambda k=key, x=x, a=axis: r.categorical(x, axis=a, key=k)
                yield Case("random_categorical", [key, x], run, axis=axis)
        for shape in ((7,), (1, 7), (3, 7), (2, 3, 7)):
            logits = draw(shape, "float32")
            inputs = [key, logits]
            run = lambda k=key, x=logits: r.categorical(x, num_samples=6, key=k)
            yield Case("random_categorical_many", inputs, run, axis=-1, count=6)
            wide = [5] + list(shape[:-1])
            run = lambda k=key, x=logits, s=wide: r.categorical(x, shape=s, key=k)
            yield Case("random_categorical_many", inputs, run, axis=-1, shape=wide)
        for n, shape in ((1, []), (3, []), (3, [4]), (2, [5, 3])):
            # Independent numbers, of falling variance: a factor of it is unique but for signs.
            mean, cov = draw((n,), "float32"), mx.diag(mx.array(np.arange(n, 0, -1.0)))
            cov = cov.astype(mx.float32)
            run = lambda m=mean, c=cov, s=shape, k=key: mx.abs(
                r.multivariate_normal(m, c, s, key=k) - m
            )
            args = {"shape": shape, "dtype": "float32"}
            yield Case("random_multivariate_normal", [key, mean, cov], run, 1e-5, **args)


def draws():
    for cases in (keys, exact, normal_numbers, choices):
        yield from cases()
