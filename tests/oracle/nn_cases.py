"""The cases of nn_test.py: inputs, arguments and what mlx.nn and mlx.optimizers make of them."""

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
from mlx.utils import tree_flatten, tree_map, tree_unflatten

from mlx_cases import Case, draw

random = np.random.default_rng(3)


def whole(shape, high):
    return mx.array(random.integers(0, high, shape).astype(np.int32))


# --- layers


def perturbed(module):
    """The module with every floating-point parameter drawn anew: norms begin at ones and zeros."""

    def one(a):
        return draw(a.shape, "float32", -0.6, 0.9) if a.dtype == mx.float32 else a

    module.update(tree_map(one, module.parameters()))
    return module


def listed(y):
    return list(y) if isinstance(y, (tuple, list)) else [y]


def layer(op, module, inputs, call=None, grad=True, draw_weights=True, tolerance=None, **args):
    """Results and, with grad, the gradients of sum(sin(y + 1/2)): parameters by path, then inputs."""
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
            yield layer("InstanceNorm", nn.InstanceNorm(8, affine=affine), [x(*shape)], affine=affine)
            for like_torch in (True, False):
                norm = nn.GroupNorm(4, 8, affine=affine, pytorch_compatible=like_torch)
                args = {"affine": affine, "pytorch_compatible": like_torch}
                yield layer("GroupNorm", norm, [x(*shape)], tolerance=1e-4, **args)
        for track in (True, False):
            for shape in ((6, 8), (3, 4, 8), (2, 3, 4, 8)):
                yield from batch_norm(affine, track, x(*shape))
    yield layer("RMSNorm", nn.RMSNorm(8), [x(3, 4, 8)])
    yield layer("GroupNorm", nn.GroupNorm(4, 8), [x(3, 8)], tolerance=1e-4, affine=True)


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

    yield Case(
        "BatchNorm.train", [given, *flat.values()], trained, 1e-4, params=list(flat), grad=False, **args
    )


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
            yield layer(
                "SinusoidalPositionalEncoding", encoding, [x(3, 4)], dims=dims, tolerance=1e-4, **flags
            )
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
        call = lambda m, q, k, v, mask=None: m(q, k, v, mask)
        same = lambda m, q, kv, mask=None: m(q, kv, kv, mask)
        yield layer("MultiHeadAttention", module, [x(2, 5, 8), x(2, 7, 6)], same, bias=bias)
        masked = [x(2, 5, 8), x(2, 7, 6), x(5, 7)]
        yield layer("MultiHeadAttention", module, masked, same, bias=bias, tolerance=1e-4)
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
            yield layer(
                "TransformerEncoder", encoder, [source], lambda m, v: m(v, None), **args
            )
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
    yield layer("Upsample", nn.Upsample(2.0), [whole((1, 3, 2), 9)], grad=False, scale=[2.0], mode="nearest")


# --- activations

ACTIVATIONS = """
sigmoid relu relu2 relu6 leaky_relu log_softmax elu softmax softmin softplus softsign softshrink celu
silu log_sigmoid gelu gelu_approx gelu_fast_approx glu step selu mish hardswish hard_tanh
hard_shrink tanh
""".split()
CLASSES = """
Sigmoid Mish ReLU ReLU2 ReLU6 Softmax Softplus Softsign SiLU LogSoftmax LogSigmoid Tanh Hardswish
SELU HardTanh Softmin GLU LeakyReLU ELU CELU Softshrink HardShrink Step PReLU
""".split()
SETTINGS = {"leaky_relu": 0.2, "elu": 1.7, "softshrink": 0.8, "celu": 1.3, "step": 0.5, "hard_shrink": 1}


def activations():
    for name in ACTIVATIONS:
        f = getattr(nn, name)
        for dtype in ("float32", "float16", "bfloat16", "int32"):
            given = draw((6, 8), dtype, -7, 7)
            yield Case("act." + name, [given], lambda f=f, g=given: f(g))
        given = draw((6, 8), "float32", -7, 7)
        if name in SETTINGS:
            a = SETTINGS[name]
            yield Case("act." + name, [given], lambda f=f, g=given, a=a: f(g, a), a=a)
        if name in ("softmax", "softmin", "log_softmax", "glu"):
            yield Case("act." + name, [given], lambda f=f, g=given: f(g, axis=0), axis=0)
    given, slopes = draw((6, 8), "float32", -7, 7), x(8)
    yield Case("act.prelu", [given, slopes], lambda: nn.prelu(given, slopes))
    yield Case("act.hard_tanh", [given], lambda: nn.hard_tanh(given, -2, 0.5), a=-2, b=0.5)
    for name in CLASSES:
        yield layer(name, getattr(nn, name)(), [draw((6, 8), "float32", -7, 7)], grad=name != "Step")
    for i, approx in enumerate(("none", "precise", "fast")):
        yield layer("GELU", nn.GELU(approx), [draw((6, 8), "float32", -7, 7)], approx=i)


