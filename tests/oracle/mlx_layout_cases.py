"""Cases of layout, indexing and creation, for mlx_test.py."""

import mlx.core as mx
import numpy as np

from mlx_cases import COMMON, DTYPES, FLOATS, Case, draw, dtype_of


def layout():
    for dtype in COMMON:
        x, y = draw((2, 3, 4), dtype), draw((1, 3, 1), dtype)
        for shape in ([4, 6], [-1], [2, -1, 2], [24, 1], [5, 5]):
            yield Case("reshape", [x], lambda x=x, s=shape: mx.reshape(x, s), shape=shape)
        yield Case("reshape", [draw((0, 2), dtype)], lambda d=dtype: draw((3, 0), d), shape=[3, 0])
        yield Case("unflatten", [x], lambda x=x: mx.unflatten(x, 2, (2, -1)), axis=2, shape=[2, -1])
        for start, end in ((0, -1), (1, 2), (0, 1)):
            yield Case(
                "flatten",
                [x],
                lambda x=x, s=start, e=end: mx.flatten(x, s, e),
                start=start,
                end=end,
            )
        yield Case("squeeze", [y], lambda y=y: mx.squeeze(y))
        for axes in ([0], [-1], [0, 2], [1]):
            yield Case("squeeze", [y], lambda y=y, a=axes: mx.squeeze(y, a), axes=axes)
        for axes in ([0], [-1], [0, 2], [1, 2], [7]):
            yield Case("expand_dims", [x], lambda x=x, a=axes: mx.expand_dims(x, a), axes=axes)
        yield Case("flip", [x], lambda x=x: mx.flip(x))
        for axes in ([0], [-1, 0]):
            yield Case("flip", [x], lambda x=x, a=axes: mx.flip(x, a), axes=axes)
        yield Case("repeat", [x], lambda x=x: mx.repeat(x, 2), repeats=2)
        for axis in (0, 1, -1):
            yield Case("repeat", [x], lambda x=x, a=axis: mx.repeat(x, 3, a), repeats=3, axis=axis)
        for reps in ([2], [1, 2], [2, 1, 1, 3], [0]):
            yield Case("tile", [x], lambda x=x, r=reps: mx.tile(x, r), reps=reps)
        yield Case("transpose", [x], lambda x=x: mx.transpose(x))
        for axes in ([1, 0, 2], [-1, 0, 1], [0, 0, 1]):
            yield Case("transpose", [x], lambda x=x, a=axes: mx.transpose(x, a), axes=axes)
        for a, b in ((0, 2), (-1, 1)):
            yield Case("swapaxes", [x], lambda x=x, a=a, b=b: mx.swapaxes(x, a, b), a=a, b=b)
            yield Case("moveaxis", [x], lambda x=x, a=a, b=b: mx.moveaxis(x, a, b), a=a, b=b)
        value = draw((), dtype)
        for mode in ("constant", "edge"):
            for width in ([[0, 0], [1, 2], [0, 3]], [[2, 0], [0, 0], [1, 1]]):
                yield Case(
                    "pad",
                    [x, value],
                    lambda x=x, v=value, w=width, m=mode: mx.pad(x, [tuple(p) for p in w], m, v),
                    width=width,
                    mode=mode,
                )
        for shape in ([5, 2, 3, 4], [2, 3, 4], [2, 2, 2]):
            yield Case("broadcast_to", [x], lambda x=x, s=shape: mx.broadcast_to(x, s), shape=shape)
        yield Case("broadcast_arrays", [x, y], lambda x=x, y=y: mx.broadcast_arrays(x, y))
        for offset in (-1, 0, 1, 2):
            yield Case(
                "diagonal",
                [x],
                lambda x=x, o=offset: mx.diagonal(x, o, 1, 2),
                offset=offset,
                axis1=1,
                axis2=2,
            )
            m, v = draw((3, 4), dtype), draw((3,), dtype)
            yield Case("diag", [m], lambda m=m, k=offset: mx.diag(m, k), k=offset)
            yield Case("diag", [v], lambda v=v, k=offset: mx.diag(v, k), k=offset)
            yield Case("tril", [m], lambda m=m, k=offset: mx.tril(m, k), k=offset)
            yield Case("triu", [m], lambda m=m, k=offset: mx.triu(m, k), k=offset)
        for shift in (1, -5, 30):
            yield Case("roll", [x], lambda x=x, n=shift: mx.roll(x, n), shift=shift)
            yield Case(
                "roll", [x], lambda x=x, n=shift: mx.roll(x, n, [0, 2]), shift=shift, axes=[0, 2]
            )
        for shape, strides, offset in (([3, 4], [4, 1], 2), ([5, 3], [1, 2], 0), ([4], [0], 7)):
            yield Case(
                "as_strided",
                [x],
                lambda x=x, s=shape, t=strides, o=offset: mx.as_strided(x, s, t, o),
                shape=shape,
                strides=strides,
                offset=offset,
            )
        yield from slices(dtype)
        yield from joins(dtype)
    for dtype in DTYPES:
        x = draw((3, 8), dtype)
        for to in DTYPES:
            if to in ("bool", "complex64") or dtype == "bool":
                continue
            if to in FLOATS and dtype not in FLOATS:
                continue
            yield Case("view", [x], lambda x=x, t=to: x.view(dtype_of(t)), "exact", dtype=to)


