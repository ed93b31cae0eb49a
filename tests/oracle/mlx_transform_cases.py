"""Cases of derivatives, batches, compiled and checkpointed functions, for mlx_test.py."""

import mlx.core as mx

from mlx_cases import Case, draw

UNARY = "exp log sin cos tan sinh cosh tanh sqrt square abs reciprocal negative real imag conjugate"
NEAR = 2e-5


class Inner:
    """A function to transform: a call of the driver, what MLX calls it, and inputs for it."""

    def __init__(self, of, f, inputs, batched=None, argnums=None, **args):
        self.of, self.f, self.inputs, self.args = of, f, inputs, args
        self.batched = [True] * len(inputs) if batched is None else batched
        self.argnums = list(range(len(inputs))) if argnums is None else argnums

    def outs(self, *x):
        y = self.f(*x)
        return list(y) if isinstance(y, (list, tuple)) else [y]

    def total(self, *x):
        return sum((y.sum() for y in self.outs(*x)), mx.array(0.0))

    def case(self, way, inputs, mlx, **args):
        return Case("transform_" + way, inputs, mlx, NEAR, of=self.of, **self.args, **args)


def inner_functions():
    x, y = draw((3, 4), "float32", 0.2, 2), draw((3, 4), "float32", -2, -0.3)
    w = draw((4, 5), "float32", -1, 1)
    for op in "exp sin tanh sqrt square sigmoid erf log1p arctan rsqrt logsumexp sum".split():
        yield Inner(op, getattr(mx, op), [x])
    for op in "add subtract multiply divide maximum minimum power arctan2 logaddexp".split():
        a, b = (x, y) if op != "power" else (x, mx.abs(y))
        yield Inner(op, getattr(mx, op), [a, b])
    yield Inner("matmul", mx.matmul, [x, w])
    yield Inner("matmul", mx.matmul, [x, w], batched=[True, False])
    yield Inner("softmax", lambda a: mx.softmax(a, axis=[-1]), [x], axes=[-1])
    for op in "cumsum cumprod cummax logcumsumexp".split():
        args = {"axis": -1, "reverse": True, "inclusive": True}
        yield Inner(op, lambda a, f=getattr(mx, op), g=args: f(a, **g), [x], **args)
    for op in "max min prod mean var std".split():
        f = lambda a, f=getattr(mx, op): f(a, axis=[0], keepdims=False)
        yield Inner(op, f, [x], axes=[0], keepdims=False)
    yield Inner("sort", lambda a: mx.sort(a, axis=-1), [x], axis=-1)
    yield Inner("where", mx.where, [x > y * y, x, y], argnums=[1, 2])
    index = mx.array([2, 0, 2])
    gather = lambda a, i: mx.take(a, i, -1)
    yield Inner("take", gather, [x, index], batched=[True, False], argnums=[0], axis=-1)
    yield Inner("transpose", lambda a: mx.transpose(a, [1, 0]), [x], axes=[1, 0])
    yield Inner("flip", lambda a: mx.flip(a, [-1]), [x], axes=[-1])
    yield Inner("concatenate", lambda a, b: mx.concatenate([a, b], -1), [x, y], axis=-1)
    norm = lambda a, g: mx.fast.rms_norm(a, g, 1e-5)
    yield Inner("rms_norm", norm, [x, draw((4,), "float32")], batched=[True, False], eps=1e-5)
    yield Inner("outer", mx.outer, [x[0], y[1]])
    yield Inner("minmax", lambda a: list(mx.minmax(a)), [x])


def gradients(f):
    make = lambda t, f=f: lambda: t(f.total, argnums=f.argnums)(*f.inputs)

    def with_value(f=f):
        value, slopes = mx.value_and_grad(f.total, argnums=f.argnums)(*f.inputs)
        return [value, *(slopes if isinstance(slopes, tuple) else [slopes])]

    def again(f=f):
        return mx.grad(lambda *x: mx.checkpoint(f.total)(*x), argnums=f.argnums)(*f.inputs)

    yield f.case("grad", f.inputs, make(mx.grad), argnums=f.argnums)
    yield f.case("value_and_grad", f.inputs, with_value, argnums=f.argnums)
    if len(f.argnums) == len(f.inputs):  # MLX wants derivatives of all that it computes again
        yield f.case("checkpoint", f.inputs, again, argnums=f.argnums)


