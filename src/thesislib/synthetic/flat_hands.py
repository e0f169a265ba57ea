"""Flat hands on white paper, palm or back, as in 11k Hands (Afifi 2019), with all that can be known of them.

Hands and skin are those of `picture`; paper, its shadow and the film are of this room. Pictures come cropped as
Komorowicz 2018 (section 6.2) crops his: a square around the joints, with a border. Here it goes around the true
joints: ordinary errors of a detector would move it by about a pixel. All hands are right hands.
"""

from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from thesislib.synthetic import degrade, poses
from thesislib.synthetic.draws import fold, normal, uniform, whole
from thesislib.synthetic.hand import PosedHand, draw_anatomy, pose
from thesislib.synthetic.lighting import draw_light, occlusion
from thesislib.synthetic.picture import picture
from thesislib.synthetic.render import Camera
from thesislib.synthetic.scene import check_size, in_chunks

BORDER = 0.15  # of the longer side of the joints' box, on each side; the thesis prints no number
_SUBJECT, _SCENE, _CAMERA, _PAPER, _FILM = 91, 92, 93, 94, 95  # purposes of the draws
_FLESH = 0.14  # hand units from the lowest joint to the paper


def photographed(
    kind: str, seed: int, index: Tensor, *, subjects: range, size: int = 64, supersample: int = 1
) -> dict[str, Tensor]:
    """Draw the flat hands with these indices, int64 [B], of these subjects, on the index's device.

    kind: "flat", the only one; size: pixels to a side, a multiple of 8; supersample: rays to a pixel's side, at
    most 384 to a picture's. Returns image uint8 [B, 3, size, size]; keypoints float32 [B, 21, 2] in pixels, the
    middle of the first one at 0.5; visible bool [B, 21]; joints float32 [B, 21, 3], hand units from the wrist,
    camera axes; frames float32 [B, 5, 3, 3, 3], each phalanx in camera axes; silhouette bool [B, size, size];
    angles [B, 21] degrees; orientation [B, 3, 3], hand frame to camera axes; signer int64 [B]; left and letter
    as `scene.generate` returns them: all right hands, no letters. Raises ValueError for a request that cannot
    be met.
    """
    if kind != "flat":
        raise ValueError(f"no photographs of kind {kind!r}; there are flat hands")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed must be a whole number from 0, got {seed!r}")
    if not isinstance(index, Tensor) or index.dtype != torch.int64 or index.ndim != 1 or not len(index):
        raise ValueError("index must be an int64 tensor [B] with at least one entry")
    if not len(subjects):
        raise ValueError("there must be at least one subject")
    check_size(size, supersample)
    return in_chunks(partial(_draw, seed, subjects, size, supersample), index, size * supersample)


@torch.no_grad()
def _draw(seed: int, subjects: range, size: int, supersample: int, index: Tensor) -> dict[str, Tensor]:
    subject = subjects.start + subjects.step * whole(fold(seed, _SUBJECT, index), len(subjects))
    angles, orientation = poses.flat(seed, index, subject)
    anatomy = draw_anatomy(subject)
    posed = pose(anatomy, angles)
    key = fold(seed, _SCENE, index)
    camera = _draw_camera(key, posed, orientation)
    rays = size * supersample
    drawn = picture(
        anatomy,
        subject,
        angles,
        orientation,
        key,
        size=rays,
        supersample=1,  # a ray hits or misses: its wall can be cut away without a fringe
        clutter=0.0,
        resolution=float(rays),
        blur=0.0,
        noise=0.0,
        camera=camera,
    )
    hit = drawn["mask"]
    alpha = degrade.average_down(hit, supersample)
    hand = degrade.average_down(drawn["image"] * hit[:, None], supersample)
    depth = degrade.average_down(drawn["depth"] * hit, supersample) / alpha.clamp(min=1e-3)
    height = camera.view(posed.joints)[..., 2]
    paper = draw_paper(key, depth, alpha > 0.5, height.amin(1) - _FLESH, camera.side)
    image = develop(hand + paper * (1 - alpha[:, None]), key)
    return {
        "image": (255 * image).round().to(torch.uint8),
        "keypoints": drawn["keypoints"] / supersample,
        "visible": drawn["visible"],
        "joints": drawn["joints"],
        "frames": orientation[:, None, None] @ posed.frames,
        "silhouette": alpha > 0.5,
        "angles": angles,
        "orientation": orientation,
        "signer": subject,
        "left": torch.zeros_like(subject, dtype=torch.bool),
        "letter": torch.full_like(subject, -1),
    }


def _draw_camera(key: Tensor, posed: PosedHand, orientation: Tensor) -> Camera:
    """Look down on hands from 8 to 14 hand units and crop a square around the joints, with a border."""
    distance = 8 + 6 * uniform(fold(_CAMERA, key), 1)[:, 0]
    zero, one = torch.zeros(len(key), 2, device=key.device), torch.ones(len(key), device=key.device)
    whole_picture = Camera(orientation, posed.joints.mean(1), distance, zero, one)
    place, _ = whole_picture.project(posed.joints)
    low, high = place.amin(1), place.amax(1)
    side = (1 + 2 * BORDER) * (high - low).amax(1)
    corner = (low + high - side[:, None]) / 2
    return Camera(orientation, whole_picture.centre, distance, corner, side)


def draw_paper(key: Tensor, depth: Tensor, mask: Tensor, table: Tensor, side: Tensor) -> Tensor:
    """Draw white paper [B, 3, S, S], 0 to 1 as stored, with the hand's shadow on it.

    key: int64 [B]; depth: [B, S, S], height of the hand where mask bool [B, S, S]; table: [B], height of the
    paper; side: [B], hand units to the picture's width.
    """
    u, z = uniform(fold(_PAPER, key), 4), normal(fold(_PAPER, key, 1), 3).clamp(-2, 2)
    lamp = draw_light(key)
    above = F.normalize(lamp.direction + torch.tensor([0.0, 0.0, 1.5], device=key.device), dim=-1)
    lit, _ = occlusion(depth, mask, table, replace(lamp, direction=above), side)  # a stand's lamps hang high
    size = depth.shape[-1]
    axis = (torch.arange(size, device=key.device) + 0.5) * (2 / size) - 1
    turn = 2 * torch.pi * u[:, 0, None, None]
    fall = 1 + 0.06 * u[:, 1, None, None] * (turn.cos() * axis[None, None] + turn.sin() * axis[None, :, None])
    white = 0.78 + 0.19 * u[:, 2] ** 0.5
    tint = 1 + 0.012 * z * torch.tensor([1.0, 0.5, -1.0], device=key.device)
    shaded = fall * lit.clamp(min=0).pow(0.45 * (0.3 + 0.7 * u[:, 3])[:, None, None])  # as stored, not linear
    return ((white[:, None] * tint)[..., None, None] * shaded[:, None]).clamp(0, 1)


def develop(image: Tensor, key: Tensor) -> Tensor:
    """Blur a few of the pictures [B, 3, S, S], as hands that moved are, and add a good camera's grain and JPEG."""
    u = uniform(fold(_FILM, key), 3)
    size = image.shape[-1]
    sigma = (0.1 + 0.7 * u[:, 0].pow(6)) * size / 64
    image = degrade.blur_and_resample(image, sigma, torch.full_like(sigma, size))
    image = degrade.add_noise(image, key, 0.015 * u[:, 1].square())
    return degrade.jpeg_loss(image.clamp(0, 1), 98 - 25 * u[:, 2].square()).clamp(0, 1)
