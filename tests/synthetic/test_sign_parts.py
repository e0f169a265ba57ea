"""Parts of signs: the hand goes, turns, changes and waits as each part says, by numbers worked out apart."""

import math
from dataclasses import replace

import pytest
import torch
from scipy.spatial.transform import Rotation, Slerp

from thesislib.synthetic.contacts import penetration
from thesislib.synthetic.hand import LIMITS, draw_anatomy
from thesislib.synthetic.handshapes import alphabet
from thesislib.synthetic.sign_parts import (
    ALPHABET,
    HANDS,
    REST,
    Word,
    changing,
    parts,
    perform,
    plain_manner,
    turning,
)

SHAPES = torch.tensor([alphabet(ALPHABET)[label].angles for label in HANDS])


def plainly(words, time, **changes):
    """The hand at these times [N] of these words [N]; changes: fields of their manner."""
    manner = replace(plain_manner(len(words)), **changes)
    return perform(parts(tuple(words)), time, SHAPES.expand(len(words), -1, -1), manner)


def way(word, steps=33, **changes):
    """The palm's place at even times, [steps, 3]."""
    return plainly([word] * steps, torch.linspace(0, 1, steps), **changes)[2]


def test_the_palm_goes_the_way_from_rest_to_rest():
    right = way(Word("b", "b", path="right"))
    torch.testing.assert_close(right[[0, 16, 32]], torch.tensor([[-0.55, 0, 0], [0, 0, 0], [0.55, 0, 0]]))
    step = right.diff(dim=0).norm(dim=1)
    assert step[0] < 0.02 * step.max() and step[-1] < 0.02 * step.max()
    circle = way(Word("b", "b", path="circle"))
    assert (circle[:, :2].norm(dim=1) - 0.45).abs().max() < 0.01
    turned = circle[1:-1, :2]
    x, y = turned[:-1].T
    assert (x * turned[1:, 1] - y * turned[1:, 0] < 0).all()  # clockwise


def test_rhythms_repeat_and_wait():
    thrice = way(Word("b", "b", path="right", rhythm="thrice"), 97)[:, 0]
    torch.testing.assert_close(thrice[[0, 32, 64, 96]], torch.tensor([-0.55, 0.55, -0.55, 0.55]))
    late = way(Word("b", "b", path="right", rhythm="late"), 97)[:, 0]
    assert (late[:37] == -0.55).all() and late[40] > -0.55 and late[96] == pytest.approx(0.55)


def test_hands_change_and_turn_on_the_way():
    word = Word("a", "sch", path="up", turn="over")
    angles, orientation, _ = plainly([word] * 2, torch.tensor([0.0, 1.0]))
    shapes = alphabet(ALPHABET)
    torch.testing.assert_close(angles, torch.tensor([shapes["a"].angles, shapes["sch"].angles]))
    turn = orientation[1] @ orientation[0].T @ shapes["a"].orientation() @ shapes["sch"].orientation().T
    assert Rotation.from_matrix(turn.numpy()).magnitude() == pytest.approx(math.radians(150), abs=1e-3)


def test_manners_stretch_bend_slant_and_shift():
    word, one = Word("b", "b", path="right"), torch.ones(33)
    plain = way(word)
    torch.testing.assert_close(way(word, size=2 * one), 2 * plain)
    torch.testing.assert_close(way(word, offset=torch.ones(33, 2)), plain + torch.tensor([1.0, 1.0, 0.0]))
    torch.testing.assert_close(way(word, slant=90 * one), plain[:, [1, 0, 2]], atol=1e-5, rtol=0)
    assert way(word, bend=0.2 * one)[:, 1].max() == pytest.approx(0.2 * 1.1)
    torch.testing.assert_close(way(word, bend=0.2 * one)[[0, -1]], plain[[0, -1]])
    assert (way(word, haste=1.5 * one)[1:-1, 0] < plain[1:-1, 0]).all()


def test_orientations_turn_the_shortest_way():
    first, last = (torch.from_numpy(Rotation.random(9, rng=n).as_matrix()).float() for n in (0, 1))
    share = torch.linspace(0, 1, 9)
    found = turning(first, last, share)
    for row in range(9):
        between = Slerp([0, 1], Rotation.from_matrix(torch.stack([first[row], last[row]]).numpy()))
        wanted = torch.from_numpy(between(float(share[row])).as_matrix()).float()
        torch.testing.assert_close(found[row], wanted, atol=1e-5, rtol=0)


def test_fingers_that_change_pass_each_other():
    """On the way between any two handshapes they run through each other less than on the direct way."""
    one, other = torch.cartesian_prod(torch.arange(len(HANDS)), torch.arange(len(HANDS))).T
    half = torch.full((len(one),), 0.5)
    average = draw_anatomy(torch.zeros(len(one), dtype=torch.int64), spread=0.0)
    opened = changing(SHAPES[one], SHAPES[other], half)
    assert (opened >= LIMITS[0]).all() and (opened <= LIMITS[1]).all()
    direct = penetration(average, (SHAPES[one] + SHAPES[other]) / 2)
    found = penetration(average, opened)
    assert found.clamp(min=0).mean() < 0.6 * direct.clamp(min=0).mean()
    for end, share in ((one, 0.0), (other, 1.0)):
        torch.testing.assert_close(changing(SHAPES[one], SHAPES[other], share + 0 * half), SHAPES[end])


def test_words_say_what_they_are_made_of():
    assert str(Word("a", "sch", path="up", rhythm="late", place="high", backwards=True)) == (
        "a to sch, up, late, place high, backwards"
    )


def test_words_are_numbers_of_parts():
    first, last = parts((Word("a", "a"), REST))
    assert first.tolist() == [0] * 8 and last[:2].tolist() == [2, 2] and len(last) == 8
