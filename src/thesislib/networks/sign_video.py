"""S3D MobileNet-V3-Large, which turns a clip of a sign into one vector (Izutov 2020, section III and table I)."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from thesislib.networks.video_layers import (
    AttentionMask,
    FrameConv,
    SqueezeExcitation,
    TimeConv,
    batch_norm,
)

TEMPORAL_STRIDE = 4  # of the whole network
SPATIAL_STRIDE = 32
LAST_CHANNELS = 960
ATTENTION_AFTER = (9, 12)  # bottlenecks, counted from 0


@dataclass(frozen=True)
class Row:
    """One "bneck" of table I: kernels in space and time, channels inside and out, SE, HS or ReLU, strides."""

    kernel: int
    time_kernel: int
    inside: int
    out: int
    squeeze: bool
    hard_swish: bool
    stride: int = 1
    time_stride: int = 1


# Izutov 2020, table I, line by line.
TABLE_I = (
    Row(3, 5, 16, 16, False, False),
    Row(3, 3, 64, 24, False, False, stride=2, time_stride=2),
    Row(3, 3, 72, 24, False, False),
    Row(5, 3, 72, 40, True, False, stride=2),
    Row(5, 3, 120, 40, True, False),
    Row(5, 5, 120, 40, True, False),
    Row(3, 5, 240, 80, False, True, stride=2),
    Row(3, 3, 200, 80, False, True),
    Row(3, 3, 184, 80, False, True),
    Row(3, 5, 184, 80, False, True),
    Row(3, 3, 480, 112, True, True, time_stride=2),
    Row(3, 3, 672, 112, True, True),
    Row(5, 3, 672, 160, True, True, stride=2),
    Row(5, 3, 960, 160, True, True),
    Row(5, 3, 960, 160, True, True),
)

# The network whose size table IV gives. Two lines are those of the author's public code: pictures are halved one
# bottleneck later, and that one is narrower. Table I has 4.55 M parameters, this 4.12 M, and 4.13 M in the form in
# which it was published: batch norms folded into convolutions, and 100 class centres of 256 numbers at the end.
TABLE_IV = (
    *TABLE_I[:12],
    replace(TABLE_I[12], stride=1),
    replace(TABLE_I[13], inside=672, stride=2),
    TABLE_I[14],
)


def _conv_norm(conv: nn.Module, activation: nn.Module | None = None) -> nn.Sequential:
    """Return a convolution, batch norm and what follows, named as in torchvision."""
    return nn.Sequential(conv, batch_norm(conv.out_channels), *([activation] if activation else []))


def _activation(hard_swish: bool) -> nn.Module:
    return nn.Hardswish() if hard_swish else nn.ReLU(inplace=True)


class Bottleneck(nn.Module):
    """MobileNetV3's bottleneck with time in its last convolution, t x 1 x 1 (Izutov 2020, III-A).

    [B, c_in, T, H, W] to [B, row.out, T/time_stride, H/stride, W/stride]. Time is halved by a mean, not by a
    stride. ``dropout`` acts on the branch, before what came in is added where shapes agree.
    """

    def __init__(self, c_in: int, row: Row, dropout: nn.Module | None = None) -> None:
        super().__init__()
        inside, k = row.inside, row.kernel
        layers: list[nn.Module] = []
        if inside != c_in:
            layers.append(_conv_norm(FrameConv(c_in, inside, 1, bias=False), _activation(row.hard_swish)))
        depthwise = FrameConv(inside, inside, k, row.stride, k // 2, groups=inside, bias=False)
        layers.append(_conv_norm(depthwise, _activation(row.hard_swish)))
        if row.squeeze:
            layers.append(SqueezeExcitation(inside))
        layers.append(_conv_norm(TimeConv(inside, row.out, row.time_kernel)))
        if row.time_stride > 1:
            layers.append(nn.AvgPool3d((row.time_stride, 1, 1)))
        if dropout is not None:
            layers.append(dropout)
        self.layers = nn.Sequential(*layers)
        self.residual = row.stride == row.time_stride == 1 and row.out == c_in

    def forward(self, x: Tensor) -> Tensor:
        y = self.layers(x)
        return x + y if self.residual else y


class S3DMobileNetV3(nn.Module):
    """The network of table I: clips [B, 3, T, S, S] to unit vectors [B, num_features].

    T must be a multiple of 4 and S of 32, ValueError otherwise; the document has 16 and 224. ``attention`` puts
    residual attention after bottlenecks 9 and 12, counted from 0. ``dropout`` is one layer that acts in every
    bottleneck, `GaussianDropout` or nn.Dropout, or None. ``rows`` are the bottlenecks. While training, batch norm
    needs two clips or more.
    """

    def __init__(
        self,
        num_features: int = 256,
        *,
        attention: bool = True,
        dropout: nn.Module | None = None,
        rows: tuple[Row, ...] = TABLE_I,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        channels = [16, *(row.out for row in rows)]
        stem = FrameConv(3, channels[0], 3, stride=2, padding=1, bias=False)  # no time kernel: top-heavy
        self.stem = _conv_norm(stem, nn.Hardswish())
        self.bottlenecks = nn.ModuleList(
            Bottleneck(c_in, row, dropout) for c_in, row in zip(channels[:-1], rows, strict=True)
        )
        places = ATTENTION_AFTER if attention else ()
        self.attentions = nn.ModuleDict({str(i): AttentionMask(channels[i + 1]) for i in places})
        self.last = _conv_norm(FrameConv(channels[-1], LAST_CHANNELS, 1, bias=False), nn.Hardswish())
        self.head = _conv_norm(FrameConv(LAST_CHANNELS, num_features, 1, bias=False))
        initialise(self)

    def with_masks(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return embeddings [B, num_features] and the two masks, [B, T/2, S/16, S/16] and [B, T/4, S/32, S/32].

        Their values lie in [0, 1]: those that the features were multiplied with, so drawn ones while training.
        Without attention the list is empty.
        """
        frames, *sides = x.shape[2:]
        if frames % TEMPORAL_STRIDE or any(side % SPATIAL_STRIDE for side in sides):
            raise ValueError(
                f"a clip needs a multiple of {TEMPORAL_STRIDE} frames, with sides that are multiples of "
                f"{SPATIAL_STRIDE}, not {frames} x {' x '.join(map(str, sides))}"
            )
        # Channels last in memory: then no convolution of frames or of time needs a copy.
        x = x.permute(0, 2, 3, 4, 1).contiguous().permute(0, 4, 1, 2, 3)
        x = self.stem(x)  # [B, 3, 16, 224, 224] -> [B, 16, 16, 112, 112]
        masks = []
        for i, bottleneck in enumerate(self.bottlenecks):
            x = bottleneck(x)
            if str(i) in self.attentions:
                mask = self.attentions[str(i)](x)  # [B, 1, T, H, W]
                masks.append(mask.squeeze(1))
                x = x + mask * x
        x = self.last(x).mean((2, 3, 4), keepdim=True)  # [B, 960, 4, 7, 7] -> [B, 960, 1, 1, 1]
        return F.normalize(self.head(x).flatten(1)), masks

    def forward(self, x: Tensor) -> Tensor:
        return self.with_masks(x)[0]


