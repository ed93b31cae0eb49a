"""Cases of other names, operators, members, dtypes, text and words of the runtime, for
mlx_test.py."""

import mlx.core as mx
import numpy as np

from mlx_cases import COMMON, DTYPES, FLOATS, INTEGERS, SPECIAL, Case, draw, dtype_of, filled

# Functions of one and two arrays under another name than the driver's: {name: the driver's}.
OTHER_NAMES = {
    "acos": "arccos",
    "acosh": "arccosh",
    "asin": "arcsin",
    "asinh": "arcsinh",
    "atan": "arctan",
    "atan2": "arctan2",
    "atanh": "arctanh",
    "bitwise_left_shift": "left_shift",
    "bitwise_right_shift": "right_shift",
    "conj": "conjugate",
    "pow": "power",
    "permute_dims": "transpose",
    "empty_like": "zeros_like",
}
OPERATORS = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "truediv": "/",
    "div": "/",
    "mod": "%",
    "and": "&",
    "or": "|",
    "xor": "^",
    "lshift": "<<",
    "rshift": ">>",
    "eq": "==",
    "ne": "!=",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
}
# Operators that have no sign in C++.
NAMED_OPERATORS = {"matmul": "matmul", "pow": "power", "floordiv": "floor_divide"}
CATEGORIES = """complexfloating floating inexact signedinteger unsignedinteger integer number
generic""".split()


def other_names():
    for name, op in OTHER_NAMES.items():
        f = getattr(mx, name)
        dtype = "int32" if "shift" in name else "complex64" if name == "conj" else "float32"
        low, high = (1, 3) if name in ("acosh", "pow") else (0, 0.9)
        x = draw((3, 4), dtype, low, high)
        two = op in ("arctan2", "left_shift", "right_shift", "power")
        inputs = [x, draw((3, 4), dtype, 0, 2)] if two else [x]
        yield Case(op, inputs, lambda f=f, i=inputs: f(*i), 1e-5)
    x, y = draw((2, 3), "float32"), draw((4, 3), "float32")
    yield Case("concatenate", [x, y], lambda: mx.concat([x, y], 0), axis=0)
    args = {"axis": 1, "reverse": False, "inclusive": True}
    yield Case("cumsum", [x], lambda: mx.cumulative_sum(x, axis=1), 1e-5, **args)
    yield Case("cumprod", [x], lambda: mx.cumulative_prod(x, axis=1), 1e-5, **args)
    yield Case("zeros", [], lambda: mx.empty((2, 3), mx.int8), shape=[2, 3], dtype="int8")


def operator(word):
    """The class of arrays has operators of its own, which getattr finds too."""
    name = f"__{word}__"
    return getattr(mx.array, name) if name in dir(mx.array) else None


def operators():
    for word, sign in OPERATORS.items():
        whole = word in ("and", "or", "xor", "lshift", "rshift")
        for dtype in ("int32", "uint8", "bool") if whole else ("float32", "int32", "bfloat16"):
            x, y = draw((2, 3), dtype, -9, -1), draw((3,), dtype, 1, 3)
            for before in ("", "r", "i"):
                f = operator(before + word)
                if f is None or (before == "i" and sign == "/" and dtype == "int32"):
                    continue  # an integer array does not become one of quotients
                a, b = (y, x) if before == "r" else (x, y)
                # In place: what the name holds afterwards.
                run = lambda f=f, a=x, b=y: f(mx.array(a), b)
                yield Case("operator", [a, b], run, 1e-5, sign=sign)
    for word, op in NAMED_OPERATORS.items():
        for dtype in ("float32", "int32"):
            if dtype == "int32" and word == "matmul":
                continue
            x, y = draw((3, 3), dtype, 1, 4), draw((3, 3), dtype, 1, 3)
            for before in ("", "r", "i"):
                f = operator(before + word)
                if f is not None:
                    inputs = [y, x] if before == "r" else [x, y]
                    yield Case(op, inputs, lambda f=f, a=x, b=y: f(mx.array(a), b), 1e-5)
    for dtype in ("float32", "int32"):
        x = draw((2, 3), dtype)
        yield Case("operator", [x], lambda x=x: -x, sign="-")
        yield Case("abs", [x], lambda x=x: abs(x))
        yield Case("positive", [x], lambda x=x: +x)
    x = draw((2, 3), "int32")
    yield Case("operator", [x], lambda: ~x, sign="~")


