"""Where Tarn differs from MLX on purpose, for mlx_test.py: (reason, which cases).

A reason that explains no difference any more fails the test.
"""

FLOATS = ("float32", "float16", "bfloat16", "float64")


def dtypes(case):
    return [str(a.dtype).split(".")[-1].rstrip("_") for a in case.inputs]


def complex_input(case, problem):
    return "complex64" in dtypes(case) and "is not defined for complex64" in problem


def divides_by_zero(case, problem):
    whole = not any(t in FLOATS or t == "complex64" for t in dtypes(case))
    return (
        whole
        and case.op in ("floor_divide", "remainder", "divmod")
        and not all(case.inputs[1].reshape(-1).tolist())
    )


def no_axis_left(case, problem):
    return case.op in ("sum", "prod") and case.inputs[0].ndim == 0 and "instead of" in problem


DIFFERENCES = [
    (
        "arccos, arcsin, arctan, their hyperbolic forms, floor_divide, logaddexp, var, median and"
        " running extremes are not defined for complex numbers",
        complex_input,
    ),
    ("an integer x / 0 and x % 0 are 0; in MLX they are undefined", divides_by_zero),
    ("a 0-d array is summed like any other: bools and narrow integers give 32 bits", no_axis_left),
    (
        "running products of bools are counted like running sums",
        lambda c, p: c.op == "cumprod" and dtypes(c) == ["bool"],
    ),
    (
        "the sign of NaN is NaN, as in NumPy",
        lambda c, p: c.op == "sign" and "nan instead of 0.0" in p,
    ),
    (
        "expm1 of complex numbers is defined",
        lambda c, p: c.op == "expm1" and "MLX says: [expm1] Not supported for complex64" in p,
    ),
    (
        "a bool is negated like the integer it stands for",
        lambda c, p: c.op == "negative" and "MLX says: [negative] Not supported for bool" in p,
    ),
    (
        "empty arrays have results where no element is missing; MLX refuses them",
        lambda c, p: c.op in ("argmax", "argmin", "logsumexp")
        and "no error" in p
        and 0 in c.inputs[0].shape,
    ),
    (
        "logsumexp takes bools as 0 and 1",
        lambda c, p: c.op == "logsumexp" and dtypes(c) == ["bool"],
    ),
    (
        "softmax of integers is float32 over any axis",
        lambda c, p: c.op == "softmax"
        and p.startswith("float32")
        and ("int32" in p or "bool" in p),
    ),
    (
        "the sine of a float32 angle above 2^51 is some number in [-1, 1]",
        lambda c, p: c.op in ("sin", "cos", "tan") and c.inputs[0].shape == (20,) and "(13,)" in p,
    ),
    (
        "a NaN stays in running extremes of halves, as it does in float32",
        lambda c, p: c.op in ("cummax", "cummin") and "nan instead of 0.0" in p,
    ),
    (
        "norms of complex numbers are real",
        lambda c, p: c.op == "linalg_norm"
        and dtypes(c) == ["complex64"]
        and "instead of complex64" in p,
    ),
    (
        "singular values in norms of halves and integers are found in float32",
        lambda c, p: c.op == "linalg_norm" and "MLX says: [linalg::svd] Arrays must have" in p,
    ),
    (
        "determinants of float64 are not rounded to float32 on the way",
        lambda c, p: c.op == "linalg_det" and dtypes(c) == ["float64"],
    ),
    (
        "eigenvectors v of a complex matrix satisfy a v = w v; MLX's do not",
        lambda c, p: c.op == "linalg_eig" and dtypes(c) == ["complex64"] and "(0, 0" in p,
    ),
    (
        "a complex number by zero is NaN in both parts",
        lambda c, p: c.op == "divide" and "complex64" in dtypes(c) and "nan" in p and "inf" in p,
    ),
    (
        "vecdot broadcasts the other axes, as NumPy does",
        lambda c, p: c.op == "vecdot" and c.inputs[0].ndim != c.inputs[1].ndim,
    ),
    (
        "the derivative of a complex power is the conjugate of b a^(b - 1), as MLX's other complex"
        " derivatives are",
        lambda c, p: c.op == "transform_vjp"
        and c.args["of"] == "power"
        and "complex64" in dtypes(c),
    ),
    (
        "a letter of the result that no operand has is an error for einsum_path too",
        lambda c, p: c.op == "einsum_path" and 'the result of "ij,jk->iz" has "z"' in p,
    ),
    (
        "a state of float64 is not rounded to float32",
        lambda c, p: c.op == "gated_delta_update" and dtypes(c)[5:6] == ["float64"],
    ),
    (
        "arrays of up to 1000 elements are printed whole, as NumPy does",
        lambda c, p: c.op == "printed" and any(n > 6 for n in c.inputs[0].shape),
    ),
    (
        "NaNs are one element in unique, as in NumPy",
        lambda c, p: c.op == "unique" and c.inputs[0].shape == (6,),
    ),
    (
        "complex lines are convolved",
        lambda c, p: c.op == "convolve" and "complex64" in dtypes(c) and "no error" in p,
    ),
    (
        "half a transform of complex numbers is refused; MLX drops their imaginary parts",
        lambda c, p: c.op == "fft_stft" and dtypes(c) == ["complex64"] and "complex64" in p,
    ),
    (
        "running products and extremes have derivatives in a direction",
        lambda c, p: c.op == "transform_jvp" and "JVP is not implemented for cumulative" in p,
    ),
    (
        "compiled functions of any sizes may slice",
        lambda c, p: c.op == "transform_compile" and "Slice cannot infer output shapes" in p,
    ),
    (
        "the loss of float64 is not rounded to float32",
        lambda c, p: c.op == "fast_cross_entropy" and "float64" in dtypes(c),
    ),
]
