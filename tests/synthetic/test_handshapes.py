"""The table of handshapes: complete, valid, facing the right way, and refused when it is damaged."""

import json
from importlib.resources import files

import pytest
import torch

from thesislib.synthetic.hand import ANGLES, LIMITS
from thesislib.synthetic.handshapes import TABLE, alphabet, handshape, letter, parse

TEXT = files("thesislib.synthetic").joinpath(TABLE).read_text(encoding="utf-8")


def test_alphabets_have_their_letters_in_order():
    static = [c for c in "abcdefghijklmnopqrstuvwxyz" if c not in "jz"]
    assert list(alphabet("american letters")) == static
    assert list(alphabet("german alphabet")) == [*static, "sch", "1", "2", "3", "4", "5"]
    assert list(alphabet("american digits")) == list("0123456789")


@pytest.mark.parametrize("name", ["american letters", "german alphabet", "american digits"])
def test_no_two_labels_of_an_alphabet_look_the_same(name):
    looks = {
        (shape.angles, shape.contacts, shape.finger_direction, shape.palm_normal)
        for shape in alphabet(name).values()
    }
    assert len(looks) == len(alphabet(name))


def test_every_handshape_is_within_limits_and_turned_properly():
    shapes, _ = parse(TEXT)
    for shape in shapes.values():
        angles = torch.tensor(shape.angles)
        assert (angles >= LIMITS[0]).all() and (angles <= LIMITS[1]).all()
        turn = shape.orientation()
        assert torch.allclose(turn.T @ turn, torch.eye(3), atol=1e-6) and torch.linalg.det(turn) > 0.999
        along = torch.tensor(shape.finger_direction)
        assert torch.allclose(turn[:, 1], along / along.norm(), atol=1e-6)
        assert turn[:, 2] @ torch.tensor(shape.palm_normal) > 0


def test_the_thumb_of_an_upright_right_palm_is_on_the_viewers_right():
    assert torch.allclose(letter("american letters", "b").orientation(), torch.eye(3))
    assert letter("german alphabet", "5").orientation()[0, 0] == -1  # the back: the thumb is on the left


def test_fingers_say_which_letter_it_is():
    def knuckles(label):
        angles = dict(zip(ANGLES, letter("american letters", label).angles, strict=True))
        return [angles[f"{finger} PIP"] < 30 for finger in ("index", "middle", "ring", "little")]

    straight = {
        "b": "1111",
        "d": "1000",
        "f": "0111",
        "i": "0001",
        "l": "1000",
        "u": "1100",
        "w": "1110",
        "y": "0001",
        "s": "0000",
    }
    for label, pattern in straight.items():
        assert knuckles(label) == [finger == "1" for finger in pattern], label


def test_unknown_names_raise_with_a_hint():
    with pytest.raises(ValueError, match="has no label 'j'.*motions"):
        letter("american letters", "j")
    with pytest.raises(ValueError, match="it has a, b, c"):
        letter("american letters", "9")
    with pytest.raises(ValueError, match="american letters, german alphabet, american digits"):
        alphabet("klingon")
    with pytest.raises(ValueError, match="no handshape 'fist'"):
        handshape("fist")


def damaged(change):
    table = json.loads(TEXT)
    change(table)
    return json.dumps(table)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t["handshapes"]["a"]["index"].__setitem__(1, 200), "index MCP is 200"),
        (lambda t: t["handshapes"]["a"]["index"].append(0), "22 angles"),
        (lambda t: t["handshapes"]["a"].pop("thumb"), "thumb"),
        (lambda t: t["handshapes"]["a"].update({"palm faces": [0, 1, 0]}), "two different directions"),
        (lambda t: t["handshapes"]["a"]["contacts"][0].update(place=["toe", 1]), "between two of"),
        (lambda t: t["handshapes"]["a"]["contacts"][0].update(place=["thumb", 4]), "from 0 to 3"),
        (lambda t: t["handshapes"]["a"]["contacts"][0].update(offset=[1]), "three numbers"),
        (lambda t: t["alphabets"]["american digits"].update({"1": "nothing"}), "lacks: nothing"),
        (lambda t: t.pop("alphabets"), "cannot be read"),
    ],
)
def test_a_damaged_table_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        parse(damaged(change))


def test_a_truncated_table_is_refused():
    with pytest.raises(ValueError, match="cannot be read"):
        parse(TEXT[: len(TEXT) // 2])
