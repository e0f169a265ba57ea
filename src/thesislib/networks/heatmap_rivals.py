"""Networks that draw one heatmap a joint, for comparison: pose machine, VGG style, ResNet-50."""

import math

import torch
from torch import Tensor, nn

from thesislib.heatmaps import NUM_JOINTS
from thesislib.runtime import import_torchvision


class ConvolutionalPoseMachine(nn.Module):
    """The pose machine of the ETH report: [B, 3, S, S] to the maps of each stage, [B, 3, 22, s, s].

    Figure 2 of Wei et al. 2016 with the changes of Tishchenko and Vänskä 2018, section 3.3: three stages, 128
    channels and 5 x 5 kernels, 21 joints and a background; no activation on the maps. Each later stage reads the
    image's features and the maps before it. Three poolings give s = S/8, 16 x 16 maps of 128 pixels; below 128
    pixels one is left out, so that 64 pixels give 16 x 16 maps too.
    """

    output = "stages"

    def __init__(self, input_size: int = 128, *, stages: int = 3, channels: int = 128) -> None:
        super().__init__()
        c, maps = channels, NUM_JOINTS + 1
        pools = 3 if input_size >= 128 else 2
        self.features = nn.Sequential(
            *_conv_relu(3, c, 5),
            *[part for i in range(3) for part in [*_pool(i < pools), *_conv_relu(c, c, 5)]],
        )
        self.first = nn.Sequential(*_conv_relu(c, c, 5), *_conv_relu(c, c, 1), nn.Conv2d(c, maps, 1))
        self.later = nn.ModuleList(
            nn.Sequential(
                *_conv_relu(c + maps, c, 5),
                *_conv_relu(c, c, 5),
                *_conv_relu(c, c, 5),
                *_conv_relu(c, c, 1),
                nn.Conv2d(c, maps, 1),
            )
            for _ in range(stages - 1)
        )
        _initialise_relu(self)

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)  # [B, 3, S, S] -> [B, 128, s, s]
        beliefs = [self.first(features)]  # [B, 22, s, s]
        for stage in self.later:
            beliefs.append(stage(torch.cat([features, beliefs[-1]], dim=1)))
        return torch.stack(beliefs, dim=1)


class VggPose(nn.Module):
    """The pure convolutional network of Zimmermann and Brox as the thesis prints it (Ignatiev 2019, figure 2.2).

    [B, 3, S, S] to the score maps of its three depths, [B, 3, 21, S/8, S/8]; all are supervised, the last is the
    output. A "depth-wise dual-path layer" appends 21 score maps to all channels so far: 512, 533, 554. Kernels are
    3 x 3, as the figure gives no size but the last. Below 128 pixels the third pooling is left out (maps S/4), so
    that 64 pixels give 16 x 16 maps.
    """

    output = "stages"

    def __init__(self, input_size: int = 256, *, width: float = 1.0) -> None:
        super().__init__()
        layers, channels = [], 3
        for block, (count, c) in enumerate(((2, 64), (2, 128), (4, 256), (5, 512))):
            layers += _pool(block > 0 and (block < 3 or input_size >= 128))
            for _ in range(count):
                c_in, channels = channels, int(c * width)
                layers += _conv_relu(c_in, channels)
        self.trunk = nn.Sequential(*layers)
        self.first_scores = nn.Conv2d(channels, NUM_JOINTS, 1)
        narrow = int(128 * width)
        self.paths, self.scores = nn.ModuleList(), nn.ModuleList()
        for _ in range(2):
            channels += NUM_JOINTS  # 533, 554
            rest = [part for _ in range(4) for part in _conv_relu(narrow, narrow)]
            self.paths.append(nn.Sequential(*_conv_relu(channels, narrow), *rest))
            self.scores.append(nn.Conv2d(narrow, NUM_JOINTS, 1))
        _initialise_relu(self)

    def forward(self, x: Tensor) -> Tensor:
        dual_path = self.trunk(x)  # [B, 3, S, S] -> [B, 512, s, s]
        scores = [self.first_scores(dual_path)]
        for path, score in zip(self.paths, self.scores, strict=True):
            dual_path = torch.cat([dual_path, scores[-1]], dim=1)
            scores.append(score(path(dual_path)))
        return torch.stack(scores, dim=1)


class ResNetHeatmaps(nn.Module):
    """ResNet-50 with a heatmap head (Xiao et al. 2018, "Simple baselines"): [B, 3, S, S] to [B, 21, S/4, S/4].

    torchvision's blocks, untrained, then three 4 x 4 transposed convolutions of 256 channels with norm and
    ReLU, and a 1 x 1 convolution. It reads any size from 64 pixels on without a change. Before training each map
    says what share of it a peak fills, as ours does: from 0 a squared error hardly starts.
    """

    output = "heatmaps"

    def __init__(self, *, layers: tuple[int, ...] = (3, 4, 6, 3)) -> None:
        super().__init__()
        resnet = import_torchvision().models.resnet
        backbone = resnet.ResNet(resnet.Bottleneck, list(layers))
        self.backbone = nn.Sequential(*list(backbone.children())[:-2])  # without pooling and classifier
        decoder: list[nn.Module] = []
        channels = 2048
        for _ in range(3):
            deconvolution = nn.ConvTranspose2d(channels, 256, 4, 2, 1, bias=False)
            nn.init.normal_(deconvolution.weight, std=0.001)
            channels = 256
            decoder += [deconvolution, nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
        self.decoder = nn.Sequential(*decoder)
        self.heatmaps = nn.Conv2d(channels, NUM_JOINTS, 1)
        nn.init.normal_(self.heatmaps.weight, std=0.001)
        nn.init.zeros_(self.heatmaps.bias)

    def forward(self, x: Tensor) -> Tensor:
        logits = self.heatmaps(self.decoder(self.backbone(x)))  # S -> S/32 -> S/4
        return logits + peak_logit(logits.shape[-1])


def peak_logit(map_size: int, radius: float = 1.0) -> float:
    """Return the logit of the share 2 pi r^2 / s^2 of a map that a Gaussian peak fills; lengths in its pixels.

    The radius is the least that targets have, one pixel: radius 2 of a 64-pixel input is half a pixel of S/4.
    """
    share = 2 * math.pi * radius**2 / map_size**2
    return math.log(share / (1 - share))


def _conv_relu(c_in: int, c_out: int, kernel: int = 3) -> list[nn.Module]:
    return [nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2), nn.ReLU(inplace=True)]


def _pool(wanted: bool) -> list[nn.Module]:
    return [nn.MaxPool2d(2)] if wanted else []


def _initialise_relu(network: nn.Module) -> None:
    """He weights and zero biases, and maps that start empty: neither document says, and there are no norms.

    The background starts full, or its many pixels of 1 would be all that the first steps learn.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)
            if module.out_channels in (NUM_JOINTS, NUM_JOINTS + 1):
                nn.init.normal_(module.weight, std=0.001)
                nn.init.ones_(module.bias[NUM_JOINTS:])
