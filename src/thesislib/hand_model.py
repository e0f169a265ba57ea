"""A hand as 61 numbers: the interface of MANO, for the real one and for this project's own.

Komorowicz 2018, section 2.1: the mesh is W(T + B_S(shape) + B_P(pose), J(shape), pose), linear blend skinning of
a template that shape and pose have bent (equations 2.1 and 2.2); table 6.1 counts the parameters. Five vertices
at the fingertips, which that thesis left out, make the joints 21 keypoints. Everything here is differentiable,
batched, and runs where its tensors are.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

UNIT_MM = 90.0  # a hand unit
SIZES = {"pose": 45, "shape": 10, "rotation": 3, "translation": 2, "scale": 1}
NUM_PARAMETERS = sum(SIZES.values())  # 61
NUM_JOINTS = 16
_SMALL = 0.25  # squared angle in radians, below which power series are exact to float32


@dataclass(frozen=True, eq=False)
class HandModel:
    """A template with what bends it; float32, in hand units, the wrist at the origin.

    template: [V, 3]; faces: int64 [F, 3], counter-clockwise from outside; shape_basis: [V, 3, 10], one standard
    deviation of people each; pose_basis: [V, 3, 135], for the entries of R - I of joints 1 to 15, joint by joint
    and row by row; joint_regressor: [16, V]; skinning: [V, 16], rows sum to one; parents: of the 16 joints, -1
    first, each before its children; tips: int64 [5], the vertices of the fingertips, thumb first;
    keypoint_order: int64 [21], the places of synthetic.hand.JOINTS among the 16 joints and 5 tips.
    """

    template: Tensor
    faces: Tensor
    shape_basis: Tensor
    pose_basis: Tensor
    joint_regressor: Tensor
    skinning: Tensor
    parents: tuple[int, ...]
    tips: Tensor
    keypoint_order: Tensor
    name: str

    def to(self, device: torch.device | str) -> "HandModel":
        """Return the model on a device."""
        moved = {
            key: value.to(device) if isinstance(value, Tensor) else value for key, value in vars(self).items()
        }
        return HandModel(**moved)


@dataclass(frozen=True)
class Parameters:
    """The 61 numbers of B hands by name.

    pose: [B, 45], axis-angle in radians of joints 1 to 15, each against its parent; shape: [B, 10]; rotation:
    [B, 3], axis-angle of the whole hand, hand frame to camera axes; translation: [B, 2], where the wrist is, in
    normalised picture coordinates (-1 to 1 from edge to edge, y down); scale: [B, 1], normalised units per hand
    unit.
    """

    pose: Tensor
    shape: Tensor
    rotation: Tensor
    translation: Tensor
    scale: Tensor


@dataclass(frozen=True)
class Mesh:
    """Posed hands in camera axes (x right, y up, z to the viewer), hand units from the wrist.

    vertices: [B, V, 3]; keypoints: [B, 21, 3] in the order of synthetic.hand.JOINTS; turns: [B, 16, 3, 3], how
    far each joint's bone is turned from the template, all its parents' turns and the whole hand's included.
    """

    vertices: Tensor
    keypoints: Tensor
    turns: Tensor


def split(theta: Tensor) -> Parameters:
    """Return the named parts of parameters [..., 61]; raises ValueError for another number of them."""
    if theta.shape[-1] != NUM_PARAMETERS:
        raise ValueError(f"a hand has {NUM_PARAMETERS} parameters, got {list(theta.shape)}")
    return Parameters(*theta.split(list(SIZES.values()), dim=-1))


def join(parameters: Parameters) -> Tensor:
    """Return named parts as one tensor [..., 61]."""
    return torch.cat([getattr(parameters, name) for name in SIZES], dim=-1)


def rotation_matrices(axis_angle: Tensor) -> Tensor:
    """Return rotations [..., 3, 3] of axis times angle [..., 3] in radians (Rodrigues); smooth at zero."""
    squared = axis_angle.square().sum(dim=-1)[..., None, None]
    near = squared < _SMALL
    safe = torch.where(near, torch.ones_like(squared), squared)
    angle = safe.sqrt()
    sine = 1 - squared / 6 * (1 - squared / 20 * (1 - squared / 42))  # sin(a) / a
    cosine = (1 - squared / 12 * (1 - squared / 30 * (1 - squared / 56))) / 2  # (1 - cos(a)) / a^2
    sine = torch.where(near, sine, angle.sin() / angle)
    cosine = torch.where(near, cosine, (1 - angle.cos()) / safe)
    x, y, z = axis_angle.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
    outer = axis_angle[..., :, None] * axis_angle[..., None, :]
    identity = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    # K^2 = a a^T - |a|^2 I
    return identity + sine * cross + cosine * (outer - squared * identity)


def axis_angles(matrix: Tensor) -> Tensor:
    """Return axis times angle [..., 3] of rotations [..., 3, 3], the angle from 0 to pi; smooth at the identity."""
    (a, b, c), (d, e, f), (g, h, i) = (row.unbind(-1) for row in matrix.unbind(-2))
    x, y, z = h - f, c - g, d - b
    rows = torch.stack(
        [  # one quaternion (w, x, y, z), four times, each times four times one of its own entries
            torch.stack([1 + a + e + i, x, y, z], dim=-1),
            torch.stack([x, 1 + a - e - i, b + d, c + g], dim=-1),
            torch.stack([y, b + d, 1 - a + e - i, f + h], dim=-1),
            torch.stack([z, c + g, f + h, 1 - a - e + i], dim=-1),
        ],
        dim=-2,
    )
    largest = rows.diagonal(dim1=-2, dim2=-1).argmax(dim=-1)[..., None, None].expand(*matrix.shape[:-2], 1, 4)
    quaternion = torch.nn.functional.normalize(rows.gather(-2, largest)[..., 0, :], dim=-1)
    quaternion = torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)
    w, v = quaternion[..., :1], quaternion[..., 1:]
    squared = v.square().sum(dim=-1, keepdim=True)  # of the sine of half the angle
    near = squared < 1e-2
    length = torch.where(near, torch.ones_like(squared), squared).sqrt()
    series = 1 + squared * (1 / 6 + squared * (3 / 40 + squared * 15 / 336))  # arcsin(s) / s
    return 2 * v * torch.where(near, series, torch.atan2(length, w) / length)


def posed(model: HandModel, pose: Tensor, shape: Tensor, rotation: Tensor) -> Mesh:
    """Pose hands by pose [B, 45], shape [B, 10] and rotation [B, 3] (Komorowicz 2018, equations 2.1 and 2.2).

    The hand turns about its wrist, which stays at the origin. With all parameters zero it is the template: of
    this project's model the average hand at rest, `synthetic.mesh_hand.REST_ANGLES`.
    """
    relative = rotation_matrices(pose.unflatten(1, (NUM_JOINTS - 1, 3)))
    rest, joints, turns = _chain(model, relative, shape, rotation)
    vertices = _skin(model, slice(None), relative, shape, rest, joints, turns)
    points = torch.cat([joints, vertices[:, model.tips]], dim=1)
    return Mesh(vertices, points[:, model.keypoint_order], turns)


def posed_keypoints(model: HandModel, pose: Tensor, shape: Tensor, rotation: Tensor) -> Tensor:
    """Return posed(...).keypoints [B, 21, 3] without the rest of the mesh."""
    relative = rotation_matrices(pose.unflatten(1, (NUM_JOINTS - 1, 3)))
    rest, joints, turns = _chain(model, relative, shape, rotation)
    tips = _skin(model, model.tips, relative, shape, rest, joints, turns)
    return torch.cat([joints, tips], dim=1)[:, model.keypoint_order]


def _chain(
    model: HandModel, relative: Tensor, shape: Tensor, rotation: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the joints at rest and posed, [B, 16, 3], and their turns [B, 16, 3, 3]."""
    basis = torch.einsum("jv,vck->jck", model.joint_regressor, model.shape_basis)
    rest = model.joint_regressor @ model.template + torch.einsum("bk,jck->bjc", shape, basis)
    turns, joints = [rotation_matrices(rotation)], [torch.zeros_like(rest[:, 0])]
    for joint, parent in enumerate(model.parents[1:], start=1):
        step = rest[:, joint] - rest[:, parent]
        joints.append(joints[parent] + (turns[parent] @ step[..., None])[..., 0])
        turns.append(turns[parent] @ relative[:, joint - 1])
    return rest, torch.stack(joints, dim=1), torch.stack(turns, dim=1)


