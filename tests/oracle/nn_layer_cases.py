"""The layers among the cases of nn_test.py: inputs, parameters and what mlx.nn makes of them."""

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_flatten, tree_map, tree_unflatten

from mlx_cases import Case, draw

random = np.random.default_rng(3)


def whole(shape, high):
    return mx.array(random.integers(0, high, shape).astype(np.int32))


def perturbed(module):
    """The module with every floating-point parameter drawn anew: norms begin at ones and zeros."""

    def one(a):
        return draw(a.shape, "float32", -0.6, 0.9) if a.dtype == mx.float32 else a

    module.update(tree_map(one, module.parameters()))
    return module


def listed(y):
    return list(y) if isinstance(y, (tuple, list)) else [y]


def layer(op, module, inputs, call=None, grad=True, draw_weights=True, tolerance=None, **args):
    """Results and, with grad, the gradients of sum(sin(y + 1/2)): by path, then of inputs."""
    call = call or (lambda m, *x: m(*x))
    module = perturbed(module) if draw_weights else module
    module.eval()
    flat = dict(tree_flatten(module.parameters()))
    floats = [i for i, x in enumerate(inputs) if mx.issubdtype(x.dtype, mx.floating)]

    def mlx():
        module.update(tree_unflatten(list(flat.items())) if flat else {})
        outs = listed(call(module, *inputs))
        if not grad:
            return outs
        trained = dict(tree_flatten(module.trainable_parameters()))

        def loss(parameters, given):
            module.update(tree_unflatten(list(parameters.items())) if parameters else {})
            x = list(inputs)
            for i, g in zip(floats, given):
                x[i] = g
            return sum(mx.sin(y + 0.5).sum() for y in listed(call(module, *x)))

        by_path, of_inputs = mx.grad(loss, argnums=(0, 1))(trained, [inputs[i] for i in floats])
        return outs + [by_path[k] for k in sorted(by_path)] + of_inputs

    return Case(
        op, list(inputs) + list(flat.values()), mlx, tolerance, params=list(flat), grad=grad, **args
    )


def x(*shape, dtype="float32"):
    return draw(shape, dtype, -2, 2)


def linear_layers():
    for bias in (True, False):
        for shape in ((3, 8), (8,), (2, 3, 8)):
            args = {"in": 8, "out": 5}
            yield layer("Linear", nn.Linear(8, 5, bias=bias), [x(*shape)], bias=bias, **args)
        for dtype in ("float16", "bfloat16"):
            yield layer(
                "Linear", nn.Linear(8, 5, bias=bias), [x(3, 8, dtype=dtype)], bias=bias, **args
            )
        bilinear = nn.Bilinear(5, 4, 3, bias=bias)
        yield layer("Bilinear", bilinear, [x(2, 6, 5), x(2, 6, 4)], bias=bias)
        yield layer("Bilinear", bilinear, [x(5), x(4)], bias=bias)
        yield quantized_linear(bias, 64, 4)
        yield quantized_linear(bias, 32, 8)
    yield layer("Identity", nn.Identity(), [x(3, 4)])
    embed = lambda m, ids, v: [m(ids), m.as_linear(v)]
    yield layer("Embedding", nn.Embedding(10, 8), [whole((2, 5), 10), x(3, 8)], embed)
    quantized = nn.QuantizedEmbedding(10, 64)
    args = {"draw_weights": False, "tolerance": 1e-3}
    yield layer("QuantizedEmbedding", quantized, [whole((4,), 10), x(3, 64)], embed, **args)
    sequence = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Dropout(), nn.Linear(6, 3))
    yield layer("Sequential", sequence, [x(4, 8)])


def rounded_inputs():
    args = {"draw_weights": False, "grad": False, "tolerance": 1e-3}
    yield layer("QQLinear", nn.QQLinear(64, 16), [x(1, 64)], **args)


