"""Fitting scans: truth found again, nobody's fit hangs on anybody else's, and what noise may cost at most."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares
from torch import Tensor

from thesislib import scan_fitting
from thesislib.hand_model import UNIT_MM, HandModel, posed, rotation_matrices
from thesislib.scan_fitting import (
    OPTIMISERS,
    POSE,
    SHAPE,
    SIZES,
    Fit,
    Stage,
    curvatures,
    fit_scans,
    laid_over,
    shape_standard_errors,
    three_stages,
    vertices,
)

BOTH = (Stage("both", POSE + SHAPE, 40),)
FLOATS = ("template", "shape_basis", "pose_basis", "joint_regressor", "skinning")


def small_model(num_vertices: int = 160) -> HandModel:
    """A made-up hand: clouds of vertices about the bones of five straight fingers, and smooth ways to differ."""
    random = np.random.default_rng(0)
    parents = (-1, *(0 if joint % 3 == 1 else joint - 1 for joint in range(1, 16)))
    knuckle = np.array([[0.3, 0.3, 0.1], [0.3, 1, 0], [0.1, 1, 0], [-0.1, 1, 0], [-0.3, 0.9, 0]])
    along = np.array([[0.7, 0.7, 0.2], [0.1, 1, 0], [0, 1, 0], [-0.1, 1, 0], [-0.2, 1, 0]])
    joints = np.concatenate(
        [np.zeros((1, 3)), *(knuckle[f] + 0.3 * np.arange(3)[:, None] * along[f] for f in range(5))]
    )
    owner = np.arange(num_vertices) % 16
    direction = np.concatenate([[[0, 3, 0]], along.repeat(3, axis=0)])[owner]
    place = (
        joints[owner]
        + 0.3 * random.random((num_vertices, 1)) * direction
        + random.normal(0, 0.1, (num_vertices, 3))
    )
    # rows that sum to one and give the joints: the shortest solution
    regressor = np.linalg.pinv(np.c_[place, np.ones(num_vertices)].T) @ np.c_[joints, np.ones(16)].T
    bend = np.c_[place, place**2, place * np.roll(place, 1, axis=1)] @ random.normal(size=(9, 30))
    bend = (bend - bend.mean(axis=0)).reshape(num_vertices, 3, 10)
    own = 0.9 * np.eye(16)[owner] + 0.1 * np.eye(16)[np.maximum(np.array(parents)[owner], 0)]

    def as_tensor(values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).float()

    return HandModel(
        template=as_tensor(place),
        faces=torch.zeros(1, 3, dtype=torch.int64),
        shape_basis=as_tensor(0.02 * bend / bend.std(axis=(0, 1))),
        pose_basis=as_tensor(0.002 * random.normal(size=(num_vertices, 3, 135))),
        joint_regressor=as_tensor(regressor.T),
        skinning=as_tensor(own),
        parents=parents,
        tips=torch.arange(5),
        keypoint_order=torch.arange(21),
        name="small",
    )


MODEL = small_model()


def truth_of(people: int, scans: int, seed: int = 0) -> Fit:
    random = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random)

    return Fit(
        pose=0.3 * draw(people, scans, 45),
        rotation=draw(people, scans, 3),
        translation=draw(people, scans, 3),
        shape=draw(people, 1, 10),
    )


def far_mm(fit: Fit, scans: Tensor) -> float:
    return UNIT_MM * (vertices(MODEL, fit) - scans).norm(dim=-1).max().item()


def test_scans_inside_the_space_without_noise_give_back_the_truth():
    truth = truth_of(3, 2)
    scans = vertices(MODEL, truth)
    for shared in (True, False):
        fit = fit_scans(MODEL, scans, stages=BOTH, shared_shape=shared)
        assert fit.shape.shape == ((3, 1, 10) if shared else (3, 2, 10))
        assert far_mm(fit, scans) < 0.01
        assert (fit.shape - truth.shape).abs().max() < 0.01
        turns = [rotation_matrices(of.pose.unflatten(-1, (15, 3))) for of in (fit, truth)]
        assert (turns[0] - turns[1]).abs().max() < 0.01


def test_three_stages_end_at_the_truth_and_free_what_they_say():
    truth = truth_of(2, 1)
    scans = vertices(MODEL, truth)
    fit = fit_scans(MODEL, scans, stages=three_stages(60), watch=(0, 20, 40, 60))
    begun, pose, shape, both = (moment.fit for moment in fit.history)
    assert [(moment.iteration, moment.stage) for moment in fit.history] == [
        (0, "pose"), (20, "pose"), (40, "shape"), (60, "both"),
    ]  # fmt: skip
    assert torch.equal(begun.shape, pose.shape) and not torch.equal(begun.pose, pose.pose)
    assert torch.equal(pose.pose, shape.pose) and not torch.equal(pose.shape, shape.shape)
    assert torch.equal(both.pose, fit.pose) and far_mm(fit, scans) < 0.01
    assert far_mm(begun, scans) > far_mm(pose, scans) > far_mm(shape, scans)


def test_levenberg_marquardt_ends_where_scipy_ends():
    model = replace(MODEL, **{name: getattr(MODEL, name).double() for name in FLOATS})
    random = torch.Generator().manual_seed(5)
    truth = truth_of(1, 1)
    scan = vertices(MODEL, truth) + 0.02 * torch.randn(1, 1, 160, 3, generator=random)

    def residual(numbers: np.ndarray) -> np.ndarray:
        parts = torch.from_numpy(numbers).split(list(SIZES.values()))
        return (vertices(model, Fit(*(part[None, None] for part in parts))) - scan).flatten().numpy()

    begin = torch.cat([getattr(truth, name).flatten() for name in SIZES]).double().numpy()
    there = least_squares(residual, begin)
    fit = fit_scans(MODEL, scan, stages=BOTH)
    assert (vertices(MODEL, fit) - scan).square().sum().item() == pytest.approx(2 * there.cost, rel=1e-4)
    np.testing.assert_allclose(fit.shape.flatten(), there.x[-10:], atol=0.01)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_nobody_depends_on_anybody_else(optimiser):
    truth = truth_of(3, 2, seed=1)
    scans = vertices(MODEL, truth) + 0.01 * torch.randn(
        3, 2, 160, 3, generator=torch.Generator().manual_seed(2)
    )
    settings = dict(stages=three_stages(12), optimiser=optimiser, rate=0.02)
    together = fit_scans(MODEL, scans, **settings)
    alone = fit_scans(MODEL, scans[1:2], **settings)
    for name in SIZES:
        torch.testing.assert_close(getattr(together, name)[1:2], getattr(alone, name), atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_every_optimiser_comes_nearer_in_every_stage(optimiser):
    scans = vertices(MODEL, truth_of(2, 1, seed=3))
    fit = fit_scans(MODEL, scans, stages=three_stages(60), optimiser=optimiser, watch=(0, 20, 40, 60))
    left = [(vertices(MODEL, moment.fit) - scans).square().mean().item() for moment in fit.history]
    assert left == sorted(left, reverse=True) and left[-1] < left[0] / 2


def test_one_step_of_gradient_descent_is_the_gradient_by_finite_differences():
    truth, rate, step = truth_of(1, 2), 0.1, 1e-2
    scans = vertices(MODEL, truth)
    start = laid_over(MODEL, scans)

    def loss(numbers: Tensor) -> Tensor:  # eq. 5.2 over the number of vertices
        meshes = posed(MODEL, start.pose[0], numbers.expand(2, -1), start.rotation[0]).vertices
        return (meshes + start.translation[0, :, None] - scans[0]).double().square().sum() / 160

    wanted = [(loss(step * unit) - loss(-step * unit)) / (2 * step) for unit in torch.eye(10)]
    fit = fit_scans(MODEL, scans, stages=[Stage("shape", SHAPE, 1)], optimiser="sgd", rate=rate)
    torch.testing.assert_close(fit.shape[0, 0], -rate * torch.stack(wanted).float(), rtol=1e-2, atol=1e-6)


def test_scans_in_turn_move_the_shape_once_each():
    scans = vertices(MODEL, truth_of(1, 2))
    stage = [Stage("shape", SHAPE, 1)]
    settings = dict(stages=stage, optimiser="sgd", rate=0.1)
    in_turn = fit_scans(MODEL, scans, in_turn=True, **settings)
    start = laid_over(MODEL, scans)
    for scan in range(2):  # the same by hand: one scan alone, then the other from there
        one = Fit(**{name: getattr(start, name)[:, scan : scan + 1] for name in POSE}, shape=start.shape)
        start = Fit(
            **{name: getattr(start, name) for name in POSE},
            shape=fit_scans(MODEL, scans[:, scan : scan + 1], start=one, **settings).shape,
        )
    torch.testing.assert_close(in_turn.shape, start.shape)
    assert not torch.equal(in_turn.shape, fit_scans(MODEL, scans, **settings).shape)


def test_sharing_a_shape_helps_against_noise_as_much_as_theory_says():
    truth, noise = truth_of(12, 4, seed=7), 2 / UNIT_MM
    random = torch.Generator().manual_seed(8)
    scans = vertices(MODEL, truth) + noise * torch.randn(12, 4, 160, 3, generator=random)
    alone = fit_scans(MODEL, scans, stages=BOTH, shared_shape=False)
    shared = fit_scans(MODEL, scans, stages=BOTH)
    single, joint = ((fit.shape - truth.shape).square().mean().sqrt() for fit in (alone, shared))
    assert joint < 0.7 * single  # four scans: about a half
    bound = shape_standard_errors(MODEL, truth, noise, pose_known=False).square().mean().sqrt()
    assert joint == pytest.approx(bound.item(), rel=0.25)
    given = shape_standard_errors(MODEL, truth, noise, pose_known=True).square().mean().sqrt()
    assert given < bound
    torch.testing.assert_close(
        shape_standard_errors(MODEL, truth, 2 * noise, pose_known=True).square().mean().sqrt(), 2 * given
    )


def test_a_step_beyond_the_greatest_curvature_diverges_and_one_below_does_not():
    truth = truth_of(1, 1)
    scans = vertices(MODEL, truth)
    greatest = curvatures(MODEL, truth)[0, -1].item()
    nudged = Fit(truth.pose, truth.rotation, truth.translation + 0.01, truth.shape)
    stages = (Stage("both", POSE + SHAPE, 30),)

    def left(rate: float) -> float:
        fit = fit_scans(MODEL, scans, stages=stages, optimiser="sgd", rate=rate, start=nudged)
        return (vertices(MODEL, fit) - scans).square().mean().item()

    start = (vertices(MODEL, nudged) - scans).square().mean().item()
    assert left(1.8 / greatest) < start < left(2.6 / greatest)


def test_the_mean_hand_is_laid_over_a_scan_from_any_side():
    random = torch.Generator().manual_seed(4)
    rotation, translation = 2 * torch.randn(1, 6, 3, generator=random), torch.randn(1, 6, 3, generator=random)
    still = Fit(torch.zeros(1, 6, 45), rotation, translation, torch.zeros(1, 1, 10))
    scans = vertices(MODEL, still)
    assert far_mm(laid_over(MODEL, scans), scans) < 0.01


def good_scans() -> Tensor:
    return vertices(MODEL, truth_of(2, 2))


def spoiled(row: tuple[int, ...]) -> Tensor:
    scans = good_scans()
    scans[row] = torch.nan
    return scans


@pytest.mark.parametrize(
    ("scans", "settings", "says"),
    [
        (torch.zeros(2, 1, 778, 3), {}, "vertices of 'small'"),
        (torch.zeros(2, 160, 3), {}, "people, scans, 160, 3"),
        (torch.zeros(0, 1, 160, 3), {}, "a person and a scan"),
        (spoiled((1, 0, 7, 2)), {}, "scan 0 of person 1 has NaN"),
        (good_scans(), {"optimiser": "adamm"}, "Did you mean 'adam'"),
        (good_scans(), {"in_turn": True}, "all scans of a person at once"),
        (good_scans(), {"start": truth_of(2, 3)}, r"start's pose must be \[2, 2, 45\]"),
        (good_scans(), {"optimiser": "sgd", "rate": 1e9}, "smaller rate"),
    ],
)
def test_what_cannot_be_fitted_is_refused(scans, settings, says):
    with pytest.raises(ValueError, match=says):
        fit_scans(MODEL, scans, stages=three_stages(30), **settings)


def test_rates_are_named_for_every_gradient_descent():
    assert {*scan_fitting.RATES} == {*OPTIMISERS} - {"levenberg_marquardt"}