def slices(dtype):
    x = draw((5, 7), dtype)
    for start, stop, steps in [
        ([0, 0], [5, 7], [1, 1]),
        ([1, 2], [4, 6], [1, 2]),
        ([-3, -2], [5, 7], [1, 1]),
        ([4, 6], [-6, -8], [-1, -2]),
        ([0, 3], [0, 5], [1, 1]),
        ([1, 1], [99, -1], [2, 3]),
    ]:
        cut = tuple(slice(a, b, c) for a, b, c in zip(start, stop, steps))
        yield Case("slice", [x], lambda x=x, c=cut: x[c], start=start, stop=stop, steps=steps)
        update = draw(tuple(x[cut].shape), dtype)

        def updated(x=x, c=cut, u=update):
            y = mx.array(x)
            y[c] = u
            return y

        yield Case("slice_update", [x, update], updated, start=start, stop=stop, steps=steps)


def joins(dtype):
    x, y, z = draw((2, 6), dtype), draw((3, 6), dtype), draw((2, 6), "float32")
    yield Case("split", [x], lambda x=x: mx.split(x, 3, 1), count=3, axis=1)
    yield Case("split", [x], lambda x=x: mx.split(x, [2, 5], 1), indices=[2, 5], axis=1)
    yield Case("split", [x], lambda x=x: mx.split(x, 4, 1), count=4, axis=1)
    for axis in (0, 1):
        yield Case("unstack", [x], lambda x=x, a=axis: mx.unstack(x, axis=a), axis=axis)
        yield Case("stack", [x, z], lambda x=x, z=z, a=axis: mx.stack([x, z], a), axis=axis)
    yield Case("concatenate", [x, y], lambda x=x, y=y: mx.concatenate([x, y], 0), axis=0)
    yield Case("concatenate", [x, y], lambda x=x, y=y: mx.concatenate([x, y], 1), axis=1)
    yield Case("concatenate", [x, z], lambda x=x, z=z: mx.concatenate([x, z], -1), axis=-1)
    for sparse in (False, True):
        for indexing in ("xy", "ij"):
            a, b = draw((3,), dtype), draw((4,), dtype)
            yield Case(
                "meshgrid",
                [a, b],
                lambda a=a, b=b, s=sparse, i=indexing: mx.meshgrid(a, b, sparse=s, indexing=i),
                sparse=sparse,
                indexing=indexing,
            )


def indexing():
    whole = np.array([2, 0, -1, 1])
    for dtype in COMMON:
        x = draw((4, 3, 5), dtype)
        for index in ("int32", "int64", "uint8", "int8", "uint32"):
            values = whole % 3 if index.startswith("u") else whole
            i = mx.array(values).astype(dtype_of(index))
            for axis in (0, 1, -1):
                yield Case("take", [x, i], lambda x=x, i=i, a=axis: mx.take(x, i, a), axis=axis)
            yield Case("take", [x, i], lambda x=x, i=i: mx.take(x, i))
            two = mx.reshape(i, (2, 2))
            yield Case("take", [x, two], lambda x=x, i=two: mx.take(x, i, 1), axis=1)
        m = draw((4, 3), dtype)
        for axis, shape in ((0, (2, 3)), (1, (4, 5))):
            i = draw(shape, "int32", 0, 2)
            v = draw(shape, dtype)
            yield Case(
                "take_along_axis",
                [m, i],
                lambda m=m, i=i, a=axis: mx.take_along_axis(m, i, a),
                axis=axis,
            )
            i = mx.argsort(draw((4, 3), "float32"), axis=axis)
            v = draw((4, 3), dtype)
            yield Case(
                "put_along_axis",
                [m, i, v],
                lambda m=m, i=i, v=v, a=axis: mx.put_along_axis(m, i, v, a),
                axis=axis,
            )
        i, j = mx.array([3, 0, 2]), mx.array([1, 1, 0])
        yield Case(
            "gather",
            [m, i, j],
            lambda m=m, i=i, j=j: m[i, j][:, None, None],
            axes=[0, 1],
            sizes=[1, 1],
        )
        yield Case("gather", [m, i], lambda m=m, i=i: m[i][:, None], axes=[0], sizes=[1, 3])
        u = draw((3, 1, 3), dtype)
        yield from scatters(dtype, m, i, u)


