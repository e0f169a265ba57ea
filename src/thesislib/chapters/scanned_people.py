"""Scans of invented people, registered to the hand model: all truth is known, and so is how far a fit is from it.

The same people in the same poses are scanned in several ways that differ in one thing: whether the model could have
made their skin, and how exact the scanner is.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from thesislib.hand_model import UNIT_MM, HandModel, axis_angles, posed, rotation_matrices
from thesislib.scan_fitting import Fit, vertices
from thesislib.synthetic import mesh_hand, poses
from thesislib.synthetic.draws import fold, normal
from thesislib.synthetic.hand import draw_anatomy

SMOOTHNESS = 0.2  # hand units, 18 mm: how far along the hand smooth noise goes the same way

BODIES = {
    "inside": "the model's own mesh, with the ten shape numbers nearest to the person",
    "own_shape": "the person's own skin at rest, bent as the model bends its template",
    "own_flesh": "the person's own skin, bent by the generator's own bones",
}


@dataclass(frozen=True)
class Kind:
    """What is scanned, one of BODIES, and the noise of each coordinate: standard deviation, smooth or not."""

    body: str
    noise_mm: float = 0.0
    smooth: bool = False


KINDS = {
    "inside_exact": Kind("inside"),
    "inside_1mm": Kind("inside", 1.0),
    "inside_2mm": Kind("inside", 2.0),
    "inside_smooth_1mm": Kind("inside", 1.0, smooth=True),
    "own_shape_exact": Kind("own_shape"),
    "own_flesh_exact": Kind("own_flesh"),
    "own_flesh_2mm": Kind("own_flesh", 2.0),
}
_NOISE = 61  # purpose of the draws


@dataclass(frozen=True)
class Scans:
    """Scans of P people in K poses each, of one kind, in hand units and camera axes, the wrist at the origin.

    scan: [P, K, V, 3] as measured; skin: the same without noise; truth: the parameters behind them, the shape being
    the nearest that the model has; resting: [P, V, 3], each person's skin at rest.
    """

    scan: Tensor
    skin: Tensor
    truth: Fit
    resting: Tensor

    def first(self, count: int) -> "Scans":
        """Return the first scans of each person."""
        return Scans(self.scan[:, :count], self.skin[:, :count], self.truth.first(count), self.resting)


def scans_of(model: HandModel, kind: Kind, who: Tensor, scans: int, seed: int) -> Scans:
    """Return scans of one kind: people by their numbers, int64 [P], each in so many random poses.

    Poses and noise follow from (seed, person, scan) alone.
    """
    count = len(who)
    person = who.repeat_interleave(scans)
    index = person * 1000 + torch.arange(scans).repeat(count)
    anatomy = draw_anatomy(person)
    angles, orientation = poses.random(seed, index, person)
    pose, shape, rotation = (
        part.unflatten(0, (count, scans)) for part in mesh_hand.theta_of(model, anatomy, angles, orientation)
    )
    truth = Fit(pose, rotation, torch.zeros_like(rotation), shape[:, :1])
    resting = mesh_hand.resting_mesh(model.template, draw_anatomy(who))
    if kind.body == "inside":
        skin = vertices(model, truth)
        resting = model.template + torch.einsum("pk,vck->pvc", truth.shape[:, 0], model.shape_basis)
    elif kind.body == "own_shape":
        skin = torch.stack(
            [
                posed(
                    replace(model, template=own), pose[row], torch.zeros_like(shape[row]), rotation[row]
                ).vertices
                for row, own in enumerate(resting)
            ]
        )
    else:
        skin = (mesh_hand.true_mesh(model, anatomy, angles) @ orientation.mT).unflatten(0, (count, scans))
    noise = normal(fold(_NOISE, seed, index), skin[0, 0].numel()).view_as(skin)
    if kind.smooth:
        noise = _smooth(model.template) @ noise
    return Scans(skin + kind.noise_mm / UNIT_MM * noise, skin, truth, resting)


def errors(model: HandModel, fit: Fit, scans: Scans) -> dict[str, np.ndarray]:
    """Return how far a fit is from the truth, float64 [P] by name, means over each person's scans.

    scan_mm: mean distance of vertices from the scan, all that the fit sees, and skin_mm from the scan without
    noise; shape_sd: root mean square error of the ten shape numbers, in standard deviations of people, and
    shape_largest_sd: the largest fitted number; resting_mm: mean distance of vertices from the person's resting
    skin; joint_deg: mean angle between a joint's turn and the true one, and rotation_deg: that of the whole hand.
    """
    mesh = vertices(model, fit)
    rest = model.template + torch.einsum("psk,vck->psvc", fit.shape, model.shape_basis)
    turn, true = (rotation_matrices(pose.unflatten(-1, (15, 3))) for pose in (fit.pose, scans.truth.pose))
    whole, true_whole = rotation_matrices(fit.rotation), rotation_matrices(scans.truth.rotation)
    found = {
        "scan_mm": UNIT_MM * (mesh - scans.scan).norm(dim=-1),
        "skin_mm": UNIT_MM * (mesh - scans.skin).norm(dim=-1),
        "shape_sd": (fit.shape - scans.truth.shape).square().mean(dim=-1).sqrt(),
        "shape_largest_sd": fit.shape.abs().amax(dim=-1),
        "resting_mm": UNIT_MM * (rest - scans.resting[:, None]).norm(dim=-1),
        "joint_deg": _between_deg(turn, true),
        "rotation_deg": _between_deg(whole, true_whole),
    }
    return {name: value.double().flatten(1).mean(dim=1).numpy() for name, value in found.items()}


def _smooth(template: Tensor) -> Tensor:
    """Return [V, V] that makes of independent noise a smooth field along the resting hand, of the same variance."""
    distance = torch.cdist(template, template).double() / SMOOTHNESS
    steady = 1e-4 * torch.eye(len(template), dtype=torch.float64)
    return torch.linalg.cholesky(torch.exp(-distance.square() / 2) + steady).to(template)


def _between_deg(one: Tensor, other: Tensor) -> Tensor:
    return torch.rad2deg(axis_angles(one.mT @ other).norm(dim=-1))
