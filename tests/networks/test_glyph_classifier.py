import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from thesislib.networks.blocks import InvertedResidual, count_parameters
from thesislib.networks.glyph_classifier import GlyphClassifier, GlyphEncoder

# Ignatiev 2019, figure 3.7, as printed: name, channels, size.
FIGURE_3_7 = [
    ("Conv+BN+ReLU", 32, 28),
    ("InvertedResidual", 32, 28),
    ("InvertedResidual", 32, 28),
    ("InvertedResidual", 32, 28),
    ("InvertedResidual", 64, 14),
    ("InvertedResidual", 64, 14),
    ("InvertedResidual", 64, 14),
    ("InvertedResidual", 64, 14),
    ("InvertedResidual", 64, 14),
    ("InvertedResidual", 96, 7),
    ("InvertedResidual", 128, 7),
    ("InvertedResidual", 32, 4),
]


def random_running_statistics(network: nn.Module) -> None:
    """Make a network's norms say something, so that nothing is zero or the identity by accident."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.running_mean, -0.5, 0.5)


def test_every_row_of_figure_3_7():
    x = torch.zeros(2, 1, 28, 28)
    rows = []
    for block in GlyphEncoder().eval().blocks:
        x = block(x)
        name = "InvertedResidual" if isinstance(block, InvertedResidual) else "Conv+BN+ReLU"
        assert x.shape[2] == x.shape[3]
        rows.append((name, x.shape[1], x.shape[2]))
    assert rows == FIGURE_3_7


def test_the_classification_block():
    encoder = GlyphEncoder()
    classifier = GlyphClassifier(encoder, 40).eval()
    x = torch.rand(3, 1, 28, 28)
    assert encoder(x).shape == (3, 32)
    assert classifier(x).shape == (3, 40)
    assert classifier.dropout.p == 0.5
    torch.testing.assert_close(classifier(x), classifier.linear(encoder(x)))


def test_parameters_of_the_thesis_size():
    # By hand: stem; each block's three convolutions and three norms; the last layer.
    total, c = 9 * 32 + 2 * 32, 32
    for _, c_out, _ in FIGURE_3_7[1:]:
        total += c * 4 * c + 9 * 4 * c + 4 * c * c_out + 2 * (4 * c + 4 * c + c_out)
        c = c_out
    total += 32 * 40 + 40
    assert total == 414_792
    assert count_parameters(GlyphClassifier(GlyphEncoder(), 40)) == 414_792


def test_skips_and_zero_gammas_stand_where_the_figure_allows():
    blocks = [b for b in GlyphEncoder().blocks if isinstance(b, InvertedResidual)]
    #          32    32    32    64/2   64    64    64    64    96/2   128    32/2
    expected = [True, True, True, False, True, True, True, True, False, False, False]
    assert [b.residual for b in blocks] == expected
    assert [bool((b.layers[-1].weight == 0).all()) for b in blocks] == expected
    assert [bool((b.layers[-1].weight == 1).all()) for b in blocks] == [not e for e in expected]


@pytest.mark.parametrize(
    "options, channels, last",
    [
        (dict(width=0.5), [16] * 4 + [32] * 5 + [48, 64, 32], 4),
        (dict(width=0.25, stem_stride=2), [8] * 4 + [16] * 5 + [24, 32, 32], 2),
        (dict(features=128), [32] * 4 + [64] * 5 + [96, 128, 128], 4),
    ],
)
def test_smaller_and_wider_ones(options, channels, last):
    encoder = GlyphEncoder(**options).eval()
    x, got = torch.zeros(1, 1, 28, 28), []
    for block in encoder.blocks:
        x = block(x)
        got.append(x.shape[1])
    assert got == channels and x.shape[2:] == (last, last)
    assert encoder.features == channels[-1]


@pytest.mark.parametrize("stem_stride, last", [(1, 4), (2, 2)])
def test_spatial_features_average_to_the_features(stem_stride, last):
    torch.manual_seed(0)
    encoder = GlyphEncoder(width=0.25, stem_stride=stem_stride, features=24).eval()
    random_running_statistics(encoder)
    x = torch.rand(3, 1, 28, 28)
    spatial = encoder.spatial(x)
    assert spatial.shape == (3, 24 * last * last)
    assert spatial.std() > 0
    torch.testing.assert_close(spatial.view(3, 24, last * last).mean(2), encoder(x))


def test_images_of_a_batch_do_not_mix():
    torch.manual_seed(0)
    encoder = GlyphEncoder(width=0.25, stem_stride=2).eval()
    random_running_statistics(encoder)
    x = torch.rand(4, 1, 28, 28)
    torch.testing.assert_close(encoder(x)[2:3], encoder(x[2:3]))


def test_it_learns_one_batch_by_heart():
    torch.manual_seed(0)
    classifier = GlyphClassifier(GlyphEncoder(width=0.25, stem_stride=2), 4, dropout=0.0)
    x, label = torch.rand(8, 1, 28, 28), torch.arange(4).repeat(2)
    optimizer = torch.optim.Adam(classifier.parameters(), lr=0.01)
    for _ in range(60):
        loss = cross_entropy(classifier(x), label)
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None for p in classifier.parameters())
        optimizer.step()
    assert loss < 0.05
    assert torch.equal(classifier(x).argmax(1), label)
