"""Posed hands to pixels: skin points follow the bones, fall into a depth buffer, and leave what lies in front.

Drawing points instead of triangles keeps everything in a few batched torch operations, the same on CPU and
CUDA: one matrix product poses all points, one scatter with `amin` finds the nearest point of each pixel.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from thesislib.synthetic.hand_surface import HandSurface

_EMPTY = (1 << 62) - 1
_DEPTH_STEP = 2.0**-14  # hand units; what the depth buffer can tell apart


@dataclass(frozen=True)
class Camera:
    """A camera for each of B hands: rotation [B, 3, 3] from the hand frame to camera axes (x right, y up, z to
    the viewer), centre [B, 3] in the hand frame (what it looks at), distance [B] in hand units, and the crop
    in that picture: corner [B, 2] and side [B], all in hand units at the centre's distance, y down."""

    rotation: Tensor
    centre: Tensor
    distance: Tensor
    corner: Tensor
    side: Tensor

    def __getitem__(self, rows: Tensor) -> "Camera":
        """Return the cameras of some rows."""
        return Camera(**{name: values[rows] for name, values in vars(self).items()})

    def view(self, points: Tensor) -> Tensor:
        """Turn points [B, N, 3] of the hand frame into camera axes with the centre at the origin."""
        return (points - self.centre[:, None]) @ self.rotation.mT

    def project(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return crop coordinates [B, N, 2], 0 to 1 inside the crop, y down, and heights z [B, N]."""
        seen = self.view(points)
        return self.crop(seen[..., :2] * self.magnify(seen[..., 2])[..., None]), seen[..., 2]

    def magnify(self, height: Tensor) -> Tensor:
        """Return how much larger than at the centre things at this height [B, N] look."""
        return self.distance[:, None] / (self.distance[:, None] - height)

    def crop(self, flat: Tensor) -> Tensor:
        """Turn picture coordinates [B, N, 2], y up, into crop coordinates."""
        flip = torch.tensor([1.0, -1.0], device=flat.device)
        return (flat * flip - self.corner[:, None]) / self.side[:, None, None]


@dataclass(frozen=True)
class Buffers:
    """What a picture of R x R pixels shows: point int64 [B, R, R], the nearest point of the surface (0 where
    there is none), mask bool [B, R, R], depth float32 [B, R, R], the height z towards the viewer."""

    point: Tensor
    mask: Tensor
    depth: Tensor


def rasterise(surface: HandSurface, maps: Tensor, camera: Camera, resolution: int) -> Buffers:
    """Draw posed surfaces into depth buffers of resolution x resolution pixels; maps [B, NUM_BONES, 3, 4]."""
    count, edge = (
        len(maps),
        resolution + 4,
    )  # a pixel more on each side to close gaps, and one for what is outside
    places = _to_pixels(maps, camera, resolution)
    # x = sum over bones of weight * (linear @ rest + offset), written as one product with what never changes
    x, y, away = (places.flatten(2).transpose(0, 1).flatten(0, 1) @ surface.binding).unflatten(0, (3, count))
    nearer = away.reciprocal()
    column = x.mul_(nearer).clamp_(-2, resolution + 1).add_(2).floor_()
    row = y.mul_(nearer).clamp_(-2, resolution + 1).add_(2).floor_()
    place = row.mul_(edge).add_(column).to(torch.int64)
    points = torch.arange(place.shape[1], device=place.device)
    key = (
        away.mul_(1 / _DEPTH_STEP).to(torch.int64).bitwise_left_shift_(24).add_(points)
    )  # its number breaks ties
    buffer = torch.full((count, edge * edge), _EMPTY, device=place.device)
    buffer = buffer.scatter_reduce_(1, place, key, "amin").unflatten(1, (edge, edge))[:, 1:-1, 1:-1]
    buffer = _close(buffer)
    mask = buffer != _EMPTY
    depth = camera.distance[:, None, None] - (buffer >> 24).float() * _DEPTH_STEP
    return Buffers(torch.where(mask, buffer & 0xFFFFFF, 0), mask, torch.where(mask, depth, 0.0))


def _to_pixels(maps: Tensor, camera: Camera, resolution: int) -> Tensor:
    """Return [B, 3, NUM_BONES, 4]: maps from the resting hand to (column * w, row * w, w), w the distance from the
    camera: perspective is linear until it divides."""
    to_view = camera.rotation[:, None] @ maps  # [B, NUM_BONES, 3, 4]
    shift = (camera.rotation @ camera.centre[..., None])[:, None, :, 0]  # [B, 1, 3]
    x, y, z = (to_view - F.pad(shift[..., None], (3, 0))).unbind(2)  # [B, NUM_BONES, 4] each
    one = torch.tensor([0.0, 0.0, 0.0, 1.0], device=maps.device)
    scale = (resolution / camera.side)[:, None, None]
    away = camera.distance[:, None, None] * one - z
    left, top = (camera.corner[:, None, None] * scale[..., None]).unbind(-1)
    zoom = scale * camera.distance[:, None, None]
    return torch.stack([zoom * x - left * away, -zoom * y - top * away, away], dim=1)


def _close(buffer: Tensor) -> Tensor:
    """Fill gaps of one pixel, [B, R + 2, R + 2] to [B, R, R]: where all 2 x 2 windows over a pixel hold something
    nearer, take the farthest of their nearest (a morphological closing of the surface)."""
    rows = torch.minimum(buffer[:, :-1], buffer[:, 1:])
    near = torch.minimum(rows[:, :, :-1], rows[:, :, 1:])  # [B, R + 1, R + 1]
    rows = torch.maximum(near[:, :-1], near[:, 1:])
    return torch.maximum(rows[:, :, :-1], rows[:, :, 1:])