def methods():
    x = draw((3, 4), "float32", 0.3, 2)
    for name in "abs cos exp log log10 log1p log2 reciprocal rsqrt sin sqrt square conj".split():
        op = "conjugate" if name == "conj" else name
        yield Case(op, [x], lambda n=name: getattr(x, n)(), 1e-5)
    for name in "all any max mean min prod std sum var logsumexp".split():
        f = lambda n=name: getattr(x, n)(axis=[0], keepdims=True)
        yield Case(name, [x], f, 1e-5, axes=[0], keepdims=True)
    for name in ("argmax", "argmin"):
        yield Case(name, [x], lambda n=name: getattr(x, n)(axis=1), axis=1)
    for name in "cumsum cumprod cummax cummin logcumsumexp".split():
        f = lambda n=name: getattr(x, n)(axis=1)
        yield Case(name, [x], f, 1e-5, axis=1, reverse=False, inclusive=True)
    yield Case("astype", [x], lambda: x.astype(mx.int32), dtype="int32")
    yield Case("astype", [x], lambda: mx.astype(x, mx.int32), dtype="int32")
    yield Case("view", [x], lambda: x.view(mx.int16), dtype="int16")
    yield Case("round", [x], lambda: x.round(1), 1e-5, decimals=1)
    yield Case("diag", [x], lambda: x.diag(1), k=1)
    yield Case("diagonal", [x], lambda: x.diagonal(1), offset=1, axis1=0, axis2=1)
    yield Case("flatten", [x], lambda: x.flatten(), start=0, end=-1)
    yield Case("reshape", [x], lambda: x.reshape(2, 6), shape=[2, 6])
    yield Case("moveaxis", [x], lambda: x.moveaxis(0, 1), a=0, b=1)
    yield Case("swapaxes", [x], lambda: x.swapaxes(0, 1), a=0, b=1)
    yield Case("transpose", [x], lambda: x.transpose(1, 0), axes=[1, 0])
    yield Case("transpose", [x], lambda: x.T)
    yield Case("squeeze", [x[None]], lambda: x[None].squeeze(0), axes=[0])
    yield Case("split", [x], lambda: x.split(2, 1), count=2, axis=1)
    stack = draw((2, 3, 4), "float32")
    yield Case("matrix_transpose", [stack], lambda: stack.mT)
    z = draw((3, 4), "complex64")
    yield Case("real", [z], lambda: z.real)
    yield Case("imag", [z], lambda: z.imag)
    rows, u = mx.array([2, 0]), draw((2, 1, 4), "float32", 1, 2)
    yield Case("scatter_add", [x, -u, rows], lambda: x.at[rows].subtract(u[:, 0]), 1e-5, axes=[0])
    yield Case("scatter_prod", [x, 1 / u, rows], lambda: x.at[rows].divide(u[:, 0]), 1e-5, axes=[0])


def facts():
    for dtype in DTYPES:
        for shape in ((3, 4), (), (0,), (2, 0, 3)):
            x = draw(shape, dtype)

            def told(x=x):
                same = [x.size, x.ndim, x.nbytes, x.itemsize, *x.shape]
                assert x.dtype == dtype_of(str(x.dtype).split(".")[-1].rstrip("_"))
                assert x.ndim == 0 or len(x) == x.shape[0]
                return mx.array(np.array(same, np.int64))

            yield Case("facts", [x], told)
        x = draw((), dtype, 1, 3)
        to = {"bool": "bool", "complex64": "complex64", "uint64": "uint64"}.get(dtype)
        to = to or ("int64" if dtype in INTEGERS else "float64")
        wide = lambda x=x, t=to: mx.array(np.array(x.item(), np.dtype(t)), dtype_of(t))
        yield Case("item", [x], wide)
        rows = draw((3, 2), dtype)
        yield Case("rows", [rows], lambda x=rows: list(iter(x)))


