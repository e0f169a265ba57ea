"""Who is in which part of chapter 6, what names a set, and lessons that do not ask what they taught."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thesislib import paths
from thesislib.chapters import sign_sets
from thesislib.chapters.sign_sets import (
    FilmedSigns,
    InventedSigns,
    Lesson,
    digest,
    people,
    proof,
    random_clips,
    require_strangers,
    split_entry,
    without_one_take,
)
from thesislib.datasets.sources import DataError

SIGNS = InventedSigns("signs", 4, range(20, 23), takes=2)


# Parts ------------------------------------------------------------------------------------------------


def test_nobody_is_in_two_parts_and_all_follow_each_other():
    who = people(gestures=5, signs=3, test=2)
    assert [len(part) for part in who.values()] == [5, 3, 2]
    numbers = [number for part in who.values() for number in part]
    assert numbers == list(range(numbers[0], numbers[0] + 10))
    parts = {name: replace(SIGNS, signers=signers) for name, signers in who.items()}
    require_strangers(parts)
    assert proof(parts) == {"gestures": 5, "signs": 3, "test": 2, "union": 10, "in_two_parts": 0}


def test_a_signer_in_two_parts_is_named():
    parts = {"signs": SIGNS, "test": replace(SIGNS, signers=range(22, 25))}
    with pytest.raises(DataError, match=r"\[22\] are in signs and in test"):
        require_strangers(parts)
    assert proof(parts)["in_two_parts"] == 1


def test_a_record_names_signers_and_clips():
    (entry,) = split_entry({"test": SIGNS}).values()
    assert entry == {"vocabulary": "signs", "words": 4, "signers": [20, 23], "clips": 24} and len(SIGNS) == 24


# Sets -------------------------------------------------------------------------------------------------


def test_what_is_drawn_is_what_was_asked_for(monkeypatch):
    asked = {}

    def spy(vocabulary, signers, **settings):
        asked.update(settings, vocabulary=vocabulary, signers=signers)

    monkeypatch.setattr(sign_sets.invented_signs, "invented", spy)
    replace(SIGNS, frames=9, size=32).load()
    assert asked == dict(vocabulary="signs", signers=range(20, 23), words=4, takes=2, frames=9, size=32)


def test_every_number_and_word_names_a_set_and_nothing_is_drawn_for_it(monkeypatch):
    monkeypatch.setattr(sign_sets.invented_signs, "invented", lambda *a, **k: pytest.fail("drawn"))
    others = dict(vocabulary="gestures", words=5, signers=range(21, 24), takes=1, frames=8, size=32)
    found = {SIGNS.sha256(), *(replace(SIGNS, **{name: value}).sha256() for name, value in others.items())}
    assert len(found) == 1 + len(others) and SIGNS.sha256() in found
    before = SIGNS.sha256()
    monkeypatch.setattr(sign_sets, "word_names", lambda vocabulary, words: ("other", "words"))
    assert SIGNS.sha256() != before


def test_a_digest_names_all_parts_and_what_else_counts():
    parts = {"a": SIGNS, "b": replace(SIGNS, takes=1)}
    assert digest(parts) == digest(dict(reversed(parts.items())))
    swapped = {"a": parts["b"], "b": parts["a"]}
    assert len({digest(parts), digest({"a": SIGNS}), digest(parts, "encoder"), digest(swapped)}) == 4


def test_films_that_are_not_here_are_explained(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "raw_data", lambda: tmp_path)
    known = FilmedSigns("croatian_signs")
    with pytest.raises(DataError, match="CroatianSignLanguageDataSet"):
        known.load()
    assert known.sha256() is None and digest({"films": known}) is None
    own = FilmedSigns("invented", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="nowhere"):
        own.sha256()


def test_films_are_read_as_asked(tmp_path, monkeypatch):
    asked = {}
    monkeypatch.setattr(
        sign_sets.sign_videos, "load_folder", lambda place, **how: asked.update(how, place=place)
    )
    monkeypatch.setattr(paths, "raw_data", lambda: tmp_path)
    (tmp_path / "croatian_signs").mkdir()
    FilmedSigns("croatian_signs", frames=7, size=48).load()
    assert asked == dict(place=tmp_path / "croatian_signs", length=7, size=48)


def test_only_registered_films_have_a_title_of_their_own():
    known, own = (
        FilmedSigns("croatian_signs").entry("0" * 64),
        FilmedSigns("invented", "films").entry("1" * 64),
    )
    assert known["name"] == "croatian_signs" and own["name"] == "own" and own["licence"] == "your own"
    assert known.keys() == own.keys() >= {"name", "title", "version", "sha256", "licence", "credit"}


# Lessons ----------------------------------------------------------------------------------------------


@given(st.integers(2, 5), st.integers(4, 9), st.integers(0, 99))
def test_random_clips_are_so_many_of_each_word_and_larger_sets_hold_smaller_ones(words, each, seed):
    label = np.random.default_rng(seed).permutation(np.arange(words * each) % words)
    chosen, rest = random_clips(label, (1, 3), seed)
    for count, rows in chosen.items():
        assert (np.bincount(label[rows], minlength=words) == count).all()
    assert set(chosen[1]) < set(chosen[3]) and not set(chosen[3]) & set(rest)
    assert len(chosen[3]) + len(rest) == len(label)


def test_seeds_draw_other_clips_and_the_same_seed_the_same():
    label = np.arange(60) % 3
    drawn = [random_clips(label, (5,), seed)[0][5].tolist() for seed in (0, 0, 1, 2)]
    assert drawn[0] == drawn[1] and len({*map(tuple, drawn)}) == 3


def test_a_word_that_leaves_nothing_to_ask_is_refused():
    with pytest.raises(ValueError, match="a word has 2 clips"):
        random_clips(np.array([0, 0, 0, 1, 1]), (2,), 0)


def test_every_clip_is_asked_once_and_never_by_who_learned_from_it():
    label = np.array([0, 0, 0, 1, 1, 1, 2, 2])
    lessons = list(without_one_take(label, seed=4))
    asked = np.concatenate([lesson.asked["left_out_take"] for lesson in lessons])
    assert sorted(asked) == list(range(8)) and [lesson.fold for lesson in lessons] == [0, 1, 2]
    for lesson in lessons:
        rows = lesson.asked["left_out_take"]
        assert not set(rows) & set(lesson.train) and len(rows) + len(lesson.train) == 8
        assert len(set(label[rows])) == len(rows)
    assert [lesson.clips for lesson in lessons] == [1, 1, 2]
    with pytest.raises(DataError, match="word 1 has a single clip"):
        list(without_one_take(np.array([0, 0, 1]), 0))


def test_a_lesson_does_not_ask_what_it_taught():
    rows = np.arange(4)
    Lesson(1, 0, rows[:2], {"strangers": rows[2:]})
    with pytest.raises(ValueError, match="in train and in test"):
        Lesson(1, 0, rows[:2], {"strangers": rows[2:], "others": rows[1:3]})