# --- losses


def loss(name, inputs, **args):
    f = getattr(nn.losses, name)
    for reduction in ("none", "mean", "sum"):
        call = lambda r=reduction: f(*inputs, reduction=r, **args)
        yield Case(name, inputs, call, reduction=reduction, **args)


def losses():
    a, b, c = x(5, 7), x(5, 7), draw((5, 7), "float32", 0.1, 2)
    signs, part = mx.sign(x(5, 7)), draw((5, 7), "float32", 0.05, 0.95)
    classes, weights = whole((5,), 7), draw((5,), "float32", 0.1, 2)
    for smoothing in (0.0, 0.2):
        yield from loss("cross_entropy", [a, classes], label_smoothing=smoothing)
        yield from loss("cross_entropy", [a, classes, weights], label_smoothing=smoothing)
        yield from loss("cross_entropy", [a, mx.softmax(b, -1)], label_smoothing=smoothing)
        yield from loss("cross_entropy", [a, whole((7,), 5)], axis=0, label_smoothing=smoothing)
    yield from loss("binary_cross_entropy", [a, part], with_logits=True)
    yield from loss("binary_cross_entropy", [part, mx.abs(signs), c], with_logits=False)
    for name in ("l1_loss", "mse_loss", "smooth_l1_loss", "huber_loss", "log_cosh_loss"):
        yield from loss(name, [a, b])
    yield from loss("smooth_l1_loss", [a, b], beta=0.5)
    yield from loss("huber_loss", [a, b], delta=0.3)
    yield from loss("nll_loss", [a, classes])
    yield from loss("nll_loss", [a, whole((7,), 5)], axis=0)
    yield from loss("kl_div_loss", [nn.log_softmax(a), nn.log_softmax(b)])
    for full in (True, False):
        yield from loss("gaussian_nll_loss", [a, b, c], full=full)
    for p in (1, 2, 3):
        yield from loss("triplet_loss", [a, b, c], p=p)
    yield from loss("hinge_loss", [a, signs])
    yield from loss("cosine_similarity_loss", [a, b])
    yield from loss("margin_ranking_loss", [a, b, signs], margin=0.3)
    for bad in ([a, x(7, 5)], [a, whole((4,), 7)]):
        yield from loss("mse_loss", bad)
        yield from loss("cross_entropy", bad)


# --- initialisers: MLX draws with the second half of the split of its state


def initialiser(name, shape, make, tolerance=None, keyed=True, **args):
    mx.random.seed(5)
    key = mx.random.split(mx.random.key(5))[1]

    def drawn():
        mx.random.seed(5)
        return make(mx.zeros(shape))

    return Case("init." + name, [key] if keyed else [], drawn, tolerance, shape=list(shape), **args)


def initialisers():
    init, shapes = nn.init, ((30, 20), (4, 3, 5), (2, 3, 4, 6))
    yield initialiser("constant", (3, 4), init.constant(0.5), keyed=False)
    yield initialiser("identity", (4, 4), init.identity(), keyed=False)
    yield initialiser("normal", (30, 20), init.normal(1.0, 0.5))
    yield initialiser("uniform", (30, 20), init.uniform(-1.0, 3.0))
    for shape in shapes:
        for gain in (1.0, 2.5):
            for name in ("glorot_normal", "glorot_uniform"):
                make = lambda a, f=getattr(init, name)(), g=gain: f(a, g)
                yield initialiser(name, shape, make, gain=gain)
            for name in ("he_normal", "he_uniform"):
                for mode in ("fan_in", "fan_out"):
                    make = lambda a, f=getattr(init, name)(), m=mode, g=gain: f(a, m, g)
                    yield initialiser(name, shape, make, gain=gain, mode=mode)
    for shape in ((8, 8), (5, 9), (9, 5)):
        yield initialiser("orthogonal", shape, init.orthogonal(1.5), 1e-3, gain=1.5)