def directions(f):
    if len(f.argnums) < len(f.inputs):
        return
    along = [draw(a.shape, "float32", -1, 1) for a in f.inputs]
    run = lambda f=f, t=along: mx.jvp(f.outs, f.inputs, t)[1]
    yield f.case("jvp", f.inputs + along, run)
    out = f.outs(*f.inputs)
    if len(out) == 1:
        back = draw(out[0].shape, "float32", -1, 1)
        run = lambda f=f, g=back: mx.vjp(f.outs, f.inputs, [g])[1]
        yield f.case("vjp", f.inputs + [back], run)


def batches(f):
    out_ndim = f.outs(*f.inputs)[0].ndim
    for axis in (0, 1):
        for out_axis in (0, -1) if out_ndim else (0,):
            stacked = [
                mx.stack([a, mx.flip(a), a], axis) if b else a for a, b in zip(f.inputs, f.batched)
            ]
            where = [axis if b else None for b in f.batched]
            args = {"in_axes": [axis if b else -1 for b in f.batched], "out_axis": out_axis}
            if f.of == "minmax":
                continue  # two results, one axis
            run = lambda f=f, x=stacked, w=where, o=out_axis: mx.vmap(
                f.f, in_axes=tuple(w), out_axes=o
            )(*x)
            yield f.case("vmap", stacked, run, **args)


def compiled(f):
    for shapeless in (False, True):
        run = lambda f=f, s=shapeless: mx.compile(f.outs, shapeless=s)(*f.inputs)
        yield f.case("compile", f.inputs, run, shapeless=shapeless)

    def never(f=f):
        mx.disable_compile()
        out = mx.compile(f.outs)(*f.inputs)
        mx.enable_compile()
        return out

    yield f.case("disable_compile", f.inputs, never)


def rules():
    x, t = draw((3, 4), "float32"), draw((3, 4), "float32")

    def made():
        f = mx.custom_function(lambda a: mx.exp(a))
        f.vjp(lambda primal, cotangent, _: cotangent * primal * 3)
        f.jvp(lambda primal, tangent: tangent * 5)
        f.vmap(lambda a, axis: (mx.exp(a) + 7, axis))
        return f

    yield Case("transform_custom_vjp", [x, t], lambda: mx.vjp(made(), [x], [t])[1], of="exp")
    yield Case("transform_custom_jvp", [x, t], lambda: mx.jvp(made(), [x], [t])[1], of="exp")
    yield Case("transform_custom_vmap", [x], lambda: mx.vmap(made())(x), NEAR, of="exp")


def complex_derivatives():
    for op in UNARY.split():
        f = getattr(mx, "conj" if op == "conjugate" else op)
        for dtype in ("float32", "complex64"):
            x = draw((3, 4), dtype, 0.3, 2)
            v = draw((3, 4), str(f(x).dtype).split(".")[-1], -1, 1)
            run = lambda x=x, v=v, f=f: mx.vjp(f, [x], [v])[1]
            yield Case("transform_vjp", [x, v], run, 1e-5, of=op)
    for op in "add subtract multiply divide matmul power".split():
        f = getattr(mx, op)
        for dtype in ("float32", "complex64"):
            x, y, v = (draw((4, 4), dtype, low, 2) for low in (0.3, 0.4, -1))
            run = lambda x=x, y=y, v=v, f=f: mx.vjp(f, [x, y], [v])[1]
            yield Case("transform_vjp", [x, y, v], run, NEAR, of=op)


def transformed():
    for f in inner_functions():
        for cases in (gradients, directions, batches, compiled):
            yield from cases(f)
    yield from rules()
    yield from complex_derivatives()
