import math
import statistics

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thesislib.evaluation.keypoints import (
    area_under_pck,
    bootstrap_interval,
    box_side,
    error_over_box,
    error_per_joint,
    errors_px,
    keypoint_metrics,
    pck,
)


def some_points(images: int = 5, joints: int = 4, seed: int = 0):
    """Predicted and true points in 64-pixel images, what is visible and what is labelled."""
    torch.manual_seed(seed)
    true = 64 * torch.rand(images, joints, 2)
    predicted = true + 3 * torch.randn(images, joints, 2)
    return predicted, true, torch.rand(images, joints) < 0.6, torch.rand(images, joints) < 0.8


def test_every_metric_by_hand():
    predicted, true, visible, labelled = some_points()
    groups = {"": [], "_visible": [], "_occluded": []}
    for image in range(5):
        for joint in range(4):
            if not labelled[image, joint]:
                continue
            dx, dy = (predicted[image, joint] - true[image, joint]).tolist()
            error = 4 * math.hypot(dx, dy)  # from 64 pixels to 256
            groups[""].append(error)
            groups["_visible" if visible[image, joint] else "_occluded"].append(error)
    metrics = keypoint_metrics(predicted, true, visible, input_size=64, labelled=labelled)
    for name, errors in groups.items():
        assert len(errors) > 2
        assert metrics[f"n_keypoints{name}"] == len(errors)
        assert metrics[f"epe_px_at_256{name}"] == pytest.approx(sum(errors) / len(errors), rel=1e-5)
        assert metrics[f"epe_median_px_at_256{name}"] == pytest.approx(statistics.median(errors), rel=1e-5)
        lifted = [max(0, 30 - e) / 30 for e in errors]
        assert metrics[f"auc_0_30_px_at_256{name}"] == pytest.approx(sum(lifted) / len(lifted), rel=1e-5)
    share = sum(e / 2 <= 2 for e in groups[""]) / len(groups[""])
    assert metrics["share_within_2_px_at_128"] == pytest.approx(share)
    assert metrics["n_images"] == sum(bool(labelled[i].any()) for i in range(5))
    assert all(math.isfinite(v) for v in metrics.values())


@given(size=st.sampled_from([32, 64, 128, 256]), seed=st.integers(0, 50))
def test_the_size_of_the_image_does_not_matter(size, seed):
    predicted, true, visible, labelled = some_points(seed=seed)
    scale = size / 64
    here = keypoint_metrics(predicted, true, visible, input_size=64, labelled=labelled)
    there = keypoint_metrics(scale * predicted, scale * true, visible, input_size=size, labelled=labelled)
    assert here == pytest.approx(there, rel=1e-4)


def test_a_perfect_prediction_and_a_group_without_keypoints():
    _, true, _, _ = some_points()
    metrics = keypoint_metrics(true, true, torch.ones(5, 4, dtype=torch.bool), input_size=64)
    assert metrics["epe_px_at_256"] == 0
    assert metrics["auc_0_30_px_at_256"] == metrics["share_within_2_px_at_128"] == 1
    assert metrics["n_keypoints"] == metrics["n_keypoints_visible"] == 20
    assert metrics["n_keypoints_occluded"] == 0 and "epe_px_at_256_occluded" not in metrics


def test_positions_without_a_label_may_be_anything():
    predicted, true, visible, labelled = some_points()
    expected = keypoint_metrics(predicted, true, visible, input_size=64, labelled=labelled)
    true[~labelled] = torch.nan
    assert keypoint_metrics(predicted, true, visible, input_size=64, labelled=labelled) == expected
    error = errors_px(predicted, true, input_size=64)
    per_joint = error_per_joint(error, labelled)
    for joint in range(4):
        assert per_joint[joint] == pytest.approx(float(error[labelled[:, joint], joint].mean()), rel=1e-5)
    labelled[:, 2] = False
    assert np.isnan(error_per_joint(error, labelled)[2])


def test_bad_input_is_refused():
    predicted, true, visible, labelled = some_points()
    with pytest.raises(ValueError, match=r"\[N, J, 2\]"):
        errors_px(predicted[:, :3], true, input_size=64)
    with pytest.raises(ValueError, match="no keypoint is labelled"):
        keypoint_metrics(predicted, true, visible, input_size=64, labelled=torch.zeros_like(labelled))
    predicted[0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="not a number"):
        keypoint_metrics(predicted, true, visible, input_size=64)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30), st.floats(1, 60))
def test_the_area_is_the_integral_of_the_curve(errors, high):
    error = torch.tensor(errors, dtype=torch.float64)
    grid = np.linspace(0, high, 4001)
    curve = pck(error, grid)
    assert (np.diff(curve) >= 0).all() and curve[-1] == np.mean(np.array(errors) <= high)
    assert area_under_pck(error, high) == pytest.approx(float(curve.mean()), abs=2e-3)


