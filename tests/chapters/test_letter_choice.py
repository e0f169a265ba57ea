"""A system chosen by inner folds: the signer who judges it has no part in the choice, and the choice is scored."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from thesislib.chapters.letter_answers import Answers, Reader, zero_shot
from thesislib.chapters.letter_choice import can_be_chosen, chosen_by_inner_folds, inner_accuracy
from thesislib.chapters.letter_systems import SYSTEMS, System
from thesislib.evaluation.signers import accuracy

LETTERS, PEOPLE = 4, 4


@pytest.fixture(scope="module")
def data(drawn_letters):
    return drawn_letters([(1, 3)] * PEOPLE, names="aiqx")


@pytest.fixture
def reader(data, tmp_path) -> Callable[[list[int]], Reader]:
    """A function: those whose features say the letter, where the others' each say another one -> a reader."""

    def make(told: list[int]) -> Reader:
        wrong = 1 + data.signer % (LETTERS - 1)
        said = (data.letter + np.where(np.isin(data.signer, told), 0, wrong)) % LETTERS
        x = np.eye(LETTERS, dtype=np.float32)[said]
        return Reader("made up", System("pixels", "prototype_mean"), data, x, x[None], 1, Path(tmp_path), 0)

    return make


def chosen(readers: dict[str, Reader]) -> dict:
    return chosen_by_inner_folds(readers, {name: list(zero_shot(made)) for name, made in readers.items()}, 0)


def test_the_inner_accuracy_is_that_of_loops_over_the_others(reader, data):
    for told in ([0, 1, 2, 3], [0, 1, 2], [0, 1]):
        made = reader(told)
        for left_out in range(PEOPLE):
            shares = []
            for who in {*range(PEOPLE)} - {left_out}:
                known = np.flatnonzero((data.signer != who) & (data.signer != left_out))
                means = [made.x[known][data.letter[known] == c].mean(axis=0) for c in range(LETTERS)]
                means = [mean / np.linalg.norm(mean) for mean in means]
                asked = np.flatnonzero(data.signer == who)
                shares.append(np.mean([np.argmax(means @ made.x[n]) == data.letter[n] for n in asked]))
            assert inner_accuracy(made, left_out) == pytest.approx(np.mean(shares))


def test_the_signer_left_out_changes_nothing_of_the_choice(reader, data):
    readers = {"one": reader([0, 1, 2]), "other": reader([1, 2, 3])}
    found = chosen(readers)
    random = np.random.default_rng(0)
    for who in range(PEOPLE):
        own = data.signer == who
        letter, clip = data.letter.copy(), data.clip.copy()
        letter[own], clip[own] = random.permutation(letter[own]), 5000 + np.arange(own.sum())
        x = {name: made.x.copy() for name, made in readers.items()}
        for features in x.values():
            features[own] = random.normal(size=(own.sum(), LETTERS))
        strange = {
            n: replace(made, x=x[n], data=replace(data, letter=letter, clip=clip))
            for n, made in readers.items()
        }
        again = chosen(strange)
        assert again["chosen"][who] == found["chosen"][who]
        assert [again["inner"][n][who] for n in readers] == [found["inner"][n][who] for n in readers]


def test_each_is_read_by_what_reads_the_others_best_even_where_it_fails_them(reader, data):
    """Person 3 alone is told apart by "odd", which no other person would choose."""
    readers = {"odd": reader([3]), "usual": reader([0, 1, 2])}
    answers = {name: list(zero_shot(made)) for name, made in readers.items()}
    found = chosen_by_inner_folds(readers, answers, 0)
    assert found["chosen"][3] == "usual" and found["inner"]["usual"][3] == 1
    assert found["signers"] == list(data.signers)
    for who, name in enumerate(found["chosen"]):
        (answer,) = (a for a in answers[name] if a.signer == who)
        expected = accuracy(answer.scores, data.letter[answer.test])["top1_macro"]
        assert found["zero_shot"]["top1_macro"]["by_signer"][who] == pytest.approx(expected)
    assert found["zero_shot"]["top1_macro"]["by_signer"][3] == 0


def test_of_equal_systems_the_first_is_taken(reader):
    assert set(chosen({"first": reader([0, 1, 2, 3]), "second": reader([0, 1, 2, 3])})["chosen"]) == {"first"}


def test_one_system_and_two_signers_leave_nothing_to_choose(reader, data):
    made = reader([0, 1])
    assert chosen({"one": made}) == {} == chosen_by_inner_folds({}, {}, 0)
    rows = np.flatnonzero(data.signer < 2)
    two = replace(made, data=data.of(data.signer < 2), x=made.x[rows], views=made.views[:, rows])
    answers: dict[str, list[Answers]] = {name: list(zero_shot(two)) for name in "ab"}
    assert chosen_by_inner_folds({"a": two, "b": two}, answers, 0) == {}


def test_what_must_train_and_what_brings_its_own_joints_cannot_be_chosen():
    free = {name for name, system in SYSTEMS.items() if can_be_chosen(system)}
    assert {"pixels", "spatial_lda", "letters_together", "keypoints"} <= free
    assert not free & {"thesis", "cross_entropy", "letters_cosface", "mediapipe", "mediapipe_angles_lda"}
