"""Frames to LSTM: features that are kept, how networks begin, what is asked of whom, and the record.

Clips of tiny pictures stand for signs: a light patch that goes about in an order of quarters that is the word, on a
ground that is the signer's. An average of the quarters stands for the frozen encoder.
"""

import functools
import json
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import torch

from thesislib import paths, results
from thesislib.chapters import frame_features, frames_to_lstm, lstm_starts, transfer_study
from thesislib.chapters.frame_features import features_path, quarters
from thesislib.chapters.lstm_starts import (
    STARTS,
    VARIANTS,
    Clips,
    Start,
    Trained,
    Training,
    bag_of_frames,
    build,
    standardised,
    train,
)
from thesislib.chapters.sign_sets import FilmedSigns, InventedSigns, Lesson
from thesislib.chapters.transfer_scores import (
    BEST_EPOCH,
    PANEL,
    clear,
    differences,
    gains,
    gains_by_signer,
    outcome,
    shares,
    spreads,
)
from thesislib.chapters.transfer_study import Config, lessons_of, parts_of
from thesislib.config import ConfigError
from thesislib.datasets.sign_clips import SignClips
from thesislib.results import RecordError

SIZE, FRAMES = 8, 8
ORDERS = list(permutations(range(4)))


def moving(words: int, signers, takes: int, *, first: int = 0) -> SignClips:
    """A patch that goes through the quarters of the picture in an order that is the word, two frames in each."""
    rows = [(w, s, t) for s in signers for w in range(words) for t in range(takes)]
    frame = np.empty((len(rows), FRAMES, 3, SIZE, SIZE), np.uint8)
    for clip, (word, signer, take) in zip(frame, rows, strict=True):
        random = np.random.default_rng([word, signer % 1000, take])
        clip[:] = 40 + 20 * np.random.default_rng(signer % 1000).random() + random.integers(0, 20, clip.shape)
        for moment, place in enumerate(np.repeat(ORDERS[first + word], 2)):
            y, x = divmod(int(place), 2)
            clip[moment, :, 4 * y : 4 * y + 4, 4 * x : 4 * x + 4] += 150
    label, signer, _ = np.array(rows, np.int64).T
    zero = np.zeros(len(rows), np.int64)
    return SignClips(
        frame, label, signer, zero, zero + FRAMES, tuple(f"word {n}" for n in range(words)), "patches"
    )


def load(part: InventedSigns) -> SignClips:
    """In place of InventedSigns.load: gestures are other orders than signs."""
    return moving(part.words, part.signers, part.takes, first=0 if part.vocabulary == "signs" else 12)


def load_films(films: FilmedSigns) -> SignClips:
    """In place of FilmedSigns.load: one person, three films a word."""
    clips = moving(3, [7], 3)
    return replace(clips, signer=np.full(len(clips), -1))


def averages(image: np.ndarray) -> np.ndarray:
    """In place of a frozen encoder: quarters [n, 12]."""
    return quarters(image.reshape(len(image), -1).astype(np.float32) / 255, channels=3)


def tiny(**changed) -> Config:
    return Config.profile("smoke", **dict(frames=FRAMES, size=32) | changed)


def data_of(words: int = 4, signers: int = 6, takes: int = 2) -> Clips:
    clips = moving(words, range(signers), takes)
    x = averages(clips.frame.reshape(-1, 3, SIZE, SIZE)).reshape(len(clips), FRAMES, -1)
    return Clips(x, clips.label, clips.signer, clips.words)


def lesson_of(data: Clips, signers: int = 4, seed: int = 0) -> Lesson:
    known = data.signer < signers
    return Lesson(1, seed, np.flatnonzero(known), {"strangers": np.flatnonzero(~known)})


TRAINING = Training(epochs=6, steps=10, batch_size=16, rate=0.01)


def learn(
    folder, data: Clips, lesson: Lesson, start: Start = STARTS["scratch"], source=None, **how
) -> Trained:
    network = build(start, data.x.shape[2], len(data.words), hidden=16, dropout=0.2, seed=0, source=source)
    training = replace(TRAINING, **how)
    return train(network, data, lesson, training, watched="strangers", folder=folder, title="test")