def test_the_curve_counts_errors_at_the_threshold():
    assert pck(torch.tensor([1.0, 2.0, 2.0, 5.0]), [0.5, 1, 2, 4.9, 5]).tolist() == [0, 0.25, 0.75, 0.75, 1]
    assert area_under_pck(torch.tensor([10.0, 25.0, 60.0]), 50, low=20) == pytest.approx(
        (1 + 25 / 30 + 0) / 3
    )


def test_the_side_of_the_box():
    points = torch.tensor([[[1.0, 2.0], [5.0, 20.0], [9.0, 3.0]]]).repeat(3, 1, 1)
    labelled = torch.tensor([[True, True, True], [True, False, True], [False, True, False]])
    side = box_side(points, labelled)
    assert side[:2].tolist() == [18.0, 8.0] and side[2].isnan()
    assert box_side(points)[0] == 18


def test_error_over_the_box_by_hand():
    predicted, true, _, labelled = some_points(images=6)
    labelled[:, :2] = True
    labelled[3] = False  # an image without a label has no error
    side = box_side(true, labelled)
    shares = []
    for image in range(6):
        errors = [float((predicted - true)[image, j].norm()) for j in range(4) if labelled[image, j]]
        if errors:
            shares.append(sum(errors) / len(errors) / float(side[image]))
    metrics = error_over_box(predicted, true, side, labelled)
    assert metrics["n_images"] == len(shares) == 5
    assert metrics["error_over_box"] == pytest.approx(sum(shares) / 5, rel=1e-5)
    assert metrics["error_over_box_median"] == pytest.approx(sorted(shares)[2], rel=1e-5)
    low, high = metrics["error_over_box_low"], metrics["error_over_box_high"]
    assert min(shares) < low < metrics["error_over_box"] < high < max(shares)
    with pytest.raises(ValueError, match="no image has"):
        error_over_box(predicted, true, side * torch.nan)


def test_an_interval_over_people_knows_that_pictures_of_one_are_alike():
    person = torch.arange(8).repeat_interleave(50)
    own = torch.randn(8, generator=torch.Generator().manual_seed(1))
    values = own[person] + 0.1 * torch.randn(400, generator=torch.Generator().manual_seed(2))
    (low, high), (low_image, high_image) = bootstrap_interval(values, person), bootstrap_interval(values)
    assert (high - low) / (2 * 1.96 * float(own.std(correction=0)) / 8**0.5) == pytest.approx(1, abs=0.15)
    assert high - low > 5 * (high_image - low_image)
    unknown = torch.full_like(person, -1)
    assert bootstrap_interval(values, unknown) != (low, high)
    width = np.diff(bootstrap_interval(values, unknown))[0]
    assert width == pytest.approx(high_image - low_image, rel=0.15)  # each picture is somebody of its own
    shuffled = torch.randperm(400, generator=torch.Generator().manual_seed(3))
    assert bootstrap_interval(values[shuffled], person[shuffled]) == pytest.approx((low, high))


def test_an_error_over_the_box_says_whether_people_or_pictures_were_drawn():
    true = 100 * torch.rand(60, 4, 2, generator=torch.Generator().manual_seed(0))
    person = torch.arange(6).repeat_interleave(10)
    predicted = true + (1.0 + person)[:, None, None]
    side = torch.full((60,), 50.0)
    pictures = error_over_box(predicted, true, side)
    people = error_over_box(predicted, true, side, signer=person)
    one = error_over_box(predicted, true, side, signer=torch.full((60,), 3))
    assert (pictures["n_signers"], people["n_signers"], one["n_signers"]) == (0, 6, 1)
    width = [m["error_over_box_high"] - m["error_over_box_low"] for m in (pictures, people, one)]
    assert width[1] > 2 * width[0] and width[2] == width[0]
    assert people["error_over_box"] == pictures["error_over_box"]
    assert error_over_box(predicted, true, side, signer=person.where(person > 0, -1))["n_signers"] == 5


def test_the_bootstrap_interval_has_the_width_of_theory():
    values = torch.randn(400, generator=torch.Generator().manual_seed(0))
    low, high = bootstrap_interval(values)
    standard_error = float(values.std()) / 20
    assert low < values.mean() < high
    assert (high - low) / (2 * 1.96 * standard_error) == pytest.approx(1, abs=0.1)
    assert bootstrap_interval(values) == (low, high)  # the same draws every time
    assert bootstrap_interval(torch.full((3,), 0.5)) == (0.5, 0.5)
