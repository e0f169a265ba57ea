"""Scans whose truth is known, how far a fit may be from it, and one small run of the whole."""

import numpy as np
import pytest
import torch

from thesislib import paths, results
from thesislib.chapters import fitting_scans, hand_mesh
from thesislib.chapters.fitting_scans import Config, correlation, over_people
from thesislib.chapters.scanned_people import KINDS, Kind, errors, scans_of
from thesislib.config import ConfigError
from thesislib.hand_model import UNIT_MM, posed
from thesislib.scan_fitting import SIZES, Fit, laid_over

WHO = torch.tensor([41, 7, 23])


@pytest.fixture(scope="module")
def model():
    return hand_mesh.load_model()


def test_a_scan_depends_on_its_person_and_number_alone(model):
    for kind in (Kind("inside", 1.0), Kind("own_shape"), Kind("own_flesh", 1.0, smooth=True)):
        all_of_them, one = scans_of(model, kind, WHO, 3, 0), scans_of(model, kind, WHO[1:2], 2, 0)
        torch.testing.assert_close(all_of_them.scan[1:2, :2], one.scan, atol=1e-5, rtol=0)
        assert (scans_of(model, kind, WHO[:1], 1, 1).scan - all_of_them.scan[:1, :1]).abs().max() > 0.01


def test_kinds_show_the_same_people_in_the_same_poses(model):
    sets = {name: scans_of(model, KINDS[name], WHO, 2, 0) for name in KINDS}
    first = sets["inside_exact"]
    for scans in sets.values():
        for name in SIZES:
            assert torch.equal(getattr(scans.truth, name), getattr(first.truth, name))
    far = {
        name: UNIT_MM * (scans.skin - first.skin).norm(dim=-1).mean().item() for name, scans in sets.items()
    }
    assert far["inside_exact"] == far["inside_2mm"] == 0
    assert 0.5 < far["own_shape_exact"] < 4 and 0.5 < far["own_flesh_exact"] < 4
    # what the pose blend shapes leave is less than what ten shape numbers leave
    between = (sets["own_flesh_exact"].skin - sets["own_shape_exact"].skin).norm(dim=-1).mean()
    assert 0 < UNIT_MM * between < far["own_shape_exact"]


def test_scans_inside_the_space_are_the_models_own(model):
    scans = scans_of(model, KINDS["inside_exact"], WHO, 2, 0)
    truth, shape = scans.truth, scans.truth.shape.expand(-1, 2, -1)
    mesh = posed(model, truth.pose.flatten(0, 1), shape.flatten(0, 1), truth.rotation.flatten(0, 1)).vertices
    torch.testing.assert_close(scans.scan.flatten(0, 1), mesh)


def test_the_true_shape_of_a_body_outside_is_the_nearest_inside(model):
    scans = scans_of(model, KINDS["own_flesh_exact"], WHO, 1, 0)

    def far(shape: torch.Tensor) -> torch.Tensor:
        rest = model.template + torch.einsum("pk,vck->pvc", shape, model.shape_basis)
        return (rest - scans.resting).square().sum(dim=(1, 2))

    shape = scans.truth.shape[:, 0]
    for nudge in 0.1 * torch.cat([torch.eye(10), -torch.eye(10)]):
        assert (far(shape + nudge) > far(shape)).all()


def test_noise_is_as_strong_as_it_says_and_smooth_where_it_says(model):
    for smooth in (False, True):
        scans = scans_of(model, Kind("inside", 2.0, smooth=smooth), torch.arange(40), 2, 0)
        noise = UNIT_MM * (scans.scan - scans.skin)
        assert noise.std().item() == pytest.approx(2.0, rel=0.08 if smooth else 0.01)
        assert abs(noise.mean().item()) < 0.1
        a, b, _ = model.faces.T  # neighbours
        together = np.corrcoef(noise[:, :, a].flatten(), noise[:, :, b].flatten())[0, 1]
        assert together > 0.8 if smooth else abs(together) < 0.02


