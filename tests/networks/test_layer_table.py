import pytest
import torch
from torch import nn

from thesislib.networks.embedding import EmbeddingHead
from thesislib.networks.glyph_classifier import GlyphClassifier, GlyphEncoder
from thesislib.networks.layer_table import layer_table


def test_the_classifier_against_a_count_by_hand():
    c, size = 32, 28
    expected = [9 * 32 * 28 * 28]
    for c_out, stride in [(32, 1)] * 3 + [(64, 2)] + [(64, 1)] * 4 + [(96, 2), (128, 1), (32, 2)]:
        out = -(-size // stride)
        expected.append(4 * c * (c * size**2 + 9 * out**2 + c_out * out**2))
        c, size = c_out, out
    expected.append(32 * 40)
    table = layer_table(GlyphClassifier(GlyphEncoder(), 40), (1, 28, 28), depth=3)
    assert [m for m in table["multiply-adds"][:-1] if m] == expected
    assert table["multiply-adds"].iloc[-1] == sum(expected) == 67_202_944
    assert table["parameters"].iloc[-1] == table["parameters"][:-1].sum() == 414_792
    blocks = table[table["layer"].str.contains("InvertedResidual")]
    assert list(blocks["output"]) == (
        ["32 x 28 x 28"] * 3 + ["64 x 14 x 14"] * 5 + ["96 x 7 x 7", "128 x 7 x 7", "32 x 4 x 4"]
    )


def test_the_head_against_a_count_by_hand():
    table = layer_table(EmbeddingHead(32, 10), (32,))
    assert list(table["output"]) == ["48", "64", "80", "96", "112", "128", "144", "160", "160", "10", "10"]
    expected = [4 * c * c + 4 * c * (c + 16) for c in range(32, 160, 16)]
    assert list(table["multiply-adds"]) == expected + [0, 1600, sum(expected) + 1600]
    assert table["parameters"].iloc[-1] == 637_578


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_parts_add_up_to_the_whole(depth):
    table = layer_table(GlyphClassifier(GlyphEncoder(width=0.25), 5), (1, 28, 28), depth=depth)
    assert table["layer"].iloc[-1] == "total" and table["output"].iloc[-1] == "5"
    for column in ("parameters", "multiply-adds"):
        assert table[column][:-1].sum() == table[column].iloc[-1] > 0


@pytest.mark.parametrize(
    "layer, expected, output",
    [
        (nn.Conv2d(3, 8, 3, stride=2, padding=1), 3 * 8 * 9 * 25, "8 x 5 x 5"),
        (nn.Conv2d(8, 8, 3, padding=1, groups=8), 8 * 9 * 100, "8 x 10 x 10"),
        (nn.ConvTranspose2d(3, 8, 4, stride=2, padding=1), 3 * 8 * 16 * 100, "8 x 20 x 20"),
    ],
)
def test_a_convolution_by_hand(layer, expected, output):
    table = layer_table(nn.Sequential(layer), (layer.in_channels, 10, 10))
    assert (table["multiply-adds"].iloc[0], table["output"].iloc[0]) == (expected, output)
    assert table["multiply-adds"].iloc[-1] == expected


@pytest.mark.parametrize("training", [True, False])
def test_measuring_leaves_no_trace(training):
    torch.manual_seed(0)
    network = GlyphClassifier(GlyphEncoder(width=0.25, stem_stride=2), 5).train(training)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    layer_table(network, (1, 28, 28))
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert all(module.training == training for module in network.modules())
    assert not any(module._forward_hooks for module in network.modules())