def quantized_model():
    for group_size, bits in ((64, 4), (32, 8)):
        linear = nn.Linear(64, 16)

        def codes(m=linear, g=group_size, b=bits):
            model = nn.Sequential(nn.Linear(64, 16))
            model.layers[0].weight, model.layers[0].bias = m.weight, m.bias
            nn.quantize(model, g, b)
            q = model.layers[0]
            return [q.weight, q.scales, q.biases]

        inputs, args = [linear.weight, linear.bias], {"group_size": group_size, "bits": bits}
        yield Case("quantize", inputs, codes, "exact", **args)


def with_value_and_grad():
    module, given = perturbed(nn.Linear(8, 5)), x(3, 8)

    def mlx():
        loss = lambda a: mx.sin(module(a) + 0.5).sum()
        _, by_path = nn.value_and_grad(module, loss)(given)
        return [module(given), by_path["bias"], by_path["weight"], mx.grad(loss)(given)]

    inputs = [given, module.weight, module.bias]
    args = {"params": ["weight", "bias"], "grad": True, "in": 8, "out": 5, "bias": True}
    yield Case("Linear", inputs, mlx, **args)


def dropouts():
    """MLX draws with the second half of the split of its state."""
    key = mx.random.split(mx.random.key(5))[1]
    shapes = {"": (6, 7), "2d": (3, 4, 5, 6), "3d": (2, 2, 3, 4, 5)}
    for dims, shape in shapes.items():
        for given in (x(*shape), x(*shape[1:])):
            for p in (0.0, 0.3, 0.5):

                def dropped(m=getattr(nn, "Dropout" + dims)(p), a=given):
                    m.train()
                    mx.random.seed(5)
                    return m(a)

                yield Case("Dropout" + dims, [given, key], dropped, p=p)


def quantized_linear(bias, group_size, bits):
    module = nn.QuantizedLinear(64, 16, bias, group_size, bits)
    args = {"bias": bias, "group_size": group_size, "bits": bits, "draw_weights": False}
    module.unfreeze(keys=["bias"], recurse=False)
    module._no_grad -= {"bias"}
    return layer("QuantizedLinear", module, [x(5, 64)], tolerance=1e-3, **args)


def norms():
    for affine in (True, False):
        for bias in (True, False):
            norm = nn.LayerNorm(8, affine=affine, bias=bias)
            yield layer("LayerNorm", norm, [x(3, 4, 8)], affine=affine, bias=bias)
        for shape in ((2, 5, 8), (2, 3, 4, 8)):
            norm = nn.InstanceNorm(8, affine=affine)
            yield layer("InstanceNorm", norm, [x(*shape)], affine=affine)
            for like_torch in (True, False):
                norm = nn.GroupNorm(4, 8, affine=affine, pytorch_compatible=like_torch)
                args = {"affine": affine, "pytorch_compatible": like_torch}
                yield layer("GroupNorm", norm, [x(*shape)], tolerance=1e-4, **args)
        for track in (True, False):
            for shape in ((6, 8), (3, 4, 8), (2, 3, 4, 8)):
                yield from batch_norm(affine, track, x(*shape))
    yield layer("RMSNorm", nn.RMSNorm(8), [x(3, 4, 8)])
    # Two numbers are always -1 and 1: their gradient is only rounding.
    norm = nn.GroupNorm(4, 8)
    yield layer("GroupNorm", norm, [x(3, 8)], grad=False, tolerance=1e-4, affine=True)


def batch_norm(affine, track, given):
    args = {"affine": affine, "track": track}

    def fresh():
        norm = perturbed(nn.BatchNorm(8, affine=affine, track_running_stats=track))
        if track:
            norm.running_var = mx.abs(norm.running_var) + 0.1
        return norm

    yield layer("BatchNorm", fresh(), [given], draw_weights=False, tolerance=1e-4, **args)
    norm = nn.BatchNorm(8, affine=affine, track_running_stats=track)
    flat = dict(tree_flatten(norm.parameters()))

    def trained():
        norm.train()
        out = norm(given)
        return [out] + ([norm.running_mean, norm.running_var] if track else [])

    args = {"params": list(flat), "grad": False, **args}
    yield Case("BatchNorm.train", [given, *flat.values()], trained, 1e-4, **args)


