"""The built-in set of signs: balanced, mapped, kept, finished after a kill."""

import numpy as np
import pytest
import torch

from thesislib import paths, results
from thesislib.datasets import invented_signs, rendered_hands
from thesislib.datasets.invented_signs import invented
from thesislib.synthetic import signing, signs
from thesislib.synthetic.handshapes import alphabet
from thesislib.synthetic.sign_parts import ALPHABET
from thesislib.synthetic.sign_words import word_names

SMALL = {"words": 2, "frames": 8, "size": 16}


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    """A folder of rendered hands, empty at first; everybody has the handshapes of the table, which is fast."""
    folder = tmp_path_factory.mktemp("cache")
    shapes = torch.tensor([shape.angles for shape in alphabet(ALPHABET).values()])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "CACHE", folder)
        patch.setattr(signing, "signer_handshapes", lambda name, who, spread: shapes.expand(len(who), -1, -1))
        yield folder


@pytest.fixture
def painted(monkeypatch):
    """The frames that are asked for, in turn, painted in one colour each; frame `dies_at` is interrupted."""

    class Painted(list):
        dies_at = None

    painted = Painted()

    def paint(name, seed, index, *, size, **settings):
        if painted.dies_at is not None and (index >= painted.dies_at).any():
            raise KeyboardInterrupt
        painted.extend(index.tolist())
        return {
            "image": (index % 251).to(torch.uint8)[:, None, None, None].expand(-1, 3, size, size),
            "keypoints": torch.zeros(len(index), 21, 2),
            "visible": torch.ones(len(index), 21, dtype=torch.bool),
            "left": torch.zeros(len(index), dtype=torch.bool),
            "signer": torch.zeros_like(index),
            "letter": torch.full_like(index, -1),
        }

    monkeypatch.setattr(signs, "draw", paint)
    return painted


def test_every_signer_has_every_word_equally_often(painted):
    clips = invented("gestures", range(7, 10), words=5, takes=2, frames=8, size=16)
    assert (len(clips), clips.length, clips.size) == (30, 8, 16)
    assert clips.words == word_names("gestures", 5)
    table = np.zeros((10, 5), int)
    np.add.at(table, (clips.signer, clips.label), 1)
    assert (table[7:] == 2).all() and (table[:7] == 0).all()
    # frames in the order of the generator's indices
    assert (clips.frame[:, :, 0, 0, 0] == np.arange(240).reshape(30, 8) % 251).all()


def test_frames_are_those_of_the_generator_and_stay_on_the_disk():
    clips = invented("signs", range(2), **SMALL)
    assert isinstance(clips.frame, np.memmap)
    drawn = signs.draw("signs", 0, torch.arange(2 * 2 * 8), signers=range(2), **SMALL)
    assert (clips.frame == drawn["image"].numpy().reshape(clips.frame.shape)).all()
    assert (clips.signer == drawn["signer"].numpy()[::8]).all()
    assert (clips.label == drawn["word"].numpy()[::8]).all()


def test_a_sign_is_where_its_span_says(painted):
    clips = invented("signs", range(2), words=3, takes=2, frames=12, size=16, seed=3)
    take = torch.arange(12) % 2
    begin, end = signs.span(
        "signs", 3, torch.from_numpy(clips.signer), torch.from_numpy(clips.label), take, frames=12
    )
    assert (clips.begin == begin.numpy()).all() and (clips.end == end.numpy()).all()
    assert clips.begin.min() >= 1 and clips.end.max() <= 11  # rest, or the way from it, is in every clip


def test_a_set_is_rendered_once_and_another_request_is_another_set(painted, monkeypatch):
    asked = {"words": 2, "frames": 8, "size": 24}
    invented("signs", range(2), **asked)
    assert len(painted) == 32
    again = invented("signs", range(2), **asked)
    assert len(painted) == 32 and isinstance(again.frame, np.memmap)
    for number, change in enumerate([{"takes": 2}, {"seed": 1}, {"frames": 9}], start=1):
        invented("signs", range(1), **asked | change)
        assert len(painted) > 32 * number, change
        painted.extend([0] * (32 * (number + 1) - len(painted)))
    before = len(painted)
    monkeypatch.setattr(invented_signs, "generator_hash", lambda: "other code")
    invented("signs", range(2), **asked)
    assert len(painted) == before + 32


def test_an_interrupted_set_goes_on_where_it_stopped(painted):
    asked = {"words": 20, "frames": 8, "size": 16, "takes": 5}  # 800 frames, in chunks of 512
    painted.dies_at = 600
    with pytest.raises(KeyboardInterrupt):
        invented("signs", range(1), **asked)
    painted.dies_at = None
    clips = invented("signs", range(1), **asked)
    assert rendered_hands.CHUNK == 512 and painted == list(range(800)) and len(clips) == 100


def test_the_name_of_a_set_follows_the_code_that_draws_it(monkeypatch):
    found = []
    for code in ("as it is", "as it is", "changed"):
        monkeypatch.setattr(results, "source_hash", lambda module, code=code: f"{module} {code}")
        found.append(invented_signs.generator_hash.__wrapped__())
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"signers": range(0)}, "at least one"),
        ({"vocabulary": "letters"}, "no vocabulary"),
        ({"words": 41}, "from 1 to 40"),
        ({"takes": 0}, "at least one"),
        ({"frames": 7}, "8 frames"),
        ({"size": 20}, "multiple of 8"),
        ({"seed": -1}, "whole number"),
    ],
)
def test_requests_that_cannot_be_met_are_refused_and_leave_nothing(cache, change, message):
    before = sorted(cache.rglob("*"))
    with pytest.raises(ValueError, match=message):
        invented(**{"vocabulary": "signs", "signers": range(1), **SMALL} | change)
    assert sorted(cache.rglob("*")) == before
