"""Keypoints to heatmaps and back: Gaussian targets, and the decoders that turn an output into points.

Points are continuous: pixel i covers [i, i + 1) and its centre is i + 0.5. An input of S pixels and its map of
s pixels cover the same picture, so a point on the map times S / s is the point on the input, and nothing is
added. Counting pixels by their index instead, the same rule reads x_S = (x_s + 0.5) S / s - 0.5; leaving out
its halves costs 2.1 pixels at 256 on maps of 64.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import conv2d

NUM_JOINTS = 21  # told again: records of networks alone need not hang on the code of hands


def gaussian_heatmaps(
    keypoints: Tensor, input_size: int, heatmap_size: int, radius: float | Tensor
) -> Tensor:
    """Return a Gaussian around each keypoint: [B, J, 2] in input pixels to [B, J, s, s] (Ignatiev 2019, eq. 3.8).

    ``radius`` is its standard deviation in heatmap pixels, r in exp(-d^2 / (2 r^2)): the equation as printed
    also allows d^2 r^2 / 2, under which a larger r would be a sharper target. The peak is 1 where a keypoint
    falls on a pixel's centre, and no pixel is more.
    """
    x, y = (keypoints * (heatmap_size / input_size)).unbind(-1)  # [B, J] each, in heatmap pixels
    centre = torch.arange(heatmap_size, device=keypoints.device, dtype=keypoints.dtype) + 0.5
    across = torch.exp(-((centre - x[..., None]) ** 2) / (2 * radius**2))  # [B, J, s]
    down = torch.exp(-((centre - y[..., None]) ** 2) / (2 * radius**2))
    return down[..., :, None] * across[..., None, :]  # [B, J, s, s]


def argmax(heatmaps: Tensor, input_size: int) -> Tensor:
    """Return the centre of the highest pixel: [B, J, s, s] to [B, J, 2] in input pixels.

    For points anywhere on the map this is off by 0.38 heatmap pixels in the mean, 1.5 pixels at 256 on maps of 64.
    """
    x, y = _highest(heatmaps)
    return torch.stack([x, y], dim=-1).add(0.5) * (input_size / heatmaps.shape[-1])


def soft_argmax(heatmaps: Tensor, input_size: int, window: int = 11) -> Tensor:
    """Return the centre of mass near the highest pixel: non-negative [B, J, s, s] to [B, J, 2] in input pixels.

    Only the ``window`` x ``window`` pixels around the highest one count, so that a second, lower peak or the
    map's background does not draw the point towards it. The default is wide enough for a radius of 2.
    """
    size = heatmaps.shape[-1]
    pixel = torch.arange(size, device=heatmaps.device)
    x, y = _highest(heatmaps)
    near_x, near_y = ((pixel - v[..., None]).abs() <= window // 2 for v in (x, y))  # [B, J, s]
    mass = heatmaps * near_y[..., :, None] * near_x[..., None, :]
    total = mass.sum(dim=(-2, -1)).clamp(min=torch.finfo(mass.dtype).tiny)
    centre = pixel + 0.5
    point = torch.stack([(mass.sum(-2) * centre).sum(-1), (mass.sum(-1) * centre).sum(-1)], dim=-1)
    return point / total[..., None] * (input_size / size)


def dark(heatmaps: Tensor, input_size: int, smoothing: float = 1 / 32) -> Tensor:
    """Return the top of the parabola through the logarithm: [B, J, s, s] to [B, J, 2] in input pixels.

    DARK (Zhang et al. 2020, "Distribution-aware coordinate representation"). The maps are first smoothed by a
    Gaussian, since a trained network's peaks are rough: ``smoothing`` is its width in parts of the map's side, by
    default 2 pixels of 64, like the targets (0: none). The logarithm of a Gaussian is a parabola, so one Newton
    step from the highest pixel finds its centre; at the border the step starts one pixel inside. Where there is
    no peak (a flat map, a saddle) the highest pixel's own centre is returned. Within 3 pixels of 64 of the border
    smoothing draws a point inwards, by 2 at most.
    """
    size = heatmaps.shape[-1]
    heatmaps = _smooth(heatmaps, smoothing * size) if smoothing else heatmaps
    x, y = _highest(heatmaps)
    start_x, start_y = x.clamp(1, size - 2), y.clamp(1, size - 2)
    log = heatmaps.clamp(min=1e-10).log().flatten(2)  # [B, J, s * s]

    def at(dx: int, dy: int) -> Tensor:
        return log.gather(2, ((start_y + dy) * size + start_x + dx)[..., None]).squeeze(2)

    gx, gy = (at(1, 0) - at(-1, 0)) / 2, (at(0, 1) - at(0, -1)) / 2
    hxx, hyy = at(1, 0) - 2 * at(0, 0) + at(-1, 0), at(0, 1) - 2 * at(0, 0) + at(0, -1)
    hxy = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / 4
    determinant = hxx * hyy - hxy**2
    safe = determinant.where(determinant.abs() > 1e-12, torch.ones_like(determinant))
    step_x, step_y = (hxy * gy - hyy * gx) / safe, (hxy * gx - hxx * gy) / safe
    peak_x, peak_y = start_x + step_x, start_y + step_y
    found = (determinant > 1e-12) & (hxx < 0) & ((peak_x - x).abs() <= 1) & ((peak_y - y).abs() <= 1)
    peak = torch.stack([peak_x.where(found, x.to(log.dtype)), peak_y.where(found, y.to(log.dtype))], dim=-1)
    return (peak + 0.5) * (input_size / size)


def decode_stages(stages: Tensor, input_size: int) -> Tensor:
    """Return the points of the last stage by DARK: [B, stages, C, s, s] to [B, 21, 2] in input pixels.

    Tishchenko and Vänskä 2018, section 3.3, enlarge the maps bicubically and take the highest pixel, which is off
    by 0.38 pixels of the input at the least; here every network that draws maps is read alike. A channel for the
    background is passed over.
    """
    return dark(stages[:, -1, :NUM_JOINTS].float(), input_size)


def decode_coordinates(coordinates: Tensor, input_size: int) -> Tensor:
    """Return [B, 21, 2] in input pixels from coordinates in parts of the input's side."""
    return coordinates * input_size


