"""Invented words: far enough apart, in families that differ by one part, and of which no picture tells all."""

import math
from dataclasses import fields, replace

import pytest
import torch

from thesislib.synthetic import sign_words
from thesislib.synthetic.handshapes import alphabet
from thesislib.synthetic.sign_parts import ALPHABET, HANDS, Word, parts, perform, plain_manner
from thesislib.synthetic.sign_words import (
    FAMILY,
    LEAST_APART,
    MOST_TRAVEL,
    VOCABULARIES,
    distance,
    travel,
    vocabulary,
    word_names,
)

WORDS = vocabulary("signs") + vocabulary("gestures")


def plainly(words, time):
    """The hand at these times [N] of these words [N]."""
    shapes = torch.tensor([alphabet(ALPHABET)[label].angles for label in HANDS])
    return perform(parts(tuple(words)), time, shapes.expand(len(words), -1, -1), plain_manner(len(words)))


def test_two_vocabularies_share_parts_but_no_word():
    assert {name: len(vocabulary(name)) for name in VOCABULARIES} == {"signs": 40, "gestures": 200}
    assert len(set(WORDS)) == 240
    for part in ("start", "path"):
        signs = {getattr(word, part) for word in vocabulary("signs")}
        assert signs <= {getattr(word, part) for word in vocabulary("gestures")}


def test_words_are_drawn_from_their_numbers_alone():
    before = [sign_words._family(number) for number in range(5)]
    torch.rand(3)
    assert [sign_words._family(number) for number in reversed(range(5))] == before[::-1]
    assert len(set(before)) == 5


def test_any_two_words_are_apart():
    number = parts(WORDS)
    apart = torch.cat([distance(some[:, None], number[None]) for some in number.split(120)])
    apart = apart.fill_diagonal_(torch.inf)
    assert torch.equal(apart, apart.T) and apart.min() >= LEAST_APART


def test_distance_is_in_hand_units_over_all_of_the_time():
    plain = Word("b", "b")

    def apart(**changes):
        one, other = parts((plain,))[0], parts((replace(plain, **changes),))[0]
        return float(distance(one, other))

    assert apart() == 0
    assert apart(place="high") == pytest.approx(0.35, abs=0.03)  # what is nearer looks a little larger
    # the mean distance from the middle of a way that is symmetric in time, by numbers
    s = torch.linspace(0, 1, 2001)
    done = 10 * s**3 - 15 * s**4 + 6 * s**5
    assert apart(path="right") == pytest.approx(float((1.1 * (done - 0.5)).abs().mean()), rel=0.08)


def test_a_family_differs_by_one_part_each():
    def differing(one, other):
        return {
            field.name for field in fields(Word) if getattr(one, field.name) != getattr(other, field.name)
        }

    for first in range(0, len(WORDS), FAMILY):
        word, reverse, other_path, other_hand = WORDS[first : first + FAMILY]
        assert differing(word, reverse) == {"backwards"}
        assert differing(word, other_path) == {"path"}
        assert differing(word, other_hand) in ({"start"}, {"start", "end"})


def test_no_picture_tells_a_word_from_its_reverse():
    """Every moment of one is a moment of the other; only their order differs."""
    words = [word for word in WORDS[::FAMILY] for _ in range(13)]
    reverses = [word for word in WORDS[1::FAMILY] for _ in range(13)]
    time = torch.linspace(0, 1, 13).repeat(len(WORDS) // FAMILY)
    for one, other in zip(plainly(words, time), plainly(reverses, 1 - time), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    assert (distance(parts(WORDS[::FAMILY]), parts(WORDS[1::FAMILY])) >= LEAST_APART).all()


def test_travel_is_what_a_ruler_and_a_protractor_say():
    right = Word("b", "b", path="right")
    assert travel(right) == pytest.approx(1.1)
    assert travel(replace(right, rhythm="thrice")) == pytest.approx(3.3)
    assert travel(replace(right, rhythm="late")) == pytest.approx(1.1 / 0.625)
    assert travel(Word("b", "b", path="circle")) == pytest.approx(2 * math.pi * 0.45, rel=0.01)
    assert travel(Word("b", "b", turn="over")) == pytest.approx(0.6 * math.radians(150))
    assert max(map(travel, WORDS)) <= MOST_TRAVEL


def test_names_are_short_and_none_is_given_twice():
    names = word_names("signs") + word_names("gestures")
    assert len(set(names)) == 240 and all(len(name) == 4 for name in names)
    assert word_names("gestures", 7) == word_names("gestures")[:7]


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: vocabulary("words"), "no vocabulary 'words'; there are signs, gestures"),
        (lambda: word_names("signs", 41), "from 1 to 40 words, asked for 41"),
        (lambda: word_names("signs", 0), "from 1 to 40 words, asked for 0"),
    ],
)
def test_requests_that_cannot_be_met_are_refused(ask, message):
    with pytest.raises(ValueError, match=message):
        ask()
