"""From some data sets to another: which letters and people, what is refused, and one small run."""

import numpy as np
import pytest
from PIL import Image

from thesislib import paths
from thesislib.chapters import across_sets, letter_network, letter_sets
from thesislib.chapters.across_sets import Config, most_frequent
from thesislib.chapters.letter_sets import INVENTED, LetterSet, common_letters, joined, with_letters
from thesislib.config import ConfigError
from thesislib.datasets.letter_images import LetterImages
from thesislib.datasets.sources import DataError
from thesislib.evaluation.signers import Split
from thesislib.results import RecordError

STRANGERS = 7_000_000  # invented people who stand in for those of a real set


@pytest.fixture(scope="module")
def folders(letters_taught, build_folder):
    """Folders of their own, a tiny letter network, and a data folder with a set in the layout of Massey's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "CACHE", build_folder / "cache")
        patch.setenv("THESIS_DATA", str(build_folder / "raw"))
        theirs = LetterSet(INVENTED, signers=range(STRANGERS, STRANGERS + 2), frames=1).load()
        (build_folder / "raw" / "massey").mkdir(parents=True)
        for image, letter, signer in zip(theirs.image, theirs.letter, theirs.signer, strict=True):
            if (name := theirs.letters[letter]) != "y":  # a letter that only the built-in set has
                file = f"hand{signer + 1}_{name}_bot_seg_1_cropped.png"
                Image.fromarray(image.transpose(1, 2, 0)).save(build_folder / "raw" / "massey" / file)
        yield


def letters(names: str, *, signers: int, shade: int, seed: int = 0) -> LetterImages:
    """Two pictures of each letter but the last by each signer; the clip's numbers have gaps."""
    who, what, frame = (part.ravel() for part in np.indices((signers, len(names) - 1, 2)))
    n = len(who)
    return LetterImages(
        image=np.full((n, 3, 8, 8), shade, np.uint8),
        letter=what,
        signer=who,
        clip=3 * (who * len(names) + what),
        frame=frame,
        keypoints=np.full((n, 21, 2), np.nan, np.float32),
        left=np.zeros(n, bool),
        letters=tuple(names),
        signers=tuple(f"person{index}" for index in range(signers)),
        source=f"letters {names}",
    )


def test_only_letters_with_pictures_in_every_set_are_kept_and_keep_their_names():
    sets = {"one": letters("abcdz", signers=2, shade=10), "two": letters("zdcbx", signers=3, shade=200)}
    common = common_letters(sets)
    assert common == ("b", "c", "d")  # z is named by both, and "one" has no picture of it
    for data in sets.values():
        kept = with_letters(data, common)
        expected = [data.letters[index] for index in data.letter if data.letters[index] in common]
        assert [kept.letters[index] for index in kept.letter] == expected
        assert len(kept) == len(data.signers) * 3 * 2


def test_joined_sets_keep_people_and_clips_apart():
    parts = {"one": letters("abc", signers=2, shade=10), "two": letters("abc", signers=3, shade=200)}
    data = joined(parts)
    assert len(data) == sum(map(len, parts.values())) and len(np.unique(data.clip)) == (2 + 3) * 2
    of = np.array([name.split("/")[0] for name in data.signers])[data.signer]
    for name, part in parts.items():
        rows = of == name
        np.testing.assert_array_equal(data.image[rows], part.image)
        np.testing.assert_array_equal(data.letter[rows], part.letter)
        own = [f"{name}/{part.signers[who]}" for who in part.signer]
        assert [data.signers[who] for who in data.signer[rows]] == own
    with pytest.raises(DataError, match="differ in their letters"):
        joined(parts | {"two": letters("abd", signers=1, shade=0)})


def test_sets_without_common_letters_say_what_each_has():
    with pytest.raises(DataError, match="1 letters .* one has a, b; two has b, x"):
        common_letters({"one": letters("abz", signers=1, shade=0), "two": letters("bxz", signers=1, shade=0)})


