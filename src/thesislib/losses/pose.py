"""Losses for joint positions; each makes its own target from keypoints, so that one fit() trains them all.

``targets`` is [B, J, 3] throughout: x and y in pixels of the network's input, and 1 for a keypoint that counts or
0 for one that does not. A loss is the mean over the keypoints that count; without any it is 0. ``input_size`` is
the side of the network's input in pixels.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    l1_loss,
    log_softmax,
    mse_loss,
    smooth_l1_loss,
)

from thesislib.heatmaps import gaussian_heatmaps


class HeatmapLoss(nn.Module):
    """Squared error or cross entropy of each pixel (Ignatiev 2019, eqs 3.9 and 3.10): logits [B, J, s, s].

    The mean over a map is multiplied by s^2 / (pi r^2), the pixels of a map over those of a peak: then a network
    that says zero everywhere has a squared error near 1, whatever the size and the radius; as printed, 0.0031 at
    64 pixels and r = 2, and the loss is flat. ``radius`` is in heatmap pixels. With ``last_radius`` it shrinks
    geometrically to that over ``shrink_steps`` training steps (section 3.1.3); the count is kept with the weights.
    """

    def __init__(
        self,
        input_size: int,
        *,
        kind: Literal["l2", "cross_entropy"] = "l2",
        radius: float = 2.0,
        last_radius: float | None = None,
        shrink_steps: int = 1000,
    ) -> None:
        super().__init__()
        self.input_size, self.kind, self.shrink_steps = input_size, kind, shrink_steps
        self.first_radius, self.last_radius = radius, radius if last_radius is None else last_radius
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def radius(self) -> Tensor:
        """Return the radius of the next step's targets, in heatmap pixels."""
        progress = (self.steps / self.shrink_steps).clamp(max=1)
        return self.first_radius * (self.last_radius / self.first_radius) ** progress

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        _check(logits, targets)
        logits, radius, size = logits.float(), self.radius(), logits.shape[-1]
        heat = gaussian_heatmaps(targets[..., :2], self.input_size, size, radius)
        if self.kind == "l2":
            loss = mse_loss(logits.sigmoid(), heat, reduction="none")
        else:
            loss = binary_cross_entropy_with_logits(logits, heat, reduction="none")
        if self.training and torch.is_grad_enabled():
            self.steps += 1
        peak = math.pi * radius**2
        return _mean_that_counts(loss.sum(dim=(-2, -1)) / peak, targets)


class SpatialCrossEntropy(nn.Module):
    """Cross entropy of each map, read as a distribution over its pixels, with a Gaussian one: logits [B, J, s, s].

    The target is eq. 3.8 of Ignatiev 2019 divided by its sum, ``radius`` in heatmap pixels. No pixel need be
    weighed against another: where the joint is competes with everywhere else.
    """

    def __init__(self, input_size: int, *, radius: float = 2.0) -> None:
        super().__init__()
        self.input_size, self.radius = input_size, radius

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        _check(logits, targets)
        size = logits.shape[-1]
        points = targets[..., :2] * (size / self.input_size)  # in heatmap pixels
        along = _gaussian_distribution(points, size, self.radius)  # [B, J, 2, s]
        target = along[:, :, 1, :, None] * along[:, :, 0, None, :]  # [B, J, s, s]
        log_probability = log_softmax(logits.float().flatten(2), dim=-1)
        return _mean_that_counts(-(target.flatten(2) * log_probability).sum(-1), targets)


class StagesLoss(nn.Module):
    """Squared error of the maps of every stage, summed over stages: [B, stages, J or J + 1, s, s], no activation.

    Intermediate supervision of the pose machine (Tishchenko and Vänskä 2018, section 3.3; Wei et al. 2016), whose
    gradient would fade on the way through all stages. A channel more than there are joints is the background, 1
    less the highest joint; it counts as one more joint. Divided by the area of a peak as in HeatmapLoss.
    """

    def __init__(self, input_size: int, *, radius: float = 1.0) -> None:
        super().__init__()
        self.input_size, self.radius = input_size, radius

    def forward(self, stages: Tensor, targets: Tensor) -> Tensor:
        joints = targets.shape[1]
        _check(stages[:, 0, :joints], targets)
        heat = gaussian_heatmaps(targets[..., :2], self.input_size, stages.shape[-1], self.radius)
        if stages.shape[2] == joints + 1:
            counted = heat * targets[..., 2, None, None]
            background = 1 - counted.amax(dim=1, keepdim=True)
            heat = torch.cat([heat, background], dim=1)
            targets = torch.cat([targets, torch.ones_like(targets[:, :1])], dim=1)
        error = (stages.float() - heat[:, None]).square().sum(dim=(-2, -1))  # [B, stages, J + 1]
        return _mean_that_counts(error.sum(dim=1) / (math.pi * self.radius**2), targets)


class CoordinateLoss(nn.Module):
    """Error of coordinates [B, J, 2] in parts of the input's side, the mean of x and y.

    ``kind`` 'l2' is squared (Tishchenko and Vänskä 2018, section 3.2), 'l1' absolute, 'smooth_l1' squared below a
    fortieth of the side and absolute above.
    """

    def __init__(self, input_size: int, *, kind: Literal["l2", "l1", "smooth_l1"] = "l2") -> None:
        super().__init__()
        self.input_size, self.kind = input_size, kind

    def forward(self, coordinates: Tensor, targets: Tensor) -> Tensor:
        _check(coordinates, targets)
        coordinates, truth = coordinates.float(), targets[..., :2] / self.input_size
        if self.kind == "l2":
            loss = mse_loss(coordinates, truth, reduction="none")
        elif self.kind == "l1":
            loss = l1_loss(coordinates, truth, reduction="none")
        else:
            loss = smooth_l1_loss(coordinates, truth, reduction="none", beta=1 / 40)
        return _mean_that_counts(loss.mean(dim=-1), targets)


class BinsLoss(nn.Module):
    """Cross entropy of the bins of each coordinate with a Gaussian over them (SimCC, Li et al. 2022).

    Logits are [B, J, 2, bins]; ``radius`` is the Gaussian's standard deviation in pixels of the input.
    """

    def __init__(self, input_size: int, *, radius: float = 1.0) -> None:
        super().__init__()
        self.input_size, self.radius = input_size, radius

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        _check(logits, targets)
        bins = logits.shape[-1]
        scale = bins / self.input_size
        target = _gaussian_distribution(
            targets[..., :2] * scale, bins, self.radius * scale
        )  # [B, J, 2, bins]
        cross_entropy = -(target * log_softmax(logits.float(), dim=-1)).sum(-1)
        return _mean_that_counts(cross_entropy.mean(dim=-1), targets)


def _gaussian_distribution(points: Tensor, size: int, radius: float) -> Tensor:
    """Return a Gaussian over ``size`` cells around each number of ``points`` [...], sum 1: [..., size]."""
    centre = torch.arange(size, device=points.device, dtype=points.dtype) + 0.5
    return torch.softmax(-((centre - points[..., None]) ** 2) / (2 * radius**2), dim=-1)


def _mean_that_counts(loss: Tensor, targets: Tensor) -> Tensor:
    counts = targets[..., 2]
    return (loss * counts).sum() / counts.sum().clamp(min=1)


def _check(output: Tensor, targets: Tensor) -> None:
    if targets.ndim != 3 or targets.shape[-1] != 3 or output.shape[:2] != targets.shape[:2]:
        raise ValueError(
            f"targets are [B, J, 3]: x, y in input pixels and 1 or 0 for what counts; got {tuple(targets.shape)} "
            f"for an output of {tuple(output.shape)}"
        )
