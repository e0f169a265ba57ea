import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from torch import nn

from thesislib import paths
from thesislib.chapters import few_pictures, head_conditions
from thesislib.chapters.few_pictures import CONDITIONS, MAIN, USUAL, Config, Views, by_heart, measured
from thesislib.chapters.head_conditions import Condition, dropout, guessing_loss, split_of, train
from thesislib.chapters.letter_heads import outputs
from thesislib.config import ConfigError
from thesislib.datasets.letter_images import LetterImages
from thesislib.losses.pairwise import PairwiseCosineLoss

LETTERS, SIGNERS, EACH, C = 6, 5, 6, 16
NUMBER = LETTERS * SIGNERS * EACH


@pytest.fixture(autouse=True)
def few_channels(request, monkeypatch):
    """Heads on 16 features learn in no time; the pose network itself has 128."""
    if "smoke" not in request.node.name:
        monkeypatch.setattr(few_pictures, "CHANNELS", C)


def some_views(spread: float = 0.25, views: int = 2, cells: int = 2) -> Views:
    """Features in a cloud a letter, [V, N, 16 * cells]; failed crops are all ones."""
    random = np.random.default_rng(0)
    letter, signer = np.arange(NUMBER) % LETTERS, np.arange(NUMBER) // (LETTERS * EACH)
    centre = random.normal(size=(LETTERS, C * cells))
    x = centre[letter] + spread * random.normal(size=(views, NUMBER, C * cells))
    rows = random.permutation(NUMBER)[: NUMBER // 2]
    failed = np.ones((views, len(rows), C * cells), np.float32)
    return Views(letter, signer, x.astype(np.float32), failed, rows)


# Conditions -------------------------------------------------------------------------------------------


def test_conditions_differ_from_the_usual_in_one_thing():
    rates = {"layer_dropout", "last_dropout"}
    for name, condition in CONDITIONS.items():
        changed = {key for key, value in asdict(condition).items() if value != asdict(CONDITIONS[USUAL])[key]}
        if name in ("all_at_once", "dropout_75_longer"):
            assert len(changed) > 1
        else:
            assert len(changed - rates) + bool(changed & rates) == (name != USUAL), name
    assert len(set(CONDITIONS.values())) == len(CONDITIONS) and set(MAIN) < set(CONDITIONS)
    assert dropout(0.9).last_dropout == 0.9 and dropout(0.3).last_dropout == 0.5


def test_splits_are_four_to_one():
    signer = some_views().signer
    found = split_of(Condition(), signer, seed=0)
    assert (len(found.train), len(found.test)) == (NUMBER - NUMBER // 5, NUMBER // 5)
    assert len(np.unique(signer[found.test])) == SIGNERS  # everybody is on both sides
    by_signer = split_of(Condition(by_signer=True), signer, seed=0)
    assert len(by_signer.test) == NUMBER // SIGNERS and len(np.unique(signer[by_signer.test])) == 1
    for condition in (Condition(), Condition(by_signer=True)):
        tests = [tuple(split_of(condition, signer, seed=seed).test) for seed in (0, 0, 1, 2, 3)]
        assert tests[0] == tests[1] and len(set(tests)) > 1
    with pytest.raises(ValueError):
        split_of(Condition(by_signer=True), np.zeros(10, np.int64), seed=0)


def test_guessing_costs_what_a_head_pays_that_tells_nothing_apart():
    letter = np.random.default_rng(0).integers(0, 7, 60)
    loss = PairwiseCosineLoss()
    for parameter in loss.parameters():
        nn.init.zeros_(parameter)
    embedding = torch.nn.functional.normalize(torch.randn(60, 4), dim=1)
    paid = loss(embedding, torch.from_numpy(letter)).item()
    assert guessing_loss("pairwise", letter, 7) == pytest.approx(paid, rel=1e-5)
    paid = float(nn.CrossEntropyLoss()(torch.zeros(60, 7), torch.from_numpy(letter)))
    assert guessing_loss("cross_entropy", letter, 7) == pytest.approx(paid, rel=1e-5)


# What a head sees -------------------------------------------------------------------------------------


def test_pooled_features_are_means_and_failed_crops_take_the_place_of_some():
    views, train_rows = some_views(), np.arange(100)
    usual = views.under(Condition(), train_rows)
    np.testing.assert_allclose(usual[:, :, 3], views.spatial[:, :, 6:8].mean(axis=2), rtol=1e-6)
    before = views.spatial.copy()
    failing = {}
    for share in (0.1, 0.3):
        x = views.under(Condition(failed_crops=share), train_rows)
        failing[share] = np.flatnonzero((x == 1).all(axis=(0, 2)))
        others = np.setdiff1d(np.arange(NUMBER), failing[share])
        assert len(failing[share]) == round(share * NUMBER)
        np.testing.assert_array_equal(x[:, others], usual[:, others])
    assert set(failing[0.1]) < set(failing[0.3])
    np.testing.assert_array_equal(views.spatial, before)


def test_components_of_spatial_features_are_those_of_the_training_rows():
    views, rows = some_views(cells=2), np.arange(0, 2 * C, 2)
    found = views.under(Condition(feature="spatial"), rows)
    assert found.shape == (2, NUMBER, C) and found.dtype == np.float32
    distance = np.linalg.norm(found[0, rows][:, None] - found[0, rows], axis=2)
    given = np.linalg.norm(views.spatial[0, rows][:, None] - views.spatial[0, rows], axis=2)
    np.testing.assert_allclose(distance, given, atol=1e-3)  # as many components as rows: nothing is lost
    other = views.spatial.copy()
    other[:, 1::2] *= 7  # none of them a training row
    again = replace(views, spatial=other).under(Condition(feature="spatial"), rows)
    np.testing.assert_allclose(again[:, rows], found[:, rows], atol=1e-3)


# Training ---------------------------------------------------------------------------------------------


def trained(condition: Condition, *, loss: str = "pairwise", letter=None, epochs: int = 15):
    views = some_views(cells=1)
    letter = views.letter if letter is None else letter
    split = split_of(condition, views.signer, seed=0)
    x = views.under(condition, split.train)
    hidden = np.setdiff1d(np.arange(NUMBER), np.concatenate([split.train, split.test[:20]]))
    x[:, hidden] = np.nan  # what is in neither part is never seen
    head = train(
        condition,
        loss,
        x,
        letter,
        split.train,
        split.test[:20],
        num_letters=LETTERS,
        epochs=epochs,
        seed=0,
    )
    return head, x, letter, split.test[:20]


@pytest.mark.parametrize("loss", head_conditions.LOSSES)
def test_a_head_learns_and_its_test_loss_is_that_of_the_test_pictures_as_they_are(loss):
    head, x, letter, test = trained(Condition(batch_size=48), loss=loss)
    found = [row["test_loss"] for row in head.history]
    assert len(found) == 15 and found[-1] < 0.85 * guessing_loss(loss, letter[test], LETTERS)
    with torch.inference_mode():
        made = torch.from_numpy(outputs(head.network, x[0, test]))
        paid = float(head.loss(made, torch.from_numpy(letter[test])))
    assert found[-1] == pytest.approx(paid, rel=1e-4)


@pytest.mark.parametrize("why", ["dropout", "letters at random"])
def test_what_cannot_be_learned_costs_as_much_as_guessing(why):
    letter = some_views().letter
    if why == "dropout":
        head, _, letter, test = trained(replace(dropout(0.9), batch_size=48), letter=letter)
    else:
        shuffled = np.random.RandomState(0).permutation(letter)
        head, _, letter, test = trained(Condition(batch_size=48), letter=shuffled)
    assert head.history[-1]["test_loss"] > 0.9 * guessing_loss("pairwise", letter[test], LETTERS)


def test_as_many_times_as_long_is_as_many_times_the_epochs():
    head, *_ = trained(Condition(times=5), epochs=1)
    assert len(head.history) == 5


def test_pictures_come_up_in_every_view(monkeypatch):
    seen = {}

    def fit(network, loss, inputs, targets, recipe, *, augment, **_):
        seen["x"], seen["y"] = augment(inputs.repeat(40), targets.repeat(40))
        seen["recipe"] = recipe
        return []

    monkeypatch.setattr(head_conditions, "fit", fit)
    row, view = np.meshgrid(np.arange(6.0), np.arange(3.0))
    x = np.stack([row, view], axis=-1).astype(np.float32)  # [3, 6, 2]: each vector tells whose it is
    letter = np.array([2, 0, 1, 2, 0, 1])
    condition = Condition(lr_max=0.01, batch_size=7)
    train(
        condition, "pairwise", x, letter, np.array([1, 3, 4]), np.array([0]), num_letters=3, epochs=8, seed=0
    )
    rows, of_view = seen["x"].long().unbind(dim=1)
    assert set(rows.tolist()) == {1, 3, 4} and set(of_view.tolist()) == {0, 1, 2}
    assert (letter[rows] == seen["y"].numpy()).all()
    assert (seen["recipe"].lr_max, seen["recipe"].batch_size, seen["recipe"].epochs) == (0.01, 7, 8)


def test_shuffled_letters_reach_readers_and_heads_alike():
    views = some_views(cells=1)
    plain, shuffled = (
        measured(Condition(shuffled=shuffled), views, num_letters=LETTERS, epochs=1, seed=0)
        for shuffled in (False, True)
    )
    assert plain["linear_top1"] == plain["nearest_top1"] == 1
    assert shuffled["linear_top1"] < 0.5 and shuffled["nearest_top1"] < 0.5
    assert plain["pairwise"]["test_loss"] != shuffled["pairwise"]["test_loss"]


def test_noise_is_learned_by_heart():
    views = some_views(cells=1)
    noise = np.random.default_rng(1).normal(size=views.spatial.shape).astype(np.float32)
    views = replace(views, spatial=noise)
    for loss in head_conditions.LOSSES:
        found = by_heart(0.0, loss, views, num_letters=LETTERS, epochs=8, seed=0)
        assert found["pictures"] == 5 * LETTERS
        assert found["top1"] > 0.9 and found["loss"] < 0.6 * found["guessing_loss"]


# The record -------------------------------------------------------------------------------------------


def test_a_smoke_run_measures_what_it_names_and_is_stored(tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    count = 2 * 3 * 10
    data = LetterImages(
        image=random.integers(0, 256, (count, 3, 64, 64), dtype=np.uint8),
        letter=np.arange(count) // 3 % 10,
        signer=np.arange(count) // 30,
        clip=np.arange(count),
        frame=np.zeros(count, np.int64),
        keypoints=random.uniform(5, 59, (count, 21, 2)).astype(np.float32),
        left=np.arange(count) >= 30,
        letters=tuple(f"shape {n}" for n in range(10)),
        signers=("one", "two"),
        source="noise",
    )
    monkeypatch.setattr(few_pictures, "letters_of", lambda config: data)
    monkeypatch.setattr(paths, "QUICK_RESULTS", tmp_path)
    monkeypatch.setattr(few_pictures, "PASSES", 1)
    config = Config.profile("smoke", conditions=(USUAL, "failed_crops_30"), seeds=2)
    record = few_pictures.run(config)
    rows = record["metrics"]["rows"]
    assert [len(rows[name]["seeds"]) for name in (USUAL, "failed_crops_30")] == [2, 1]
    assert rows[USUAL]["changed"] == {} and rows["failed_crops_30"]["changed"] == {"failed_crops": 0.3}
    first, second = rows[USUAL]["seeds"]
    assert first["pairwise"] != second["pairwise"]
    assert rows["failed_crops_30"]["seeds"][0]["pairwise"]["test_loss"] != first["pairwise"]["test_loss"]
    assert len(first["pairwise"]["train_loss"]) == len(first["cross_entropy"]["test_loss"]) == 1
    assert (record["metrics"]["images"], record["metrics"]["train_images"]) == (60, 48)
    assert record["metrics"]["by_heart"].keys() == {"0"}
    stored = few_pictures.record_path(config)
    assert tmp_path in stored.parents and json.loads(stored.read_text()) == record


def test_pictures_are_asked_for_as_the_set_has_them(monkeypatch):
    asked = {}
    monkeypatch.setattr(
        few_pictures.spelled_hands, "invented", lambda people, **how: asked.update(how, people=people)
    )
    few_pictures.letters_of(Config.profile("full"))
    assert len(asked["people"]) * 30 * asked["clips_per_letter"] == 1200
    assert asked["kind"] == "german" and asked["frames_per_clip"] == 1


@pytest.mark.parametrize(
    "wrong, message",
    [({"conditions": ("usal",)}, "usual"), ({"signers": 1}, "two signers"), ({"clips": 0}, "a clip")],
)
def test_what_cannot_be_measured_is_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        Config.profile("full", **wrong)
