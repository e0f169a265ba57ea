import pytest
import torch
from torch import nn

from thesislib.networks.blocks import InvertedResidual, count_parameters
from thesislib.networks.layer_table import layer_table
from thesislib.networks.pose import CoordinateClassifier, PoseEncoder, PoseNetwork

# Ignatiev 2019, figure 3.1, as printed, with the size and stride that a row reads: name, channels, size, stride.
FIGURE_3_1_ENCODER = [
    ("Conv+BN+ReLU", 32, 64, 2),
    ("InvertedResidual", 16, 32, 1),
    ("InvertedResidual", 32, 32, 1),
    ("InvertedResidual", 32, 32, 1),
    ("InvertedResidual", 32, 32, 1),
    ("InvertedResidual", 32, 32, 2),
    ("InvertedResidual", 64, 16, 1),
    ("InvertedResidual", 64, 16, 1),
    ("InvertedResidual", 64, 16, 1),
    ("InvertedResidual", 64, 16, 2),
    ("InvertedResidual", 128, 8, 1),
    ("InvertedResidual", 128, 8, 1),
    ("InvertedResidual", 128, 8, 1),
    ("InvertedResidual", 128, 8, 2),
    ("Conv+BN+ReLU", 128, 4, 1),
]
# The decoder's rows hold what they give: channels, size.
FIGURE_3_1_DECODER = [(64, 8), (64, 16), (32, 32), (32, 64)]