# --- optimizers and schedules


def trained(parameters, data, optimizer, steps=20):
    w, b, k = parameters
    given, target = data
    p = {"w": w, "b": b, "k": k}

    def value(q):
        r = mx.tanh(given @ q["w"]) + q["b"] - target
        return mx.square(r).sum() + (mx.square(q["k"]) * mx.cos(q["k"])).sum()

    for _ in range(steps):
        p = optimizer.apply_gradients(mx.grad(value)(p), p)
        mx.eval(p, optimizer.state)
    state = dict(tree_flatten(optimizer.state))
    return [p["w"], p["b"], p["k"]] + [state[name] for name in sorted(state)]


def optimizer(name, make, tolerance=2e-4, **args):
    parameters = [x(6, 3), x(3), x(2, 3, 4)]
    data = [x(5, 6), x(5, 3)]
    return Case("optim." + name, parameters + data, lambda: trained(parameters, data, make()), tolerance, **args)


def optimizers():
    cosine = lambda: optim.cosine_decay(0.05, 15, 0.01)
    sgd = [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}]
    sgd += [{"momentum": 0.8, "dampening": 0.1, "weight_decay": 0.01}]
    for args in sgd:
        yield optimizer("SGD", lambda a=args: optim.SGD(0.02, **a), **args)
    for name in ("RMSprop", "Adagrad", "AdaDelta", "Adam", "Adamax"):
        of = getattr(optim, name)
        yield optimizer(name, lambda of=of: of(0.02))
        yield optimizer(name, lambda of=of: of(cosine()), schedule=True)
    yield optimizer("SGD", lambda: optim.SGD(cosine()), schedule=True)
    yield optimizer("Adam", lambda: optim.Adam(0.02, bias_correction=True), bias_correction=True)
    yield optimizer("AdamW", lambda: optim.AdamW(0.02, weight_decay=0.1))
    for decay in (0.0, 0.1):
        yield optimizer("Lion", lambda d=decay: optim.Lion(0.02, weight_decay=d), weight_decay=decay)
    yield optimizer("Adafactor", lambda: optim.Adafactor())
    yield optimizer("Adafactor", lambda: optim.Adafactor(warmup_init=True), warmup_init=True)
    args = {"weight_decay": 0.05, "beta_1": 0.9}
    yield optimizer("Adafactor", lambda: optim.Adafactor(**args), **args)
    fixed = lambda: optim.Adafactor(0.02, relative_step=False)
    yield optimizer("Adafactor", fixed, rate=0.02)
    for nesterov in (True, False):
        yield optimizer("Muon", lambda n=nesterov: optim.Muon(0.02, nesterov=n), 2e-3, nesterov=nesterov)
    both = lambda: optim.MultiOptimizer(
        [optim.Adam(0.02), optim.SGD(0.01, 0.9)], [lambda path, a: path == "w" and a.ndim == 2]
    )
    yield optimizer("MultiOptimizer", both)
    grads = [x(4, 3), x(5), x(2, 3, dtype="float16")]
    for most in (0.5, 1000.0):
        clip = lambda m=most: [*optim.clip_grad_norm(grads, m)[0], optim.clip_grad_norm(grads, m)[1]]
        yield Case("clip_grad_norm", grads, clip, max_norm=most)


def schedules():
    steps = mx.arange(50, dtype=mx.uint64)
    made = {
        "exponential_decay": optim.exponential_decay(0.1, 0.9),
        "step_decay": optim.step_decay(0.1, 0.5, 7),
        "cosine_decay": optim.cosine_decay(0.1, 30, 0.02),
        "linear_schedule": optim.linear_schedule(0, 0.1, 12),
        "join_schedules": optim.join_schedules(
            [optim.linear_schedule(0, 0.1, 10), optim.cosine_decay(0.1, 20)], [10]
        ),
    }
    for name, schedule in made.items():
        yield Case("schedule." + name, [steps], lambda s=schedule: s(steps), 1e-5)


def all_cases():
    mx.random.seed(1)
    for make in (linear_layers, norms, positions, recurrent, attention, pools, upsamplings):
        yield from make()
    for make in (activations, losses, initialisers, optimizers, schedules):
        yield from make()
