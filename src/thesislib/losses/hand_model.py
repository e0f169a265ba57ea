"""What a hand model's parameters should be like: the loss of Komorowicz 2018, and repairs of what it leaves open.

Eq. 6.1 there weighs the reprojection of joints (eq. 2.3) with 100 against the size of the shape's numbers. Whatever
these two leave free, the network fills as it likes: twists about bones, fingertips, depth. Each repair is a term
of its own, not computed where its weight is 0.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from thesislib.datasets.modelled_hands import ModelledHands
from thesislib.hand_model import (
    NUM_PARAMETERS,
    HandModel,
    Parameters,
    posed,
    posed_keypoints,
    project,
    rotation_matrices,
    split,
)
from thesislib.joint_turns import beyond_limits_deg
from thesislib.losses.silhouette import Silhouettes, silhouette_term, silhouettes

_METACARPAL, _TIPS = 1, [4, 8, 12, 16, 20]  # keypoints


@dataclass(frozen=True)
class HandLabels:
    """What is known of N hands: 2D joints of all, more of some.

    keypoints: [N, 21, 2], normalised picture coordinates (-1 to 1 from edge to edge, y down); certainty: [N, 21],
    0 to 1; subject: int64 [N], whose hand it is; theta: [N, 61], true parameters, NaN rows where unknown; joints:
    [N, 21, 3], true joints in camera axes, hand units from the wrist (read where theta is known); silhouette: of
    `silhouettes()`, None where no term asks for it.
    """

    keypoints: Tensor
    certainty: Tensor
    subject: Tensor
    theta: Tensor
    joints: Tensor
    silhouette: Silhouettes | None = None

    @staticmethod
    def of(hands: ModelledHands) -> "HandLabels":
        """Return the labels of hands: what a detector said, and what else is known of them.

        Parameters and joints are NaN where the truth has none; a silhouette without a pixel is an unknown one.
        """
        count, truth = len(hands), hands.truth
        theta = torch.full((count, NUM_PARAMETERS), torch.nan)
        joints, silhouette = torch.full((count, 21, 3), torch.nan), None
        if truth is not None:
            theta = theta if truth.theta is None else torch.tensor(truth.theta)
            joints = torch.tensor(truth.joints)
            places = normalised(torch.tensor(truth.keypoints), hands.size)
            silhouette = silhouettes(torch.tensor(truth.silhouette), places)
        return HandLabels(
            keypoints=normalised(torch.tensor(hands.keypoints), hands.size),
            certainty=torch.tensor(hands.certainty),
            subject=torch.tensor(hands.subject),
            theta=theta,
            joints=joints,
            silhouette=silhouette,
        )

    def __len__(self) -> int:
        return len(self.keypoints)

    def __getitem__(self, rows: Tensor | slice) -> "HandLabels":
        """Return the labels of some rows."""
        return HandLabels(**{name: None if part is None else part[rows] for name, part in vars(self).items()})

    def to(self, device: torch.device | str) -> "HandLabels":
        """Return the labels on a device."""
        return HandLabels(
            **{name: None if part is None else part.to(device) for name, part in vars(self).items()}
        )


def normalised(points: Tensor, size: int) -> Tensor:
    """Return points in pixels of a picture of side ``size`` in -1 to 1 from edge to edge (Komorowicz 2018, 6.2)."""
    return 2 * points / size - 1


class HandModelLoss(nn.Module):
    """Loss of parameters [T, B, 61], one row of hands an iteration of the network, against HandLabels of B hands.

    A weighted sum of terms, each the mean over all T iterations: Komorowicz 2018 does not say which estimates are
    judged; the re-implementation named there (section 6.1) judges all, Kanazawa et al. 2018 the last alone. The
    model, the parameters and the labels live on one device.

    ``fingertips`` counts the five tips as joints too; the thesis has 16 (section 6.2). ``metacarpal_certainty``
    replaces that of the thumb's first joint where it was found: it stands elsewhere in a model (section 6.2).
    The repairs' weights: ``limits_weight`` of turns beyond `joint_turns.limits_deg`; ``person_weight`` of different
    shapes of one person; ``truth_weight`` of errors of joints, turns and shape where theta is known;
    ``silhouette_weight`` of `losses.silhouette`, where one is known.
    """

    def __init__(
        self,
        model: HandModel,
        *,
        reprojection_weight: float = 100.0,
        shape_weight: float = 1.0,
        fingertips: bool = False,
        metacarpal_certainty: float = 0.2,
        limits_weight: float = 0.0,
        person_weight: float = 0.0,
        truth_weight: float = 0.0,
        silhouette_weight: float = 0.0,
    ) -> None:
        super().__init__()
        self.model, self.fingertips, self.metacarpal_certainty = model, fingertips, metacarpal_certainty
        weights = {
            "reprojection": reprojection_weight,
            "shape": shape_weight,
            "limits": limits_weight,
            "person": person_weight,
            "truth": truth_weight,
            "silhouette": silhouette_weight,
        }
        self.weights = {name: weight for name, weight in weights.items() if weight}

    def forward(self, thetas: Tensor, labels: HandLabels) -> Tensor:
        """Return the weighted sum of all terms."""
        terms = self.terms(thetas, labels)
        return torch.stack([weight * terms[name] for name, weight in self.weights.items()]).sum()

    def terms(self, thetas: Tensor, labels: HandLabels) -> dict[str, Tensor]:
        """Return each term that has a weight, unweighted; in full precision whatever the network's."""
        _check(thetas, labels)
        with torch.autocast(thetas.device.type, enabled=False):
            return self._terms(split(thetas.float()), labels)

    def _terms(self, hands: Parameters, labels: HandLabels) -> dict[str, Tensor]:
        keypoints = _of_all(posed_keypoints, self.model, hands)  # [T, B, 21, 3]
        terms = {}
        if "reprojection" in self.weights:
            places = project(keypoints, hands.translation, hands.scale)
            terms["reprojection"] = reprojection_term(places, labels.keypoints, self.certainty(labels))
        if "shape" in self.weights:
            terms["shape"] = hands.shape.abs().mean()
        if "limits" in self.weights:
            terms["limits"] = limits_term(self.model, hands.pose.flatten(0, 1))
        if "person" in self.weights:
            terms["person"] = person_term(hands.shape, labels.subject)
        if "truth" in self.weights:
            terms["truth"] = truth_term(hands, keypoints, labels)
        if "silhouette" in self.weights:
            terms["silhouette"] = self._silhouette(hands, labels.silhouette)
        return terms

    def _silhouette(self, hands: Parameters, silhouette: Silhouettes | None) -> Tensor:
        """Return the silhouette's term; whole meshes are made of the hands alone whose silhouette is known."""
        if silhouette is None or not silhouette.known.any():
            return torch.zeros_like(hands.scale.sum())
        known = silhouette.known
        hands = Parameters(**{name: part[:, known] for name, part in vars(hands).items()})
        vertices = _of_all(lambda *body: posed(*body).vertices, self.model, hands)  # [T, B, V, 3]
        return silhouette_term(project(vertices, hands.translation, hands.scale), silhouette[known])

    def certainty(self, labels: HandLabels) -> Tensor:
        """Return how much each joint counts, [B, 21]: no fingertips unless asked, the metacarpal little."""
        certainty = labels.certainty.clone()
        certainty[:, _METACARPAL] = self.metacarpal_certainty * (certainty[:, _METACARPAL] > 0)
        if not self.fingertips:
            certainty[:, _TIPS] = 0
        return certainty


