"""The built-in set of fingerspelling: balanced, kept signer by signer, finished after a kill."""

import numpy as np
import pytest

from thesislib import paths, results
from thesislib.datasets import spelled_hands
from thesislib.datasets.spelled_hands import invented
from thesislib.synthetic import clips, contacts

FRAMES = 3
SMALL = {"kind": "digits", "frames_per_clip": FRAMES, "size": 16}


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    """A folder of rendered hands and solved handshapes, empty at first; blocks hold two signers."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "CACHE", folder)
        patch.setattr(contacts, "BLOCK", 2)
        contacts._block.cache_clear()
        yield folder
    contacts._block.cache_clear()


@pytest.fixture
def asked(monkeypatch):
    """The signers that are drawn, in turn; drawing signer `asked.dies_at` is interrupted."""

    class Asked(list):
        dies_at = None

    asked, draw = Asked(), clips.spelled

    def spy(kind, seed, index, **settings):
        (signer,) = settings["signers"]
        if signer == asked.dies_at:
            raise KeyboardInterrupt
        asked.append(signer)
        return draw(kind, seed, index, **settings)

    monkeypatch.setattr(clips, "spelled", spy)
    return asked


def test_every_signer_has_every_letter_and_clip_equally_often():
    hands = invented(range(2), **SMALL, clips_per_letter=2)
    assert len(hands) == 2 * 10 * 2 * FRAMES and hands.size == 16
    assert hands.letters == tuple("0123456789") and hands.signers == ("invented-0000", "invented-0001")
    table = np.zeros((2, 10), int)
    np.add.at(table, (hands.signer, hands.letter), 1)
    assert (table == 2 * FRAMES).all()
    numbers, counts = np.unique(hands.clip, return_counts=True)
    assert len(numbers) == 40 and (counts == FRAMES).all()
    assert (hands.frame == np.tile(np.arange(FRAMES), 40)).all() and (np.diff(hands.clip) >= 0).all()
    assert np.isfinite(hands.keypoints).all()


def test_a_larger_set_starts_from_the_smaller_one(asked):
    small = invented(range(2), **SMALL)
    large = invented(range(3), **SMALL)
    assert asked == [0, 1, 2]
    assert (large.image[: len(small)] == small.image).all() and len(np.unique(large.signer)) == 3
    alone = invented(range(1, 2), **SMALL)
    assert asked == [0, 1, 2] and alone.signers == ("invented-0001",) and (alone.signer == 0).all()
    assert (alone.image == small.image[small.signer == 1]).all()


def test_an_interrupted_set_goes_on_where_it_stopped(asked):
    asked.dies_at = 1
    with pytest.raises(KeyboardInterrupt):
        invented(range(2), **SMALL, seed=5)
    asked.dies_at = None
    resumed = invented(range(2), **SMALL, seed=5)
    assert asked == [0, 1] and len(resumed) == 2 * 10 * FRAMES


@pytest.mark.parametrize("change", [{"seed": 9}, {"frames_per_clip": 2}, {"size": 24}, {"code": "other"}])
def test_another_request_or_other_code_draws_another_set(asked, change, monkeypatch):
    invented(range(1), **SMALL)
    asked.clear()
    if code := change.pop("code", None):
        monkeypatch.setattr(spelled_hands, "generator_hash", lambda: code)
    invented(range(1), **SMALL | change)
    assert asked == [0]


def test_american_letters_are_those_of_the_real_sets():
    hands = invented(range(1), frames_per_clip=1, size=16)
    assert "".join(hands.letters) == "abcdefghiklmnopqrstuvwxy"
    assert (hands.letter == np.arange(24)).all()


def test_the_name_of_a_set_follows_the_code_that_draws_it(monkeypatch):
    found = []
    for code in ("as it is", "as it is", "changed"):
        monkeypatch.setattr(results, "source_hash", lambda module, code=code: f"{module} {code}")
        found.append(spelled_hands.generator_hash.__wrapped__())
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"signers": range(0)}, "at least one"),
        ({"kind": "flat"}, "nobody spells"),
        ({"size": 20}, "multiple of 8"),
    ],
)
def test_requests_that_cannot_be_met_are_refused_and_leave_nothing(cache, change, message):
    before = sorted(cache.rglob("*"))
    with pytest.raises(ValueError, match=message):
        invented(**{"signers": range(1), **SMALL} | change)
    assert sorted(cache.rglob("*")) == before