def decode_bins(logits: Tensor, input_size: int) -> Tensor:
    """Return the centre of the likeliest bin of each coordinate: [B, 21, 2, bins] to [B, 21, 2] in input pixels."""
    return (logits.argmax(dim=-1) + 0.5) * (input_size / logits.shape[-1])


# From a network's output to points, by the network's attribute ``output``. Heatmaps are logits, and their loss says
# how to read them: ``dark`` of `spatial_softmax` after the spatial cross entropy, of logits.sigmoid() after others.
DECODERS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "stages": decode_stages,
    "coordinates": decode_coordinates,
    "bins": decode_bins,
}


def spatial_softmax(logits: Tensor) -> Tensor:
    """Return each map as a distribution over its pixels: [B, J, s, s] to the same shape, sum 1."""
    return logits.float().flatten(2).softmax(dim=-1).view_as(logits)


def _smooth(heatmaps: Tensor, sigma: float) -> Tensor:
    """Return the maps convolved with a Gaussian of ``sigma`` pixels; there is nothing beyond their borders."""
    reach = round(3 * sigma)
    kernel = torch.exp(-(torch.arange(-reach, reach + 1, device=heatmaps.device) ** 2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).to(heatmaps.dtype)
    across = conv2d(heatmaps.flatten(0, 1)[:, None], kernel[None, None, None, :], padding=(0, reach))
    return conv2d(across, kernel[None, None, :, None], padding=(reach, 0)).view_as(heatmaps)


def _highest(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """Return column and row of the highest pixel of square maps [B, J, s, s]: two [B, J] of int64."""
    if heatmaps.ndim != 4 or heatmaps.shape[-1] != heatmaps.shape[-2]:
        raise ValueError(f"heatmaps are [B, J, s, s], square; got {tuple(heatmaps.shape)}")
    index = heatmaps.flatten(2).argmax(dim=-1)
    return index % heatmaps.shape[-1], index // heatmaps.shape[-1]
