"""The built-in flat hands: strangers in every part, the same hands whatever is asked for, kept on the disk."""

import numpy as np
import pytest
import torch

from thesislib import paths
from thesislib.datasets import invented_hands
from thesislib.datasets.invented_hands import FIRST_SUBJECT, drawn, flat, passes, supervised
from thesislib.datasets.sources import DataError
from thesislib.synthetic import flat_hands, mesh_pictures
from thesislib.synthetic.detector import DetectorFaults

SIZE = 16
PERFECT = DetectorFaults(spread=0, wrist_away=0, whole_hand=0, swapped=0)


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    """A folder of rendered hands, empty at first."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "CACHE", folder)
        yield folder


@pytest.fixture
def renderings(monkeypatch):
    """How many pictures were drawn, call by call."""
    counts, draw = [], flat_hands.photographed

    def spy(kind, seed, index, **settings):
        counts.append(len(index))
        return draw(kind, seed, index, **settings)

    monkeypatch.setattr(flat_hands, "photographed", spy)
    return counts


def test_parts_have_hands_of_strangers():
    parts = {part: flat(part, 12, 3, SIZE) for part in FIRST_SUBJECT}
    people = [set(hands.subject.tolist()) for hands in parts.values()]
    assert not set.intersection(*people) and all(1 < len(some) <= 3 for some in people)
    assert len({hands.image.tobytes() for hands in parts.values()}) == 3
    for hands in parts.values():
        assert hands.size == SIZE and not hands.mirrored.any() and hands.truth.theta is None
        assert hands.truth.silhouette.any(axis=(1, 2)).all()


def test_a_set_begins_with_the_smaller_one():
    small, large = flat("train", 12, 3, SIZE), flat("train", 20, 3, SIZE)
    assert small.sha256 == large.of(slice(12)).sha256


def test_a_silhouette_comes_back_as_it_was_drawn():
    hands = flat("train", 12, 3, SIZE)
    again = flat_hands.photographed("flat", 0, torch.arange(12), subjects=range(3), size=SIZE)
    assert (hands.truth.silhouette == again["silhouette"].numpy()).all()
    assert (hands.truth.frames == again["frames"].numpy()).all()


def test_another_detector_needs_no_other_pictures(renderings):
    first = flat("validation", 10, 3, SIZE)
    assert sum(renderings) == 10
    second = flat("validation", 10, 3, SIZE, faults=PERFECT)
    assert sum(renderings) == 10 and (second.keypoints == second.truth.keypoints).all()
    assert (first.image == second.image).all() and (first.keypoints != second.keypoints).any()


def test_other_code_draws_another_set(renderings, monkeypatch):
    flat("test", 10, 3, SIZE)
    monkeypatch.setattr(invented_hands, "generator_hash", lambda: "other")
    flat("test", 10, 3, SIZE)
    assert sum(renderings) == 20


def test_supervision_keeps_what_is_right():
    hands = flat("train", 400, 3, SIZE)
    first, both = passes(hands)
    assert (first | ~both).all() and (supervised(hands) == both).all()
    assert 0.40 < first.mean() < 0.66  # 5,906 of 11,076 in Komorowicz 2018, table 5.1
    assert both.sum() > 0.9 * first.sum()

    def wrist_px(rows):
        return np.linalg.norm((hands.keypoints - hands.truth.keypoints)[rows, 0], axis=-1)

    assert np.median(wrist_px(~first)) > 5 * np.median(wrist_px(both))
    assert passes(flat("train", 400, 3, SIZE, faults=PERFECT))[0].mean() > 0.97


def test_pictures_of_the_model_keep_their_parameters(monkeypatch):
    """The generator of meshes is another room's: what matters here is that its theta is kept, and people apart."""

    def draw(kind, seed, index, *, model, **settings):
        assert kind == "model" and model.name == "made up"
        made = flat_hands.photographed("flat", seed, index, **settings)
        return made | {"theta": index[:, None] + torch.zeros(1, 61)}

    class Model:
        name = "made up"

        def __init__(self):
            self.template = torch.zeros(4, 3)

    monkeypatch.setattr(mesh_pictures, "draw", draw)
    hands = drawn(Model(), "train", 6, 3, SIZE)
    assert (hands.truth.theta[:, 7] == np.arange(6)).all() and (hands.certainty == 1).all()
    assert (hands.keypoints == hands.truth.keypoints).all() and hands.subject.min() >= 10_000_000


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        (("all", 4, 2, SIZE), DataError, "no part"),
        (("train", 4, 0, SIZE), DataError, "people"),
        (("train", 0, 2, SIZE), DataError, "at least one hand"),
        (("train", 4, 2, 20), ValueError, "multiple of 8"),
    ],
)
def test_requests_that_cannot_be_met_are_refused(asked, error, message):
    with pytest.raises(error, match=message):
        flat(*asked)
