import pytest
import torch
from torch import nn

from thesislib.networks.blocks import (
    InvertedResidual,
    LinearDualPath,
    conv_bn_relu6,
    count_parameters,
    initialise,
)


@pytest.mark.parametrize("stride, size", [(1, 9), (2, 5)])
def test_conv_bn_relu6(stride, size):
    torch.manual_seed(0)
    block = conv_bn_relu6(3, 8, stride=stride)
    y = block(100 * torch.randn(4, 3, 9, 9))
    assert y.shape == (4, 8, size, size)
    assert y.min() == 0 and y.max() <= 6
    assert count_parameters(block) == 3 * 8 * 9 + 2 * 8  # no bias: the norm has one


@pytest.mark.parametrize(
    "c_in, c_out, stride, residual", [(8, 8, 1, True), (8, 8, 2, False), (8, 16, 1, False), (8, 16, 2, False)]
)
def test_a_skip_only_where_shapes_agree(c_in, c_out, stride, residual):
    torch.manual_seed(0)
    block = InvertedResidual(c_in, c_out, stride).eval()
    assert block.residual == residual
    x = torch.randn(2, c_in, 6, 6)
    y, inside = block(x), block.layers(x)
    assert y.shape == (2, c_out, 6 // stride, 6 // stride)
    torch.testing.assert_close(y, x + inside if residual else inside)


@pytest.mark.parametrize("c_in, c_out, expand", [(8, 8, 4), (8, 12, 4), (5, 3, 2)])
def test_an_inverted_residual_counts_as_by_hand(c_in, c_out, expand):
    hidden = expand * c_in
    weights = c_in * hidden + 9 * hidden + hidden * c_out  # expand, depth-wise, project
    norms = 2 * (hidden + hidden + c_out)
    assert count_parameters(InvertedResidual(c_in, c_out, expand=expand)) == weights + norms


def test_the_depth_wise_convolution_keeps_channels_apart():
    layers = InvertedResidual(8, 8).layers
    depth_wise = layers[1][0]
    assert depth_wise.groups == depth_wise.in_channels == depth_wise.out_channels == 32
    assert isinstance(layers[-1], nn.BatchNorm2d)  # linear bottleneck: nothing clips the projection


def test_zero_gamma_on_residual_blocks_alone():
    residual, other = InvertedResidual(8, 8), InvertedResidual(8, 8, stride=2)
    network = nn.Sequential(residual, other)
    initialise(network)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            expected = 0.0 if module is residual.layers[-1] else 1.0
            assert (module.weight == expected).all() and (module.bias == 0).all()
    x = torch.randn(2, 8, 6, 6)
    assert torch.equal(residual(x), x)  # starts as the identity
    other(x).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in other.layers[-1].parameters())


def test_initial_weights_are_xaviers():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(10, 30, 3), nn.Linear(200, 100))
    initialise(network)
    for module, fan_in, fan_out in ((network[0], 90, 270), (network[1], 200, 100)):
        limit = (6 / (fan_in + fan_out)) ** 0.5
        assert 0.95 * limit < module.weight.abs().max() <= limit
        assert (module.bias == 0).all()


@pytest.mark.parametrize(
    "norm, norm_parameters", [(nn.BatchNorm1d, 64), (nn.LayerNorm, 64), (nn.Identity, 0)]
)
def test_a_dual_path_layer_is_figure_3_11(norm, norm_parameters):
    torch.manual_seed(0)
    layer = LinearDualPath(8, 3, norm=norm).eval()
    x = torch.randn(5, 8)
    y, inside = layer(x), layer.layers(x)
    assert y.shape == (5, 11)
    torch.testing.assert_close(y[:, :8], x + inside[:, :8])  # the residual sum
    torch.testing.assert_close(y[:, 8:], inside[:, 8:])  # the new channels
    assert count_parameters(layer) == 8 * 32 + 32 + norm_parameters + 32 * 11 + 11


def test_the_rows_of_figure_3_11():
    c, grow = 32, 16
    shapes, x = [], torch.zeros(2, c)
    for part in LinearDualPath(c, grow).layers:
        x = part(x)
        shapes.append((type(part).__name__, x.shape[1]))
    assert shapes == [
        ("Dropout", 32), ("Linear", 128), ("BatchNorm1d", 128), ("LeakyReLU", 128), ("Linear", 48),
    ]  # fmt: skip


def test_frozen_parameters_are_not_counted():
    layer = nn.Linear(3, 4)
    layer.bias.requires_grad_(False)
    assert count_parameters(layer) == 12
