import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from thesislib.losses.pose import BinsLoss, CoordinateLoss, HeatmapLoss, SpatialCrossEntropy, StagesLoss

S, J = 32, 3  # input pixels, joints


def some_targets(batch: int = 2, seed: int = 0) -> torch.Tensor:
    """Targets [B, 3, 3] inside the picture, of which two keypoints do not count."""
    torch.manual_seed(seed)
    targets = torch.cat([4 + 24 * torch.rand(batch, J, 2), torch.ones(batch, J, 1)], dim=2)
    targets[0, 1, 2] = targets[1, 2, 2] = 0
    return targets


def gaussian(targets: torch.Tensor, b: int, j: int, row: int, column: int, size: int, r: float) -> float:
    """Equation 3.8 at one pixel of a map of ``size`` pixels, by hand."""
    x, y = (targets[b, j, :2] * size / S).tolist()
    return math.exp(-((column + 0.5 - x) ** 2 + (row + 0.5 - y) ** 2) / (2 * r**2))


def every_loss() -> list:
    """Each loss with an output [2, J, ...] of the kind that it reads."""
    torch.manual_seed(1)
    maps = torch.randn(2, J, 8, 8)
    return [
        pytest.param(HeatmapLoss(S), maps, id="l2"),
        pytest.param(HeatmapLoss(S, kind="cross_entropy"), maps, id="pixelwise"),
        pytest.param(SpatialCrossEntropy(S), maps, id="spatial"),
        pytest.param(StagesLoss(S), torch.randn(2, 2, J, 8, 8), id="stages"),
        pytest.param(CoordinateLoss(S), torch.rand(2, J, 2), id="coordinates"),
        pytest.param(BinsLoss(S), torch.randn(2, J, 2, 64), id="bins"),
    ]


@pytest.mark.parametrize("kind", ["l2", "cross_entropy"])
def test_heatmap_losses_pixel_by_pixel(kind):
    targets, size, r = some_targets(), 16, 1.5
    torch.manual_seed(1)
    logits = torch.randn(2, J, size, size)
    total, counted = 0.0, 0
    for b in range(2):
        for j in range(J):
            if targets[b, j, 2] == 0:
                continue
            counted += 1
            mean = 0.0
            for row in range(size):
                for column in range(size):
                    y = gaussian(targets, b, j, row, column, size, r)
                    p = 1 / (1 + math.exp(-float(logits[b, j, row, column])))
                    if kind == "l2":
                        pixel = (p - y) ** 2
                    else:
                        pixel = -y * math.log(p) - (1 - y) * math.log(1 - p)
                    mean += pixel / size**2
            total += mean * size**2 / (math.pi * r**2)
    loss = HeatmapLoss(S, kind=kind, radius=r)(logits, targets)
    assert loss.item() == pytest.approx(total / counted, rel=1e-4)


@pytest.mark.parametrize("size, radius", [(64, 2.0), (64, 1.0), (128, 3.0)])
def test_saying_nowhere_costs_about_1_whatever_the_size_and_radius(size, radius):
    targets = torch.tensor([[[64.0, 60.0, 1.0]]])
    nowhere = torch.full((1, 1, size, size), -30.0)
    assert HeatmapLoss(128, radius=radius)(nowhere, targets).item() == pytest.approx(1, abs=0.01)
    if size == 64 and radius == 2:  # the number of the equation as printed
        printed = HeatmapLoss(128)(nowhere, targets) * math.pi * 2**2 / 64**2
        assert printed.item() == pytest.approx(0.0031, abs=5e-5)


def test_the_radius_shrinks_with_the_steps_of_training():
    loss = HeatmapLoss(S, radius=4.0, last_radius=1.0, shrink_steps=10)
    logits, targets = torch.zeros(2, J, 8, 8), some_targets()
    radii = []
    for _ in range(12):
        radii.append(loss.radius().item())
        loss(logits, targets)
    assert radii[0] == 4 and radii[5] == pytest.approx(2) and radii[10] == radii[11] == pytest.approx(1)
    resumed = HeatmapLoss(S, radius=4.0, last_radius=1.0, shrink_steps=10)
    resumed.load_state_dict(loss.state_dict())
    assert resumed.radius() == loss.radius()
    with torch.no_grad():  # looking at a test loss is no step
        fresh = HeatmapLoss(S, radius=4.0, last_radius=1.0)
        fresh(logits, targets)
    assert fresh.radius() == 4


def test_spatial_cross_entropy_pixel_by_pixel():
    targets, size, r = some_targets(), 16, 1.5
    torch.manual_seed(1)
    logits = torch.randn(2, J, size, size)
    total, counted = 0.0, 0
    for b in range(2):
        for j in range(J):
            if targets[b, j, 2] == 0:
                continue
            counted += 1
            cells = [(row, column) for row in range(size) for column in range(size)]
            y = {cell: gaussian(targets, b, j, *cell, size, r) for cell in cells}
            normaliser = math.log(sum(math.exp(float(logits[b, j, *cell])) for cell in cells))
            for cell in cells:
                total -= y[cell] / sum(y.values()) * (float(logits[b, j, *cell]) - normaliser)
    loss = SpatialCrossEntropy(S, radius=r)(logits, targets)
    assert loss.item() == pytest.approx(total / counted, rel=1e-4)


