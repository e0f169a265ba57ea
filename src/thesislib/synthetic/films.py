"""A film of one hand: background, light, sleeve and camera stay, the hand moves, and each frame has its own grain.

What `picture.picture` is for a single picture, this is for frames that share a room. The background is drawn once
a room, and a hand that is small in the picture needs fewer points of skin: frames take half the time.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from thesislib.synthetic import degrade
from thesislib.synthetic.backgrounds import draw_background
from thesislib.synthetic.bones import bone_maps
from thesislib.synthetic.draws import fold, normal, uniform
from thesislib.synthetic.hand import Anatomy, pose
from thesislib.synthetic.hand_surface import hand_surface
from thesislib.synthetic.lighting import draw_light, occlusion
from thesislib.synthetic.picture import _FAR_WALL, _develop, _draw_arm, _shade_hand, _visible
from thesislib.synthetic.render import Camera, rasterise
from thesislib.synthetic.scene import Difficulty
from thesislib.synthetic.sign_parts import palm

LEAST_SIDE = 3.1  # width of the picture in hand units: a hand, and room to move
_SPACING = 0.65  # pixels between points of skin where the picture is narrowest; the hand may come nearer
_ROOM, _FILM = 131, 132  # purposes of the draws


@dataclass(frozen=True)
class Room:
    """Where B frames are filmed: key int64 [B], what background, light, sleeve and film are drawn from; distance
    [B] of the camera and side [B], the width of its picture, in hand units; aim [B, 2], what it looks at."""

    key: Tensor
    distance: Tensor
    side: Tensor
    aim: Tensor


def draw_room(key: Tensor) -> Room:
    """Draw rooms, key int64 [B]: the same key is the same room."""
    u, z = uniform(fold(_ROOM, key), 2), normal(fold(_ROOM, key, 1), 2).clamp(-2, 2)
    return Room(
        key=key,
        distance=6.5 + 4.5 * u[:, 0] ** 2,
        side=LEAST_SIDE * (1 + 0.15 * u[:, 1]),
        aim=torch.tensor([0.0, 0.25], device=key.device) + 0.06 * z,
    )


def film(
    anatomy: Anatomy,
    signer: Tensor,
    angles: Tensor,
    orientation: Tensor,
    place: Tensor,
    room: Room,
    grain: Tensor,
    *,
    size: int,
    supersample: int,
    difficulty: Difficulty,
) -> dict[str, Tensor]:
    """Draw B frames of right hands and label them.

    signer: int64 [B], whose skin it is; angles: [B, 21] degrees; orientation: [B, 3, 3], hand frame to camera
    axes; place: [B, 3], where the palm is, hand units, camera axes; grain: int64 [B], a key of each frame.

    Returns image float32 [B, 3, size, size] from 0 to 1; keypoints [B, 21, 2] in pixels; visible bool [B, 21];
    joints [B, 21, 3] in camera axes from the wrist.
    """
    posed = pose(anatomy, angles)
    centre = palm(posed.joints)[:, 0] - (place[:, None] @ orientation)[:, 0]
    camera = Camera(orientation, centre, room.distance, _corner(room), room.side)
    maps = bone_maps(anatomy, posed, *_draw_arm(room.key, orientation))
    raster = size * supersample
    surface = hand_surface(_SPACING * LEAST_SIDE / raster, str(angles.device))
    buffers = rasterise(surface, maps, camera, raster)

    alpha = degrade.average_down(buffers.mask.float(), supersample)
    depth = degrade.average_down(buffers.depth * buffers.mask, supersample) / alpha.clamp(min=1e-3)
    light = draw_light(room.key)
    lit, exposed = occlusion(depth, alpha > 0.5, torch.full_like(room.side, _FAR_WALL), light, room.side)
    table = surface.table.index_select(0, buffers.point.flatten()).unflatten(0, (len(maps), -1))
    hand = _shade_hand(table, maps, camera, light, lit, exposed, signer, room.key)
    hand = (hand * buffers.mask.flatten(1)[:, None]).unflatten(2, (raster, raster))
    image = degrade.average_down(hand, supersample) + _backgrounds(room.key, size, difficulty) * (
        1 - alpha[:, None]
    )
    image = _develop(image, room.key, difficulty.resolution, difficulty.blur, 0.0)
    if difficulty.noise:
        u = uniform(fold(_FILM, room.key), 2)
        image = degrade.add_noise(image, grain, difficulty.noise * u[:, 0].square())
        image = degrade.jpeg_loss(image.clamp(0, 1), 100 - 65 * u[:, 1].square()).clamp(0, 1)
    seen, height = camera.project(posed.joints)
    return {
        "image": image,
        "keypoints": seen * size,
        "visible": _visible(seen, height, anatomy, buffers),
        "joints": posed.joints @ orientation.mT,
    }


def _corner(room: Room) -> Tensor:
    """Return the upper left corners [B, 2] of the pictures, y down."""
    flip = torch.tensor([1.0, -1.0], device=room.aim.device)
    return room.aim * flip - room.side[:, None] / 2


def _backgrounds(key: Tensor, size: int, difficulty: Difficulty) -> Tensor:
    """Return the rooms' backgrounds [B, 3, size, size], each drawn by itself and only once."""
    found, row = torch.unique(key, return_inverse=True)
    clutter, device = difficulty.clutter, str(key.device)
    return torch.stack([_background(int(one), size, clutter, device) for one in found])[row]


@lru_cache(maxsize=64)
def _background(key: int, size: int, clutter: float, device: str) -> Tensor:
    return draw_background(torch.tensor([key], device=device), size, torch.tensor([clutter], device=device))[
        0
    ]
