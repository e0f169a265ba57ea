"""The mean over views of a picture: they come back to one place, and the record says who was asked what."""

import numpy as np
import pytest
import torch

from thesislib import mediapipe_joints, paths, peers, results
from thesislib.chapters import hand_sets, view_averaging
from thesislib.chapters.finding_joints import over_box
from thesislib.chapters.view_averaging import Config, averaged_over_views
from thesislib.config import ConfigError
from thesislib.datasets.hand_images import HandImages
from thesislib.datasets.sources import DataError
from thesislib.synthetic import scene


@pytest.fixture
def small(tmp_path, monkeypatch, draw_bars):
    for name in ("QUICK_RESULTS", "RESULTS", "CACHE"):
        monkeypatch.setattr(paths, name, tmp_path / name)
    monkeypatch.setenv("THESIS_DATA", str(tmp_path / "raw"))
    monkeypatch.setattr(hand_sets, "rendered", draw_bars)


def test_a_finder_that_is_right_in_every_view_is_right_in_the_mean():
    places = torch.tensor([[20.5, 30.5], [40.5, 28.5], [32.5, 45.5]])
    picture = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    for colour, (x, y) in enumerate(places.int().tolist()):  # a spot of a colour is a joint
        picture[0, colour, y - 2 : y + 3, x - 2 : x + 3] = 255

    def find(images: torch.Tensor) -> torch.Tensor:
        weight = images.float().flatten(2)
        y, x = (torch.arange(64 * 64) // 64 + 0.5, torch.arange(64 * 64) % 64 + 0.5)
        return torch.stack([(weight * part).sum(-1) / weight.sum(-1) for part in (x, y)], -1)

    torch.testing.assert_close(averaged_over_views(find, picture)[0], places, atol=0.15, rtol=0)


def test_the_mean_is_over_every_share_turn_and_mirror_image_once():
    seen = []

    def find(images: torch.Tensor) -> torch.Tensor:
        seen.append(images.clone())
        return torch.full((len(images), 21, 2), 32.0)

    pictures = torch.randint(
        0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    torch.testing.assert_close(averaged_over_views(find, pictures), torch.full((2, 21, 2), 32.0))
    assert len(seen) == 18 and len({view.numpy().tobytes() for view in seen}) == 18
    assert any(torch.equal(view, pictures) for view in seen)
    assert any(torch.equal(view, pictures.flip(-1)) for view in seen)


def test_a_run_asks_the_stored_networks_once_and_averaged_over_views(small):
    record = view_averaging.run(Config.profile("smoke"))
    finders = record["metrics"]["finders"]
    assert list(finders) == [
        f"{width}_{views}" for width in ("half_width", "whole_width") for views in ("single_view", "18_views")
    ]
    for scores in finders.values():
        assert scores["unseen_signers"]["n_images"] == 16
        assert list(scores["over_box"]) == ["unseen_signers"]
        assert 0 < scores["over_box"]["unseen_signers"]["error_over_box"] < 1
        letters = scores["over_box"]["unseen_signers"]["by_letter"]
        assert 0 < sum(found["n_images"] for found in letters.values()) < 16
    for width in ("half_width", "whole_width"):
        single, viewed = (
            finders[f"{width}_{views}"]["over_box"]["unseen_signers"] for views in ("single_view", "18_views")
        )
        assert viewed["above_single"] == pytest.approx(
            viewed["error_over_box"] - single["error_over_box"], abs=0.02
        )
        assert viewed["above_single"] != 0 and "above_single" not in single
    assert record["split"]["test"]["hands"] == 16 and results.state(record) == "fresh"
    assert min(record["split"]["test"]["signers"]) >= hand_sets.FIRST_SIGNER["test"]


def test_mediapipe_is_asked_at_both_sizes_about_the_whole_and_a_crop(small, monkeypatch):
    drawn, sides = [], []

    def rendered(kind, *args, size, supersample, **settings):
        scene.check_size(size, supersample)
        drawn.append((kind, size))
        return hand_sets_rendered(kind, *args, size=size, supersample=supersample, **settings)

    def landmark_model(model):
        def find(images):
            sides.append(images.shape[-1])
            return torch.linspace(60, 160, 42).reshape(1, 21, 2).expand(len(images), -1, -1)

        return find

    hand_sets_rendered = hand_sets.rendered
    monkeypatch.setattr(hand_sets, "rendered", rendered)
    monkeypatch.setattr(peers, "mediapipe_landmark_models", lambda folder: {"mediapipe_full": folder})
    monkeypatch.setattr(mediapipe_joints, "landmark_model", landmark_model)
    record = view_averaging.run(Config.profile("smoke", mediapipe=True))
    asked = [name for name in record["metrics"]["finders"] if name.startswith("mediapipe")]
    assert asked == [f"mediapipe_full_{px}px_{crop}" for px in (64, 224) for crop in ("whole", "tracked")]
    assert set(sides) == {peers.INPUT_PX} and len(sides) == 4
    assert {size for _, size in drawn} == {64, 224}


def test_differences_are_of_the_same_pictures_and_people_are_drawn():
    single = torch.tensor([0.1, 0.5, 0.9, 0.3, float("nan")])
    errors = single - torch.tensor([0.02, 0.02, 0.04, 0.04, 0.0])
    signer = torch.tensor([1, 1, 2, 2, 3])
    found = view_averaging.difference(errors, single, signer)
    assert found["above_single"] == pytest.approx(-0.03)
    # two people: either, or both, are drawn, whatever their pictures
    assert (found["above_single_low"], found["above_single_high"]) == pytest.approx((-0.04, -0.02))
    nobody = view_averaging.difference(errors, single, torch.full((5,), -1))
    assert nobody["above_single_low"] > -0.0401 and nobody["above_single_high"] < -0.0199


def test_the_error_of_a_picture_is_that_of_its_labelled_joints_over_their_box():
    keypoints = np.full((2, 21, 2), np.nan, np.float32)
    keypoints[0, :3] = [[10, 10], [30, 10], [10, 50]]  # a box of 20 x 40
    keypoints[1, 0] = [10, 10]  # no box
    none = np.full(2, -1)
    of_set = HandImages(
        image=np.zeros((2, 3, 64, 64), np.uint8),
        keypoints=keypoints,
        visible=~np.isnan(keypoints[..., 0]),
        left=np.zeros(2, bool),
        signer=none,
        letter=none,
        source="three points",
    )
    joints = torch.zeros(2, 21, 2)
    joints[0, :3] = torch.tensor([[10.0, 14], [30, 10], [10, 42]])
    errors = view_averaging.error_of_pictures(of_set, joints)
    assert errors[0].item() == pytest.approx((4 + 0 + 8) / 3 / 40) and not errors[1].isfinite()
    of_set = of_set.of([0])
    assert errors[0].item() == pytest.approx(over_box(of_set, joints[:1])["error_over_box"])


def test_letters_are_told_apart_and_other_hands_left_out():
    letter, signer = np.array([0, 0, 0, 25, -1, 25]), np.array([1, 1, 2, 2, 2, 3])
    of_set = HandImages(
        image=np.zeros((6, 3, 64, 64), np.uint8),
        keypoints=np.ones((6, 21, 2), np.float32),
        visible=np.ones((6, 21), bool),
        left=np.zeros(6, bool),
        signer=signer,
        letter=letter,
        source="six hands",
    )
    errors = torch.tensor([0.1, 0.3, 0.5, 0.2, 0.9, float("nan")])
    found = view_averaging.error_by_letter(errors, of_set)
    assert list(found) == ["A", "Z"]
    assert (found["A"]["n_images"], found["A"]["n_signers"]) == (3, 2)
    assert (found["Z"]["n_images"], found["Z"]["n_signers"]) == (1, 1)
    assert found["A"]["error_over_box"] == pytest.approx(0.3)
    assert found["Z"]["error_over_box"] == pytest.approx(0.2)
    # two people: either, or both, are drawn, each with all their pictures
    low, high = (found["A"][f"error_over_box_{end}"] for end in ("low", "high"))
    assert (low, high) == (pytest.approx(0.2), pytest.approx(0.5))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [({"real_sets": ("asl8",)}, "Did you mean 'asl7'"), ({"test_hands": 0}, "must be positive")],
)
def test_what_cannot_be_run_is_refused(wrong, says):
    with pytest.raises(ConfigError, match=says):
        Config.profile("quick", **wrong)


def test_missing_models_stop_the_run_before_anything_is_rendered(small):
    with pytest.raises(DataError, match="put its wheel there"):
        view_averaging.run(Config.profile("smoke", mediapipe=True))
    assert not list(paths.CACHE.rglob("*")) and not list(paths.QUICK_RESULTS.rglob("*"))
