"""The cases of nn_test.py: inputs, arguments and what mlx.nn and mlx.optimizers make of them."""

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten

from mlx_cases import Case, draw
from nn_layer_cases import dropouts, layer, layer_cases, quantized_model, rounded_inputs
from nn_layer_cases import whole, with_value_and_grad, x

# --- activations

ACTIVATIONS = """
sigmoid relu relu2 relu6 leaky_relu log_softmax elu softmax softmin softplus softsign softshrink
celu silu log_sigmoid gelu gelu_approx gelu_fast_approx glu step selu mish hardswish hard_tanh
hard_shrink tanh
""".split()
CLASSES = """
Sigmoid Mish ReLU ReLU2 ReLU6 Softmax Softplus Softsign SiLU LogSoftmax LogSigmoid Tanh Hardswish
SELU HardTanh Softmin GLU LeakyReLU ELU CELU Softshrink HardShrink Step PReLU
""".split()
SETTINGS = {"leaky_relu": 0.2, "elu": 1.7, "softshrink": 0.8, "celu": 1.3, "step": 0.5}
SETTINGS["hard_shrink"] = 1


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
    yield Case("act.prelu", [given, slopes], lambda g=given: nn.prelu(g, slopes))
    yield Case("act.hard_tanh", [given], lambda g=given: nn.hard_tanh(g, -2, 0.5), a=-2, b=0.5)
    for name in CLASSES:
        given = draw((6, 8), "float32", -7, 7)
        yield layer(name, getattr(nn, name)(), [given], grad=name != "Step")
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
    for sparsity in (0.0, 0.3, 1.0):
        # MLX draws twice from its state: what can be compared is the zeros of each row.
        make = lambda a, s=sparsity: (init.sparse(s)(a) == 0).sum(1)
        yield initialiser("sparse", (9, 7), make, sparsity=sparsity)
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
    call = lambda: trained(parameters, data, make())
    return Case("optim." + name, parameters + data, call, tolerance, **args)


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
        make = lambda d=decay: optim.Lion(0.02, weight_decay=d)
        yield optimizer("Lion", make, weight_decay=decay)
    yield optimizer("Adafactor", lambda: optim.Adafactor())
    yield optimizer("Adafactor", lambda: optim.Adafactor(warmup_init=True), warmup_init=True)
    args = {"weight_decay": 0.05, "beta_1": 0.9}
    yield optimizer("Adafactor", lambda: optim.Adafactor(**args), **args)
    fixed = lambda: optim.Adafactor(0.02, relative_step=False)
    yield optimizer("Adafactor", fixed, rate=0.02)
    for nesterov in (True, False):
        make = lambda n=nesterov: optim.Muon(0.02, nesterov=n)
        yield optimizer("Muon", make, 2e-3, nesterov=nesterov)
    both = lambda: optim.MultiOptimizer(
        [optim.Adam(0.02), optim.SGD(0.01, 0.9)], [lambda path, a: path == "w" and a.ndim == 2]
    )
    yield optimizer("MultiOptimizer", both)
    grads = [x(4, 3), x(5), x(2, 3, dtype="float16")]
    for most in (0.5, 1000.0):
        yield Case("clip_grad_norm", grads, lambda m=most: clipped(grads, m), max_norm=most)


def clipped(grads, most):
    scaled, norm = optim.clip_grad_norm(grads, most)
    return [*scaled, norm]


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
    yield from layer_cases()
    for make in (activations, losses, initialisers, optimizers, schedules):
        yield from make()
    for make in (rounded_inputs, quantized_model, with_value_and_grad, dropouts):
        yield from make()
