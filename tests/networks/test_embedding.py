import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from thesislib.losses.pairwise import PairwiseCosineLoss
from thesislib.networks.blocks import LinearDualPath, count_parameters
from thesislib.networks.embedding import EmbeddingHead

# Ignatiev 2019, figure 3.9: channels after each of the eight layers on 32 extracted features.
FIGURE_3_9 = [48, 64, 80, 96, 112, 128, 144, 160]


def test_every_row_of_figure_3_9():
    head = EmbeddingHead(32, 10).eval()
    x, rows = torch.rand(2, 32), []
    for part in head.layers:
        x = part(x)
        rows.append((type(part).__name__, x.shape[1]))
    assert rows == [("LinearDualPath", c) for c in FIGURE_3_9] + [("Dropout", 160), ("Linear", 10)]
    assert [p.p for p in head.modules() if isinstance(p, nn.Dropout)] == [0.25] * 8 + [0.5]
    assert head.f == 10


def test_parameters_of_the_thesis_size():
    total = 0
    for c_out in FIGURE_3_9:
        c = c_out - 16
        total += c * 4 * c + 4 * c + 2 * 4 * c + 4 * c * c_out + c_out  # linear, norm, linear
    total += 160 * 10 + 10
    assert total == 637_578
    assert count_parameters(EmbeddingHead(32, 10)) == 637_578


@given(f=st.integers(1, 12), depth=st.integers(0, 3), scale=st.floats(0.01, 100), seed=st.integers(0, 99))
def test_embeddings_have_length_1(f, depth, scale, seed):
    torch.manual_seed(seed)
    embedding = EmbeddingHead(6, f, depth=depth).eval()(scale * torch.randn(5, 6))
    assert embedding.shape == (5, f)
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(5))


def test_depth_0_is_one_linear_layer():
    head = EmbeddingHead(32, 10, depth=0)
    assert count_parameters(head) == 32 * 10 + 10
    assert not [m for m in head.modules() if isinstance(m, LinearDualPath)]


@pytest.mark.parametrize("norm", [nn.BatchNorm1d, nn.LayerNorm, nn.Identity])
def test_the_regularisers_are_the_ones_asked_for(norm):
    head = EmbeddingHead(8, 4, depth=2, norm=norm, layer_dropout=0.0, last_dropout=0.0)
    assert [type(m.layers[2]) for m in head.layers[:2]] == [norm, norm]
    assert all(m.p == 0 for m in head.modules() if isinstance(m, nn.Dropout))


def test_it_learns_one_batch_by_heart():
    torch.manual_seed(0)
    head, loss = EmbeddingHead(20, 10, layer_dropout=0.0, last_dropout=0.0), PairwiseCosineLoss()
    x, label = torch.randn(12, 20), torch.arange(4).repeat(3)
    optimizer = torch.optim.Adam([*head.parameters(), *loss.parameters()], lr=0.003)
    for _ in range(40):
        value = loss(head(x), label)
        optimizer.zero_grad()
        value.backward()
        assert all(p.grad is not None for p in head.parameters())
        optimizer.step()
    cosine = head(x) @ head(x).T
    same = label[:, None] == label[None, :]
    assert cosine[same].min() > 0.9 and cosine[~same].max() < 0.5