def _of_all(function: Callable[..., Tensor], model: HandModel, hands: Parameters) -> Tensor:
    """Return what a function says of the bodies of hands [T, B, ...], all iterations at once: [T, B, N, 3]."""
    body = (part.flatten(0, 1) for part in (hands.pose, hands.shape, hands.rotation))
    return function(model, *body).unflatten(0, hands.pose.shape[:2])


def reprojection_term(places: Tensor, keypoints: Tensor, certainty: Tensor) -> Tensor:
    """Return the mean distance along x and y of projected joints [T, B, 21, 2] to those detected [B, 21, 2].

    Eq. 2.3 of Komorowicz 2018, certainties [B, 21] as weights of the mean; in normalised picture coordinates. Its
    sums become means: only then are the losses that table 7.1 prints, 1.5 to 6.5 with w = 100, errors of 1.7 to
    7.3 pixels at 224.
    """
    keypoints = torch.where(certainty[..., None] > 0, keypoints, 0)  # where nothing was found may be NaN
    error = (places - keypoints).abs().mean(-1)  # [T, B, 21]
    return (error * certainty).sum() / (len(places) * certainty.sum()).clamp(min=1e-6)


def limits_term(model: HandModel, pose: Tensor) -> Tensor:
    """Return how far poses [B, 45] are beyond what joints allow: squared radians, the mean over joints.

    Of each joint its flexion, twist and sideways turn are summed. Hands that can be have 0, and no gradient.
    """
    return torch.deg2rad(beyond_limits_deg(model, pose)).square().sum(-1).mean()


def person_term(shape: Tensor, subject: Tensor) -> Tensor:
    """Return the variance of shapes [T, B, 10] within people [B]: the mean over hands whose person comes twice."""
    same = (subject[:, None] == subject).to(shape)  # [B, B]
    count = same.sum(1)
    mean = (same / count[:, None]) @ shape
    several = (count > 1).to(shape)[:, None]
    return ((shape - mean).square() * several).mean() / several.mean().clamp(min=1e-6)


def truth_term(hands: Parameters, keypoints: Tensor, labels: HandLabels) -> Tensor:
    """Return the error of hands [T, B, ...] whose theta is known, their keypoints [T, B, 21, 3]; 0 without any.

    The sum of three mean absolute errors: of joints from the wrist in hand units, of the entries of all 16
    rotations, which unlike axis-angle are one for each turn, and of the shape's numbers.
    """
    known = torch.isfinite(labels.theta).all(-1)
    if not known.any():
        return keypoints.sum() * 0
    true = split(labels.theta[known])
    joints = keypoints[:, known] - keypoints[:, known, :1]
    turns, true_turns = (
        rotation_matrices(torch.cat([part.rotation, part.pose], dim=-1).unflatten(-1, (16, 3)))
        for part in (hands, true)
    )
    error = (joints - labels.joints[known]).abs().mean() + (turns[:, known] - true_turns).abs().mean()
    return error + (hands.shape[:, known] - true.shape).abs().mean()


def _check(thetas: Tensor, labels: HandLabels) -> None:
    if thetas.ndim != 3 or thetas.shape[1:] != (len(labels), NUM_PARAMETERS):
        raise ValueError(
            f"parameters are [T, B, {NUM_PARAMETERS}] for labels of B hands; got {list(thetas.shape)} for "
            f"{len(labels)}"
        )
