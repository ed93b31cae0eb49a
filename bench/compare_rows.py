"""The workloads that compare.py times beside torch: what is computed, and the unit of work."""


def matmul(n, dtype):
    return {
        "op": "matmul",
        "dtype": dtype,
        "shapes": [[n, n], [n, n]],
        "work": 2.0 * n**3,
        "unit": "GFLOP/s",
    }


def attention(dtype, heads=9, length=1024, width=64):
    return {
        "op": "attention",
        "dtype": dtype,
        "shapes": [[1, heads, length, width]] * 3,
        "work": 4.0 * heads * width * length * (length + 1) / 2,  # what causality leaves
        "unit": "GFLOP/s",
    }


def rows(op, shape):
    """Bytes read and written once."""
    size = 1
    for n in shape:
        size *= n
    return {"op": op, "dtype": "float32", "shapes": [shape], "work": 8.0 * size, "unit": "GB/s"}


def convolution(images=8, size=56, channels=64, kernel=3):
    return {
        "op": "conv2d",
        "dtype": "float32",
        "shapes": [[images, size, size, channels], [channels, kernel, kernel, channels]],
        "work": 2.0 * images * size**2 * channels**2 * kernel**2,
        "unit": "GFLOP/s",
    }


def small(op, inputs, count):
    """Operations on 64 floats: what recording and starting one costs."""
    return {
        "op": op,
        "dtype": "float32",
        "shapes": [[64]] * inputs,
        "work": float(count),
        "unit": "Mop/s",
    }


def cross_entropy(tokens=512, width=576, vocabulary=49152):
    return {
        "op": "cross_entropy",
        "dtype": "bfloat16",
        "shapes": [[tokens, width], [vocabulary, width]],
        "classes": vocabulary,
        "work": 2.0 * tokens * width * vocabulary,
        "unit": "GFLOP/s",
    }


ROWS = {
    **{f"matmul bf16 {n}": matmul(n, "bfloat16") for n in (512, 1024, 2048)},
    **{f"matmul {n}": matmul(n, "float32") for n in (512, 1024, 1536, 2048)},
    "matmul f16 1024": matmul(1024, "float16"),
    "attention": attention("float32"),
    "attention bf16": attention("bfloat16"),
    "chain": rows("chain", [1 << 24]),
    "softmax": rows("softmax", [4096, 4096]),
    "layer_norm": rows("layer_norm", [4096, 4096]),
    "conv2d": convolution(),
    "cross entropy": cross_entropy(),
    "op on 64 floats": small("add", 2, 1),
    "1000 ops in a row": small("softmax_1000", 1, 1000),
}
