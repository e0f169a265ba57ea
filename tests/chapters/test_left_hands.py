"""Left hands: who is taught and asked in each protocol, what is refused, and one small run."""

import numpy as np
import pytest

from thesislib import paths
from thesislib.chapters import left_hands
from thesislib.chapters.left_hands import PROTOCOLS, Config
from thesislib.chapters.letter_systems import SYSTEMS
from thesislib.config import ConfigError
from thesislib.datasets.letter_images import LetterImages
from thesislib.evaluation.signers import accuracy


@pytest.fixture
def letters() -> LetterImages:
    """Three signers with two pictures of each of four letters; what is in the pictures does not matter here."""
    letter = np.tile(np.repeat(np.arange(4), 2), 3)
    n = len(letter)
    return LetterImages(
        image=np.zeros((n, 3, 32, 32), np.uint8),
        letter=letter,
        signer=np.repeat(np.arange(3), 8),
        clip=np.arange(n) // 2,
        frame=np.arange(n) % 2,
        keypoints=np.full((n, 21, 2), np.nan, np.float32),
        left=np.zeros(n, bool),
        letters=tuple("abcd"),
        signers=("ann", "ben", "cleo"),
        source="no pictures",
    )


def scores_of(system: str, right: np.ndarray, left: np.ndarray, data: LetterImages) -> dict[str, float]:
    given = left_hands.answers(SYSTEMS[system], right, left, data)
    assert set(given) == set(PROTOCOLS) and all([a.signer for a in of] == [0, 1, 2] for of in given.values())
    return {
        name: float(np.mean([accuracy(a.scores, data.letter[a.test])["top1_macro"] for a in of]))
        for name, of in given.items()
    }


def test_a_mirrored_hand_is_read_where_its_like_was_taught(letters):
    right = np.eye(8, dtype=np.float32)[letters.letter]
    another = np.eye(8, dtype=np.float32)[
        (letters.letter + 1) % 4
    ]  # its mirror image looks like another letter's
    nobodys = np.eye(8, dtype=np.float32)[4 + letters.letter]  # or like no right hand at all
    found = scores_of("pixels", right, another, letters)
    assert (found["right_taught_right_asked"], found["right_taught_left_asked"]) == (1, 0)
    found = scores_of("pixels", right, nobodys, letters)
    assert found["right_taught_left_asked"] < 1
    assert (found["both_taught_right_asked"], found["both_taught_left_asked"]) == (1, 1)


def test_right_and_left_are_centred_apart(letters):
    right = np.eye(8, dtype=np.float32)[letters.letter]
    shifted = (
        right + 100 * letters.signer[:, None].astype(np.float32) + 7
    )  # a stranger's offset hides every letter
    for left in (shifted, right):
        found = scores_of("letters_centred", shifted, left, letters)
        assert set(found.values()) == {1.0}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"systems": ("thesis",)}, "'thesis' learns a head"),
        ({"systems": ("mediapipe",)}, "'mediapipe' learns a head or needs more than a picture"),
        ({"systems": ("spatial_adapted",)}, "only a picture is mirrored"),
        ({"systems": ("spatial_ldaa",)}, "Did you mean 'spatial_lda'"),
        ({"dataset": "asl8"}, "Did you mean 'asl7'"),
    ],
)
def test_what_cannot_be_mirrored_is_refused(wrong, says):
    with pytest.raises(ConfigError, match=says):
        Config.profile("full", **wrong)


def test_a_small_run_asks_everybody_with_both_hands(letters_taught, build_folder, monkeypatch):
    monkeypatch.setattr(paths, "CACHE", build_folder / "cache")
    config = Config.profile("smoke")
    record = left_hands.run(config)
    metrics = record["metrics"]
    assert set(metrics["systems"]) == set(config.systems)
    for of_system in metrics["systems"].values():
        assert set(of_system) == set(PROTOCOLS)
        for found in of_system.values():
            top1 = found["top1_macro"]
            assert 0 <= top1["low"] <= top1["mean"] <= top1["high"] <= 1 and len(top1["by_signer"]) == 2
    queries = {name: of["queries"] for name, of in metrics["protocols"].items()}
    assert queries == dict.fromkeys(PROTOCOLS, 2 * 24 * 2)
    assert left_hands.run(config) == record  # stored, not measured again