def scatters(dtype, m, i, u):
    def updated(name):
        if name is None:
            y = mx.array(m)
            y[i] = u[:, 0]
            return y
        return getattr(m.at[i], name)(u[:, 0])

    repeated = mx.array([1, 1, 0])
    for op, name in (
        ("scatter", None),
        ("scatter_add", "add"),
        ("scatter_max", "maximum"),
        ("scatter_min", "minimum"),
        ("scatter_prod", "multiply"),
    ):
        yield Case(op, [m, u, i], lambda n=name: updated(n), axes=[0])
        if name and dtype != "bfloat16":
            yield Case(
                op,
                [m, u, repeated],
                lambda n=name: getattr(m.at[repeated], n)(u[:, 0]),
                1e-5,
                axes=[0],
            )


def creation():
    for start, stop, step in ((0, 10, 1), (1, 2, 0.1), (5, -5, -2), (3, 3, 1), (0, 1, 0.3)):
        yield Case(
            "arange",
            [],
            lambda a=start, b=stop, c=step: mx.arange(float(a), b, c),
            1e-5,
            start=start,
            stop=stop,
            step=step,
        )
        for dtype in ("float32", "float16", "bfloat16", "int32", "uint8", "int64"):
            if "int" in dtype and (step != int(step) or dtype == "uint8" and start > stop):
                continue
            yield Case(
                "arange",
                [],
                lambda a=start, b=stop, c=step, d=dtype: mx.arange(a, b, c, dtype=dtype_of(d)),
                1e-5,
                start=start,
                stop=stop,
                step=step,
                dtype=dtype,
            )
    yield Case("arange", [], lambda: mx.arange(1, 10, 3), start=1, stop=10, step=3, whole=True)
    for start, stop, num in ((0, 1, 50), (-3, 7, 11), (2, 2, 3), (1, 5, 1), (0, 1, 0)):
        for dtype in ("float32", "float16", "int32"):
            yield Case(
                "linspace",
                [],
                lambda a=start, b=stop, n=num, d=dtype: mx.linspace(a, b, n, dtype=dtype_of(d)),
                1e-5,
                start=start,
                stop=stop,
                num=num,
                dtype=dtype,
            )
    for dtype in DTYPES:
        v = draw((1, 3), dtype, 0, 3)
        yield Case(
            "full",
            [v],
            lambda v=v, d=dtype: mx.full((2, 3), v, dtype=dtype_of(d)),
            shape=[2, 3],
            dtype=dtype,
        )
        for op in ("zeros", "ones"):
            for shape in ([2, 3], [], [0]):
                yield Case(
                    op,
                    [],
                    lambda o=op, s=shape, d=dtype: getattr(mx, o)(s, dtype_of(d)),
                    shape=shape,
                    dtype=dtype,
                )
        yield Case("identity", [], lambda d=dtype: mx.identity(3, dtype_of(d)), n=3, dtype=dtype)
        for n, m, k in ((3, 4, 0), (3, 3, 1), (4, 2, -2), (2, 3, 9)):
            yield Case(
                "eye",
                [],
                lambda n=n, m=m, k=k, d=dtype: mx.eye(n, m, k, dtype_of(d)),
                n=n,
                m=m,
                k=k,
                dtype=dtype,
            )
            yield Case(
                "tri",
                [],
                lambda n=n, m=m, k=k, d=dtype: mx.tri(n, m, k, dtype_of(d)),
                n=n,
                m=m,
                k=k,
                dtype=dtype,
            )
