"""Motions: least jerk, smooth, free of themselves; J, Z and umlauts go where the letters go."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thesislib.synthetic.contacts import MAX_PENETRATION, penetration, signer_handshapes
from thesislib.synthetic.hand import LIMITS, draw_anatomy
from thesislib.synthetic.handshapes import alphabet
from thesislib.synthetic.motions import MOVING, between, minimum_jerk, moving_letter

pytestmark = pytest.mark.usefixtures("solved_apart")
LETTERS = alphabet("american letters")
ONE = torch.zeros(1, dtype=torch.int64)


@given(st.floats(0, 1))
def test_minimum_jerk_is_smooth_and_symmetric(share):
    s = torch.tensor(share, dtype=torch.float64, requires_grad=True)
    reached = minimum_jerk(s)
    (speed,) = torch.autograd.grad(reached, s)
    assert speed == pytest.approx(30 * share**2 * (1 - share) ** 2, abs=1e-9)
    assert float((reached + minimum_jerk(1 - s)).detach()) == pytest.approx(1)


def test_minimum_jerk_starts_and_ends():
    assert minimum_jerk(torch.tensor([-1.0, 0.0, 1.0, 2.0])).tolist() == [0, 0, 1, 1]


@pytest.fixture(scope="module")
def ways(solved_apart):
    """Anatomy, end poses and ways of signer 0 between some pairs of letters, two of them in each other's way."""
    pairs = ["lv", "as", "ts", "fb", "gq", "mt"]
    order = list(LETTERS)
    ends = torch.tensor([[order.index(a), order.index(b)] for a, b in pairs])
    anatomy = draw_anatomy(torch.zeros(len(pairs), dtype=torch.int64))
    angles = signer_handshapes("american letters", ONE)[0][ends]
    orientation = torch.stack([shape.orientation() for shape in LETTERS.values()])[ends]
    return anatomy, angles, orientation, between(anatomy, angles, orientation, frames=16)


def test_ways_start_and_end_at_the_poses(ways):
    _, angles, orientation, (path, turned, translation) = ways
    assert path.shape == (6, 16, 21) and turned.shape == (6, 16, 3, 3) and not translation.any()
    for frame, end in ((0, 0), (-1, 1)):
        assert torch.allclose(path[:, frame], angles[:, end], atol=1e-4)
        assert torch.allclose(turned[:, frame], orientation[:, end], atol=1e-5)


def test_ways_are_free_and_valid(ways):
    anatomy, angles, _, (path, turned, _) = ways
    rows = torch.arange(6).repeat_interleave(16)
    assert (penetration(anatomy[rows], path.flatten(0, 1)) <= MAX_PENETRATION).all()
    direct = torch.lerp(angles[:, :1], angles[:, 1:], torch.linspace(0, 1, 16)[:, None])
    blocked = penetration(anatomy[rows], direct.flatten(0, 1)).unflatten(0, (6, 16)).amax(1) > MAX_PENETRATION
    assert blocked.sum() >= 2  # some had to go round
    assert (path >= LIMITS[0]).all() and (path <= LIMITS[1]).all()
    assert torch.allclose(turned.transpose(-1, -2) @ turned, torch.eye(3).expand_as(turned), atol=1e-5)


def test_ways_are_smooth(ways):
    path, turned = ways[3][:2]
    assert (path[:, 2:] - 2 * path[:, 1:-1] + path[:, :-2]).abs().max() < 15
    steps = turned[:, 1:] @ turned[:, :-1].transpose(-1, -2)
    trace = steps.diagonal(dim1=-2, dim2=-1).sum(-1)
    assert torch.rad2deg(torch.arccos(((trace - 1) / 2).clamp(-1, 1))).max() < 30


@pytest.mark.parametrize(
    ("name", "label"), [(name, label) for name, labels in MOVING.items() for label in labels]
)
def test_moving_letters_move_without_their_fingers(name, label):
    index, signers = torch.arange(3), torch.tensor([0, 1, 1])
    angles, orientation, translation = moving_letter(4, index, signers, label, name, frames=12)
    assert (
        angles.shape == (3, 12, 21) and orientation.shape == (3, 12, 3, 3) and translation.shape == (3, 12, 3)
    )
    assert torch.equal(angles, angles[:, :1].expand_as(angles))
    assert (penetration(draw_anatomy(signers), angles[:, 0]) <= MAX_PENETRATION).all()
    assert not translation[:, 0].any() and (translation[:, -1].norm(dim=-1) > 0.3).all()
    alone = moving_letter(4, index[1:2], signers[1:2], label, name, frames=12)
    assert all(
        torch.allclose(a[0], b[1], atol=1e-4)
        for a, b in zip(alone, (angles, orientation, translation), strict=True)
    )
    turned = (orientation[:, 0] - orientation[:, -1]).abs().amax(dim=(1, 2))
    assert (turned > 0.5).all() if label == "j" else (turned < 1e-5).all()


def plain(label, name="american letters"):
    return moving_letter(0, ONE, ONE, label, name, frames=31, signer_spread=0, pose_jitter=0, rotation=0)[2][
        0
    ]


def test_z_is_written_as_the_signer_sees_it():
    corners = plain("z")[[0, 10, 20, 30]]
    across = -corners[:, 0]  # the viewer sees it mirrored
    assert across[1] > 0.5 and across[2] == pytest.approx(0, abs=1e-5) and across[3] > 0.5
    assert (
        corners[1, 1] == 0 and corners[2, 1] < -0.5 and corners[3, 1] == pytest.approx(float(corners[2, 1]))
    )


def test_j_hooks_and_umlauts_drop():
    hook = plain("j")
    assert hook[:, 1].min() < hook[-1, 1] < 0 and hook[-1, 0] > 0.3  # to the signer's left
    assert hook[:, 0].diff().min() >= -1e-6
    drop = plain("ä", "german alphabet")
    assert not drop[:, 0].any() and (drop[:, 1].diff() < 0).all()


def test_what_does_not_move_is_refused():
    with pytest.raises(ValueError, match="no moving letter of 'american letters'; there are: j, z"):
        moving_letter(0, ONE, ONE, "a")
    with pytest.raises(ValueError, match="there are: none"):
        moving_letter(0, ONE, ONE, "j", "american digits")