def multiply_adds_by_hand() -> tuple[int, int]:
    """Return the multiply-adds of encoder and decoder, from the figure's rows alone."""
    encoder, c = 0, 3
    for name, c_out, size, stride in FIGURE_3_1_ENCODER:
        after = (size // stride) ** 2
        if name == "InvertedResidual":
            encoder += c * 4 * c * size**2 + 9 * 4 * c * after + 4 * c * c_out * after
        else:
            encoder += 9 * c * c_out * after
        c = c_out
    decoder = 0
    for c_out, size in FIGURE_3_1_DECODER:
        decoder += 16 * c * c_out * (size // 2) ** 2
        c = c_out
    return encoder, decoder + c * 21 * 64**2


def parameters_by_hand() -> tuple[int, int]:
    """Return the parameters of encoder and decoder, from the figure's rows alone."""
    encoder, c = 0, 3
    for name, c_out, _, _ in FIGURE_3_1_ENCODER:
        if name == "InvertedResidual":
            encoder += 4 * c * c + 9 * 4 * c + 4 * c * c_out + 2 * (4 * c + 4 * c + c_out)
        else:
            encoder += 9 * c * c_out + 2 * c_out
        c = c_out
    decoder = 0
    for c_out, _ in FIGURE_3_1_DECODER:
        decoder += 16 * c * c_out + 2 * c_out
        c = c_out
    return encoder, decoder + c * 21 + 21


def test_every_row_of_the_encoder():
    x, rows = torch.zeros(2, 3, 64, 64), []
    for block in PoseEncoder().eval().blocks:
        size = x.shape[-1]
        x = block(x)
        name = "InvertedResidual" if isinstance(block, InvertedResidual) else "Conv+BN+ReLU"
        rows.append((name, x.shape[1], size, size // x.shape[-1]))
    assert rows == FIGURE_3_1_ENCODER
    assert x.shape == (2, 128, 4, 4)


def test_every_row_of_the_decoder():
    network, rows = PoseNetwork().eval(), []
    x = torch.zeros(2, 128, 4, 4)
    kinds = [nn.ConvTranspose2d, nn.BatchNorm2d, nn.ReLU6] * 4
    assert [type(part) for part in network.decoder] == kinds
    for part in network.decoder:
        x = part(x)
        if isinstance(part, nn.ReLU6):
            rows.append((x.shape[1], x.shape[2]))
    assert rows == FIGURE_3_1_DECODER
    assert network.heatmaps(x).shape == (2, 21, 64, 64)
    assert network.heatmaps.kernel_size == (1, 1)


def test_parameters_and_multiply_adds_of_the_thesis_size():
    network = PoseNetwork()
    assert count_parameters(network.encoder) == parameters_by_hand()[0] == 779_648
    assert count_parameters(network) == sum(parameters_by_hand()) == 1_026_485
    total = layer_table(network, (3, 64, 64)).iloc[-1]
    assert total["parameters"] == 1_026_485
    assert total["multiply-adds"] == sum(multiply_adds_by_hand()) == 126_099_456
    encoder = layer_table(network.encoder, (3, 64, 64)).iloc[-1]
    assert encoder["multiply-adds"] == multiply_adds_by_hand()[0] == 91_889_664


def test_the_literal_table_has_a_linear_decoder():
    torch.manual_seed(0)
    network = PoseNetwork(literal=True).eval()
    assert count_parameters(network) == 1_026_485
    decode = nn.Sequential(network.decoder, network.heatmaps)
    a, b = torch.randn(2, 1, 128, 2, 2)
    middle = (decode(a) + decode(b)) / 2
    torch.testing.assert_close(decode((a + b) / 2), middle, atol=1e-4, rtol=1e-4)
    ours = PoseNetwork().eval()
    nn.init.uniform_(ours.heatmaps.weight)
    bent = nn.Sequential(ours.decoder, ours.heatmaps)
    assert (bent((a + b) / 2) - (bent(a) + bent(b)) / 2).abs().max() > 1e-3


@pytest.mark.parametrize("size", [64, 128, 256])
def test_heatmaps_have_the_size_of_the_input(size):
    network = PoseNetwork(width=0.25).eval()
    x = torch.zeros(1, 3, size, size)
    assert network(x).shape == (1, 21, size, size)
    assert network.features(x).shape == (1, 128, size // 16, size // 16)


@pytest.mark.parametrize(
    "options, heatmaps, features",
    [
        ({"width": 0.5}, (21, 64, 64), (128, 4, 4)),
        ({"width": 0.5, "stem_stride": 4}, (21, 32, 32), (128, 2, 2)),
        ({"depth": 1, "features": 256}, (21, 64, 64), (256, 4, 4)),
    ],
)
def test_variants_of_the_ablations(options, heatmaps, features):
    network, x = PoseNetwork(**options).eval(), torch.rand(2, 3, 64, 64)
    assert network(x).shape[1:] == heatmaps
    assert network.features(x).shape[1:] == features
    assert network.encoder.num_features == features[0]


def test_each_half_has_its_own_width():
    def channels(network):
        return [part.out_channels for part in network.decoder if isinstance(part, nn.ConvTranspose2d)]

    assert channels(PoseNetwork(width=0.5)) == [32, 32, 16, 16]
    assert channels(PoseNetwork(decoder_width=0.5)) == [32, 32, 16, 16]
    assert channels(PoseNetwork(width=0.5, decoder_width=1)) == [64, 64, 32, 32]
    assert count_parameters(PoseNetwork(decoder_width=0.5).encoder) == 779_648
    assert sum(isinstance(m, InvertedResidual) for m in PoseEncoder(depth=5).modules()) == 1 + 3 * 6


def test_skips_zero_gammas_and_the_first_answer():
    torch.manual_seed(0)
    network = PoseNetwork()
    for block in network.modules():
        if isinstance(block, InvertedResidual):
            assert bool((block.layers[-1].weight == 0).all()) == block.residual
    assert sum(b.residual for b in network.modules() if isinstance(b, InvertedResidual)) == 6
    # A joint is anywhere with the share of a map that a peak of radius 2 fills.
    share = network.heatmaps.bias.sigmoid()
    torch.testing.assert_close(share, torch.full((21,), 2 * torch.pi * 2**2 / 64**2), rtol=0.01, atol=0)


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="multiples of 16"):
        PoseNetwork(width=0.25)(torch.zeros(1, 3, 60, 64))
    with pytest.raises(ValueError, match="stride is 2"):
        PoseNetwork(stem_stride=1)
    with pytest.raises(ValueError, match="64 pixels"):
        CoordinateClassifier(64, width=0.25)(torch.zeros(1, 3, 128, 128))


def test_the_coordinate_classifier():
    network = CoordinateClassifier(64, bins_per_pixel=3).eval()
    assert network(torch.zeros(2, 3, 64, 64)).shape == (2, 21, 2, 192)
    head = count_parameters(network) - 779_648
    assert head == 128 * 8 * 21 + 8 * 21 + 2 * (8 * 16 * 192 + 192)
    # Each joint has maps of its own: another joint's do not touch its logits.
    x = torch.rand(1, 3, 64, 64)
    before = network(x)
    with torch.no_grad():
        network.maps.weight[:8] = 0  # the first joint's
    after = network(x)
    assert torch.equal(before[:, 1:], after[:, 1:]) and not torch.equal(before[:, 0], after[:, 0])
