"""Random numbers at a fixed place: a draw depends on its key alone, not on batch mates, order or device.

A key is a whole number folded from what names a thing (a seed, an index, a purpose). Each key opens its own
sequence, read by counting (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"). The mixing
function is the finaliser of SplitMix64 (Steele et al. 2014); integer arithmetic is exact on every device.
"""

import math

import torch
from torch import Tensor

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as int64
_FIRST = -4658895280553007687  # 0xBF58476D1CE4E5B9
_SECOND = -7723592293110705685  # 0x94D049BB133111EB


def fold(*words: Tensor | int) -> Tensor:
    """Fold whole numbers (int64 tensors that broadcast, or ints) into one int64 key; order matters."""
    device = next((word.device for word in words if isinstance(word, Tensor)), None)
    key = torch.zeros((), dtype=torch.int64, device=device)
    for word in words:
        if not isinstance(word, Tensor):
            word = torch.tensor(word, dtype=torch.int64, device=device)
        elif word.dtype.is_floating_point:
            raise TypeError(f"keys are whole numbers, got a tensor of {word.dtype}")
        key = _mix(key + _GOLDEN + _mix(word.long() * _GOLDEN + 1))
    return key


def uniform(key: Tensor, count: int) -> Tensor:
    """Draw float32 [*key.shape, count] between 0 and 1, both excluded."""
    step = torch.arange(1, count + 1, device=key.device)
    bits = (_mix(key[..., None] + step * _GOLDEN) >> 41) & 0x7FFFFF  # 23 bits: the middles fit float32
    return (bits.float() + 0.5) / 2**23


def normal(key: Tensor, count: int) -> Tensor:
    """Draw float32 [*key.shape, count] from the standard normal distribution (Box and Muller 1958)."""
    radius, turn = uniform(key, 2 * count).unflatten(-1, (count, 2)).unbind(-1)
    return torch.sqrt(-2 * radius.log()) * torch.cos(2 * math.pi * turn)


def whole(key: Tensor, below: int) -> Tensor:
    """Draw int64 [*key.shape] from 0 to below - 1, each as likely."""
    return (uniform(key, 1)[..., 0].double() * below).long()


def _mix(z: Tensor) -> Tensor:
    z = (z ^ _shift(z, 30)) * _FIRST
    z = (z ^ _shift(z, 27)) * _SECOND
    return z ^ _shift(z, 31)


def _shift(z: Tensor, bits: int) -> Tensor:
    """Shift right and fill with zeros; torch's own shift repeats the sign."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)
