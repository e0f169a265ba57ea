"""The layer and shape table of a network, measured by running it."""

import math

import pandas as pd
import torch
from torch import nn


def layer_table(network: nn.Module, input_shape: tuple[int, ...], depth: int = 2) -> pd.DataFrame:
    """Return one row a part of the network, down to ``depth`` levels: output shape, parameters, multiply-adds.

    ``input_shape`` is that of one input without the batch, (1, 28, 28) say. Multiply-adds count convolutions
    and linear layers. A last row holds the totals.
    """
    multiply_adds: dict[nn.Module, int] = {}
    shapes: dict[nn.Module, tuple[int, ...]] = {}

    def note(module: nn.Module, _inputs: tuple, output: torch.Tensor) -> None:
        shapes[module] = tuple(output.shape[1:])
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            positions = math.prod(shapes[module][1:]) if module.weight.ndim > 2 else 1
            if isinstance(module, nn.ConvTranspose2d):  # each input position meets the whole kernel
                positions = math.prod(_inputs[0].shape[2:])
            multiply_adds[module] = module.weight.numel() * positions

    hooks = [module.register_forward_hook(note) for module in network.modules()]
    was_training = network.training
    network.eval()
    with torch.inference_mode():
        network(torch.zeros(2, *input_shape, device=next(network.parameters()).device))
    network.train(was_training)
    for hook in hooks:
        hook.remove()

    def row(layer: str, module: nn.Module) -> dict[str, object]:
        return {
            "layer": layer,
            "output": " x ".join(map(str, shapes[module])),
            "parameters": sum(p.numel() for p in module.parameters()),
            "multiply-adds": sum(multiply_adds.get(part, 0) for part in module.modules()),
        }

    rows = [row(name, module) for name, module in _parts(network, depth) if module in shapes]
    return pd.DataFrame([*rows, row("total", network)])


def _parts(module: nn.Module, depth: int, prefix: str = "") -> list[tuple[str, nn.Module]]:
    """Return the named parts that are leaves at this depth: a part's own children replace it."""
    parts = []
    for name, child in module.named_children():
        label = f"{prefix}{name}"
        opens = isinstance(child, nn.Sequential) or not type(child).__module__.startswith("torch")
        if depth > 1 and opens and list(child.children()) and type(child).__name__ not in _WHOLE:
            parts += _parts(child, depth if isinstance(child, nn.Sequential) else depth - 1, f"{label}.")
        else:
            parts.append((f"{label} {type(child).__name__}", child))
    return parts


_WHOLE = ("InvertedResidual", "LinearDualPath")  # a block is one row, as in the thesis's figures