@pytest.fixture(scope="module", autouse=True)
def small_things(tmp_path_factory):
    folder = tmp_path_factory.mktemp("build")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("RUNS", "QUICK_RESULTS", "CACHE"):
            patch.setattr(paths, name, folder / name.lower())
        patch.setattr(results, "source_hash", functools.cache(results.source_hash))
        patch.setattr(InventedSigns, "load", load)
        patch.setattr(FilmedSigns, "load", load_films)
        patch.setattr(frame_features, "encoder", lambda name: averages)
        yield


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty build folder for one test."""
    monkeypatch.setattr(paths, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(paths, "QUICK_RESULTS", tmp_path / "results")
    return tmp_path


@pytest.fixture(scope="module")
def taught(tmp_path_factory) -> Trained:
    data = data_of()
    return learn(tmp_path_factory.mktemp("gestures"), data, lesson_of(data))


@pytest.fixture(scope="module")
def record(small_things):
    return frames_to_lstm.run(tiny())


# Features ---------------------------------------------------------------------------------------------


def test_quarters_are_means_of_the_cells_in_them():
    maps = np.random.default_rng(0).normal(size=(5, 7, 4, 4)).astype(np.float32)
    found = quarters(maps.reshape(5, -1), channels=7).reshape(5, 7, 2, 2)
    for y in range(2):
        for x in range(2):
            cells = maps[:, :, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
            np.testing.assert_allclose(found[:, :, y, x], cells.mean(axis=(2, 3)), rtol=1e-5, atol=1e-6)


def test_features_are_computed_once_whatever_the_batch(tmp_path, monkeypatch):
    clips, calls = moving(3, range(2), 2), []
    expected = averages(clips.frame.reshape(-1, 3, SIZE, SIZE)).reshape(12, FRAMES, 12)

    def counted(image: np.ndarray) -> np.ndarray:
        calls.append(len(image))
        return averages(image)

    monkeypatch.setattr(frame_features, "encoder", lambda name: counted)
    for batch in (1, 3 * FRAMES, 1000):
        monkeypatch.setattr(paths, "CACHE", tmp_path / str(batch))
        monkeypatch.setattr(frame_features, "BATCH", batch)
        calls.clear()
        for _ in range(2):
            found = frame_features.frame_features(clips)
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, expected, atol=1e-3)
        assert sum(calls) == 12 * FRAMES


def test_other_pixels_and_other_encoders_have_other_features(monkeypatch):
    clips = moving(3, range(2), 1)
    brighter = replace(clips, frame=clips.frame + np.uint8(1))
    before = features_path(clips, "pose")
    names = {before, features_path(brighter, "pose"), features_path(clips, "inception_v3")}
    monkeypatch.setattr(frame_features, "encoder_digest", lambda name: "other weights")
    assert len(names | {features_path(clips, "pose")}) == 4
    assert paths.CACHE in before.parents


@pytest.mark.parametrize("damage", ["cut short", "of other clips"])
def test_damaged_features_are_computed_again(tmp_path, monkeypatch, damage):
    monkeypatch.setattr(paths, "CACHE", tmp_path)
    clips = moving(3, range(2), 1)
    expected = frame_features.frame_features(clips)
    path = features_path(clips, "pose")
    if damage == "cut short":
        path.write_bytes(path.read_bytes()[:-50])
    else:
        np.save(path, np.zeros((2, FRAMES, 12), np.float16))
    with pytest.warns(UserWarning, match="computing the features again"):
        np.testing.assert_array_equal(frame_features.frame_features(clips), expected)
    np.testing.assert_array_equal(frame_features.frame_features(clips), expected)


def test_a_spread_is_that_of_the_clips_that_teach():
    x = np.random.default_rng(0).normal(3, 5, size=(6, 4, 7)).astype(np.float32)
    x[4:] = 1e6  # of people who are asked
    frames = standardised(x, np.arange(4))[:4].reshape(-1, 7)
    np.testing.assert_allclose(frames.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(frames.std(axis=0), 1, atol=1e-2)


# Networks ---------------------------------------------------------------------------------------------


def test_words_that_differ_in_their_order_alone_are_learned_by_networks_only(tmp_path):
    data = data_of()
    lesson = lesson_of(data)
    rows = lesson.asked["strangers"]
    found = learn(tmp_path, data, lesson, epochs=12)
    assert (found.said["strangers"] == data.label[rows]).mean() > 0.9
    still = replace(data, x=np.roll(data.x, data.label[0], axis=1))
    assert (bag_of_frames(still, lesson, rows) == data.label[rows]).mean() < 0.7
    assert (bag_of_frames(data, lesson, rows, slice(1)) == data.label[rows]).mean() < 0.7


def test_a_network_ends_with_what_its_history_says(taught):
    data = data_of()
    rows = lesson_of(data).asked["strangers"]
    last = taught.history[-1]
    assert last["validation_accuracy"] == (taught.said["strangers"] == data.label[rows]).mean()
    assert set(PANEL) <= last.keys() and len(taught.history) == TRAINING.epochs


@pytest.mark.parametrize("name", STARTS)
def test_what_is_frozen_stays_and_the_rest_learns(name, taught, tmp_path):
    data, start = data_of(words=3), STARTS[name]
    before = build(start, 12, 3, hidden=16, dropout=0.2, seed=0, source=taught.network)
    after = learn(tmp_path, data, lesson_of(data), start, taught.network, epochs=1).network
    of_gestures = taught.network.state_dict()
    moved = {
        key: not torch.equal(value, after.state_dict()[key]) for key, value in before.state_dict().items()
    }
    for layer in range(2):
        names = [key for key in moved if key.startswith(f"lstms.{layer}.")]
        from_there = [torch.equal(before.state_dict()[key], of_gestures[key]) for key in names]
        assert len(names) == 4 and all(from_there) == start.taught
        assert all(moved[key] == (layer >= start.frozen) for key in names)
    assert moved["classifier.weight"] and before.classifier.out_features == 3


def test_seeds_make_other_networks_and_the_same_seed_the_same():
    made = [
        build(STARTS["scratch"], 12, 3, hidden=8, dropout=0.5, seed=seed).state_dict() for seed in (0, 0, 1)
    ]
    same = [all(torch.equal(made[0][key], other[key]) for key in made[0]) for other in made[1:]]
    assert same == [True, False]


def test_variants_are_the_networks_they_are_called():
    made = {
        name: build(start, 12, 3, hidden=8, dropout=0.5, seed=0) for name, start in (STARTS | VARIANTS).items()
        if not start.taught
    }  # fmt: skip
    assert {name: len(network.lstms) for name, network in made.items()} == dict(
        scratch=2, one_lstm_two_dense=1, one_lstm=1, no_dropout=2
    )
    assert made["no_dropout"].dropout.p == 0 and made["one_lstm"].dropout.p == 0.5
    dense = [sum(isinstance(m, torch.nn.Linear) for m in network.modules()) for network in made.values()]
    assert dense == [1, 2, 1, 1]


def test_few_clips_are_learned_from_as_long_as_many(tmp_path, monkeypatch):
    seen = []

    def fit(network, loss, inputs, targets, recipe, **how):
        seen.append((inputs.numpy(), recipe.batch_size, recipe.epochs))
        return [{}]

    monkeypatch.setattr(lstm_starts, "fit", fit)
    data = data_of()
    for rows in (np.array([3, 5]), np.arange(40)):
        learn(tmp_path, data, Lesson(1, 0, rows, {"strangers": np.array([41])}), steps=3)
    for (inputs, batch_size, epochs), rows in zip(seen, ([3, 5], range(40)), strict=True):
        assert len(inputs) == 3 * batch_size == 48 and epochs == TRAINING.epochs
        assert set(inputs.tolist()) == set(rows) and np.ptp(np.bincount(inputs)[list(rows)]) <= 1


def test_what_is_asked_teaches_nothing(taught, tmp_path):
    """With other words and other pictures for those asked, the same network comes out."""
    data = data_of()
    lesson = lesson_of(data)
    rows = lesson.asked["strangers"]
    other = replace(data, x=data.x.copy(), label=data.label.copy())
    other.x[rows], other.label[rows] = 0, 0
    again = learn(tmp_path, other, lesson).network.state_dict()
    assert all(torch.equal(value, again[key]) for key, value in taught.network.state_dict().items())


# Scores -----------------------------------------------------------------------------------------------


def told(said: dict, accuracies: list[float]) -> Trained:
    rows = [dict(accuracy=0.5, loss=1.0, validation_loss=2.0, validation_accuracy=one) for one in accuracies]
    return Trained(None, {key: np.array(value) for key, value in said.items()}, rows)


def test_lessons_that_belong_together_are_scored_together():
    data = Clips(np.zeros((6, 1, 1)), np.array([0, 0, 0, 1, 1, 1]), np.full(6, -1), ("a", "b"))
    lessons = [
        Lesson(2, 0, np.array([0, 1, 3, 4]), {"left_out_take": np.array([5, 2])}),
        Lesson(2, 0, np.array([2, 5]), {"left_out_take": np.array([0, 1, 3, 4])}, fold=1),
    ]
    trained = [
        told({"left_out_take": [1, 1]}, [0.0, 0.5]),
        told({"left_out_take": [0, 0, 0, 0]}, [0.5, 0.25]),
    ]
    found = outcome("scratch", data, lessons, trained, "left_out_take")
    assert found.said.tolist() == [0, 0, 1, 0, 0, 1]
    assert found.right == {"left_out_take": 3 / 6, BEST_EPOCH: 0.5}
    assert found.history["validation_accuracy"].tolist() == [0.25, 0.375]


def test_gains_are_paired_by_seed():
    right = {"scratch": {"2": [0.1, 0.5, 0.9], "5": [0.5, 0.5, 0.5]}, "transfer_all": {"2": [0.2, 0.6, 1.0]}}
    gain = spreads(gains(right))
    assert gain.keys() == {"transfer_all"}
    np.testing.assert_allclose(gain["transfer_all"]["2"]["by_seed"], 0.1)
    assert gain["transfer_all"]["2"]["high"] - gain["transfer_all"]["2"]["low"] < 1e-6
    assert clear(gain, 1) == {"transfer_all": [2]} and clear(gain, -1) == {"transfer_all": []}
    less = {"scratch": {"2": [0.2, 0.6, 1.0], "5": [0.4, 0.5, 0.6]}}
    worse = spreads(differences({"scratch": right["scratch"]}, less))
    assert clear(worse, 1) == {"scratch": []} and clear(worse, -1) == {"scratch": [2]}


def test_gains_by_signer_are_means_over_seeds_of_each_person():
    random = np.random.default_rng(0)
    word, signer = random.integers(0, 3, 12), np.repeat([4, 5, 9], 4)
    data = Clips(np.zeros((13, 1, 1)), np.append(word, 0), np.append(signer, 1), ("a", "b", "c"))
    lessons = [Lesson(2, 0, np.array([12]), {"strangers": np.arange(12)})]
    said = {name: random.integers(0, 3, (2, 12)) for name in ("scratch", "transfer_all")}
    outcomes = [
        outcome(name, data, lessons, [told({"strangers": row}, [0.0])], "strangers")
        for name, rows in said.items()
        for row in rows
    ]
    found = gains_by_signer(outcomes, STARTS, word, signer)["transfer_all"]["2"]
    right = {name: (rows == word).reshape(2, 3, 4).mean(axis=(0, 2)) for name, rows in said.items()}
    assert (
        found["mean"] == pytest.approx((right["transfer_all"] - right["scratch"]).mean()) and found["n"] == 3
    )
    assert shares(outcomes, "strangers")["scratch"]["2"] == pytest.approx(
        (said["scratch"] == word).mean(axis=1)
    )


# The record -------------------------------------------------------------------------------------------


def test_strangers_are_in_no_other_part_and_other_clips_of_teachers_are_asked_too():
    config = tiny(signers=3, takes=3, clips=(1, 2), test_signers=2)
    parts = [part.load() for name, part in parts_of(config).items() if not name.startswith("gesture")]
    data = Clips(
        np.zeros((sum(map(len, parts)), 1, 1)),
        np.concatenate([part.label for part in parts]),
        np.concatenate([part.signer for part in parts]),
        parts[0].words,
    )
    ends = np.cumsum([len(part) for part in parts])[:-1]
    for (lesson,), count in zip(lessons_of(config, data, ends, 5), (1, 2), strict=True):
        teachers = set(data.signer[lesson.train])
        assert len(lesson.train) == 3 * count and lesson.seed == 5
        assert not teachers & set(data.signer[lesson.asked["strangers"]])
        assert not teachers & set(data.signer[lesson.asked["validation"]])
        assert set(data.signer[lesson.asked["same_people"]]) <= set(range(*_ends(parts_of(config)["signs"])))
        assert len(lesson.asked["same_people"]) == 3 * (9 - 2)


def _ends(part: InventedSigns) -> tuple[int, int]:
    return part.signers.start, part.signers.stop


def test_the_record_names_what_it_measured(record):
    config = tiny()
    assert results.read_record(frames_to_lstm.record_path(config)) == json.loads(json.dumps(record))
    assert results.state(record) == "fresh" and record["published"] == {}
    metrics = record["metrics"]
    assert metrics["chance"] == 1 / 3 and metrics["asked_clips"] == 3 and metrics["features"] == 12
    accuracy = metrics["accuracy"]
    assert accuracy.keys() == {"strangers", "same_people", "validation", BEST_EPOCH}
    for protocol in accuracy.values():
        assert list(protocol) == list(STARTS)
        assert all(list(row) == ["1", "2"] and len(row["1"]["by_seed"]) == 2 for row in protocol.values())
    assert metrics["gain"].keys() == metrics["gain_by_signer"].keys() == STARTS.keys() - {"scratch"}
    assert metrics["variants"].keys() == metrics["variant_gain"].keys() == VARIANTS.keys()
    assert metrics["without_order"].keys() == {"bag_of_frames", "first_frame"}
    for name, row in metrics["gain"].items():
        for clips, gain in row.items():
            both = [accuracy["strangers"][one][clips]["by_seed"] for one in (name, "scratch")]
            assert gain["by_seed"] == pytest.approx(np.subtract(*both))
    for name, row in metrics["flattered"]["same_people"].items():
        both = [accuracy[one][name]["2"]["mean"] for one in ("same_people", "strangers")]
        assert row["2"]["mean"] == pytest.approx(both[0] - both[1])


def test_the_arrays_hold_answers_and_histories(record):
    arrays = results.read_arrays(frames_to_lstm.arrays_path(tiny()))
    accuracy = record["metrics"]["accuracy"]
    for name in STARTS:
        said = arrays[f"said_{name}_2"]
        assert said.shape == (2, 3)
        by_seed = (said == arrays["word"]).mean(axis=1)
        assert accuracy["strangers"][name]["2"]["by_seed"] == pytest.approx(by_seed)
        curve = arrays[f"history_{name}_2_validation_accuracy"]
        assert curve.shape == (2, 1)
        assert accuracy["validation"][name]["2"]["by_seed"] == pytest.approx(curve[:, -1])
    assert {f"history_gestures_{name}" for name in PANEL} <= arrays.keys()
    assert set(arrays["signer"]) <= set(range(*record["split"]["test"]["signers"]))


def test_a_kill_on_the_way_changes_nothing(elsewhere, record, monkeypatch):
    calls, trained = [], transfer_study.train

    def dies(*arguments, **settings):
        calls.append(settings["title"])
        if len(calls) == 8:
            raise KeyboardInterrupt
        return trained(*arguments, **settings)

    monkeypatch.setattr(transfer_study, "train", dies)
    with pytest.raises(KeyboardInterrupt):
        frames_to_lstm.run(tiny())
    assert not list(elsewhere.rglob("*.json"))
    finished = set(elsewhere.rglob("weights.safetensors"))
    assert len(finished) == 7
    stamps = {path: path.stat().st_mtime_ns for path in finished}
    assert frames_to_lstm.run(tiny())["metrics"] == record["metrics"]
    assert {path: path.stat().st_mtime_ns for path in finished} == stamps


def test_rates_are_chosen_by_validation_on_clips_that_count_nowhere(elsewhere, monkeypatch):
    config, seeds = tiny(rates=(1e-3, 0.02), seeds=1), set()
    learned = transfer_study.Study.learned

    def noted(study, name, lesson, rate, source):
        found = learned(study, name, lesson, rate, source)
        seeds.add(lesson.seed)
        if lesson.seed == config.seed + transfer_study.CHOICE:
            found.history[-1]["validation_accuracy"] = rate if name == "scratch" else -rate
        return found

    monkeypatch.setattr(transfer_study.Study, "learned", noted)
    rates = frames_to_lstm.run(config)["metrics"]["rates"]
    assert rates["scratch"]["rate"] == 0.02 and rates["transfer_all"]["rate"] == 1e-3
    assert rates["one_lstm"]["validation_accuracy"] == {"0.001": -1e-3, "0.02": -0.02}
    assert seeds == {0, transfer_study.CHOICE}


def test_films_are_asked_with_each_take_left_out(monkeypatch):
    config = tiny(dataset="croatian_signs")
    monkeypatch.setattr(FilmedSigns, "sha256", lambda films: "f" * 64)
    metrics = (record := frames_to_lstm.run(config))["metrics"]
    assert metrics["asked_clips"] == 9 and metrics["chance"] == 1 / 3
    assert metrics["accuracy"].keys() == {"left_out_take", BEST_EPOCH}
    assert all(list(row) == ["2"] for row in metrics["accuracy"]["left_out_take"].values())
    assert "variants" not in metrics and record["data"]["name"] == "croatian_signs"
    assert results.read_arrays(frames_to_lstm.arrays_path(config))["said_scratch_2"].shape == (2, 9)
    assert set(record["split"]) == {"gestures", "gesture_validation"}


def test_the_same_gestures_are_taught_once_for_all_studies(record, monkeypatch):
    monkeypatch.setattr(FilmedSigns, "sha256", lambda films: "f" * 64)
    frames_to_lstm.run(tiny(dataset="croatian_signs"))
    folders = list((paths.RUNS / "frames_to_lstm").glob("gestures-*-seed0"))
    assert len(folders) == 1
    other = tiny(gesture_rate=0.5)
    assert transfer_study._gesture_digest(other) != transfer_study._gesture_digest(tiny())
    assert transfer_study._gesture_digest(tiny(steps=3)) == transfer_study._gesture_digest(tiny())


def test_other_data_refuse_a_record(record, monkeypatch):
    monkeypatch.setattr(InventedSigns, "sha256", lambda part: "other")
    with pytest.raises(RecordError, match="measured on other data"):
        frames_to_lstm.run(tiny())


def test_full_runs_are_committed_and_your_own_films_are_not():
    full = [Config.profile("full", dataset=name) for name in ("invented", "croatian_signs")]
    found = [frames_to_lstm.record_path(config) for config in full]
    assert all(paths.RESULTS in path.parents for path in found) and len(set(found)) == 2
    for other in (Config.profile("full", data_folder="films"), Config.profile("quick")):
        assert paths.RESULTS not in frames_to_lstm.record_path(other).parents


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"dataset": "croatian"}, "croatian_signs"),
        ({"clips": ()}, "clips must be 1"),
        ({"words": 1}, "words must be 2"),
        ({"rates": (0.0,)}, "rates must be"),
        ({"variant_clips": 3}, "is none of clips"),
        ({"takes": 2}, "leave no clip"),
        ({"feature": "resnet"}, "pose"),
        ({"words": 41}, "words must be 40 or less"),
        ({"frames": 7}, "frames must be 8"),
        ({"film_size": 100}, "film_size must be a multiple of 16"),
    ],
)
def test_what_cannot_be_measured_is_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        Config.profile("full", **wrong)


def test_profiles_study_enough():
    full = Config.profile("full")
    assert full.seeds >= 5 and len(full.clips) >= 4
    for name in ("smoke", "quick", "full"):
        config = Config.profile(name)
        assert 0 < len(parts_of(config)["test"]) and config.gesture_words > config.words
