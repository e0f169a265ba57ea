"""S3D MobileNet-V3: the printed table line by line, its size, weights from pictures, streams and learning.

What is only counted runs on torch's meta device, where shapes are known and nothing is computed.
"""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from thesislib.losses.attention import hard_total_variation
from thesislib.networks.layer_table import layer_table
from thesislib.networks.sign_video import TABLE_I, TABLE_IV, Row, S3DMobileNetV3, inflate
from thesislib.networks.video_layers import (
    AttentionMask,
    FrameConv,
    GaussianDropout,
    SqueezeExcitation,
    TimeConv,
)
from thesislib.runtime import import_torchvision

# Izutov 2020, table I, as it is printed: sides, frames, operator, kernels in space and time, channels inside and
# out, squeeze and excitation, nonlinearity, strides in space and time, dropout.
PRINTED = """
224 16 conv3d    3 1   -  16 - HS 2 1 -
112 16 bneck     3 5  16  16 - RE 1 1 x
112 16 bneck     3 3  64  24 - RE 2 2 x
 56  8 bneck     3 3  72  24 - RE 1 1 x
 56  8 bneck     5 3  72  40 x RE 2 1 x
 28  8 bneck     5 3 120  40 x RE 1 1 x
 28  8 bneck     5 5 120  40 x RE 1 1 x
 28  8 bneck     3 5 240  80 - HS 2 1 x
 14  8 bneck     3 3 200  80 - HS 1 1 x
 14  8 bneck     3 3 184  80 - HS 1 1 x
 14  8 bneck     3 5 184  80 - HS 1 1 x
 14  8 attention 3 3   -  80 - -  1 1 -
 14  8 bneck     3 3 480 112 x HS 1 2 x
 14  4 bneck     3 3 672 112 x HS 1 1 x
 14  4 bneck     5 3 672 160 x HS 2 1 x
  7  4 attention 3 3   - 160 - -  1 1 -
  7  4 bneck     5 3 960 160 x HS 1 1 x
  7  4 bneck     5 3 960 160 x HS 1 1 x
  7  4 conv3d    1 1   - 960 - HS 1 1 -
"""
LINES = [line.split() for line in PRINTED.strip().splitlines()]
# A narrow network of the same parts for what needs no width: 8 frames of 32 pixels take milliseconds.
NARROW = tuple(
    Row(*numbers)
    for numbers in [
        (3, 3, 16, 16, False, False, 2, 1),
        *[(3, 3, 16, 16, False, True)] * 7,
        (3, 3, 24, 24, True, False, 2, 2),
        (3, 5, 24, 24, True, True),
        (3, 3, 48, 24, True, True, 2, 2),
        (3, 3, 24, 24, False, True),
        (3, 3, 48, 32, True, True, 2, 1),
    ]
)


def network(rows=TABLE_I, *, seed: int = 0, **settings) -> S3DMobileNetV3:
    torch.manual_seed(seed)
    return S3DMobileNetV3(rows=rows, **settings)


def on_meta(**settings) -> S3DMobileNetV3:
    with torch.device("meta"):
        return S3DMobileNetV3(**settings)


def settled(made: nn.Module, x: Tensor) -> nn.Module:
    """Give batch norms the statistics of these inputs, as a trained network has, and evaluate.

    As drawn, signals die out on the way, and any two clips would look the same at the end.
    """
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            module.momentum = 1.0
    with torch.no_grad():
        made.train()(x)
    return made.eval()


# The printed table -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured() -> list[tuple[str, nn.Module, torch.Size, torch.Size]]:
    """Operators of the whole network in the order in which they run, with what goes in and comes out."""
    made = on_meta(dropout=GaussianDropout()).eval()
    ran = []

    def note(kind):
        return lambda module, x, y: ran.append((kind, module, x[0].shape[1:], y.shape[1:]))

    made.stem.register_forward_hook(note("conv3d"))
    made.last.register_forward_hook(note("conv3d"))
    for bottleneck in made.bottlenecks:
        bottleneck.register_forward_hook(note("bneck"))
    for attention in made.attentions.values():
        attention.register_forward_hook(note("attention"))
    made(torch.empty(1, 3, 16, 224, 224, device="meta"))
    return ran


