"""Shapes, sizes and learning of every network of the benchmark, ours included."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.functional import interpolate

from thesislib.heatmaps import DECODERS, dark, gaussian_heatmaps
from thesislib.losses.pose import BinsLoss, CoordinateLoss, SpatialCrossEntropy, StagesLoss
from thesislib.networks.blocks import count_parameters
from thesislib.networks.joint_regression import (
    RIVALS,
    CoordinateRegression,
    InceptionResNetStem,
    MeanPose,
    residual_network,
)
from thesislib.networks.pose import PoseNetwork
from thesislib.runtime import import_torchvision

LOSSES = {
    "heatmaps": partial(SpatialCrossEntropy, radius=1.0),
    "stages": StagesLoss,
    "coordinates": CoordinateLoss,
    "bins": BinsLoss,
}
POINTS = DECODERS | {"heatmaps": lambda logits, size: dark(logits.sigmoid(), size)}
# Output at 64 and at 128 pixels, without the batch.
OUTPUTS = {
    "simcc": ((21, 2, 128), (21, 2, 256)),
    "cpm": ((3, 22, 16, 16), (3, 22, 16, 16)),
    "vgg": ((3, 21, 16, 16), (3, 21, 16, 16)),
    "resnet50_heatmaps": ((21, 16, 16), (21, 32, 32)),
}


@pytest.fixture(autouse=True)
def one_seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("name", RIVALS)
def test_every_rival_has_the_common_face(name):
    network = RIVALS[name](64)
    with torch.no_grad():  # norms by the batch: untrained running ones let deep networks explode
        output = network(torch.rand(2, 3, 64, 64))
    assert output.shape == (2, *OUTPUTS.get(name, ((21, 2),))[0])
    assert output.isfinite().all()
    assert POINTS[network.output](output, 64).shape == (2, 21, 2)


@pytest.mark.parametrize("size", [64, 128, 256])
def test_resnets_maps_start_as_full_as_their_targets(size):
    network = RIVALS["resnet50_heatmaps"](size, layers=(1, 1, 1, 1)).eval()
    with torch.inference_mode():
        share = network(torch.rand(1, 3, size, size)).sigmoid().mean()
    points = torch.full((1, 1, 2), size / 2)
    target = gaussian_heatmaps(points, size, size // 4, radius=1.0)  # the least radius, one pixel of the map
    assert share == pytest.approx(float(target.mean()), rel=0.05)


@pytest.mark.parametrize("name", OUTPUTS)
def test_maps_and_bins_at_128_pixels(name):
    with torch.inference_mode():
        assert RIVALS[name](128)(torch.rand(1, 3, 128, 128)).shape[1:] == OUTPUTS[name][1]


def conv_bn(c_in: int, c_out: int, kernel: int) -> int:
    """Return the parameters of a convolution without bias and its norm."""
    return kernel**2 * c_in * c_out + 2 * c_out


def residual_parameters(layers: tuple[int, ...], bottleneck: bool, spatial: int) -> int:
    """Return the parameters of a ResNet with a linear layer of 42 on its last maps, by He et al.'s table 1."""
    total, c = conv_bn(3, 64, 7), 64
    for stage, count in enumerate(layers):
        narrow = 64 * 2**stage
        wide = 4 * narrow if bottleneck else narrow
        for block in range(count):
            if bottleneck:
                total += conv_bn(c, narrow, 1) + conv_bn(narrow, narrow, 3) + conv_bn(narrow, wide, 1)
            else:
                total += conv_bn(c, narrow, 3) + conv_bn(narrow, narrow, 3)
            if block == 0 and c != wide:
                total += conv_bn(c, wide, 1)  # the skip's projection
            c = wide
    return total + c * spatial**2 * 42 + 42


@pytest.mark.parametrize(
    "name, layers, bottleneck, spatial",
    [
        ("resnet34", (3, 4, 6, 3), False, 2),
        ("resnet34_stock", (3, 4, 6, 3), False, 1),
        ("resnet34_leaky", (3, 4, 6, 3), False, 2),
        ("resnet34_bottleneck", (3, 4, 6, 3), True, 2),
        ("resnet68_deepercut", (3, 4, 12, 3), True, 4),
    ],
)
def test_parameters_of_the_residual_networks(name, layers, bottleneck, spatial):
    assert count_parameters(RIVALS[name](64)) == residual_parameters(layers, bottleneck, spatial)


