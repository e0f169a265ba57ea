"""Many looks at one picture: views come back to one place, and who is asked what is in the record."""

import numpy as np
import pytest
import torch

from thesislib import mediapipe_joints, paths, peers, results
from thesislib.chapters import hand_sets, many_looks
from thesislib.chapters.many_looks import Config, in_views
from thesislib.config import ConfigError
from thesislib.datasets.sources import DataError


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

    torch.testing.assert_close(in_views(find, picture)[0], places, atol=0.15, rtol=0)


def test_the_mean_is_over_every_share_turn_and_mirror_image_once():
    seen = []

    def find(images: torch.Tensor) -> torch.Tensor:
        seen.append(images.clone())
        return torch.full((len(images), 21, 2), 32.0)

    pictures = torch.randint(
        0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    torch.testing.assert_close(in_views(find, pictures), torch.full((2, 21, 2), 32.0))
    assert len(seen) == 18 and len({view.numpy().tobytes() for view in seen}) == 18
    assert any(torch.equal(view, pictures) for view in seen)
    assert any(torch.equal(view, pictures.flip(-1)) for view in seen)


def test_a_run_asks_the_stored_network_once_and_in_views(small):
    record = many_looks.run(Config.profile("smoke"))
    finders = record["metrics"]["finders"]
    assert list(finders) == ["ours_1_view", "ours_18_views"]
    for scores in finders.values():
        assert scores["unseen_signers"]["n_images"] == 16
        assert list(scores["over_box"]) == ["unseen_signers"]
        assert 0 < scores["over_box"]["unseen_signers"]["error_over_box"] < 1
    assert finders["ours_1_view"] != finders["ours_18_views"]
    assert record["split"]["test"]["hands"] == 16 and results.state(record) == "fresh"
    assert min(record["split"]["test"]["signers"]) >= hand_sets.FIRST_SIGNER["test"]


def test_mediapipe_is_asked_at_both_sizes_and_looks_twice(small, monkeypatch):
    sides = []

    def finder(model):
        def find(images):
            sides.append(images.shape[-1])
            return torch.from_numpy(
                np.tile(np.linspace(60, 160, 42).reshape(1, 21, 2), (len(images), 1, 1))
            ).float()

        return find

    monkeypatch.setattr(peers, "mediapipe_landmark_models", lambda folder: {"mediapipe_full": folder})
    monkeypatch.setattr(mediapipe_joints, "finder", finder)
    record = many_looks.run(Config.profile("smoke", mediapipe=True))
    asked = [name for name in record["metrics"]["finders"] if name.startswith("mediapipe")]
    assert asked == [f"mediapipe_full_{px}px_look_{number}" for px in (64, 224) for number in (1, 2)]
    assert set(sides) == {peers.INPUT_PX} and len(sides) == 4


@pytest.mark.parametrize(
    ("wrong", "says"),
    [({"real_sets": ("asl8",)}, "Did you mean 'asl7'"), ({"test_hands": 0}, "must be positive")],
)
def test_what_cannot_be_run_is_refused(wrong, says):
    with pytest.raises(ConfigError, match=says):
        Config.profile("quick", **wrong)


def test_missing_models_stop_the_run_before_anything_is_rendered(small):
    with pytest.raises(DataError, match="put its wheel there"):
        many_looks.run(Config.profile("smoke", mediapipe=True))
    assert not list(paths.CACHE.rglob("*")) and not list(paths.QUICK_RESULTS.rglob("*"))