def positions():
    for traditional in (True, False):
        for offset in (0, 5):
            rope = nn.RoPE(8, traditional=traditional, scale=0.5)
            call = lambda m, v, offset=offset: m(v, offset)
            args = {"traditional": traditional, "offset": offset, "scale": 0.5}
            yield layer("RoPE", rope, [x(2, 3, 6, 10)], call, tolerance=1e-4, **args)
    for dims in (2, 12):
        for flags in ({}, {"cos_first": True}, {"full_turns": True}):
            encoding = nn.SinusoidalPositionalEncoding(dims, **flags)
            args = {"dims": dims, "tolerance": 1e-4, **flags}
            yield layer("SinusoidalPositionalEncoding", encoding, [x(3, 4)], **args)
    for heads in (8, 6, 1):
        for offset in (0, 4):
            call = lambda m, s, mask=None, offset=offset: m(s, offset, mask)
            yield layer("ALiBi", nn.ALiBi(), [x(2, heads, 3, 7)], call, offset=offset)
        yield layer("ALiBi", nn.ALiBi(), [x(2, heads, 3, 7), x(3, 7)], lambda m, s, k: m(s, 0, k))


def recurrent():
    for bias in (True, False):
        for shape in ((4, 5), (2, 4, 5)):
            state = x(*shape[:-2], 6)
            for extra in ([], [state]):
                yield layer("RNN", nn.RNN(5, 6, bias=bias), [x(*shape)] + extra, bias=bias)
                yield layer("GRU", nn.GRU(5, 6, bias=bias), [x(*shape)] + extra, bias=bias)
            for extra in ([], [state], [state, x(*shape[:-2], 6)]):
                yield layer("LSTM", nn.LSTM(5, 6, bias=bias), [x(*shape)] + extra, bias=bias)


def attention():
    for bias in (True, False):
        module = nn.MultiHeadAttention(
            8, 2, key_input_dims=6, value_dims=12, value_output_dims=10, bias=bias
        )
        same = lambda m, q, kv, mask=None: m(q, kv, kv, mask)
        # The keys' bias does not matter to softmax: its gradient is only rounding.
        args = {"grad": not bias, "bias": bias, "tolerance": 1e-4}
        yield layer("MultiHeadAttention", module, [x(2, 5, 8), x(2, 7, 6)], same, **args)
        masked = [x(2, 5, 8), x(2, 7, 6), x(5, 7)]
        yield layer("MultiHeadAttention", module, masked, same, **args)
    mask = nn.MultiHeadAttention.create_additive_causal_mask(5)
    for dtype in ("float32", "float16", "bfloat16"):
        t = getattr(mx, dtype)
        made = lambda t=t: nn.MultiHeadAttention.create_additive_causal_mask(5, t)
        yield Case("causal_mask", [], made, dtype=dtype)
    for norm_first in (True, False):
        for again in (False, True):
            options = {"mlp_dims": 12, "norm_first": norm_first, "checkpoint": again}
            args = {"norm_first": norm_first, "checkpoint": again, "tolerance": 1e-3}
            encoder = nn.TransformerEncoder(2, 8, 2, **options)
            decoder = nn.TransformerDecoder(2, 8, 2, **options)
            both = nn.Transformer(8, 2, 2, 2, **options)
            source, target = x(2, 5, 8), x(2, 5, 8)
            yield layer("TransformerEncoder", encoder, [source, mask], **args)
            yield layer("TransformerEncoder", encoder, [source], lambda m, v: m(v, None), **args)
            decode = lambda m, v, memory, k=None: m(v, memory, k, None)
            yield layer("TransformerDecoder", decoder, [target, source, mask], decode, **args)
            run = lambda m, s, t, k=None: m(s, t, None, k, None)
            yield layer("Transformer", both, [source, target, mask], run, **args)