def test_the_table_has_as_many_lines(measured):
    assert [kind for kind, *_ in measured] == [line[2] for line in LINES]


@pytest.mark.parametrize("number", range(len(LINES)))
def test_the_printed_table_line_by_line(measured, number):
    side, frames, kind, k, t, inside, out, squeeze, nonlinearity, stride, time_stride, dropout = LINES[number]
    _, module, entering, leaving = measured[number]
    assert entering[1:] == (int(frames), int(side), int(side))
    if kind == "attention":
        assert entering[0] == int(out)
        assert leaving == (1, *entering[1:])  # one mask, which multiplies them all
    else:
        assert leaving[0] == int(out)
        assert leaving[1] == int(frames) // int(time_stride)
        assert leaving[2:] == (int(side) // int(stride),) * 2
    # Convolutions with a kernel in space, in time, and those without, by what they are.
    convs = [m for name, m in module.named_modules() if isinstance(m, nn.Conv2d) and ".fc" not in name]
    spatial = [m for m in convs if isinstance(m, FrameConv)]
    assert max(m.kernel_size[0] for m in spatial) == int(k)
    assert all(m.kernel_size[0] == m.kernel_size[1] for m in spatial)
    assert max((m.kernel_size[0] for m in convs if isinstance(m, TimeConv)), default=1) == int(t)
    assert all(m.kernel_size[1] == m.stride[0] == m.stride[1] == 1 for m in convs if isinstance(m, TimeConv))
    assert math.prod(m.stride[0] for m in convs) == int(stride)
    # Time is pooled by a mean, never strided.
    pools = [m for m in module.modules() if isinstance(m, nn.AvgPool3d)]
    assert math.prod(m.kernel_size[0] for m in pools) == int(time_stride)
    assert all(m.kernel_size == m.stride == (2, 1, 1) for m in pools)
    assert (squeeze == "x") == any(isinstance(m, SqueezeExcitation) for m in module.modules())
    assert (dropout == "x") == any(isinstance(m, GaussianDropout) for m in module.modules())
    if kind != "attention":
        kinds = {type(m) for m in module.modules() if isinstance(m, nn.Hardswish | nn.ReLU)}
        assert kinds == {{"HS": nn.Hardswish, "RE": nn.ReLU}[nonlinearity]}
    if kind == "bneck":
        depthwise = [m for m in spatial if m.groups > 1]
        assert len(depthwise) == 1 and depthwise[0].groups == depthwise[0].out_channels == int(inside)
        assert isinstance(convs[-1], TimeConv) and convs[-1].groups == 1  # the last 1x1 becomes t x 1 x 1


def test_every_line_reads_what_the_line_above_gives(measured):
    given = measured[0][3]
    for kind, _, entering, leaving in measured[1:]:
        assert entering == given
        given = entering if kind == "attention" else leaving
    assert given == (960, 4, 7, 7)  # section III-D


def count_by_hand(lines: list[list[str]], num_features: int = 256) -> tuple[int, int, int]:
    """Return parameters, multiply-adds and channels of batch norms, from the printed numbers alone."""
    parameters = operations = norms = 0

    def conv(weights: int, channels: int, places: int, *, norm: bool = True) -> None:
        nonlocal parameters, operations, norms
        parameters += weights + (2 * channels if norm else channels)  # scale and shift, or a bias
        operations += weights * places
        norms += channels * norm

    channels = 3
    for side, frames, kind, k, t, inside, out, squeeze, _, stride, _, _ in lines:
        side, frames, k, t, out, stride = (int(v) for v in (side, frames, k, t, out, stride))
        before, after = frames * side**2, frames * (side // stride) ** 2
        if kind == "conv3d":
            conv(channels * out * k**2, out, after)
        elif kind == "attention":
            for kernel, places in ((k**2, before), (t, frames)):  # a stream that looks at space, one at time
                conv(channels * kernel, channels, places)
                conv(channels, 1, places)
            continue
        else:
            inside = int(inside)
            if inside != channels:
                conv(channels * inside, inside, before)
            conv(inside * k**2, inside, after)
            if squeeze == "x":
                squeezed = {72: 24, 120: 32, 480: 120, 672: 168, 960: 240}[inside]  # a quarter, by eights
                conv(inside * squeezed, squeezed, frames, norm=False)
                conv(inside * squeezed, inside, frames, norm=False)
            conv(inside * out * t, out, after)
        channels = out
    conv(channels * num_features, num_features, 1)
    return parameters, operations, norms


def test_parameters_and_multiply_adds_of_the_printed_table():
    """Table I, counted by hand: 4.55 M parameters, 3.00 G multiply-adds, which are 6.01 G operations."""
    total = layer_table(on_meta(), (3, 16, 224, 224), depth=1).iloc[-1]
    parameters, operations, _ = count_by_hand(LINES)
    assert (total["parameters"], total["multiply-adds"]) == (parameters, operations)
    assert (parameters, operations) == (4_549_272, 3_003_533_440)


def test_the_size_of_table_iv_belongs_to_the_earlier_rows():
    """4.13 M parameters and 6.65 GFlops are not table I's: two rows are those of the public code.

    Batch norms folded into convolutions, so one number a channel, and 100 centres of 256 numbers make 4.13 M.
    What is called Flops are single operations, two a multiply-add: convolutions alone have 97 % of them.
    """
    earlier = [list(line) for line in LINES]
    earlier[14][9], earlier[15][0] = (
        "1",
        "14",
    )  # 672 -> 160 keeps its 14 x 14 places, which attention then sees
    earlier[16][:7], earlier[16][9] = "14 4 bneck 5 3 672 160".split(), "2"
    parameters, operations, norms = count_by_hand(earlier)
    total = layer_table(on_meta(rows=TABLE_IV), (3, 16, 224, 224), depth=1).iloc[-1]
    assert (total["parameters"], total["multiply-adds"]) == (parameters, operations)
    assert (parameters, operations) == (4_121_232, 3_228_761_728)
    assert round((parameters - norms + 100 * 256) / 1e6, 2) == 4.13
    assert 0.97 < 2 * operations / 6.65e9 < 1 and operations / 6.65e9 < 0.5
    of_table_i, operations_of_table_i, norms = count_by_hand(LINES)
    assert of_table_i - norms > 4.5e6 and 2 * operations_of_table_i / 6.65e9 < 0.91


def test_attention_costs_next_to_nothing():
    with_it, without = (
        layer_table(on_meta(attention=a), (3, 16, 224, 224), depth=1).iloc[-1] for a in (True, False)
    )
    assert with_it["parameters"] - without["parameters"] == sum(
        c * (9 + 3 + 2 + 2 * 2) + 4 for c in (80, 160)
    )
    assert with_it["multiply-adds"] < 1.001 * without["multiply-adds"]


# Convolutions of frames and of time ------------------------------------------------------------------------


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
@pytest.mark.parametrize(
    "conv",
    [
        FrameConv(6, 8, 3, 2, 1, bias=False),
        FrameConv(6, 6, 5, 1, 2, groups=6, bias=False),
        FrameConv(6, 4, 1),
        TimeConv(6, 8, 3),
        TimeConv(6, 6, 5, groups=6),
        TimeConv(6, 8, 1),
    ],
)
def test_two_dimensional_convolutions_are_the_three_dimensional_ones(conv, layout):
    """Output, and gradients of input and weights, as torch's conv3d has them."""
    torch.manual_seed(0)
    x = torch.randn(2, 6, 5, 7, 9).to(memory_format=layout)
    frames = isinstance(conv, FrameConv)
    axis = 2 if frames else 4
    kernel = conv.weight.detach().unsqueeze(axis).requires_grad_()
    stride = (1, *conv.stride) if frames else 1
    padding = (0, *conv.padding) if frames else (*conv.padding, 0)
    x_ours, x_theirs = (x.clone().requires_grad_() for _ in range(2))
    ours = conv(x_ours)
    theirs = F.conv3d(x_theirs, kernel, conv.bias, stride, padding, groups=conv.groups)
    torch.testing.assert_close(ours, theirs)
    weights = torch.randn(ours.shape)
    gradient, *_ = torch.autograd.grad((ours * weights).sum(), [conv.weight, x_ours])
    expected, *_ = torch.autograd.grad((theirs * weights).sum(), [kernel, x_theirs])
    torch.testing.assert_close(gradient, expected.squeeze(axis), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        torch.autograd.grad((conv(x_ours) * weights).sum(), x_ours),
        torch.autograd.grad(
            (F.conv3d(x_theirs, kernel, conv.bias, stride, padding, groups=conv.groups) * weights).sum(),
            x_theirs,
        ),
    )


def test_squeeze_and_excitation_looks_at_one_frame_at_a_time():
    torch.manual_seed(0)
    layer = SqueezeExcitation(72)
    assert layer.fc1.out_channels == 24
    x = torch.randn(2, 72, 3, 4, 4)
    out = layer(x)
    for t in range(3):
        squeezed = (layer.fc1.weight[:, :, 0, 0] @ x[:, :, t].mean((2, 3)).T).T + layer.fc1.bias
        weights = (layer.fc2.weight[:, :, 0, 0] @ squeezed.relu().T).T + layer.fc2.bias
        share = (weights + 3).clamp(0, 6) / 6  # the hard sigmoid
        torch.testing.assert_close(out[:, :, t], x[:, :, t] * share[:, :, None, None])


# Dropout and attention -------------------------------------------------------------------------------------


def test_continuous_dropout_draws_from_its_gaussian():
    torch.manual_seed(0)
    ones = torch.ones(200_000)
    draws = GaussianDropout(0.5, 0.2).train()(ones)
    assert draws.min() >= 0 and draws.max() <= 2  # cut to [0, 1], over the mean
    assert abs(draws.mean() - 1) < 0.005
    inside = (draws > 0.6) & (draws < 1.4)  # one standard deviation, 0.4
    assert abs(inside.float().mean() - 0.6827) < 0.005
    gone = 0.5 * math.erfc(2.5 / math.sqrt(2))  # 2.5 deviations below the mean
    assert abs((draws == 0).float().mean() - gone) < 0.001
    assert GaussianDropout().eval()(ones) is ones
    with pytest.raises(ValueError, match="needs a mean in"):
        GaussianDropout(0.0)


def test_dropout_multiplies_the_gradient_too():
    x = torch.ones(50, requires_grad=True)
    out = GaussianDropout(0.5, 0.2).train()(x)
    out.sum().backward()
    assert torch.equal(x.grad, out.detach())


@pytest.mark.parametrize("dropout", [nn.Dropout(0.3), GaussianDropout(0.5, 0.2)])
def test_dropout_acts_in_every_bottleneck_while_training_alone(dropout):
    made = network(NARROW, dropout=dropout).eval()
    bare = network(NARROW).eval()
    x = torch.randn(2, 3, 4, 32, 32)
    torch.testing.assert_close(made(x), bare(x))
    called = []
    dropout.register_forward_hook(lambda *_: called.append(1))
    made.train()(x)
    assert len(called) == len(NARROW)


def test_masks_are_sampled_while_training_and_expected_afterwards():
    """Half the draws are on as often as the sigmoid says, and lie nearer to 0 and 1 than it does."""
    torch.manual_seed(0)
    mask = AttentionMask(8)
    for norm in (mask.space[-1], mask.time[-1]):
        nn.init.constant_(norm.bias, 0.6)
    x = torch.randn(1, 8, 2, 4, 4)
    mask.eval()
    expected = mask(x)
    assert torch.equal(expected, mask(x)) and expected.std() > 0.01
    logits = mask.space(x) + mask.time(x.mean((3, 4), keepdim=True))
    torch.testing.assert_close(expected, 1 / (1 + (-logits).exp()))
    mask.training = True  # the mask alone: its batch norms keep their statistics
    draws = mask(x.expand(2000, -1, -1, -1, -1))
    assert draws.min() >= 0 and draws.max() <= 1
    on = (draws > 0.5).float().mean(0)
    torch.testing.assert_close(on, expected[0], rtol=0, atol=4.5 * 0.5 / math.sqrt(2000))
    assert (draws - 0.5).abs().mean() > (expected - 0.5).abs().mean()


@pytest.mark.parametrize("training", [True, False])
def test_masks_of_the_whole_network(training):
    made = network().train(training)
    embedding, masks = made.with_masks(torch.randn(2, 3, 8, 64, 64))
    assert [tuple(mask.shape) for mask in masks] == [(2, 4, 4, 4), (2, 2, 2, 2)]
    for mask in masks:
        assert mask.dtype == torch.float32 and 0 <= mask.min() and mask.max() <= 1
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(2))
    assert network(attention=False).eval().with_masks(torch.randn(1, 3, 4, 32, 32))[1] == []


def test_the_mask_weakens_or_doubles_what_it_covers():
    """Where a mask is shut features pass as they are, where it is open they double: x + mask * x."""
    x = torch.randn(3, 3, 4, 32, 32)
    made = settled(network(NARROW), x)
    entered = {}
    made.bottlenecks[10].register_forward_pre_hook(lambda _, inputs: entered.update(after=inputs[0]))
    made.bottlenecks[9].register_forward_hook(lambda _, inputs, out: entered.update(before=out))
    for shift, factor in ((-50.0, 1.0), (50.0, 2.0)):
        nn.init.constant_(made.attentions["9"].space[-1].bias, shift)
        made(x)
        assert entered["before"].std() > 0.1
        torch.testing.assert_close(entered["after"], factor * entered["before"])


# Sizes, streams, batches -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("frames", "height", "width"), [(4, 32, 32), (8, 64, 64), (20, 32, 96)])
def test_any_length_and_size_that_halves_evenly(frames, height, width):
    made = network().eval()
    out = made(torch.randn(2, 3, frames, height, width))
    assert out.shape == (2, 256)
    torch.testing.assert_close(out.norm(dim=1), torch.ones(2))


@pytest.mark.parametrize("shape", [(6, 32, 32), (4, 48, 32), (4, 32, 40), (2, 32, 32)])
def test_other_lengths_and_sizes_are_refused(shape):
    with pytest.raises(ValueError, match=" x ".join(map(str, shape))):
        network(NARROW)(torch.randn(2, 3, *shape))


def test_a_window_of_a_stream_gives_what_the_clip_alone_gives():
    """A stream's windows in one batch and cut-out clips one by one: the same vectors."""
    torch.manual_seed(2)
    made = settled(network(dropout=GaussianDropout()), torch.randn(4, 3, 8, 32, 32))
    stream = torch.randn(3, 12, 32, 32)  # [3, frames, S, S]
    windows = stream.unfold(1, 8, 2).permute(1, 0, 4, 2, 3)  # [3 windows, 3, 8, S, S], views of the stream
    assert len(windows) == 3
    with torch.inference_mode():
        together = made(windows)
        for k, vector in enumerate(together):
            alone = made(stream[:, 2 * k : 2 * k + 8].clone().unsqueeze(0))[0]
            torch.testing.assert_close(vector, alone, rtol=1e-4, atol=1e-5)
    assert torch.pdist(together).min() > 0.01  # and windows differ


def test_order_in_time_matters():
    x = torch.randn(4, 3, 8, 32, 32)
    made = settled(network(NARROW), x)
    assert (made(x) - made(x.flip(2))).norm(dim=1).min() > 0.01


def test_the_same_seed_gives_the_same_network_and_the_same_draws():
    x = torch.randn(2, 3, 4, 32, 32)
    results = []
    for _ in range(2):
        made = network(NARROW, dropout=GaussianDropout()).train()
        torch.manual_seed(3)
        results.append((made.state_dict(), made(x)))
    (first, a), (second, b) = results
    assert torch.equal(a, b) and all(torch.equal(first[k], second[k]) for k in first)
    assert not torch.equal(a, made(x))  # later draws are others


# Learning --------------------------------------------------------------------------------------------------


def test_the_gradient_reaches_every_number():
    made = network(dropout=GaussianDropout()).train()
    embedding, masks = made.with_masks(torch.randn(4, 3, 8, 64, 64))
    loss = (embedding * torch.randn(4, 256)).sum() + sum(
        hard_total_variation(mask, "paper") for mask in masks
    )
    loss.backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None and parameter.grad.any() and parameter.grad.isfinite().all(), name


def test_a_batch_of_moving_squares_is_learned_by_heart():
    """Four ways to move, each from two places: no single frame tells them apart."""
    made = network(NARROW, num_features=16).train()
    clips = torch.zeros(8, 3, 4, 32, 32)
    ways = ((0, 4), (0, -4), (4, 0), (-4, 0))
    for n in range(8):
        (dy, dx), start = ways[n // 2], (12, 14)[n % 2]
        for t in range(4):
            y, x = start + dy * (t - 1), start + dx * (t - 1)
            clips[n, :, t, y : y + 6, x : x + 6] = 1.0
    label = torch.arange(8) // 2
    centre = nn.Parameter(torch.randn(4, 16))
    optimizer = torch.optim.Adam([*made.parameters(), centre], lr=5e-3)
    for _ in range(12):
        optimizer.zero_grad()
        cosine = made(clips) @ F.normalize(centre).T
        loss = F.cross_entropy(10 * cosine, label)
        loss.backward()
        optimizer.step()
    assert loss < 0.1 and torch.equal(cosine.argmax(1), label)
    settled(made, clips)  # the running statistics of batch norms lag behind so few steps
    with torch.no_grad():
        assert torch.equal((made(clips) @ F.normalize(centre).T).argmax(1), label)


# Weights from pictures -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mobilenet() -> nn.Module:
    torch.manual_seed(4)
    made = import_torchvision().models.mobilenet_v3_large(weights=None)
    return settled(made, torch.randn(8, 3, 64, 64))


def maps(made: S3DMobileNetV3, x: Tensor) -> Tensor:
    """Return what the network has before its mean over all: [B, 960, T/4, S/32, S/32]."""
    kept = []
    handle = made.last.register_forward_hook(lambda _module, _inputs, out: kept.append(out))
    made(x)
    handle.remove()
    return kept[0]


def test_inflated_it_reads_a_still_clip_as_the_network_for_pictures(mobilenet):
    made = network(attention=False, seed=6).eval()
    inflate(made, mobilenet.state_dict())
    picture = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        flat = mobilenet.features(picture)  # [2, 960, 2, 2]
        found = maps(made, picture.unsqueeze(2).expand(-1, -1, 8, -1, -1))  # [2, 960, 2, 2, 2]
    assert flat.std() > 0.1 and (flat[0] - flat[1]).std() > 0.1
    torch.testing.assert_close(found, flat.unsqueeze(2).expand_as(found), rtol=1e-3, atol=1e-4)


def test_inflation_says_what_it_did_not_touch(mobilenet):
    made = network(seed=7)
    before = {name: tensor.clone() for name, tensor in made.state_dict().items()}
    weights = mobilenet.state_dict()
    kept, left = inflate(made, weights)
    assert set(kept) == {name for name in before if name.startswith(("attentions.", "head."))}
    assert left == [f"classifier.{layer}.{kind}" for layer in (0, 3) for kind in ("weight", "bias")]
    assert all(torch.equal(made.state_dict()[name], before[name]) for name in kept)
    copied = [tensor.flatten() for name, tensor in made.state_dict().items() if name not in kept]
    given = [tensor.flatten() for name, tensor in weights.items() if name not in left]
    for ours, theirs in zip(copied, given, strict=True):  # all of theirs, and zeros where time was added
        assert torch.equal(ours[ours != 0], theirs[theirs != 0])


def test_foreign_weights_are_refused_by_name_and_nothing_is_copied(mobilenet):
    made = network(seed=8)
    before = {name: tensor.clone() for name, tensor in made.state_dict().items()}
    good = mobilenet.state_dict()
    missing = {name: tensor for name, tensor in good.items() if name != "features.4.block.2.fc1.bias"}
    reshaped = {**good, "features.0.0.weight": torch.zeros(16, 1, 3, 3)}
    foreign = {**good, "layer4.0.conv1.weight": torch.zeros(1)}
    for weights, words in (
        (missing, "features.4.block.2.fc1.bias is missing"),
        (reshaped, r"features.0.0.weight is \[16, 1, 3, 3\], for stem.0.weight \[16, 3, 3, 3\]"),
        (foreign, "layer4.0.conv1.weight has no place"),
        ({}, "features.16.1.running_var is missing"),
    ):
        with pytest.raises(ValueError, match=words):
            inflate(made, weights)
    with pytest.raises(ValueError, match="features.14.block"):  # table IV's rows are another network
        inflate(network(TABLE_IV), good)
    assert all(torch.equal(tensor, before[name]) for name, tensor in made.state_dict().items())