def test_errors_are_those_of_what_was_changed(model):
    scans = scans_of(model, KINDS["inside_exact"], WHO, 2, 0)
    truth = scans.truth
    none = errors(model, truth, scans)
    assert all(value.max() < 1e-2 for name, value in none.items() if name != "shape_largest_sd")
    moved = errors(model, Fit(truth.pose, truth.rotation, truth.translation + 0.1, truth.shape), scans)
    np.testing.assert_allclose(moved["scan_mm"], UNIT_MM * 0.1 * 3**0.5, rtol=1e-4)
    assert moved["joint_deg"].max() < 1e-2
    other = errors(model, Fit(truth.pose, truth.rotation, truth.translation, truth.shape + 0.5), scans)
    np.testing.assert_allclose(other["shape_sd"], 0.5, rtol=1e-5)
    by_hand = UNIT_MM * (0.5 * model.shape_basis.sum(dim=2)).norm(dim=1).mean()
    np.testing.assert_allclose(other["resting_mm"], by_hand, rtol=1e-4)
    straight = torch.zeros(3, 2, 45)
    straight[..., 0] = torch.deg2rad(torch.tensor(30.0))  # one joint of fifteen
    bent = errors(
        model,
        Fit(straight, truth.rotation, truth.translation, truth.shape),
        scans_with_pose(scans, torch.zeros(3, 2, 45)),
    )
    np.testing.assert_allclose(bent["joint_deg"], 30 / 15, rtol=1e-4)
    beginning = errors(model, laid_over(model, scans.scan), scans)
    assert (beginning["scan_mm"] > 3).all()


def scans_with_pose(scans, pose):
    truth = Fit(pose, scans.truth.rotation, scans.truth.translation, scans.truth.shape)
    return type(scans)(scans.scan, scans.skin, truth, scans.resting)


def test_correlations_and_intervals_are_over_people():
    random = np.random.default_rng(0)
    true = random.normal(size=(30, 10))
    assert correlation(2 * true - 1, true, 0)["mean"] == pytest.approx(1)
    found = correlation(true + random.normal(size=(30, 10)), true, 0)
    assert found["low"] < found["mean"] < found["high"] and found["mean"] == pytest.approx(0.5**0.5, abs=0.08)
    spread = over_people(np.array([1.0, 2.0, 3.0]))
    assert spread["mean"] == 2 and spread["by_person"] == [1, 2, 3]
    assert spread["high"] - 2 == pytest.approx(4.303 / 3**0.5, rel=1e-3)  # Student's t with two degrees


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"kinds": ("inside_exact", "own_flesh_exat")}, "Did you mean 'own_flesh_exact'"),
        ({"kinds": ("inside_exact",)}, "kinds must hold"),
        ({"people": 0}, "people must be 1 or more"),
        ({"scans": 4}, "cannot share a shape, there are 4"),
        ({"iterations": 2}, "three stages need 3"),
    ],
)
def test_a_configuration_that_cannot_run_is_refused(wrong, says):
    with pytest.raises(ConfigError, match=says):
        Config.profile("full", **wrong)


def test_a_small_run_measures_every_kind_under_every_protocol(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "QUICK_RESULTS", tmp_path)
    config = Config.profile("smoke")
    record = fitting_scans.run(config)
    protocols = record["metrics"]["protocols"]
    for kind in config.kinds:
        for protocol in ("mean_hand", "nearest", "one_scan", "shared_2", "pose_given"):
            row = protocols[protocol]
            assert row[f"{kind}_shape_sd"]["low"] <= row[f"{kind}_shape_sd"]["mean"]
            assert len(row[f"{kind}_scan_mm"]["by_person"]) == config.people
    exact = protocols["one_scan"]["inside_exact_shape_sd"]["mean"]
    assert exact < 0.01 < protocols["one_scan"]["inside_2mm_shape_sd"]["mean"]
    assert protocols["one_scan"]["inside_exact_shape_correlation"]["mean"] > 0.999
    assert protocols["nearest"]["own_flesh_exact_scan_mm"]["mean"] > 0.3  # nothing in the space is nearer
    bounds = record["metrics"]["bounds"]
    assert bounds["shape_sd_at_1mm_pose_given"]["mean"] < bounds["shape_sd_at_1mm_pose_sought"]["mean"]
    curve = record["metrics"]["history"]["inside_exact"]["adam"]
    assert curve["iteration"][0] == 0 and curve["iteration"][-1] == config.iterations
    assert len(curve["scan_mm"]["mean"]) == len(curve["iteration"])
    arrays = results.read_arrays(fitting_scans.arrays_path(config))
    assert arrays["adam_meshes"].shape == (1, 4, *arrays["scan"].shape[1:])
    assert arrays["own_flesh_exact_one_scan_shape"].shape == (2, 2, 10)
    assert arrays["own_flesh_exact_shared_2_shape"].shape == (2, 1, 10)
    assert fitting_scans.run(config) == record  # stored, not measured again