def pools():
    spatial = {1: (2, 9, 3), 2: (2, 8, 7, 3), 3: (1, 6, 5, 4, 2)}
    for n, shape in spatial.items():
        for kind in ("MaxPool", "AvgPool"):
            for kernel, stride, padding in ((2, None, 0), (3, 2, 1), (3, 1, 0), (2, 3, 1)):
                module = getattr(nn, f"{kind}{n}d")(kernel, stride, padding)
                args = {"kernel_size": [kernel], "padding": [padding]}
                if stride:
                    args["stride"] = [stride]
                yield layer(f"{kind}{n}d", module, [x(*shape)], **args)
    module = nn.MaxPool2d((2, 3), (1, 2), (1, 0))
    args = {"kernel_size": [2, 3], "stride": [1, 2], "padding": [1, 0]}
    yield layer("MaxPool2d", module, [x(2, 8, 7, 3)], **args)


def convolutions():
    spatial = {1: (2, 9, 4), 2: (2, 7, 8, 4), 3: (1, 5, 6, 5, 4)}
    settings = [{}, {"stride": 2, "padding": 1}, {"dilation": 2, "bias": False}]
    for n, shape in spatial.items():
        for s in settings + ([{"groups": 2, "padding": 1}] if n < 3 else []):
            module = getattr(nn, f"Conv{n}d")(4, 6, 3, **s)
            yield convolution(f"Conv{n}d", module, x(*shape), s)
        for s in settings + [{"stride": 3, "output_padding": 1}]:
            module = getattr(nn, f"ConvTranspose{n}d")(4, 6, 3, **s)
            yield convolution(f"ConvTranspose{n}d", module, x(*shape), s)
    mixed = {"stride": (2, 1), "padding": (0, 1)}
    yield convolution("Conv2d", nn.Conv2d(4, 6, (3, 2), **mixed), x(2, 7, 8, 4), mixed, (3, 2))


def convolution(op, module, given, settings, kernel=(3,)):
    args = {k: list(v) if isinstance(v, tuple) else v for k, v in settings.items()}
    for name in ("stride", "padding", "dilation", "output_padding"):
        if isinstance(args.get(name), int):
            args[name] = [args[name]]
    args = {"bias": True, "kernel": list(kernel), "in": 4, "out": 6, **args}
    # MLX's gradient has the shape of another input where there is output_padding.
    grad = "output_padding" not in settings
    return layer(op, module, [given], grad=grad, tolerance=2e-3, **args)


def upsamplings():
    shapes = {1: (2, 5, 3), 2: (2, 4, 5, 3), 3: (1, 3, 4, 3, 2)}
    scales = {1: [[2.0], [3.0], [1.5], [0.6], [2.3]], 2: [[2.0], [1.5, 2.0], [0.5]], 3: [[2.0]]}
    kinds = [("nearest", {}), ("linear", {}), ("cubic", {})]
    kinds += [(m, {k: True}) for m in ("linear", "cubic") for k in ("align_corners", "antialias")]
    for n, shape in shapes.items():
        for scale in scales[n]:
            for mode, flags in kinds:
                factor = scale[0] if len(scale) == 1 else tuple(scale)
                module = nn.Upsample(factor, mode=mode, **flags)
                args = {"scale": scale, "mode": mode, "tolerance": 1e-4, **flags}
                yield layer("Upsample", module, [x(*shape)], **args)
    args = {"grad": False, "scale": [2.0], "mode": "nearest"}
    yield layer("Upsample", nn.Upsample(2.0), [whole((1, 3, 2), 9)], **args)


def layer_cases():
    for make in (linear_layers, norms, positions, recurrent, attention):
        yield from make()
    for make in (convolutions, pools, upsamplings):
        yield from make()