def initialise(network: nn.Module) -> None:
    """Draw every convolution as torchvision's MobileNetV3 does: normal, by how many numbers come out; biases 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def inflate(network: S3DMobileNetV3, weights: dict[str, Tensor]) -> tuple[list[str], list[str]]:
    """Copy the weights of torchvision's mobilenet_v3_large, its state_dict, into a network for video.

    Kernels of frames are copied as they are; a 1 x 1 kernel becomes the middle of a t x 1 x 1 kernel of zeros, so
    that the network starts by reading every frame as the two-dimensional one would, at a clip's ends too. Returns
    the names of the network's own numbers that keep their start (attention, head) and those of the weights that
    were left (the classifier). Raises ValueError, naming them all, where weights are missing, of another shape or
    of another network; nothing is copied then.
    """
    ours = network.state_dict()
    theirs = {name: _name_in_torchvision(name, len(network.bottlenecks)) for name in ours}
    kept = [name for name, other in theirs.items() if other is None]
    pairs = {name: other for name, other in theirs.items() if other is not None}
    wrong = [f"{other} is missing" for other in pairs.values() if other not in weights]
    for name, other in pairs.items():
        if other in weights and not _fits(weights[other].shape, ours[name].shape):
            wrong.append(f"{other} is {list(weights[other].shape)}, for {name} {list(ours[name].shape)}")
    left = [other for other in weights if other not in pairs.values()]
    wrong += [f"{other} has no place" for other in left if not other.startswith("classifier.")]
    if wrong:
        raise ValueError("these are not the weights of torchvision's mobilenet_v3_large: " + "; ".join(wrong))
    with torch.no_grad():
        for name, other in pairs.items():
            own, weight = ours[name], weights[other]
            if own.shape == weight.shape:
                own.copy_(weight)
            else:
                own.zero_()[:, :, own.shape[2] // 2] = weight[:, :, 0]  # [c_out, c_in, t, 1] from [.., 1, 1]
    return kept, left


def _name_in_torchvision(name: str, bottlenecks: int) -> str | None:
    """Return what torchvision calls a weight; None for attention and head, which it does not have."""
    part, rest = name.split(".", 1)
    if part == "bottlenecks":
        i, rest = rest.split(".layers.", 1)
        return f"features.{int(i) + 1}.block.{rest}"
    return {"stem": f"features.0.{rest}", "last": f"features.{bottlenecks + 1}.{rest}"}.get(part)


def _fits(flat: torch.Size, own: torch.Size) -> bool:
    """Return whether shapes agree, or would if time were one step long: [c_out, c_in, 1, 1] and [.., t, 1]."""
    return flat == own or (len(own) == 4 and own[3] == 1 and flat == (*own[:2], 1, 1))