def test_parameters_of_the_pose_machine():
    conv = lambda c_in, c_out, kernel: kernel**2 * c_in * c_out + c_out  # noqa: E731
    total = conv(3, 128, 5) + 3 * conv(128, 128, 5)  # features of the image
    total += conv(128, 128, 5) + conv(128, 128, 1) + conv(128, 22, 1)  # the first stage
    total += 2 * (conv(150, 128, 5) + 2 * conv(128, 128, 5) + conv(128, 128, 1) + conv(128, 22, 1))
    assert count_parameters(RIVALS["cpm"](128)) == total == count_parameters(RIVALS["cpm"](64))


def test_rows_of_figure_2_2():
    # Ignatiev 2019, figure 2.2, as printed: convolutions and their channels, and the two dual-path widths.
    network = RIVALS["vgg"](256)
    trunk = [part.out_channels for part in network.trunk if isinstance(part, nn.Conv2d)]
    assert trunk == 2 * [64] + 2 * [128] + 4 * [256] + 5 * [512]
    assert sum(isinstance(part, nn.MaxPool2d) for part in network.trunk) == 3
    convolutions = [[part for part in path if isinstance(part, nn.Conv2d)] for path in network.paths]
    assert [path[0].in_channels for path in convolutions] == [533, 554]
    assert [[part.out_channels for part in path] for path in convolutions] == 2 * [5 * [128]]
    assert network.scores[-1].kernel_size == (1, 1) and network.scores[-1].out_channels == 21
    with torch.inference_mode():
        assert RIVALS["vgg"](256, width=0.125)(torch.zeros(1, 3, 256, 256)).shape == (1, 3, 21, 32, 32)


def test_a_later_stage_reads_image_and_earlier_maps():
    network = RIVALS["cpm"](64, channels=8).eval()
    x = torch.rand(1, 3, 64, 64)
    before = network(x)
    nn.init.constant_(network.first[-1].bias, 2)
    after = network(x)
    assert (before[:, 0] != after[:, 0]).all()
    assert (before[:, 2] != after[:, 2]).any()
    nn.init.zeros_(network.later[0][-1].bias)
    torch.testing.assert_close(network(x)[:, 0], after[:, 0])  # nothing flows back


def test_the_library_backbones_are_the_librarys():
    models = import_torchvision().models
    resnet, ours = models.resnet50(weights=None), RIVALS["resnet50_heatmaps"](256)
    assert count_parameters(ours.backbone) == count_parameters(resnet) - count_parameters(resnet.fc)
    head = 16 * 256 * (2048 + 256 + 256) + 3 * 2 * 256 + 256 * 21 + 21  # three deconvolutions and the maps
    assert count_parameters(ours) == count_parameters(ours.backbone) + head
    stock = models.inception_v3(weights=None, aux_logits=False, init_weights=False).eval()
    ours = RIVALS["inception_v3"](128).eval()
    assert count_parameters(ours) == count_parameters(stock) - count_parameters(stock.fc) + 2048 * 42 + 42
    names, weights = ours.backbone.state_dict(), stock.state_dict().values()
    ours.backbone.load_state_dict(
        dict(zip(names, weights, strict=False))
    )  # the same order, less the classifier
    stock.fc = nn.Identity()
    x = torch.rand(1, 3, 128, 128)
    with torch.inference_mode():
        torch.testing.assert_close(ours.pooling(ours.backbone(x)).flatten(1), stock(x))


def test_the_reports_changes_to_the_residual_network():
    for name in ("resnet34_leaky", "resnet34_preactivation", "inception_resnet_v2"):
        modules = list(RIVALS[name](64).modules())
        leaky = [m for m in modules if isinstance(m, nn.LeakyReLU)]
        assert leaky and all(m.negative_slope == 0.01 for m in leaky)
        assert not any(type(m) is nn.ReLU for m in modules)
    x, short = torch.randn(4, 3, 64, 64), (1, 1, 1, 1)
    for bottleneck in (False, True):
        without = residual_network(64, layers=short, bottleneck=bottleneck).backbone
        assert without(x).min() < 0  # no ReLU after the last sum
        with_relu = residual_network(64, layers=short, bottleneck=bottleneck, last_relu=True).backbone
        assert with_relu(x).min() == 0