def test_the_trivial_predictor_names_the_letter_with_most_pictures():
    data = letters("abcz", signers=2, shade=0)
    more_b = np.concatenate([np.flatnonzero(data.signer == 0)[1:], []]).astype(np.int64)  # one a is left out
    more_b = more_b[(data.letter[more_b] != 2) | (data.frame[more_b] == 0)]  # and one c
    test = np.flatnonzero(data.signer == 1)
    scores = most_frequent(data, Split(more_b, test))
    assert scores.shape == (len(test), 4) and (scores.argmax(axis=1) == 1).all()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"train": ("massy",)}, "Did you mean 'massey'"),
        ({"test": "asl8"}, "Did you mean 'asl7'"),
        ({"train": ("asl7", "massey")}, "'massey' is learned from and tested"),
        ({"train": ()}, "one or more sets"),
        ({"train": ("asl7", "asl7")}, "each once"),
        ({"systems": ("hogg",)}, "Did you mean 'hog'"),
    ],
)
def test_a_crossing_that_means_nothing_is_refused(wrong, says):
    with pytest.raises(ConfigError, match=says):
        Config.profile("full", **wrong)


def test_a_small_run_reads_every_signer_of_the_other_set(folders):
    config = Config.profile("smoke", test="massey")
    record = across_sets.run(config)
    metrics = record["metrics"]
    assert metrics["signers"] == ["massey/hand1", "massey/hand2"] and metrics["images_by_signer"] == [23, 23]
    assert metrics["letters"] == [letter for letter in letter_network.STATIC if letter != "y"]
    assert metrics["train_images"] == {INVENTED: config.signers * 23 * config.frames}
    trivial = metrics["most_frequent_letter"]
    assert trivial["top1_macro"]["mean"] == pytest.approx(metrics["chance"]) == pytest.approx(1 / 23)
    assert metrics["protocols"]["zero_shot"]["signers"] == metrics["signers"]
    assert set(metrics["systems"]) == set(config.systems)
    for scores in metrics["systems"].values():
        top1 = scores["zero_shot"]["top1_macro"]
        assert len(top1["by_signer"]) == 2 and np.mean(top1["by_signer"]) == pytest.approx(top1["mean"])
        assert 0 <= top1["low"] <= top1["mean"] <= top1["high"] <= 1
    assert set(record["data"]["sets"]) == {INVENTED, "massey"}
    assert len(record["split"]["learned_from"]) == config.signers
    assert across_sets.run(config) == record  # stored, not measured again


def test_a_system_that_needs_joints_is_left_out_where_a_set_has_none(folders):
    config = Config.profile("smoke", test="massey", systems=("pixels", "mediapipe"))
    assert set(across_sets.run(config)["metrics"]["systems"]) == {"pixels"}


def test_a_record_is_shown_where_its_pictures_are_not(folders, monkeypatch, tmp_path):
    config = Config.profile("smoke", test="massey", systems=("pixels",))
    record = across_sets.run(config)
    assert across_sets.data_sha256(config) == record["data"]["sha256"]
    monkeypatch.setenv("THESIS_DATA", str(tmp_path))
    assert across_sets.data_sha256(config) is None and across_sets.run(config) == record
    with pytest.raises(DataError, match="thesis fetch lsa16"):
        across_sets.run(Config.profile("smoke", test="lsa16"))
    file = letter_network.weights_path(letter_network.stored())
    content = file.read_bytes()
    try:
        file.write_bytes(content + b" ")
        with pytest.raises(RecordError, match="other networks"):
            across_sets.run(config)
    finally:
        file.write_bytes(content)


def test_a_set_is_read_once_where_it_is_measured(folders, monkeypatch):
    read, load = [], LetterSet.load
    monkeypatch.setattr(LetterSet, "load", lambda self: read.append(self.name) or load(self))
    record = across_sets.run(Config.profile("smoke", test="massey", systems=("hog",)))
    assert sorted(read) == [INVENTED, "massey"]
    assert record["data"]["sets"]["massey"]["sha256"] == LetterSet("massey").sha256()


def test_a_digest_names_every_set_and_every_file_of_weights():
    people = LetterSet(INVENTED, signers=range(3), frames=2)
    found = {
        letter_sets.digest([part.sha256() for part in sets], weights)
        for sets, weights in (
            ([people], {"a": "1"}),
            ([people], {"a": "2"}),
            ([people, people], {"a": "1"}),
            ([LetterSet(INVENTED, signers=range(1, 4), frames=2)], {"a": "1"}),
            ([LetterSet(INVENTED, signers=range(3), clips=2, frames=1)], {"a": "1"}),
        )
    }
    assert len(found) == 5 and None not in found
    assert letter_sets.digest([people.sha256(), None], {"a": "1"}) is None
