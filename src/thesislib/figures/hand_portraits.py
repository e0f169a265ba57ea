"""What the figures of chapter 1 show: poses, portraits and skeletons asked of the generator, as arrays.

Pictures are uint8 [n, 3, S, S]; skeletons [n, 21, 2] have y downwards. `size` is a picture's side in pixels and
`supersample` the rays to a pixel's side, as in `synthetic.scene`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from thesislib.synthetic import motions, scene
from thesislib.synthetic.bones import FINGER, NUM_BONES, SLEEVE, bone_maps
from thesislib.synthetic.contacts import signer_handshapes
from thesislib.synthetic.hand import ANGLES, LIMITS, draw_anatomy, pose
from thesislib.synthetic.hand_surface import hand_surface
from thesislib.synthetic.handshapes import alphabet, handshape
from thesislib.synthetic.picture import fixed_camera
from thesislib.synthetic.rotations import about_xyz
from thesislib.synthetic.scene import Difficulty

LIGHT = 7  # the seed of a scene with a plain grey wall in neutral light, for portraits
FRONT, SIDE = (0.0, 0.0, 0.0), (0.0, -65.0, 0.0)  # degrees: the palm to the viewer, and seen past the thumb


def flat_skeleton(joints: Tensor) -> np.ndarray:
    """Return joints [..., 21, 3] in camera axes as a drawing [..., 21, 2], y downwards, without perspective."""
    return (joints[..., :2] * torch.tensor([1.0, -1.0])).numpy()


def between_limits(
    angle: str,
    steps: int,
    view: tuple[float, float, float] = FRONT,
    bent: Mapping[str, float] = MappingProxyType({}),
) -> tuple[np.ndarray, list[str]]:
    """Return the average hand, opened, with one angle going from limit to limit: skeletons and their degrees.

    bent: other angles that are not as in an open hand.
    """
    values = torch.linspace(*LIMITS[:, ANGLES.index(angle)].tolist(), steps)
    angles = torch.tensor(handshape("spread").angles).repeat(steps, 1)
    for name, value in {**bent, angle: values}.items():
        angles[:, ANGLES.index(name)] = value
    joints = pose(draw_anatomy(torch.zeros(steps, dtype=torch.int64), spread=0.0), angles).joints
    turned = joints @ about_xyz(torch.tensor(view)).mT
    return flat_skeleton(turned), [f"{value:.0f}°".replace("-", "−") for value in values]


def portraits(
    signer: int,
    alphabet_name: str,
    *,
    size: int,
    supersample: int,
    seed: int = LIGHT,
    labels: Sequence[str] = (),
) -> np.ndarray:
    """Return one signer's handshapes of an alphabet, all of it or these labels, in one light.

    The camera is as near as that signer's open hand allows, so that the sizes of handshapes compare.
    """
    shapes = alphabet(alphabet_name)
    labels = list(labels or shapes)
    angles = signer_handshapes(alphabet_name, torch.tensor([signer]))[0]
    angles = angles[[list(shapes).index(label) for label in labels]]
    orientation = torch.stack([shapes[label].orientation() for label in labels])
    direction = [tuple(round(v) for v in shapes[label].finger_direction) for label in labels]
    open_hand = torch.tensor([handshape("spread").angles])
    drawn = np.empty((len(labels), 3, size, size), np.uint8)
    for way in dict.fromkeys(direction):
        rows = [row for row, other in enumerate(direction) if other == way]
        poses = torch.cat([angles[rows], open_hand])
        made = scene.portray(
            signer,
            poses,
            orientation[rows + rows[:1]],
            size=size,
            supersample=supersample,
            seed=seed,
        )
        drawn[rows] = made["image"][:-1].numpy()
    return drawn


def skin_points(
    signer: int, angles: Tensor, orientation: Tensor, *, spacing: float = 0.04
) -> tuple[np.ndarray, np.ndarray]:
    """Return points of a posed hand's skin [P, 2], as `scene.portray` places them, and whose they are [P].

    Places are shares of the picture's side, the farthest point first; whose: the finger, -1 for palm and wrist.
    spacing: between points, in hand units.
    """
    anatomy = draw_anatomy(torch.tensor([signer]))
    posed = pose(anatomy, angles[None])
    surface = hand_surface(spacing)
    maps = bone_maps(anatomy, posed, torch.eye(3)[None], torch.tensor([[9.0, 1.0]]))
    points = (maps[0].transpose(0, 1).flatten(1) @ surface.binding).T  # [P, 3] in the hand frame
    bone = surface.table[:, :NUM_BONES].argmax(dim=1)
    points, bone = points[bone < SLEEVE], bone[bone < SLEEVE]
    place, height = fixed_camera(posed, orientation[None]).project(points[None])
    finger = torch.where(bone >= FINGER, (bone - FINGER) // 6, -1)
    order = height[0].argsort()
    return place[0, order].numpy(), finger[order].numpy()


def moving_letter(
    label: str, signer: int, *, frames: int = 48, seed: int = 0
) -> tuple[Tensor, Tensor, np.ndarray]:
    """Return a moving American letter: angles [T, 21], orientations [T, 3, 3] and skeletons [T, 21, 2]."""
    one = torch.zeros(1, dtype=torch.int64)
    angles, orientation, translation = (
        part[0] for part in motions.moving_letter(seed, one, one + signer, label, frames=frames)
    )
    anatomy = draw_anatomy(torch.full((frames,), signer))
    joints = pose(anatomy, angles).joints @ orientation.mT + translation[:, None]
    return angles, orientation, flat_skeleton(joints)


def turned(
    ladders: Mapping[str, Sequence[float]],
    *,
    seed: int,
    size: int,
    supersample: int,
    signers: range,
    hands: int = 2,
) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
    """Return, for each knob, a few letters with it at each value of its ladder, and the values as captions.

    Of twelve pictures those are shown that the knob changes most: it sets how strong an effect can be, and
    each picture draws its share of that.
    """
    index = torch.arange(12)

    def draw(difficulty: Difficulty) -> Tensor:
        how = dict(size=size, supersample=supersample, signers=signers)
        return scene.generate("letters", seed, index, difficulty=difficulty, **how)["image"]

    rows, captions = {}, {}
    for knob, values in ladders.items():
        rungs = [draw(replace(Difficulty(), **{knob: value})) for value in values]
        change = (rungs[0].float() - rungs[-1].float()).abs().flatten(1).mean(dim=1)
        chosen = change.argsort(descending=True)[:hands]
        rows[knob] = np.stack([rung[row].numpy() for row in chosen for rung in rungs])
        captions[knob] = [f"{value:g}" for value in values] * hands
    return rows, captions