def test_intermediate_supervision_stage_by_stage():
    targets, size = some_targets(), 8
    torch.manual_seed(1)
    stages = torch.randn(2, 3, J + 1, size, size)
    total, counted = 0.0, 0
    for b in range(2):
        for j in range(J + 1):
            if j < J and targets[b, j, 2] == 0:
                continue
            counted += 1
            for stage in range(3):
                for row in range(size):
                    for column in range(size):
                        counted_joints = range(J) if j == J else [j]
                        heat = [
                            gaussian(targets, b, k, row, column, size, 1.0)
                            for k in counted_joints
                            if targets[b, k, 2] == 1
                        ]
                        y = heat[0] if j < J else 1 - max(heat)
                        total += (float(stages[b, stage, j, row, column]) - y) ** 2 / math.pi
    assert StagesLoss(S)(stages, targets).item() == pytest.approx(total / counted, rel=1e-4)
    # Without a background channel only joints are compared.
    without = StagesLoss(S)(stages[:, :, :J], targets).item()
    background = StagesLoss(S)(stages, targets * torch.tensor([1.0, 1.0, 0.0])).item()
    assert without > 0 and background > 0 and without != pytest.approx(background)


@pytest.mark.parametrize("kind", ["l2", "l1", "smooth_l1"])
def test_coordinate_losses_by_hand(kind):
    targets = some_targets()
    torch.manual_seed(1)
    coordinates = targets[..., :2] / S + 0.05 * torch.randn(2, J, 2)
    total, counted = 0.0, 0
    for b in range(2):
        for j in range(J):
            if targets[b, j, 2] == 0:
                continue
            counted += 1
            for axis in range(2):
                e = abs(float(coordinates[b, j, axis]) - float(targets[b, j, axis]) / S)
                value = {"l2": e**2, "l1": e, "smooth_l1": 20 * e**2 if e < 1 / 40 else e - 1 / 80}[kind]
                total += value / 2
    loss = CoordinateLoss(S, kind=kind)(coordinates, targets)
    assert loss.item() == pytest.approx(total / counted, rel=1e-4)


def test_bins_by_hand():
    targets, bins, r = some_targets(), 64, 0.75
    torch.manual_seed(1)
    logits = torch.randn(2, J, 2, bins)
    total, counted = 0.0, 0
    for b in range(2):
        for j in range(J):
            if targets[b, j, 2] == 0:
                continue
            counted += 1
            for axis in range(2):
                truth = float(targets[b, j, axis])  # in input pixels
                y = [math.exp(-(((k + 0.5) * S / bins - truth) ** 2) / (2 * r**2)) for k in range(bins)]
                normaliser = math.log(sum(math.exp(float(v)) for v in logits[b, j, axis]))
                for k in range(bins):
                    total -= y[k] / sum(y) * (float(logits[b, j, axis, k]) - normaliser) / 2
    assert BinsLoss(S, radius=r)(logits, targets).item() == pytest.approx(total / counted, rel=1e-4)


def test_a_sharp_target_is_the_cross_entropy_of_one_bin():
    targets = torch.tensor([[[5.25, 9.75, 1.0]]])  # centres of bins 10 and 19 of half a pixel
    logits = torch.randn(1, 1, 2, 64, generator=torch.Generator().manual_seed(0))
    expected = cross_entropy(logits[0, 0], torch.tensor([10, 19]))
    torch.testing.assert_close(BinsLoss(S, radius=0.05)(logits, targets), expected)


@pytest.mark.parametrize("loss, output", every_loss())
def test_keypoints_that_do_not_count_have_no_gradient(loss, output):
    targets, output = some_targets(), output.clone().requires_grad_()
    loss(output, targets).backward()
    gradient = output.grad.movedim(2, 1) if output.ndim == 5 else output.grad
    size = gradient.flatten(2).abs().sum(-1)
    assert torch.equal(size > 0, targets[..., 2] > 0)
    moved = targets.clone()
    moved[..., :2] += 3 * (1 - moved[..., 2:])  # where they are said to be does not matter
    torch.testing.assert_close(loss(output, moved), loss(output, targets))
    assert loss(output, targets * torch.tensor([1.0, 1.0, 0.0])) == 0


@pytest.mark.parametrize("loss, output", every_loss())
def test_wrong_shapes_are_refused(loss, output):
    for targets in (torch.zeros(2, J, 2), torch.zeros(3, J, 3)):
        with pytest.raises(ValueError, match="targets are"):
            loss(output, targets)


@given(x=st.floats(-20, 52), y=st.floats(-20, 52))
def test_points_outside_the_picture_give_finite_losses(x, y):
    targets = torch.tensor([[[x, y, 1.0]]] * 2).expand(2, J, 3)
    for parameter in every_loss():
        loss, output = parameter.values
        assert loss(output, targets).isfinite()


@pytest.mark.parametrize("loss, output", every_loss())
def test_half_precision_outputs_are_compared_in_single(loss, output):
    targets = some_targets()
    torch.testing.assert_close(loss(output.bfloat16(), targets), loss(output.bfloat16().float(), targets))
