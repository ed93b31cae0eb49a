"""What nn_test.py calls of mlx.nn and mlx.optimizers, and why not the rest."""

import mlx.nn as nn
import mlx.optimizers as optim

from function_coverage import Coverage

# A name that is called all the same fails the test, and so does one that MLX does not have.
NOT_CALLED = [
    (
        "needs several processes, see tests/distributed",
        "AllToShardedLinear QuantizedAllToShardedLinear QuantizedShardedToAllLinear"
        " ShardedToAllLinear average_gradients",
    ),
    ("each rank has all parameters, or divides layers", "FullyShardedModule fully_shard"),
    ("what all layers and optimizers are derived from", "Module optimizers.Optimizer"),
]


def here(module):
    """Functions that a module defines, not those it imports."""
    return lambda f: getattr(f, "__module__", "").startswith(module.__name__)


def covered():
    """Layers note that they were called, functions too, optimizers that they made a step."""
    coverage = Coverage()
    coverage.functions(nn)
    coverage.functions(nn.losses, "losses.", only=here(nn.losses))
    coverage.functions(nn.init, "init.", of_result=True, only=here(nn.init))
    for name, value in list(vars(nn).items()):
        if isinstance(value, type) and issubclass(value, nn.Module):
            coverage.class_calls(value, "__call__", name)
    for name, value in list(vars(optim).items()):
        if isinstance(value, type) and issubclass(value, optim.Optimizer):
            coverage.class_calls(value, "apply_gradients", "optimizers." + name)
    schedules = optim.schedulers
    for name, value in list(vars(schedules).items()):
        if callable(value) and here(schedules)(value):
            coverage.expose(optim, name, "optimizers." + name, of_result=True)
    coverage.expose(optim, "clip_grad_norm", "optimizers.clip_grad_norm")
    return coverage