def test_the_altered_stem_and_scales_of_inception_resnet():
    network = RIVALS["inception_resnet_v2"](64, repeats=(2, 3, 2))
    stem, *blocks, last = network.backbone
    assert isinstance(stem, InceptionResNetStem)
    with torch.inference_mode():
        assert stem(torch.rand(2, 3, 128, 128)).shape == (2, 320, 28, 28)
        assert network.eval().backbone(torch.rand(1, 3, 64, 64)).shape == (1, 1536, 2, 2)
    kernels = {m.kernel_size for m in network.modules() if isinstance(m, nn.Conv2d)}
    assert (1, 5) in kernels and (5, 1) in kernels and not any(7 in kernel for kernel in kernels)
    scales = [block.scale for block in blocks if hasattr(block, "scale")]
    assert scales == [0.17] * 2 + [0.10] * 3 + [0.20] * 2
    x = torch.rand(2, 1536, 2, 2)
    assert network.pooling(x).shape == x.shape


def test_a_network_for_one_size_says_so():
    with pytest.raises(ValueError, match="64 pixels, not 128"):
        residual_network(64, layers=(1, 1, 1, 1))(torch.zeros(1, 3, 128, 128))


def test_every_joint_starts_in_the_middle():
    network = CoordinateRegression(nn.Conv2d(3, 8, 3, 2), nn.Identity(), 64)
    assert (network(torch.randn(5, 3, 64, 64)) - 0.5).abs().max() < 0.1


def test_the_mean_pose_by_hand():
    targets = torch.tensor([[[10.0, 20.0, 1.0], [5.0, 5.0, 1.0]], [[30.0, 40.0, 1.0], [99.0, 99.0, 0.0]]])
    predictor = MeanPose(targets, 64)
    points = POINTS[predictor.output](predictor(torch.rand(3, 3, 64, 64)), 64)
    expected = torch.tensor([[20.0, 30.0], [5.0, 5.0]])
    torch.testing.assert_close(points, expected.expand(3, 2, 2))


def short(name: str, **options):
    return partial(RIVALS[name], **options)


# Builder, learning rate of Adam and steps; shallower or narrower where the code is the same.
SHALLOW = (1, 1, 1, 1)
LEARNERS = {
    "pose": (lambda size: PoseNetwork(width=0.5), 3e-3, 20),
    "pose_literal": (lambda size: PoseNetwork(width=0.5, literal=True), 3e-3, 12),
    "simcc": (short("simcc", width=0.5), 3e-3, 15),
    "cpm": (short("cpm", channels=24), 2e-3, 60),
    "vgg": (short("vgg", width=0.125), 1e-3, 70),
    "resnet50_heatmaps": (short("resnet50_heatmaps", layers=SHALLOW), 3e-4, 12),
    "resnet34": (short("resnet34", layers=SHALLOW), 1e-4, 15),
    "resnet34_stock": (short("resnet34_stock", layers=SHALLOW), 1e-4, 15),
    "resnet34_leaky": (short("resnet34_leaky", layers=SHALLOW), 1e-4, 10),
    "resnet34_bottleneck": (short("resnet34_bottleneck", layers=SHALLOW), 1e-4, 15),
    "resnet68_deepercut": (short("resnet68_deepercut", layers=SHALLOW), 1e-5, 15),
    "resnet34_preactivation": (short("resnet34_preactivation"), 1e-4, 6),
    "inception_v3": (short("inception_v3"), 3e-4, 6),
    "inception_resnet_v2": (short("inception_resnet_v2", repeats=(1, 1, 1)), 1e-4, 8),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_it_learns_one_batch_by_heart(name):
    build, learning_rate, steps = LEARNERS[name]
    size = 128 if name == "resnet34_leaky" else 64  # pooling and norm leave nothing of two images' 2 x 2 maps
    x = interpolate(torch.randn(2, 3, 4, 4), size=size, mode="bilinear")
    targets = size * (0.1 + 0.8 * torch.rand(2, 21, 3))
    targets[..., 2] = 1
    network = build(size).train()
    loss, optimizer = LOSSES[network.output](size), torch.optim.Adam(network.parameters(), lr=learning_rate)
    for _ in range(steps):
        value = loss(network(x), targets)
        optimizer.zero_grad()
        value.backward()
        assert all(p.grad is not None for p in network.parameters())
        optimizer.step()
    with torch.no_grad():
        points = POINTS[network.output](network(x), size)

    def error_px(predicted):
        return (predicted - targets[..., :2]).norm(dim=-1).mean()

    trivial = targets[..., :2].mean(dim=(0, 1))  # one place for all joints of both images
    assert error_px(points) < error_px(trivial) / 2


def test_every_rival_is_among_the_learners():
    assert set(RIVALS) == set(LEARNERS) - {"pose", "pose_literal"}
