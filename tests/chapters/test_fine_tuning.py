"""Fine-tuning: who teaches whom, what changes in which condition, and that a kill on the way changes nothing."""

import re
import shutil
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from thesislib import book, paths, results
from thesislib.chapters import fine_tuning, letter_answers, letter_network, letter_systems, letter_tuning
from thesislib.chapters.fine_tuning import Config, answers_of, folds_of, gains, places, tuner_of
from thesislib.chapters.letter_answers import reader_maker, summary
from thesislib.chapters.letter_heads import LetterAugmentation
from thesislib.chapters.letter_network import STATIC
from thesislib.chapters.letter_tuning import CONDITIONS, half_invented
from thesislib.config import ConfigError
from thesislib.datasets import spelled_hands
from thesislib.datasets.hand_images import HandImages
from thesislib.datasets.sources import DataError
from thesislib.evaluation.intervals import of_the_mean
from thesislib.transforms.backdrops import RandomBackdrops

SMALL = dict(batch_size=8, invented_hands=12, draws=2, scratch_epochs=2)
ALL = set(CONDITIONS) - {"end_to_end_backgrounds"}


@pytest.fixture(scope="module")
def bars(drawn_letters):
    """Four letters by three people, two pictures of each."""
    return drawn_letters([(1, 2)] * 3)


@pytest.fixture(scope="module")
def run(letters_taught, bars):
    """A run on bars in place of hands: its configuration, its record, and what fit() was given."""
    config, given, fit = Config.profile("smoke", **SMALL), {}, letter_tuning.fit

    def spy(network, loss, inputs, targets, recipe, *, folder, **rest):
        given[folder.parent.name, folder.name] = inputs.clone(), targets.clone(), recipe
        return fit(network, loss, inputs, targets, recipe, folder=folder, **rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spelled_hands, "invented", lambda signers, **settings: bars)
        patch.setattr(fine_tuning, "FIRST_SIGNER", 0)
        patch.setattr(letter_tuning, "fit", spy)
        record = fine_tuning.run(config)
        yield config, record, given


@pytest.fixture
def tuner(run, tmp_path):
    """A function: the tuner of some conditions, with checkpoints of its own."""
    return lambda *names: tuner_of(run[0], names, tmp_path / "runs")


@pytest.fixture(scope="module")
def folds(bars):
    return folds_of(bars, bars)


@pytest.fixture
def elsewhere(run, tmp_path, monkeypatch):
    """A build folder for one test, with the letter network and nothing else."""
    for name in ("RUNS", "QUICK_RESULTS"):
        shutil.copytree(getattr(paths, name) / "letter_network", tmp_path / name / "letter_network")
        monkeypatch.setattr(paths, name, tmp_path / name)
    return tmp_path


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    """Whether two modules agree in every bit, batch norms' statistics included."""
    pair = one.state_dict(), other.state_dict()
    return all(torch.equal(tensor, pair[1][name]) for name, tensor in pair[0].items())


