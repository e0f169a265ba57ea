"""Chapter 4's experiment: who may teach whom under each protocol, one run of every system, your own folder."""

import json
import re
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from thesislib import book, hand_features, paths, published, results
from thesislib.chapters import across_signers, hand_sets, letter_answers, letter_network, letter_systems
from thesislib.chapters.across_signers import Config, every_protocol, halves, k_shot, zero_shot
from thesislib.chapters.letter_answers import Answers, Reader, confusion, summary
from thesislib.chapters.letter_systems import System
from thesislib.config import ConfigError
from thesislib.datasets import spelled_hands
from thesislib.datasets.sources import DataError
from thesislib.evaluation.readers import READERS
from thesislib.evaluation.signers import bootstrap
from thesislib.results import RecordError
from thesislib.synthetic import clips, contacts

PEOPLE = (
    (2, 4),
    (2, 4),
    (1, 2),
)  # clips and frames of each letter; of the third nothing but halves at random
SOME = ("pixels", "mediapipe", "thesis", "spatial_ridge", "letters_together")
SMALL = dict(systems=SOME, shots=(1, 3), draws=2, gap=1)
PLAIN = System("pixels")
PROTOCOL = re.compile(r"zero_shot|(k_shot|joined)_s[13]|same_signer|random_split")


@pytest.fixture(scope="module")
def bars(drawn_letters):
    """Four letters by three people, of whom the third gave two pictures of each."""
    return drawn_letters(PEOPLE)


@pytest.fixture(scope="module")
def run(letters_taught, bars):
    """A run of some systems on bars in place of hands: its configuration, record and arrays."""
    config = Config.profile("smoke", **SMALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spelled_hands, "invented", lambda signers, **settings: bars)
        record = across_signers.run(config)
        yield config, record, results.read_arrays(across_signers.arrays_path(config))


@pytest.fixture
def untrained(monkeypatch):
    """Nothing may be learned or loaded in this test."""
    for name in ("fit", "train_head", "feature_views"):
        for module in (letter_systems, letter_answers, letter_network, across_signers):
            if hasattr(module, name):
                monkeypatch.setattr(
                    module, name, lambda *a, name=name, **b: pytest.fail(f"{name} was called")
                )


