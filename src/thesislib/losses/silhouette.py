"""How far a projected mesh and the silhouette of a hand in a picture are apart, both ways.

Omran et al. 2018, whom Komorowicz 2018 (section 8.1) wants to follow, found silhouettes to say most about shape. No
picture of the mesh is drawn: vertices outside the silhouette pay their distance to it, which is looked up in a
map made once, and points of its outline pay the distance to the nearest vertex.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import binary_erosion, distance_transform_edt
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, grid_sample

_WRIST, _KNUCKLE = 0, 9  # keypoints: the hand's long axis


@dataclass(frozen=True)
class Silhouettes:
    """What the loss needs of N silhouettes, in normalised picture coordinates (-1 to 1 from edge to edge, y down).

    distance: float16 [N, s, s], of the middle of each cell to the silhouette, 0 inside; outline: float32 [N, P, 2],
    points of it. Both are NaN where a hand's silhouette is not known.
    """

    distance: Tensor
    outline: Tensor

    @property
    def known(self) -> Tensor:
        """Whose silhouette is known, bool [N]."""
        return torch.isfinite(self.outline[:, 0, 0])

    def __getitem__(self, rows: Tensor | slice) -> "Silhouettes":
        """Return the silhouettes of some rows."""
        return Silhouettes(self.distance[rows], self.outline[rows])

    def to(self, device: torch.device | str) -> "Silhouettes":
        """Return the silhouettes on a device."""
        return Silhouettes(self.distance.to(device), self.outline.to(device))


def silhouettes(mask: Tensor, keypoints: Tensor, *, side: int = 64, points: int = 64) -> Silhouettes:
    """Prepare masks, bool [N, S, S]; keypoints [N, 21, 2] are in normalised picture coordinates.

    Outlines leave out the forearm, which the mesh lacks: all points behind a line through the wrist across the
    hand; and what the picture's own edge cuts. A mask without such points counts as unknown.
    """
    if mask.dtype != torch.bool or mask.ndim != 3 or keypoints.shape != (len(mask), 21, 2):
        raise ValueError(
            f"masks are bool [N, S, S] and keypoints [N, 21, 2], got {mask.dtype} {list(mask.shape)} and "
            f"{list(keypoints.shape)}"
        )
    size = mask.shape[-1]
    distance = torch.full((len(mask), side, side), torch.nan, dtype=torch.float16)
    outline = torch.full((len(mask), points, 2), torch.nan)
    masks, hands = mask.cpu().numpy(), keypoints.cpu().double().numpy()
    for row, (inside, places) in enumerate(zip(masks, hands, strict=True)):
        edge = inside & ~binary_erosion(inside, border_value=1)
        place = 2 * (np.argwhere(edge)[:, ::-1] + 0.5) / size - 1  # [E, 2], x and y
        forward = (place - places[_WRIST]) @ (places[_KNUCKLE] - places[_WRIST]) > 0
        place = place[forward]
        if len(place) == 0:
            continue
        pixels = (distance_transform_edt(~inside) - 0.5).clip(min=0)  # to a pixel's edge, not its middle
        whole = torch.from_numpy(2 * pixels / size)[None]
        distance[row] = adaptive_avg_pool2d(whole, side)[0].half()
        evenly = np.linspace(0, len(place) - 1, points).round().astype(int)  # in all rows of the mask
        outline[row] = torch.from_numpy(place[evenly]).float()
    return Silhouettes(distance, outline)


def silhouette_term(vertices: Tensor, silhouettes: Silhouettes) -> Tensor:
    """Return how far projected vertices [T, B, V, 2] and B silhouettes, all known, are apart.

    The mean distance of vertices to the silhouette plus that of its outline to the nearest vertex, in normalised
    picture coordinates. What lies beyond the picture pays as if at its edge: behind it nothing is known.
    """
    places = vertices.transpose(0, 1).flatten(1, 2)[:, None]  # [B, 1, T V, 2]
    maps = silhouettes.distance.float()[:, None]  # [B, 1, s, s]
    outside = grid_sample(maps, places, padding_mode="border", align_corners=False)
    missed = torch.stack([_to_nearest(silhouettes.outline, step) for step in vertices])  # [T, B, P]
    return outside.mean() + missed.mean()


def _to_nearest(points: Tensor, vertices: Tensor) -> Tensor:
    """Return the distance of points [B, P, 2] to the nearest of vertices [B, V, 2]: [B, P]."""
    with torch.no_grad():  # which is nearest has no gradient
        nearest = torch.cdist(points, vertices).min(dim=-1).indices  # four times as fast as argmin
    return torch.linalg.vector_norm(points - vertices.gather(1, nearest[..., None].expand_as(points)), dim=-1)
