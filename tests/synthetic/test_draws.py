"""Draws at a fixed place: exact, well spread, and the same wherever a key stands in a batch."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thesislib.synthetic.draws import fold, normal, uniform, whole

words = st.integers(-(2**63), 2**63 - 1)


def splitmix(z):
    """The finaliser of SplitMix64 in Python's own whole numbers."""
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


@given(st.lists(words, min_size=1, max_size=4))
def test_keys_and_draws_follow_the_published_generator(parts):
    golden = 0x9E3779B97F4A7C15
    key = 0
    for part in parts:
        key = splitmix((key + golden + splitmix((part * golden + 1) % 2**64)) % 2**64)
    assert int(fold(*parts)) % 2**64 == key
    expected = [((splitmix((key + step * golden) % 2**64) >> 41) + 0.5) / 2**23 for step in (1, 2, 3)]
    assert uniform(fold(*parts), 3).tolist() == expected


@given(st.lists(words, min_size=2, max_size=9), st.data())
def test_a_draw_does_not_depend_on_batch_mates(keys, data):
    row = data.draw(st.integers(0, len(keys) - 1))
    key = torch.tensor(keys)
    for draw in (uniform, normal):
        assert torch.equal(draw(key, 5)[row], draw(key[row], 5))
    assert torch.equal(fold(3, key, 5)[row], fold(3, keys[row], 5))


def test_draws_have_the_right_moments_and_do_not_repeat():
    key = fold(1, torch.arange(40_000))
    assert len(torch.unique(key)) == len(key)
    flat, bell = uniform(key, 3), normal(key, 3)
    assert (flat > 0).all() and (flat < 1).all()
    assert torch.allclose(flat.mean(0), torch.full((3,), 0.5), atol=0.01)
    assert torch.allclose(bell.mean(0), torch.zeros(3), atol=0.03)
    assert torch.allclose(torch.cov(bell.T), torch.eye(3), atol=0.04)
    assert torch.bincount(whole(key, 7), minlength=7).float().div(len(key)).sub(1 / 7).abs().max() < 0.01


def test_order_of_words_matters_and_floats_are_refused():
    assert fold(1, 2) != fold(2, 1)
    with pytest.raises(TypeError, match="whole numbers"):
        fold(1, torch.tensor([0.5]))