# Refusals -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"systems": ["pixel"]}, "unknown system 'pixel'. Did you mean 'pixels'"),
        ({"dataset": "asl8"}, "unknown set of letters 'asl8'"),
        ({"shots": [5, 0]}, "shots must be 1 or more, got 0"),
        ({"draws": 0}, "draws must be 1 or more"),
        ({"gap": -1}, "gap must be 0 or more"),
        ({"signers": 1}, "signers must be 2 or more"),
        ({"sweep_f": [0]}, "sweep_f must be 1 or more"),
        ({"data_folder": 3}, "data_folder must be str"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_by_name(change, says):
    with pytest.raises(ConfigError, match=re.escape(says)):
        Config.profile("smoke", **change)


def test_a_set_that_is_not_here_is_said_before_anything_is_learned(
    letters_taught, untrained, monkeypatch, tmp_path
):
    monkeypatch.setenv("THESIS_DATA", str(tmp_path))
    with pytest.raises(DataError, match="asl7"):
        across_signers.run(Config.profile("smoke", dataset="asl7"))


def test_one_signer_is_said_before_anything_is_learned(letters_taught, drawn_letters, untrained, monkeypatch):
    monkeypatch.setattr(spelled_hands, "invented", lambda signers, **settings: drawn_letters([(1, 2)]))
    with pytest.raises(DataError, match="one signer"):
        across_signers.run(Config.profile("smoke", frames=5))


def test_a_seed_without_a_letter_network_is_said_before_anything_is_read_or_learned(
    letters_taught, untrained, monkeypatch
):
    monkeypatch.setattr(across_signers, "letters_of", lambda config: pytest.fail("pictures were read"))
    with pytest.raises(RecordError, match="thesis run letter_network --profile full -p seed 7"):
        across_signers.run(Config.profile("smoke", seed=7))


# Who teaches whom -----------------------------------------------------------------------------------


class Seen(list):
    """What a reader was given, call by call: rows of prototypes, their letters, rows of queries."""


@pytest.fixture
def seen(monkeypatch):
    """Records what the reader "max" is given, of features whose first number is the row they belong to."""
    seen = Seen()

    def spy(train_x, train_letter, query_x, num_letters):
        seen.append((train_x[:, 0].astype(int), train_letter, query_x[:, 0].astype(int)))
        return np.zeros((len(query_x), num_letters), np.float32)

    monkeypatch.setitem(READERS, "max", spy)
    return seen


def numbered(data, folder: Path, system: System = PLAIN) -> Reader:
    """A reader of features [N, 6] that begin with their row, and go on with noise about their letter."""
    random = np.random.default_rng(0)
    x = np.concatenate([np.arange(len(data))[:, None], random.normal(size=(len(data), 5))], axis=1)
    x[:, 1:] += 2 * np.eye(5)[data.letter % 5]
    x = x.astype(np.float32)
    return Reader("system", system, data, x, x[None], 1, folder, 0)


def of(data, rows: np.ndarray) -> set[int]:
    return set(data.signer[rows].tolist())


def test_of_a_stranger_nothing_is_a_prototype_and_everything_is_asked(bars, seen, tmp_path):
    answers = list(zero_shot(numbered(bars, tmp_path)))
    assert [answer.signer for answer in answers] == [0, 1, 2]
    for answer, (train, letter, query) in zip(answers, seen, strict=True):
        assert set(query) == set(np.flatnonzero(bars.signer == answer.signer)) == set(answer.test)
        assert sorted([*train, *query]) == list(range(len(bars)))
        assert (letter == bars.letter[train]).all() and answer.share_of_prototypes == 0


@pytest.mark.parametrize("joined", [False, True])
def test_a_few_shots_are_of_the_new_signer_and_the_others_join_them_if_asked(bars, seen, tmp_path, joined):
    answers = list(k_shot(numbered(bars, tmp_path), 3, draws=4, gap=1, joined=joined))
    assert [answer.signer for answer in answers] == 4 * [0] + 4 * [1]  # the third gave too few
    places = set()
    for answer, (train, letter, query) in zip(answers, seen, strict=True):
        own = [row for row in train if bars.signer[row] == answer.signer]
        others = set(train) - set(own)
        assert others == (set(np.flatnonzero(bars.signer != answer.signer)) if joined else set())
        assert np.bincount(bars.letter[own]).tolist() == [3, 3, 3, 3] and (letter == bars.letter[train]).all()
        assert of(bars, query) == {answer.signer} and not set(query) & set(own)
        for row in query:  # no neighbour of a prototype in its clip
            near = (bars.clip[own] == bars.clip[row]) & (np.abs(bars.frame[own] - bars.frame[row]) <= 1)
            assert not near.any()
        assert answer.share_of_prototypes == 12 / 32
        places.add(tuple(own))
    assert len(places) == 8  # other prototypes in every draw


@pytest.mark.parametrize(("protocol", "who"), [("same_signer", [0, 1]), ("random_split", [0, 1, 2])])
def test_halves_learn_from_half_of_everybody_who_can_be_halved(bars, seen, tmp_path, protocol, who):
    reader = numbered(bars, tmp_path)
    found = every_protocol(reader, Config.profile("smoke", **SMALL))
    answers = found[protocol]
    assert [answer.signer for answer in answers] == who
    calls = [call for call in seen if len(of(bars, call[0])) == len(who) and len(of(bars, call[2])) == 1]
    calls = [call for call in calls if any(set(call[2]) == set(answer.test) for answer in answers)]
    for train, _, query in calls:
        assert of(bars, train) == set(who) and not set(train) & set(query)
        for name in who:
            theirs = train[bars.signer[train] == name]
            assert (np.bincount(bars.letter[theirs]) == PEOPLE[name][0] * PEOPLE[name][1] // 2).all()
    assert all(answer.share_of_prototypes == 0.5 for answer in answers)


def test_nobody_who_can_be_halved_is_no_protocol(drawn_letters, tmp_path):
    single = drawn_letters([(1, 1), (1, 1)])
    found = every_protocol(numbered(single, tmp_path), Config.profile("smoke", **SMALL))
    assert list(found) == ["zero_shot"]

    def impossible(who):
        raise ValueError("too few")

    assert list(halves(numbered(single, tmp_path), impossible, "x")) == []


def test_a_head_learns_from_the_rows_it_may_see_alone(bars, tmp_path, monkeypatch):
    taught = defaultdict(list)

    def train_head(views, letter, head, loss, *, folder, **settings):
        rows = views[0, :, 0].astype(int)
        assert (views[:, :, 0] == rows).all() and (letter == bars.letter[rows]).all()
        taught[folder.name].append(rows)
        return []

    monkeypatch.setattr(letter_systems, "train_head", train_head)
    reader = numbered(bars, tmp_path, System("pixels", head="pairwise", f=4, depth=1))
    every_protocol(reader, Config.profile("smoke", **SMALL))
    assert set(taught) == {"without-0", "without-1", "without-2", "same_signer", "random_split"}
    for who in range(3):
        for rows in taught[f"without-{who}"]:
            assert sorted(rows) == np.flatnonzero(bars.signer != who).tolist()
    (rows,) = taught["same_signer"]
    assert of(bars, rows) == {0, 1} and len(rows) == 32


def test_what_a_stranger_shows_and_means_changes_nothing_of_what_is_learned(bars, tmp_path):
    """Other letters and other augmented copies of the one left out: the very same scores."""
    system = System("pixels", head="pairwise", f=4, depth=1)
    random = np.random.default_rng(1)
    theirs = np.flatnonzero(bars.signer == 1)
    letter, clip = bars.letter.copy(), bars.clip.copy()
    letter[theirs], clip[theirs] = random.permutation(letter[theirs]), 5000 + np.arange(len(theirs))
    one = numbered(bars, tmp_path / "one", system)
    other = numbered(replace(bars, letter=letter, clip=clip), tmp_path / "other", system)
    views = one.views.copy()
    views[:, theirs] = 100 * random.normal(size=views[:, theirs].shape)
    first, second = (
        {answer.signer: answer.scores for answer in zero_shot(reader)}
        for reader in (one, replace(other, x=one.x, views=views))
    )
    np.testing.assert_array_equal(first[1], second[1])
    assert not np.array_equal(first[0], second[0])  # to the others they are teachers


# Summaries ------------------------------------------------------------------------------------------


def test_a_summary_is_what_loops_over_answers_count(bars):
    random = np.random.default_rng(3)
    answers = []
    for signer, size in ((0, 13), (0, 20), (1, 9)):
        test = random.choice(np.flatnonzero(bars.signer == signer), size, replace=False)
        answers.append(Answers(signer, test, random.normal(size=(size, 4)).astype(np.float32), 0.0))
    found, rows = summary(answers, bars, seed=0), np.concatenate([answer.test for answer in answers])
    for name, metric in found.items():
        k = int(name[3])
        by_signer, right_by_row = [], []
        for signer in (0, 1):
            draws = []
            for answer in answers:
                if answer.signer == signer:
                    by_letter = defaultdict(list)
                    for row, scores in zip(answer.test, answer.scores, strict=True):
                        best = sorted(range(4), key=lambda c, scores=scores: -scores[c])[:k]
                        by_letter[int(bars.letter[row])].append(int(bars.letter[row]) in best)
                        right_by_row.append(int(bars.letter[row]) in best)
                    shares = [np.mean(right) for right in by_letter.values()]
                    every = np.concatenate(list(by_letter.values()))
                    draws.append(np.mean(shares) if name.endswith("macro") else np.mean(every))
            by_signer.append(np.mean(draws))
        np.testing.assert_allclose(metric["by_signer"], by_signer)
        assert metric["mean"] == pytest.approx(np.mean(by_signer))
        assert metric["low"] < metric["mean"] < metric["high"]
        evenly = {"letter": bars.letter[rows]} if name.endswith("macro") else {}
        interval = bootstrap(np.array(right_by_row), bars.signer[rows], bars.clip[rows], seed=0, **evenly)
        assert (metric["low"], metric["high"]) == pytest.approx(interval)
    assert {"top1_macro", "top1_micro", "top2_macro"} <= set(found)
    counts = np.zeros((4, 4), int)
    for answer in answers:
        for row, scores in zip(answer.test, answer.scores, strict=True):
            counts[bars.letter[row], max(range(4), key=lambda c, scores=scores: scores[c])] += 1
    np.testing.assert_array_equal(confusion(answers, bars), counts)


def test_two_signers_who_are_always_right_and_always_wrong_leave_everything_open(bars):
    answers = []
    for signer in (0, 1):
        test = np.flatnonzero(bars.signer == signer)
        right = np.eye(4, dtype=np.float32)[bars.letter[test]]
        answers.append(Answers(signer, test, right if signer == 0 else np.roll(right, 1, axis=1), 0.0))
    metric = summary(answers, bars, seed=0)["top1_macro"]
    assert metric == {"by_signer": [1.0, 0.0], "mean": 0.5, "low": 0.0, "high": 1.0}


# One run --------------------------------------------------------------------------------------------


def test_the_record_is_on_disk_fresh_and_read_the_second_time(run, monkeypatch):
    config, record, _ = run
    assert results.read_record(across_signers.record_path(config)) == json.loads(json.dumps(record))
    assert results.state(record) == "fresh" and record["published"] == {}
    monkeypatch.setattr(across_signers, "_measure", lambda config: pytest.fail("measured again"))
    assert across_signers.run(config) == record


def test_every_system_answers_under_every_protocol(run):
    _, record, _ = run
    metrics = record["metrics"]
    own_joints = {"mediapipe"}  # the built-in set keeps the joints that it was drawn with to itself
    assert list(metrics["systems"]) == [name for name in SOME if name not in own_joints]
    assert metrics["chance"] == 0.25 and metrics["not_possible"] == []
    for protocols in metrics["systems"].values():
        assert set(protocols) == set(metrics["protocols"])
        for protocol, scores in protocols.items():
            assert PROTOCOL.fullmatch(protocol)
            for value in scores.values():
                assert 0 <= value["low"] <= value["high"] <= 1
                assert value["mean"] == pytest.approx(np.mean(value["by_signer"]))
                assert len(value["by_signer"]) == len(metrics["protocols"][protocol]["signers"])
    assert set(metrics["sweep"]) == {"4"} and len(metrics["history"]["loss"]) == 1


def test_protocols_name_whom_they_asked_and_count_what(run):
    of_protocol = run[1]["metrics"]["protocols"]
    two, three = ["person 0", "person 1"], ["person 0", "person 1", "person 2"]
    expected = {  # who, draws, share of prototypes
        "zero_shot": (three, 1, 0),
        "k_shot_s1": (two, 2, 4 / 32),
        "joined_s1": (two, 2, 4 / 32),
        "k_shot_s3": (two, 2, 12 / 32),
        "joined_s3": (two, 2, 12 / 32),
        "same_signer": (two, 1, 0.5),
        "random_split": (three, 1, 0.5),
    }
    assert set(of_protocol) == set(expected)
    for name, (who, draws, share) in expected.items():
        found = of_protocol[name]
        assert (found["signers"], found["draws"]) == (who, draws)
        assert found["share_of_prototypes"] == pytest.approx(share)
    assert of_protocol["zero_shot"]["queries"] == 2 * 32 + 8
    assert of_protocol["random_split"]["queries"] == 2 * 16 + 4


def test_pixels_score_what_a_loop_over_pictures_scores(run, bars):
    x = hand_features.pixels(bars.image)
    for who in range(3):
        shares = []
        for letter in range(4):
            right = []
            for row in np.flatnonzero((bars.signer == who) & (bars.letter == letter)):
                nearest = max(
                    np.flatnonzero(bars.signer != who), key=lambda other, row=row: x[other] @ x[row]
                )
                right.append(bars.letter[nearest] == letter)
            shares.append(np.mean(right))
        found = run[1]["metrics"]["systems"]["pixels"]["zero_shot"]["top1_macro"]["by_signer"][who]
        assert found == pytest.approx(np.mean(shares))
    assert found > 0.9  # bars are no riddle


def test_confusions_add_up_to_the_accuracies(run):
    _, record, arrays = run
    for system in across_signers.SHOWN:
        for protocol, described in record["metrics"]["protocols"].items():
            counts = arrays[f"confusion_{system}_{protocol}"]
            assert counts.sum() == described["queries"]
        zero_shot_scores = record["metrics"]["systems"][system]["zero_shot"]["top1_micro"]["by_signer"]
        counts = arrays[f"confusion_{system}_zero_shot"]
        assert counts.trace() == pytest.approx(np.dot(zero_shot_scores, [32, 32, 8]))
        assert len(arrays[f"embedding_{system}"]) == 72
    np.testing.assert_allclose(np.linalg.norm(arrays["embedding_thesis"], axis=1), 1, rtol=1e-5)
    assert "image" not in arrays


def test_the_page_s_seed_chooses_the_letter_network(run, letters_taught, monkeypatch):
    config, record, _ = run
    other = replace(letters_taught, seed=3)
    letter_network.run(other)
    again = across_signers.run(replace(config, seed=3, systems=("letters_together",), sweep_f=()))
    assert letter_network.weights_path(other).name in again["data"]["weights"]
    assert again["data"]["sha256"] != record["data"]["sha256"]


def test_the_same_again_and_without_the_other_systems(run, letters_taught, monkeypatch, tmp_path):
    """Another build folder, so that all is trained anew: the numbers are the same, whoever else is asked."""
    config, record, _ = run
    monkeypatch.setattr(paths, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(paths, "QUICK_RESULTS", tmp_path / "results")
    letter_network.run(letters_taught)
    some = ("letters_together", "thesis")
    again = across_signers.run(Config(**config.as_dict() | {"systems": some}))
    assert across_signers.arrays_path(config).parent.is_relative_to(tmp_path)
    for name in some:
        assert again["metrics"]["systems"][name] == record["metrics"]["systems"][name], name
    for part in ("sweep", "protocols", "history"):
        assert again["metrics"][part] == record["metrics"][part], part
    assert again["data"] == record["data"] and again["split"] == record["split"]


def test_the_box_on_the_page_tells_split_and_data(run):
    box = book.provenance(run[1], 20).data
    assert "3 left out" in box and run[1]["data"]["sha256"][:12] in box


# What a record hangs on -----------------------------------------------------------------------------


def test_the_data_of_a_record_are_named_by_the_table_the_numbers_and_the_weights(run, monkeypatch):
    config, record, _ = run
    sha256 = record["data"]["sha256"]
    assert sha256 == across_signers.data_sha256(config)
    for change in ({"frames": 7}, {"signers": 4}, {"size": 96}):
        assert across_signers.data_sha256(Config(**config.as_dict() | change)) != sha256
    with monkeypatch.context() as patch:  # code is the source hash's part
        patch.setattr(results, "source_hash", lambda module: "0" * 16)
        patch.setattr(across_signers, "weights", lambda seed: record["data"]["weights"])
        assert across_signers.data_sha256(config) == sha256
    monkeypatch.setattr(hand_sets, "_table", lambda: b"another table")
    monkeypatch.setattr(across_signers, "weights", lambda seed: record["data"]["weights"])
    assert across_signers.data_sha256(config) != sha256


@pytest.mark.parametrize("module", ["letter_systems", "letter_heads", "letter_network", "letter_answers"])
def test_the_source_hash_follows_the_rooms_it_is_made_of(run, monkeypatch, module):
    source_hash = results.source_hash.__wrapped__  # the fixture keeps what was hashed
    tree = results._tree
    monkeypatch.setattr(results, "_tree", lambda name: tree(name) + "x" * name.endswith(f".{module}"))
    assert source_hash(across_signers.__name__) != run[1]["source_hash"]


def test_other_weights_make_the_stored_record_refused(run, letters_taught):
    config, record, _ = run
    path = letter_network.weights_path(letters_taught)
    content = path.read_bytes()
    assert set(record["data"]["weights"]) == {path.name, letter_network.pose_model.default_model().name}
    try:
        weights = load_file(path)
        weights["reader.2.bias"][0] += 1e-3
        save_file(weights, path)
        with pytest.raises(RecordError, match="measured on other data"):
            across_signers.run(config)
    finally:
        path.write_bytes(content)
    assert across_signers.run(config) == record


def test_only_full_runs_on_sets_that_others_have_are_committed(tmp_path):
    assert paths.RESULTS in across_signers.record_path(Config.profile("full", dataset="asl7")).parents
    for config in (Config.profile("quick"), Config.profile("full", data_folder=str(tmp_path))):
        assert paths.RESULTS not in across_signers.record_path(config).parents
    assert across_signers.record_path(config).name.startswith("own-seed0-")


def test_printed_numbers_are_answered_by_the_sweep_and_the_thesis_alone():
    def of_mean(mean):
        return {f"top{k}_macro": {"mean": mean / k} for k in (1, 2)}

    metrics = {
        "systems": {"thesis": {"zero_shot": of_mean(0.5)}, "pixels": {"zero_shot": of_mean(0.1)}},
        "sweep": {str(f): of_mean(f / 100) for f in (4, 6, 8, 10, 12)},
    }
    found = across_signers._answers_to_printed(metrics)
    assert found.pop("ignatiev2019_asl_unseen") == 50
    expected = {f"ignatiev2019_asl_unseen_f{f}_top{k}": f / k for f in (6, 8, 10, 12) for k in (1, 2)}
    assert found == pytest.approx(expected)
    assert {published.by_key(key).chapter for key in (*expected, "ignatiev2019_asl_unseen")} == {4}


# Your own folder ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own_folder(tmp_path_factory):
    """Two invented people spell three digits, in files: signer/letter/*.png."""
    folder = tmp_path_factory.mktemp("own") / "mine"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "CACHE", tmp_path_factory.mktemp("cache"))
        patch.setattr(contacts, "BLOCK", 2)
        contacts._block.cache_clear()
        index = torch.arange(2 * 10 * 4).unflatten(0, (2, 10, 4))[:, [1, 2, 5]].flatten()
        drawn = clips.spelled("digits", 0, index, frames=4, signers=range(2), supersample=1)
    contacts._block.cache_clear()
    for image, signer, digit, frame in zip(
        *(drawn[name] for name in ("image", "signer", "label", "frame")), strict=True
    ):
        path = folder / f"person-{signer}" / str(int(digit)) / f"{frame}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(path)
    return folder


def own(folder: Path, **changes) -> Config:
    return Config.profile("smoke", **{"data_folder": str(folder), "systems": tuple(own_systems())} | changes)


def own_systems() -> list[str]:
    return ["hog", "mediapipe", "mediapipe_angles_lda", "thesis", "letters_lda"]


@pytest.fixture(scope="module")
def own_run(own_folder, letters_taught):
    return across_signers.run(own(own_folder))


def test_a_folder_of_your_own_is_read_with_its_own_letters(own_run, own_folder):
    metrics = own_run["metrics"]
    assert metrics["letters"] == ["1", "2", "5"] and metrics["signers"] == ["person-0", "person-1"]
    assert metrics["images"] == 24 and metrics["chance"] == pytest.approx(1 / 3)
    assert list(metrics["systems"]) == ["hog", "thesis", "letters_lda"]  # no landmarks came with the files
    assert set(metrics["systems"]["hog"]) == {
        *("zero_shot", "k_shot_s1", "joined_s1", "same_signer", "random_split"),
    }
    assert own_run["data"]["name"] == "own" and own_run["published"] == {}
    assert across_signers.record_path(own(own_folder)).is_relative_to(paths.QUICK_RESULTS)
    assert "2 left out" in book.provenance(own_run, 1).data


def test_pictures_added_since_are_noticed(own_run, own_folder, untrained):
    extra = own_folder / "person-0" / "1" / "9.png"
    extra.write_bytes((own_folder / "person-0" / "1" / "0.png").read_bytes())
    try:
        with pytest.raises(RecordError, match="measured on other data"):
            across_signers.run(own(own_folder))
    finally:
        extra.unlink()
    assert across_signers.run(own(own_folder)) == own_run


@pytest.mark.parametrize("stored", [True, False])
def test_a_folder_that_broke_is_said_even_where_its_record_is_stored(own_run, own_folder, untrained, stored):
    path = own_folder / "person-1" / "5" / "2.png"
    content = path.read_bytes()
    path.write_bytes(content[:40])
    try:
        with pytest.raises(DataError, match="no readable picture"):
            across_signers.run(own(own_folder, draws=2 if stored else 3))
    finally:
        path.write_bytes(content)


def test_a_folder_of_one_person_is_said_before_anything_is_learned(own_folder, untrained):
    with pytest.raises(DataError, match="lies where a letter.s folder should be"):
        across_signers.run(own(own_folder / "person-0"))
    with pytest.raises(DataError, match="is no folder"):
        across_signers.run(own(own_folder / "nobody"))