def dtypes():
    of_none = lambda t: mx.zeros((0,), t)
    for a in DTYPES:
        for b in DTYPES:
            s, t = dtype_of(a), dtype_of(b)
            promoted = lambda s=s, t=t: of_none(mx.result_type(s, t))
            yield Case("promote_types", [], promoted, a=a, b=b)
            x, y, z = of_none(s), of_none(t), of_none(mx.float16)
            yield Case("result_type", [x, y], lambda x=x, y=y: of_none(mx.result_type(x, y)))
            yield Case("result_type", [x, y, z], lambda i=(x, y, z): of_none(mx.result_type(*i)))
            # There is no can_cast: it is this.
            cast = lambda s=s, t=t: of_none(t if mx.can_cast(s, t) else mx.result_type(s, t))
            yield Case("promote_types", [], cast, a=a, b=b)
    names = [(n, dtype_of(n), True) for n in DTYPES]
    names += [(n, getattr(mx, n), False) for n in CATEGORIES]
    for a, s, first in names:
        for b, t, second in names:
            f = lambda s=s, t=t: mx.array(mx.issubdtype(s, t))
            yield Case("issubdtype", [], f, a=a, b=b, dtype_a=first, dtype_b=second)
    for dtype in FLOATS + ["complex64"]:

        def bounds(t=dtype_of(dtype)):
            f = mx.finfo(t)
            values = [f.min, f.max, f.eps, f.smallest_normal, f.bits]
            return mx.array(np.array(values, np.float64), mx.float64)

        yield Case("finfo", [], bounds, "exact", dtype=dtype)
    for dtype in INTEGERS[1:]:

        def range_of(t=dtype_of(dtype)):
            i = mx.iinfo(t)
            low, high = np.array(i.min, np.int64), np.array(i.max, np.uint64)
            return [mx.array(low), mx.array(high)]

        yield Case("iinfo", [], range_of, dtype=dtype)


def shapes():
    for a, b in [((2, 3), (3,)), ((), (4,)), ((0,), (1,)), ((2, 1, 5), (3, 1)), ((2,), (3,))]:
        f = lambda a=a, b=b: mx.array(np.array(mx.broadcast_shapes(a, b), np.int64))
        yield Case("broadcast_shapes", [], f, a=list(a), b=list(b))


def text():
    def case(x, precision=-1):
        def shown(x=x, p=precision):
            mx.set_printoptions(precision=p)
            said = str(x)
            mx.set_printoptions(precision=-1)
            return mx.array(np.frombuffer(said.encode(), np.uint8))

        args = {} if precision < 0 else {"precision": precision}
        return Case("printed", [x], shown, **args)

    for dtype in COMMON + ["float16", "int8", "uint64", "int64"]:
        for shape in ((), (3,), (0,), (2, 3), (9,), (2, 2, 2), (7, 8), (2, 0)):
            yield case(draw(shape, dtype))
    plain = [v for v in SPECIAL if v == v]
    for value in plain + [123456.0, 1234567.0, 1e-5, 0.1, 1 / 3, 16777217.0]:
        yield case(filled(np.array(value), "float32"))
        for precision in (0, 2, 8):
            yield case(filled(np.array(value), "float32"), precision)


def runtime():
    x, y = draw((300, 4), "float32"), draw((2,), "float32")

    def later():
        out = mx.exp(x) + x
        mx.async_eval(out)
        mx.eval(out)
        return out

    def limits(most):
        memory, cache = mx.set_memory_limit(most), mx.set_cache_limit(most)
        out = [mx.get_memory_limit(), mx.set_memory_limit(memory), mx.set_cache_limit(cache)]
        out.append(mx.get_memory_limit() == memory)
        return mx.array(np.array(out, np.int64))

    def memory():
        mx.synchronize()  # what async_eval was given is let go of
        mx.clear_cache()
        before, empty = mx.get_active_memory(), mx.get_cache_memory()
        made = x + x
        mx.eval(made)
        mx.reset_peak_memory()
        more = mx.get_active_memory() >= before + made.nbytes
        peak = mx.get_peak_memory() >= mx.get_active_memory() or mx.get_peak_memory() == 0
        size = mx.get_array_buffer_size(made, made)
        blocks = made.nbytes <= size < 2 * made.nbytes
        return mx.array(np.array([more, peak, blocks, empty == 0], np.int64))

    def devices():
        cpu = mx.Device(mx.cpu)
        one, other, was = mx.new_stream(cpu), mx.new_stream(cpu), mx.default_stream(cpu)
        with mx.stream(one):
            inside = mx.default_stream(cpu) == one
        mx.set_default_stream(other)
        now = mx.default_stream(cpu) == other
        mx.set_default_stream(was)
        mx.set_default_device(mx.cpu)
        out = mx.add(x, x, stream=one)
        mx.synchronize(one)
        said = [mx.default_device() == cpu, mx.is_available(cpu), mx.device_count(mx.cpu)]
        said += [one == other, was.device == cpu, inside, now, mx.default_stream(cpu) == was]
        return [mx.array(np.array(said, np.int64)), out]

    yield Case("depends", [x, y], lambda: mx.depends([x], [y]))
    yield Case("async_eval", [x], later, 1e-5)
    yield Case("limits", [], lambda: limits(1 << 33), limit=1 << 33)
    yield Case("memory", [x], memory)
    yield Case("devices", [x], devices)


def words():
    for cases in (other_names, operators, methods, facts, dtypes, shapes, text, runtime):
        yield from cases()
