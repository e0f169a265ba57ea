import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thesislib.losses.attention import hard_total_variation

SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4)).filter(lambda s: s != (1, 1, 1))
SEEDS = st.integers(0, 10_000)
PRESETS = ["paper", "repository"]


def confidences(*shape: int, seed: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=random, dtype=torch.float64)


def targets(mask: torch.Tensor, preset: str) -> torch.Tensor:
    """What equation 1 wants each place of [T, M, N] to be, place by place."""
    wanted = torch.zeros_like(mask)
    t, m, n = mask.shape
    for place in itertools.product(range(t), range(m), range(n)):
        near = []
        for step in itertools.product((-1, 0, 1), repeat=3):
            at = tuple(p + s for p, s in zip(place, step, strict=True))
            inside = all(0 <= a < size for a, size in zip(at, mask.shape, strict=True))
            if preset == "repository":
                near.append(float(mask[at]) if inside else 0.0)
            elif inside and step != (0, 0, 0):
                near.append(float(mask[at]))
        wanted[place] = float(sum(near) / len(near) > 0.5)
    return wanted


@pytest.mark.parametrize("preset", PRESETS)
@settings(max_examples=25, deadline=None)
@given(SHAPES, SEEDS)
def test_it_is_the_loop_over_places(preset, shape, seed):
    mask = confidences(*shape, seed=seed)
    values, wanted = mask.flatten().tolist(), targets(mask, preset).flatten().tolist()
    distance = [abs(s - w) for s, w in zip(values, wanted, strict=True)]
    assert float(hard_total_variation(mask, preset)) == pytest.approx(sum(distance) / len(distance), rel=1e-9)


@pytest.mark.parametrize("preset", PRESETS)
def test_masks_of_a_batch_do_not_meet(preset):
    masks = confidences(2, 5, 3, 4, 4, seed=1)
    each = [hard_total_variation(mask, preset) for mask in masks.flatten(0, 1)]
    torch.testing.assert_close(hard_total_variation(masks, preset), torch.stack(each).mean())


@pytest.mark.parametrize("preset", PRESETS)
@settings(max_examples=25, deadline=None)
@given(SHAPES, SEEDS)
def test_it_is_from_0_to_1(preset, shape, seed):
    for mask in (confidences(*shape, seed=seed), confidences(*shape, seed=seed).round()):
        assert 0 <= float(hard_total_variation(mask, preset)) <= 1


def test_sharp_and_even_masks_have_no_loss_and_a_lone_place_has():
    assert hard_total_variation(torch.zeros(4, 5, 5)) == hard_total_variation(torch.ones(4, 5, 5)) == 0
    halves = torch.zeros(4, 5, 6)
    halves[..., 3:] = 1  # a place at the border has 9 of 26 neighbours, or 6 of 17, on the other side
    assert hard_total_variation(halves) == 0
    lone = torch.zeros(4, 5, 5)
    lone[2, 2, 2] = 1
    assert float(hard_total_variation(lone)) == pytest.approx(1 / 100)


def test_a_whole_mask_of_ones_has_edges_that_the_repository_pulls_down():
    # 8 corners see 8 of 27 and are wanted 0, as are the places of the 12 edges, 12 of 27; sides see 18 of 27.
    found = hard_total_variation(torch.ones(5, 5, 5), "repository")
    assert float(found) == pytest.approx((8 + 12 * 3) / 125)


def test_exactly_one_half_is_not_more_than_one_half():
    assert float(hard_total_variation(torch.full((2, 3, 3), 0.5))) == pytest.approx(0.5)
    mask = torch.full((2, 3, 3), 0.5, requires_grad=True)
    hard_total_variation(mask).backward()
    assert (mask.grad > 0).all()  # towards 0


@settings(max_examples=10, deadline=None)
@given(SEEDS)
def test_the_indicator_has_no_gradient(seed):
    mask = confidences(2, 3, 4, 4, seed=seed).requires_grad_()
    hard_total_variation(mask).backward()
    wanted = torch.stack([targets(m, "paper") for m in mask.detach()])
    torch.testing.assert_close(mask.grad, (mask.detach() - wanted).sign() / mask.numel())


def test_descent_makes_a_noisy_mask_sharp():
    logits = torch.logit(confidences(3, 6, 6, seed=0)).float().requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=0.3)
    values = []
    for _ in range(60):
        value = hard_total_variation(torch.sigmoid(logits))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[0] > 0.4 and values[-1] < 0.05
    mask = torch.sigmoid(logits.detach())
    assert ((mask < 0.1) | (mask > 0.9)).float().mean() > 0.9  # where halves meet a place may waver


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.tensor([[[0.2, torch.nan]]]), "confidences from 0 to 1.*NaN"),
        (torch.full((2, 2, 2), 1.5), "sigmoid of logits"),
        (torch.full((2, 2, 2), -0.1), "sigmoid of logits"),
        (torch.zeros(4, 4), r"\[\.\.\., T, M, N\].*\[4, 4\]"),
        (torch.zeros(1, 1, 1), "at least two places"),
        (torch.zeros(0, 2, 3, 3), r"got \[0, 2, 3, 3\]"),
    ],
)
def test_what_is_no_mask_is_refused(mask, message):
    with pytest.raises(ValueError, match=message):
        hard_total_variation(mask)


def test_an_unknown_preset_is_named():
    with pytest.raises(ValueError, match="'papre'; known: paper, repository"):
        hard_total_variation(torch.zeros(2, 2, 2), "papre")
