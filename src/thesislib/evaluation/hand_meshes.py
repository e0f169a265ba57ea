"""How far predicted hands are from true ones: what Komorowicz 2018 could not measure, having 2D joints alone.

Errors are of one hand, [N], with their unit in the name; less is better. Unaligned errors in millimetres lay the
wrists on one another and nothing else: a predicted mesh has a size of its own in hand units, and the camera knows
only size over distance. So a hand that is too large and too far away is right in the picture and wrong here.
Aligned errors leave out what a similarity explains: turn, scale and shift of all joints (or of all vertices). All
joints are meant, the wrist too, which has no unaligned error.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from thesislib.datasets.modelled_hands import ModelledHands, Truth
from thesislib.evaluation.alignment import align
from thesislib.evaluation.keypoints import bootstrap_interval
from thesislib.hand_model import (
    SIZES,
    UNIT_MM,
    HandModel,
    Mesh,
    Parameters,
    axis_angles,
    join,
    posed,
    project,
    rotation_matrices,
    split,
)
from thesislib.joint_turns import beyond_limits_deg, phalanx_frames, swing_and_twist_deg
from thesislib.synthetic import mesh_hand
from thesislib.synthetic.hand import BONES, JOINTS, PosedHand, draw_anatomy

REPORTED_SIZE = 224  # pixels; the input of Komorowicz 2018, section 6.2
_WRIST, _METACARPAL, _MIDDLE = 0, 1, 2
_TIPS = [joint for joint, name in enumerate(JOINTS) if name.endswith("tip")]
_MODEL_JOINTS = [joint for joint in range(len(JOINTS)) if joint not in _TIPS]
_BASES = [1, 5, 9, 13, 17]
_CHUNK = 256  # hands at a time: a mesh with its blend shapes is large


@torch.no_grad()
def errors(
    model: HandModel,
    theta: Tensor,
    hands: ModelledHands,
    true_vertices: np.ndarray | None = None,
    *,
    metacarpal_certainty: float = 0.2,
) -> dict[str, np.ndarray]:
    """Return the errors of predicted parameters [N, 61], float64 [N] by name.

    Always: detected_2d_px_at_224, against a detector's keypoints, the 16 joints of the document weighted by their
    certainty as in training (NaN for a hand of which nothing was found); shape_abs, the mean size of the ten shape
    numbers, with shape_beyond_1 and shape_beyond_2, the share of them that large; limits_exceeded_deg, by how much
    a joint's flexion, twist and sideways turn together leave what joints can do, the mean over 15 joints.

    Where there is truth: true_2d_px_at_224 and tips_2d_px_at_224, against the places of all 21 keypoints and of
    five; joints_mm, tips_mm and the same _aligned; bone_length_mm, the mean of 20 bones, and bone_length_percent
    after one common scale; direction_deg, between those bones; twist_deg, of 15 phalanges about themselves: the
    axes at rest, `joint_turns.rest_frames`, carried along by the predicted joints, against the true axes, and of
    the turn between them the twist about the true bone; both also _aligned. With true vertices [N, V, 3] of the
    model's own topology, in hand units and camera axes from the wrist: mesh_mm and mesh_mm_aligned.

    Raises ValueError where the parameters are not [N, 61] and finite or the vertices do not fit.
    """
    if theta.shape != (len(hands), sum(SIZES.values())) or not theta.isfinite().all():
        raise ValueError(f"finite parameters [{len(hands)}, 61] are needed, not {list(theta.shape)}")
    if true_vertices is not None and true_vertices.shape != (len(hands), *model.template.shape):
        expected = [len(hands), *model.template.shape]
        raise ValueError(f"true vertices must be {expected}, not {list(true_vertices.shape)}")
    theta, parts = theta.to(model.template), []
    for first in range(0, len(hands), _CHUNK):
        rows = slice(first, first + _CHUNK)
        true = None if true_vertices is None else torch.from_numpy(true_vertices[rows])
        parts.append(_errors(model, theta[rows], hands.of(rows), true, metacarpal_certainty))
    return {name: np.concatenate([part[name].double().cpu().numpy() for part in parts]) for name in parts[0]}


def _errors(
    model: HandModel,
    theta: Tensor,
    hands: ModelledHands,
    vertices: Tensor | None,
    metacarpal_certainty: float,
) -> dict[str, Tensor]:
    given = split(theta)
    mesh = posed(model, given.pose, given.shape, given.rotation)
    flat = project(mesh.keypoints, given.translation, given.scale)
    points = (flat.cpu() + 1) * (REPORTED_SIZE / 2)  # [N, 21, 2] pixels
    to_reported = REPORTED_SIZE / hands.size
    certainty = torch.from_numpy(hands.certainty).clone()
    certainty[:, _METACARPAL] = torch.where(certainty[:, _METACARPAL] > 0, metacarpal_certainty, 0.0)
    distance = (points - torch.from_numpy(hands.keypoints) * to_reported).norm(dim=-1)
    certainty, distance = certainty[:, _MODEL_JOINTS], distance[:, _MODEL_JOINTS]
    size = given.shape.abs()
    found = {
        "detected_2d_px_at_224": (certainty * distance).sum(dim=1) / certainty.sum(dim=1),
        "shape_abs": size.mean(dim=1),
        "shape_beyond_1": (size > 1).float().mean(dim=1),
        "shape_beyond_2": (size > 2).float().mean(dim=1),
        "limits_exceeded_deg": beyond_limits_deg(model, given.pose).sum(dim=-1).mean(dim=(1, 2)),
    }
    if hands.truth is None:
        return found
    distance = (points - torch.from_numpy(hands.truth.keypoints) * to_reported).norm(dim=-1)
    found |= {"true_2d_px_at_224": distance.mean(dim=1), "tips_2d_px_at_224": distance[:, _TIPS].mean(dim=1)}
    return found | _spatial_errors(model, mesh, hands.truth) | _mesh_errors(mesh, vertices)


def _spatial_errors(model: HandModel, mesh: Mesh, truth: Truth) -> dict[str, Tensor]:
    joints = (mesh.keypoints - mesh.keypoints[:, :1]).double().cpu()
    true = torch.from_numpy(truth.joints).double()
    true = true - true[:, :1]
    frames = phalanx_frames(model, mesh.turns).double().cpu()
    true_frames = torch.from_numpy(truth.frames).double()
    alignment = align(joints, true)
    found = {}
    for name, at, turned in (
        ("", joints, frames),
        ("_aligned", alignment(joints), alignment.turn[:, None, None] @ frames),
    ):
        distance = UNIT_MM * (at - true).norm(dim=-1)
        twist = swing_and_twist_deg(true_frames.mT @ turned)[..., 1].abs()
        found |= {
            f"joints_mm{name}": distance.mean(dim=1),
            f"tips_mm{name}": distance[:, _TIPS].mean(dim=1),
            f"direction_deg{name}": _between_deg(_bones(at), _bones(true)).mean(dim=1),
            f"twist_deg{name}": twist.mean(dim=(1, 2)),
        }
    length, true_length = _bones(joints).norm(dim=-1), _bones(true).norm(dim=-1)  # [N, 20]
    scale = true_length.sum(dim=1, keepdim=True) / length.sum(dim=1, keepdim=True)
    found["bone_length_mm"] = UNIT_MM * (length - true_length).abs().mean(dim=1)
    found["bone_length_percent"] = 100 * (scale * length / true_length - 1).abs().mean(dim=1)
    return found


def _mesh_errors(mesh: Mesh, vertices: Tensor | None) -> dict[str, Tensor]:
    if vertices is None:
        return {}
    at, true = (mesh.vertices - mesh.keypoints[:, :1]).double().cpu(), vertices.double()
    both = {"mesh_mm": at, "mesh_mm_aligned": align(at, true)(at)}
    return {name: UNIT_MM * (place - true).norm(dim=-1).mean(dim=1) for name, place in both.items()}


def _bones(joints: Tensor) -> Tensor:
    """Return the bones [N, 20, 3] between joints [N, 21, 3]."""
    parent, child = map(list, zip(*BONES, strict=True))
    return joints[:, child] - joints[:, parent]


def _between_deg(one: Tensor, other: Tensor) -> Tensor:
    """Return the angle between vectors [..., 3], from 0 to 180; exact for small ones too."""
    across = torch.linalg.cross(one, other).norm(dim=-1)
    return torch.rad2deg(torch.atan2(across, (one * other).sum(dim=-1)))


def summary(
    errors: Mapping[str, np.ndarray], subject: np.ndarray, *, seed: int = 0
) -> dict[str, dict[str, float | list[float]]]:
    """Return of each error mean, low, high and by_subject: all people weigh alike, the interval draws people anew.

    errors: [N] by name; subject: int64 [N], whose hand each is; by_subject is in the order of the subjects'
    numbers. Hands without an error (NaN) are left out; ValueError where a person has no other.
    """
    people, place = np.unique(subject, return_inverse=True)
    found = {}
    for name, values in errors.items():
        known = np.isfinite(values)
        count = np.bincount(place[known], minlength=len(people))
        if not len(people) or count.min() == 0:
            raise ValueError(f"{name}: there is a person without any hand that has this error")
        theirs = np.bincount(place[known], values[known], minlength=len(people)) / count
        low, high = bootstrap_interval(torch.from_numpy(theirs), seed=seed)
        found[name] = {"mean": float(theirs.mean()), "low": low, "high": high, "by_subject": theirs.tolist()}
    return found


@torch.no_grad()
def mean_hand(model: HandModel, hands: ModelledHands) -> Tensor:
    """Return parameters [N, 61] that know no hand: the model's average one at rest, laid on the true 2D keypoints.

    Pose and shape are zero. Palm or back is as in truth; turn in the picture, scale and place are the best by
    least squares. What a prediction has to beat, it is given more than a network gets. Raises ValueError without
    truth.
    """
    if hands.truth is None:
        raise ValueError(f"{hands.source}: the mean hand is laid on true keypoints, and there are none")
    zero = {name: model.template.new_zeros(len(hands), SIZES[name]) for name in ("pose", "shape")}
    palm = torch.from_numpy(hands.truth.frames)[:, _MIDDLE, 0, 2, 2] > 0  # its normal points to the viewer
    side = torch.where(palm, 1.0, -1.0)
    facing = torch.diag_embed(torch.stack([side, torch.ones_like(side), side], dim=-1))
    nothing = model.template.new_zeros(len(hands), 3)
    average = posed(model, zero["pose"], zero["shape"], nothing).keypoints.cpu()
    x, y, _ = (average @ facing.mT).unbind(-1)
    hand = torch.complex(x, -y)  # [N, 21]; a turn in the picture and a scale are one complex factor
    goal = torch.view_as_complex(torch.from_numpy(2 * hands.truth.keypoints / hands.size - 1))
    centred, aim = hand - hand.mean(dim=1, keepdim=True), goal - goal.mean(dim=1, keepdim=True)
    factor = (centred.conj() * aim).sum(dim=1) / centred.abs().square().sum(dim=1)
    place = goal.mean(dim=1) - factor * hand.mean(dim=1)
    turn = torch.zeros(len(hands), 3)
    turn[:, 2] = -factor.angle()  # y of a picture points down
    rotation = axis_angles(rotation_matrices(turn) @ facing)
    placed = dict(rotation=rotation, translation=torch.view_as_real(place), scale=factor.abs()[:, None])
    return join(Parameters(**zero, **{name: value.to(model.template) for name, value in placed.items()}))


@torch.no_grad()
def true_vertices(model: HandModel, hands: ModelledHands) -> np.ndarray | None:
    """Return the true meshes in the model's topology, float32 [N, V, 3], camera axes, hand units from the wrist.

    They are the model's own where its true parameters are known, else the skin of the invented people whose numbers
    the subjects are. None where there is no truth. Raises ValueError where the hands are not those people's.
    """
    if hands.truth is None:
        return None
    parts = []
    for first in range(0, len(hands), _CHUNK):
        part = hands.of(slice(first, first + _CHUNK))
        if part.truth.theta is None:
            parts.append(_skin(model, part))
            continue
        given = split(torch.from_numpy(part.truth.theta).to(model.template))
        parts.append(posed(model, given.pose, given.shape, given.rotation).vertices.cpu())
    return torch.cat(parts).numpy()


def _skin(model: HandModel, hands: ModelledHands) -> Tensor:
    anatomy = draw_anatomy(torch.from_numpy(hands.subject))
    joints = torch.from_numpy(hands.truth.joints)
    wrist = joints[:, :1]
    # In the hand frame wrist and knuckles are where the anatomy has them; what lays them here is the hand's turn.
    palm = torch.cat([torch.zeros_like(wrist), anatomy.base], dim=1)  # [N, 6, 3]
    alignment = align(palm, joints[:, [_WRIST, *_BASES]], scale=False)
    if (alignment(palm) - joints[:, [_WRIST, *_BASES]]).norm(dim=-1).max() > 1e-3:
        raise ValueError(f"{hands.source}: these are no palms of the invented people with these numbers")
    turn = alignment.turn.float()  # [N, 3, 3]
    frames = turn[:, None, None].mT @ torch.from_numpy(hands.truth.frames)
    hand = PosedHand(joints=(joints - wrist) @ turn, frames=frames)
    skin = mesh_hand._moved(model.template.cpu(), anatomy, hand)
    return skin @ turn.mT
