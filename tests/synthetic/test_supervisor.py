"""A simulated person keeps what the rule keeps, but for slips at the stated rate."""

import pytest
import torch

from thesislib.synthetic.supervisor import Eye, by_rule

NO_SLIPS = Eye(slips=0)


@pytest.fixture
def true():
    """One hand whose box has a longer side of 100."""
    points = torch.rand(21, 2, generator=torch.Generator().manual_seed(0))
    points = 100 * (points - points.amin(0)) / (points.amax(0) - points.amin(0)).amax()
    return points[None]


def _judged(true, joint, share, eye=NO_SLIPS):
    found = true.clone()
    found[:, joint, 0] += 100 * share
    first, both = by_rule(found, true, 0, torch.zeros(1, dtype=torch.int64), eye)
    return first.item(), both.item()


@pytest.mark.parametrize(
    ("joint", "share", "expected"),
    [
        (0, NO_SLIPS.wrist - 0.001, (True, True)),
        (0, NO_SLIPS.wrist + 0.001, (False, False)),
        (8, NO_SLIPS.finger - 0.001, (True, True)),
        (8, NO_SLIPS.finger + 0.001, (True, False)),  # fingers are the second pass's
        (slice(1, 21), NO_SLIPS.whole + 0.001, (False, False)),
    ],
)
def test_each_pass_has_its_rule(true, joint, share, expected):
    assert _judged(true, joint, share) == expected


def test_slips_come_at_their_rate_and_from_the_index_alone(true):
    n = 20_000
    many, index, eye = true.expand(n, -1, -1), torch.arange(n), Eye(slips=0.1)
    first, both = by_rule(many, many, 0, index, eye)
    assert abs(first.float().mean() - 0.9) < 0.01 and abs(both.float().mean() - 0.81) < 0.012
    chosen = torch.tensor([77, 4])
    alone = by_rule(many[:2], many[:2], 0, chosen, eye)
    assert torch.equal(alone[0], first[chosen]) and torch.equal(alone[1], both[chosen])


def test_what_cannot_be_is_refused(true):
    with pytest.raises(ValueError, match="slips"):
        Eye(slips=2)
    with pytest.raises(ValueError, match="wrist"):
        Eye(wrist=-1)
    with pytest.raises(ValueError, match="needs places"):
        by_rule(true, true[:, :20], 0, torch.zeros(1, dtype=torch.int64))
