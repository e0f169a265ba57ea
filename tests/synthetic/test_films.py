"""Films: the hand is where it was put, the room stays, and frames know nothing of each other."""

from functools import partial

import pytest
import torch

from thesislib.synthetic import films
from thesislib.synthetic.draws import fold
from thesislib.synthetic.films import LEAST_SIDE, draw_room, film
from thesislib.synthetic.hand import draw_anatomy, pose
from thesislib.synthetic.handshapes import handshape
from thesislib.synthetic.scene import Difficulty
from thesislib.synthetic.sign_parts import palm

SIZE = 32
SHAPE = handshape("spread")
shoot = partial(film, size=SIZE, supersample=1, difficulty=Difficulty(noise=0.0, blur=0.0))


def hands(places, key=0, signer=0):
    """What film() needs for a spread hand at these places [B, 3] in one room."""
    count = len(places)
    signer = torch.full((count,), signer)
    return {
        "anatomy": draw_anatomy(signer),
        "signer": signer,
        "angles": torch.tensor(SHAPE.angles).expand(count, -1),
        "orientation": SHAPE.orientation().expand(count, 3, 3),
        "place": places,
        "room": draw_room(torch.full((count,), key)),
        "grain": torch.arange(count),
    }


def test_the_palm_is_where_it_was_put():
    """By the pinhole camera: what is nearer looks larger, by the distance over what is left of it."""
    places = torch.tensor([[0.0, 0.0, 0.0], [0.6, 0.0, 0.0], [0.0, -0.5, 0.0], [0.5, 0.5, 1.0]])
    asked = hands(places)
    room, seen = asked["room"], shoot(**asked)
    joints = pose(asked["anatomy"], asked["angles"]).joints
    in_palm = (joints - palm(joints)) @ asked["orientation"].mT + places[:, None]
    pinhole = (
        in_palm[..., :2] * (room.distance[:, None] / (room.distance[:, None] - in_palm[..., 2]))[..., None]
    )
    offset = (pinhole - room.aim[:, None]) / room.side[:, None, None] * torch.tensor([1.0, -1.0])
    torch.testing.assert_close(seen["keypoints"], SIZE * (offset + 0.5), atol=1e-3, rtol=0)
    torch.testing.assert_close(seen["joints"], (joints @ asked["orientation"].mT))


def test_only_where_the_hand_is_does_the_picture_change():
    places = torch.tensor([[-0.5, 0.3, 0.0], [0.5, 0.3, 0.0], [0.0, -9.0, 0.0]])
    seen = shoot(**hands(places))
    left, right, nobody = seen["image"]
    assert (left - nobody).abs()[:, 4:16, -5:].max() < 0.05 and (right - nobody).abs()[
        :, 4:16, :5
    ].max() < 0.05
    column, row = seen["keypoints"][0, 9].long()  # the middle knuckle
    assert (left - nobody).abs()[:, row, column].max() > 0.05
    assert not seen["visible"][2].any() and seen["visible"][0].float().mean() > 0.7


def test_frames_know_nothing_of_each_other():
    places = torch.tensor([[-0.5, 0.3, 0.0], [0.5, 0.3, 0.0], [0.2, -0.2, 0.5]])
    one, other = hands(places), hands(places[:1], key=5, signer=3)
    room = films.Room(
        *(
            torch.cat([getattr(one["room"], field), getattr(other["room"], field)])
            for field in vars(one["room"])
        )
    )
    joined = {
        name: torch.cat([one[name], other[name]])
        for name in ("signer", "angles", "orientation", "place", "grain")
    }
    together = shoot(anatomy=draw_anatomy(joined["signer"]), room=room, **joined)["image"]
    torch.testing.assert_close(together[:3], shoot(**one)["image"], atol=2e-3, rtol=0)
    torch.testing.assert_close(together[3:], shoot(**other)["image"], atol=2e-3, rtol=0)


def test_a_background_is_drawn_once_a_room(monkeypatch):
    drawn, draw = [], films.draw_background

    def spy(key, size, clutter):
        drawn.append(key.tolist())
        return draw(key, size, clutter)

    monkeypatch.setattr(films, "draw_background", spy)
    for _ in range(2):
        shoot(**hands(torch.zeros(3, 3), key=77))
    assert drawn == [[77]]


def test_grain_is_each_frames_own():
    asked = hands(torch.zeros(3, 3))
    asked["grain"] = torch.tensor([1, 2, 1])
    one, two, again = shoot(**asked | {"difficulty": Difficulty(noise=1.0)})["image"]
    torch.testing.assert_close(one, again)
    assert (one - two).abs().mean() > 0.005


def test_rooms_follow_from_their_keys_and_are_large_enough():
    rooms = draw_room(fold(torch.arange(500)))
    assert torch.equal(draw_room(fold(torch.arange(500)).flip(0)).side.flip(0), rooms.side)
    assert rooms.side.min() >= LEAST_SIDE and rooms.distance.min() > 6
    assert rooms.side.std() > 0.05 and float(rooms.aim.mean(dim=0)[0]) == pytest.approx(0, abs=0.02)