# Requests -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"dataset": "asl8"}, "Did you mean 'asl7'"),
        ({"dataset": "lsa16"}, "unknown set to fine-tune on 'lsa16'"),
        ({"test": "asl_fingerspelling_a"}, "unknown set to fine-tune on"),
        ({"test": "massy"}, "Did you mean 'massey'"),
        ({"dataset": "asl7", "test": "asl7"}, "leave test empty"),
        ({"conditions": ["end_to_ends"]}, "Did you mean 'end_to_end'"),
        ({"conditions": []}, "one or more"),
        ({"conditions": ["end_to_end", "end_to_end"]}, "each once"),
        ({"epochs": 0}, "epochs must be 1 or more, got 0"),
        ({"signers": 1}, "signers must be 2 or more"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_by_name(change, says):
    with pytest.raises(ConfigError, match=re.escape(says)):
        Config.profile("smoke", **change)


def test_a_set_that_is_not_here_is_said_before_anything_is_learned(letters_taught, monkeypatch, tmp_path):
    monkeypatch.setattr(letter_tuning, "fit", lambda *a, **b: pytest.fail("something was learned"))
    monkeypatch.setenv("THESIS_DATA", str(tmp_path))
    with pytest.raises(DataError, match="asl7"):
        fine_tuning.run(Config.profile("smoke", dataset="asl7"))


def test_one_signer_and_foreign_letters_are_refused(drawn_letters):
    alone = drawn_letters([(1, 2)])
    with pytest.raises(DataError, match="one signer"):
        folds_of(alone, alone)
    with pytest.raises(DataError, match="has not learned 'j'"):
        places(("a", "j"))


# Who teaches whom -----------------------------------------------------------------------------------


def test_the_signer_who_is_asked_never_teaches(run, bars):
    _, _, given = run
    learning = {name for name in ALL if CONDITIONS[name].learns != "nothing"}
    assert set(given) == {(name, f"without-{who}") for name in learning for who in range(3)}
    owner = {bars.image[row].tobytes(): row for row in range(len(bars))}
    assert len(owner) == len(bars)  # no two pictures are the same, so a picture tells who it is of
    for (_, fold), (inputs, targets, _) in given.items():
        rows = [owner[picture.numpy().tobytes()] for picture in inputs]
        assert set(bars.signer[rows].tolist()) == {0, 1, 2} - {int(fold.removeprefix("without-"))}
        assert [STATIC[place] for place in targets] == [bars.letters[bars.letter[row]] for row in rows]


def test_each_fold_asks_one_signer_and_all_are_asked_once(bars, folds):
    assert sorted(np.concatenate([fold.asked for fold in folds])) == list(range(len(bars)))
    for who, fold in enumerate(folds):
        assert set(bars.signer[fold.asked].tolist()) == {who}
        assert len(fold.image) + len(fold.asked) == len(bars)


def test_left_hands_teach_as_right_ones(bars, folds):
    mirrored = np.ascontiguousarray(bars.image[..., ::-1])
    left = replace(bars, image=mirrored, left=np.ones(len(bars), bool))
    for fold, other in zip(folds, folds_of(left, left), strict=True):
        np.testing.assert_array_equal(fold.image, other.image)


def test_answers_come_from_the_fold_that_does_not_know_the_signer(run, bars, folds):
    """Each fold's network here gives the same answer to everything: the letter with the fold's number."""
    config, _, _ = run

    class Stubborn:
        recipes, folder = {}, Path()

        def tuned(self, name, fold):
            network = letter_network.build(letter_systems.letters_config(0)).eval()
            reader = network.reader[-1]
            with torch.no_grad():
                reader.weight.zero_()
                reader.bias.zero_()
                reader.bias[STATIC.index(bars.letters[int(fold.name[-1])])] = 1
            return network, []

    found, _ = answers_of(Stubborn(), "end_to_end", folds[::-1], bars, config)
    for answer in found["zero_shot"]:
        assert set(bars.signer[answer.test]) == {answer.signer}
        assert (answer.scores.argmax(axis=1) == answer.signer).all()


# What changes in which condition --------------------------------------------------------------------


def test_as_it_is_the_letter_network_answers(run, bars):
    config, record, given = run
    said = letter_network.logits(letter_network.load(letter_systems.letters_config(0)), bars.image)
    read = said[:, [STATIC.index(name) for name in bars.letters]].argmax(axis=1)
    right = read == bars.letter
    by_signer = [right[bars.signer == who].mean() for who in range(3)]  # each letter equally often
    found = record["metrics"]["systems"]["as_it_is"]["zero_shot"]["top1_macro"]
    assert found["by_signer"] == pytest.approx(by_signer)
    assert "as_it_is" not in {name for name, _ in given}


def test_examples_are_read_as_across_signers_reads_the_frozen_network(run, bars):
    config, record, _ = run
    frozen = reader_maker(bars, letter_systems.networks(0), views=1, epochs=1, folder=Path(), seed=0)
    reader = frozen("letters_lda", letter_systems.SYSTEMS["letters_lda"])
    few = list(letter_answers.k_shot(reader, config.shots, draws=config.draws, gap=config.gap))
    expected, systems = summary(few, bars, config.seed), record["metrics"]["systems"]
    for name in ("as_it_is", "last_layer"):  # whose encoder is the frozen one
        for metric, value in systems[name][f"k_shot_s{config.shots}"].items():
            assert value["by_signer"] == pytest.approx(expected[metric]["by_signer"]), (name, metric)


def test_the_last_layer_alone_leaves_every_bit_of_the_encoder(tuner, folds):
    made = tuner("last_layer", "end_to_end")
    before = {name: tensor.clone() for name, tensor in made.start.state_dict().items()}
    last, whole = (made.tuned(name, folds[0])[0] for name in ("last_layer", "end_to_end"))
    assert same(last.encoder, made.start.encoder) and not same(last.reader, made.start.reader)
    for part in ("encoder", "reader"):
        assert not same(getattr(whole, part), getattr(made.start, part))
    assert not last.training and not whole.training
    for name, tensor in made.start.state_dict().items():  # what everything starts from stays as it was
        assert torch.equal(tensor, before[name]), name


def test_untaught_is_the_same_network_with_new_weights(tuner):
    made = tuner("end_to_end_scratch")
    first, again = (made.network(CONDITIONS["end_to_end_scratch"]) for _ in "ab")
    assert same(first, again) and not same(first.encoder, made.start.encoder)
    assert same(made.network(CONDITIONS["end_to_end"]), made.start)
    shapes = [[tensor.shape for tensor in of.state_dict().values()] for of in (first, made.start)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("b", [8, 5])
def test_half_of_a_mixed_batch_is_invented(b):
    torch.manual_seed(0)
    n = 26
    image = np.broadcast_to(np.arange(100, 100 + n, dtype=np.uint8)[:, None, None, None], (n, 3, 4, 4)).copy()
    image[..., 0] += 50  # a mark at one side, by which a mirrored picture is known
    hands = HandImages(
        image=image,
        keypoints=np.zeros((n, 21, 2), np.float32),
        visible=np.ones((n, 21), bool),
        left=np.arange(n) % 2 == 1,
        signer=np.zeros(n, np.int64),
        letter=np.where(np.isin(np.arange(n), (9, 25)), 0, np.arange(n)),  # none is a j or a z
        source="numbers",
    )
    x, y = torch.zeros(b, 3, 4, 4, dtype=torch.uint8), torch.full((b,), 7)
    mixed, place = half_invented(x, y, hands)
    invented = mixed.flatten(1).amax(dim=1) > 0
    assert invented.tolist() == [False] * (b - b // 2) + [True] * (b // 2)
    assert mixed.dtype == torch.uint8 and (place[~invented] == 7).all()
    for picture, at in zip(mixed[invented], place[invented], strict=True):
        which = int(picture[0, 0, 1]) - 100
        assert STATIC[at] == chr(ord("a") + hands.letter[which])
        mark = int(picture[0, 0].argmax())
        assert mark == (3 if hands.left[which] else 0)  # all are right hands


def test_every_batch_of_the_mix_and_of_no_other_condition_is_half_invented(tuner, folds, monkeypatch):
    seen, augmented = defaultdict(list), LetterAugmentation.__call__
    photographs = {picture.tobytes() for picture in folds[0].image}
    condition = ""

    def spy(self, images):
        seen[condition].append(np.mean([picture.numpy().tobytes() in photographs for picture in images]))
        return augmented(self, images)

    monkeypatch.setattr(LetterAugmentation, "__call__", spy)
    made = tuner(*ALL)
    for condition in ("last_layer", "end_to_end", "end_to_end_mixed", "end_to_end_scratch"):
        made.tuned(condition, folds[0])
    assert set(seen.pop("end_to_end_mixed")) == {0.5}
    assert all(set(shares) == {1.0} for shares in seen.values()) and len(seen) == 3


def test_backgrounds_are_drawn_where_hands_are_cut_out_and_named_where_not(run, bars, tuner, monkeypatch):
    _, record, _ = run
    assert set(record["metrics"]["systems"]) == ALL
    assert record["metrics"]["not_possible"] == ["end_to_end_backgrounds"]
    monkeypatch.setattr(fine_tuning, "BACKDROPS", 3)
    made = tuner("end_to_end_backgrounds")
    black = torch.zeros(64, 3, 64, 64, dtype=torch.uint8)
    black[:, :, 20:40, 20:40] = 180
    y = torch.zeros(64, dtype=torch.int64)
    x, unchanged = made.batch(CONDITIONS["end_to_end_backgrounds"], black, y)
    assert torch.equal(x[:, :, 21:39, 21:39], black[:, :, 21:39, 21:39]) and unchanged is y
    assert isinstance(made.backdrops, RandomBackdrops) and len(made.backdrops.backdrops) == 3
    assert 10 < x[:, :, :10].flatten(1).any(dim=1).sum() < 54
    assert made.batch(CONDITIONS["end_to_end"], black, y)[0] is black


def test_rates_and_epochs_are_the_configurations_own(letters_taught):
    config = Config.profile("full", lr_last_layer=0.3, lr_end_to_end=0.2, lr_scratch=0.1, epochs=4)
    found = fine_tuning.recipes(config)
    rate = {"last_layer": 0.3, "end_to_end_scratch": 0.1}
    assert set(found) == set(CONDITIONS) - {"as_it_is"}
    for name, recipe in found.items():
        assert recipe.lr_max == rate.get(name, 0.2) and recipe.batch_size == config.batch_size
        assert recipe.epochs == (config.scratch_epochs if name == "end_to_end_scratch" else 4)
        assert 0 < recipe.warmup_epochs < recipe.epochs and recipe.schedule == "one_cycle"


# The record -----------------------------------------------------------------------------------------


def test_the_record_says_who_was_asked_and_what_was_gained(run, bars):
    config, record, _ = run
    metrics = record["metrics"]
    assert metrics["signers"] == list(bars.signers) and metrics["images_by_signer"] == [8, 8, 8]
    assert metrics["train_images"] == [16, 16, 16] and metrics["chance"] == 1 / 4
    assert record["split"] == {"left_out": [[name] for name in bars.signers]}
    assert set(metrics["loss"]) == ALL - {"as_it_is"}
    for name, loss in metrics["loss"].items():
        assert np.shape(loss) == (3, 2 if name == "end_to_end_scratch" else 1)
    for name, by_protocol in metrics["systems"].items():
        assert set(by_protocol) == {"zero_shot", "k_shot_s1"} == set(metrics["protocols"])
        for protocol, scores in by_protocol.items():
            top1 = scores["top1_macro"]
            assert np.mean(top1["by_signer"]) == pytest.approx(top1["mean"])
            if name != "last_layer":
                base = by_signer(metrics, "last_layer", protocol)
                above = np.array(top1["by_signer"]) - base
                gain = metrics["gain_over_last_layer"][protocol][name]
                assert list(gain["by_signer"].values()) == pytest.approx(above.tolist())
                assert gain["mean"] == pytest.approx(above.mean())
                assert (gain["low"], gain["high"]) == pytest.approx(
                    tuple(of_the_mean(above)[end] for end in ("low", "high"))
                )
    assert results.state(record) == "fresh" and record["published"] == {}
    assert fine_tuning.run(config) == record  # stored, not measured again
    assert "3 left out" in book.provenance(record, 1).data


def by_signer(metrics: dict, name: str, protocol: str) -> np.ndarray:
    return np.array(metrics["systems"][name][protocol]["top1_macro"]["by_signer"])


def test_without_the_last_layer_there_is_nothing_to_compare_with():
    measured = {"zero_shot": {"top1_macro": {"by_signer": [0.5, 0.75]}}}
    assert gains({"end_to_end": measured}, {"zero_shot": ["a", "b"]}) == {}
    more = {"zero_shot": {"top1_macro": {"by_signer": [1.0, 0.5]}}}
    found = gains({"last_layer": measured, "end_to_end": more}, {"zero_shot": ["a", "b"]})
    assert found["zero_shot"]["end_to_end"]["by_signer"] == {"a": 0.5, "b": -0.25}
    assert set(found["zero_shot"]) == {"end_to_end"}


def test_another_set_is_read_by_those_whom_all_of_this_one_taught(run, drawn_letters, elsewhere, monkeypatch):
    """Of three letters the sets share two, and the pictures of the third teach nothing and are not asked."""
    sets = {"massey": drawn_letters([(1, 1)] * 2, "aiq"), "asl7": drawn_letters([(1, 2)] * 3, "xqa")}
    monkeypatch.setattr(fine_tuning.LetterSet, "load", lambda self: sets[self.name])
    monkeypatch.setattr(fine_tuning, "BACKDROPS", 3)
    given, fit = {}, letter_tuning.fit

    def spy(network, loss, inputs, targets, recipe, *, folder, **rest):
        given[folder.parent.name] = len(inputs), {STATIC[place] for place in targets}
        return fit(network, loss, inputs, targets, recipe, folder=folder, **rest)

    monkeypatch.setattr(letter_tuning, "fit", spy)
    names = ["as_it_is", "last_layer", "end_to_end_backgrounds"]
    config = Config.profile("smoke", dataset="massey", test="asl7", conditions=names, **SMALL)
    record = fine_tuning.run(config)
    metrics = record["metrics"]
    assert given == {name: (4, {"a", "q"}) for name in names[1:]}
    assert metrics["train_images"] == [4] and metrics["images_by_signer"] == [4, 4, 4]
    assert set(metrics["letters"]) == {"a", "q"} and set(metrics["systems"]) == set(names)
    assert record["data"]["name"] == record["split"]["name"] == "massey to asl7"
    assert len(record["split"]["learned_from"]) == 2 and len(record["split"]["read"]) == 3
    assert metrics["not_possible"] == []
    assert "massey-to-asl7" in fine_tuning.record_path(config).name


def test_a_kill_on_the_way_changes_nothing(run, elsewhere, monkeypatch):
    config, record, _ = run
    calls, augmented = [], LetterAugmentation.__call__

    def dies(self, images):
        calls.append(len(images))
        if len(calls) == 12 + 4:  # the last batch of the first fold of the second condition
            raise KeyboardInterrupt
        return augmented(self, images)

    monkeypatch.setattr(LetterAugmentation, "__call__", dies)
    config = replace(config, conditions=("last_layer", "end_to_end_mixed"), epochs=2)
    with pytest.raises(KeyboardInterrupt):
        fine_tuning.run(config)
    assert not fine_tuning.record_path(config).exists()
    finished = list((paths.RUNS / "fine_tuning").rglob("weights.safetensors"))
    assert [path.parent.parent.name for path in finished] == ["last_layer"] * 3
    metrics = fine_tuning.run(config)["metrics"]
    undisturbed = len(config.conditions) * 3 * config.epochs * 2
    assert (
        len(calls) == undisturbed + 16 - 14
    )  # no more than the epoch that was cut short is gone through again
    shutil.rmtree(paths.RUNS / "fine_tuning")
    fine_tuning.record_path(config).unlink()
    assert fine_tuning.run(config)["metrics"] == metrics
    assert len(calls) == 2 * undisturbed + 2


def test_what_is_learned_from_is_named_by_pictures_hands_and_weights(run, monkeypatch):
    config, record, _ = run
    sha256 = fine_tuning.data_sha256(config)
    assert record["data"]["sha256"] == sha256 and record["data"]["weights"] == letter_systems.weights(0)
    assert fine_tuning.data_sha256(replace(config, frames=3)) != sha256
    assert fine_tuning.data_sha256(replace(config, invented_hands=11)) != sha256
    assert fine_tuning.data_sha256(replace(config, epochs=9)) == sha256
    monkeypatch.setenv("THESIS_DATA", "/nowhere")
    assert fine_tuning.data_sha256(replace(config, test="massey")) is None


def test_only_full_runs_are_committed(letters_taught):
    full, quick = (Config.profile(name, dataset="asl7") for name in ("full", "quick"))
    assert paths.RESULTS in fine_tuning.record_path(full).parents
    assert paths.RESULTS not in fine_tuning.record_path(quick).parents