def _skin(
    model: HandModel,
    rows: Tensor | slice,
    relative: Tensor,
    shape: Tensor,
    rest: Tensor,
    joints: Tensor,
    turns: Tensor,
) -> Tensor:
    """Return posed vertices [B, N, 3], those of the given rows, by linear blend skinning."""
    identity = torch.eye(3, dtype=relative.dtype, device=relative.device)
    bent = (relative - identity).flatten(1)  # [B, 135]
    vertices = model.template[rows] + (
        torch.einsum("bk,vck->bvc", shape, model.shape_basis[rows])
        + torch.einsum("bk,vck->bvc", bent, model.pose_basis[rows])
    )
    weight = model.skinning[rows]
    offset = joints - (turns @ rest[..., None])[..., 0]  # [B, 16, 3]
    linear = torch.einsum("vj,bjcd->bvcd", weight, turns)
    return (linear @ vertices[..., None])[..., 0] + weight @ offset


def project(points: Tensor, translation: Tensor, scale: Tensor) -> Tensor:
    """Return normalised picture coordinates [B, N, 2], y down, of points [B, N, 3] in camera axes.

    Weak perspective (Komorowicz 2018, equation 2.4); translation: [B, 2]; scale: [B, 1].
    """
    flat = points[..., :2] * points.new_tensor([1.0, -1.0])
    return scale[..., None, :] * flat + translation[..., None, :]
