"""Networks that give joint coordinates directly: the ETH report's, and the mean pose; names of all rivals."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from thesislib.heatmaps import NUM_JOINTS
from thesislib.networks.heatmap_rivals import ConvolutionalPoseMachine, ResNetHeatmaps, VggPose
from thesislib.networks.pose import CoordinateClassifier
from thesislib.runtime import import_torchvision


class CoordinateRegression(nn.Module):
    """A backbone, a pooling and one linear layer of 42: [B, 3, S, S] to [B, 21, 2] in parts of the input's side.

    ``backbone`` gives maps [B, C, s, s]; what ``pooling`` leaves of them is flattened, so without a global one
    the network belongs to one ``input_size``. Before training every joint is in the middle, at 0.5.
    """

    output = "coordinates"

    def __init__(self, backbone: nn.Module, pooling: nn.Module, input_size: int) -> None:
        super().__init__()
        self.backbone, self.pooling, self.input_size = backbone, pooling, input_size
        backbone.eval()
        with torch.inference_mode():
            numbers = pooling(backbone(torch.zeros(1, 3, input_size, input_size))).numel()
        backbone.train()
        self.linear = nn.Linear(numbers, 2 * NUM_JOINTS)
        nn.init.normal_(self.linear.weight, std=0.01 / numbers**0.5)
        nn.init.constant_(self.linear.bias, 0.5)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] != self.input_size:
            raise ValueError(f"this network reads images of {self.input_size} pixels, not {x.shape[-1]}")
        maps = self.pooling(self.backbone(x))  # [B, C, s, s]
        return self.linear(maps.flatten(1)).unflatten(1, (NUM_JOINTS, 2))


def same_average_pooling() -> nn.Module:
    """Return an average pooling that keeps the size of the maps, the report's "avg_same"; 3 x 3 is our choice."""
    return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)


def residual_network(
    input_size: int = 128,
    *,
    layers: tuple[int, ...] = (3, 4, 6, 3),
    bottleneck: bool = False,
    leaky: bool = False,
    last_relu: bool = False,
    pooling: Callable[[], nn.Module] = nn.Identity,
    output_stride: int = 32,
) -> CoordinateRegression:
    """Return a ResNet of the ETH report (Tishchenko and Vänskä 2018, section 3.3 and table 1), from timm's blocks.

    The defaults are the report's best: 34 layers, no ReLU after a block's sum, no average pooling. Images of 64
    pixels pass unchanged and leave 2 x 2 maps, where 128 pixels leave 4 x 4.
    """
    import_torchvision()
    from timm.models.resnet import BasicBlock, Bottleneck, ResNet

    backbone = ResNet(
        Bottleneck if bottleneck else BasicBlock,
        layers,
        num_classes=0,
        global_pool="",
        act_layer=partial(nn.LeakyReLU, 0.01) if leaky else nn.ReLU,
        output_stride=output_stride,
    )
    if not last_relu:
        for block in backbone.modules():
            if isinstance(block, BasicBlock):
                block.act2 = nn.Identity()
            if isinstance(block, Bottleneck):
                block.act3 = nn.Identity()
    return CoordinateRegression(backbone, pooling(), input_size)


def preactivation_network(input_size: int = 128) -> CoordinateRegression:
    """Return the report's "34/lR, fPre, avg_same": full pre-activation and leaky ReLU, from timm's blocks."""
    import_torchvision()
    import timm

    leaky = partial(nn.LeakyReLU, 0.01)
    backbone = timm.create_model("resnetv2_34", num_classes=0, global_pool="", act_layer=leaky)
    return CoordinateRegression(backbone, same_average_pooling(), input_size)


def inception_v3(input_size: int = 128) -> CoordinateRegression:
    """Return torchvision's Inception-v3 with global average pooling, as the report has it (section 3.3).

    Below 128 pixels the first convolution has stride 1: with 2, as printed, 64 pixels shrink to nothing on
    the way. Last maps are 2 x 2 of 64 or of 128 pixels.
    """
    models = import_torchvision().models
    stock = models.inception_v3(weights=None, aux_logits=False, init_weights=True)
    backbone = nn.Sequential(*list(stock.children())[:-3])  # without pooling, dropout and classifier
    if input_size < 128:
        backbone[0].conv.stride = (1, 1)
    return CoordinateRegression(backbone, nn.AdaptiveAvgPool2d(1), input_size)


class InceptionResNetStem(nn.Module):
    """The stem of Inception-ResNet-v2 (Szegedy et al. 2016, figure 3) as the report alters it: S to S/4 - 4.

    Kernels of 7 are 5, and the last step keeps its size: the max pooling is replaced by convolutions of 3 x 1 and
    1 x 3, and the convolution beside it has stride 1. It joins 160 + 160 channels, not 192 + 192, because timm's
    blocks follow, and read 320. [B, 3, 128, 128] to [B, 320, 28, 28].
    """

    def __init__(self, conv: Callable[..., nn.Module]) -> None:
        super().__init__()
        self.start = nn.Sequential(conv(3, 32, 3, stride=2), conv(32, 32, 3), conv(32, 64, 3, padding=1))
        self.pool, self.strided = nn.MaxPool2d(3, 2), conv(64, 96, 3, stride=2)
        self.short = nn.Sequential(conv(160, 64, 1), conv(64, 96, 3))
        self.long = nn.Sequential(
            conv(160, 64, 1),
            conv(64, 64, (5, 1), padding=(2, 0)),
            conv(64, 64, (1, 5), padding=(0, 2)),
            conv(64, 96, 3),
        )
        self.square = conv(192, 160, 3, padding=1)
        self.lines = nn.Sequential(
            conv(192, 160, (3, 1), padding=(1, 0)), conv(160, 160, (1, 3), padding=(0, 1))
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.start(x)  # 128 -> 61
        x = torch.cat([self.pool(x), self.strided(x)], dim=1)  # [B, 160, 30, 30]
        x = torch.cat([self.short(x), self.long(x)], dim=1)  # [B, 192, 28, 28]
        return torch.cat([self.square(x), self.lines(x)], dim=1)  # [B, 320, 28, 28]


def inception_resnet_v2(
    input_size: int = 128, *, repeats: tuple[int, int, int] = (10, 20, 10)
) -> CoordinateRegression:
    """Return the report's best network, Inception-ResNet-v2 with its changes (section 3.3), from timm's blocks.

    The stem above; kernels of 7 in the 17 x 17 blocks are 5; residuals are scaled by 0.17, 0.1 and 0.2; norm and
    leaky ReLU (0.01) after each convolution that is not linear; an average pooling that keeps its size, then
    flattened. Images of 64 pixels pass unchanged: maps of 12, 5 and 2 where 128 pixels give 28, 13 and 6.
    """
    import_torchvision()
    from timm.layers import ConvNormAct
    from timm.models.inception_resnet_v2 import Block8, Block17, Block35, Mixed_6a, Mixed_7a

    leaky = partial(nn.LeakyReLU, 0.01, inplace=True)
    conv = partial(ConvNormAct, padding=0, act_layer=leaky, norm_kwargs={"eps": 1e-3})
    small, middle, large = repeats
    blocks = [Block35(0.17, conv) for _ in range(small)]
    blocks += [Mixed_6a(conv), *[Block17(0.10, conv) for _ in range(middle)]]
    blocks += [Mixed_7a(conv), *[Block8(0.20, conv_block=conv) for _ in range(large)]]
    for block in blocks:
        if isinstance(block, Block17):
            block.branch1[1] = conv(128, 160, (1, 5), padding=(0, 2))
            block.branch1[2] = conv(160, 192, (5, 1), padding=(2, 0))
        if isinstance(block, Block35 | Block17):
            block.act = leaky()
        if isinstance(block, Block8):
            block.relu = leaky()
    blocks[-1].relu = None  # as in the original, a last convolution follows
    backbone = nn.Sequential(InceptionResNetStem(conv), *blocks, conv(2080, 1536, 1))
    return CoordinateRegression(backbone, same_average_pooling(), input_size)


class MeanPose(nn.Module):
    """The trivial predictor: the mean pose of the training set for every image, [B, 3, S, S] to [B, 21, 2].

    ``targets`` [N, 21, 3] are x, y in pixels of images of ``input_size``, and 1 for a keypoint that counts.
    """

    output = "coordinates"

    def __init__(self, targets: Tensor, input_size: int) -> None:
        super().__init__()
        counts = targets[..., 2:]
        mean = (targets[..., :2] * counts).sum(0) / counts.sum(0).clamp(min=1)
        self.register_buffer("mean", mean / input_size)  # [21, 2]

    def forward(self, x: Tensor) -> Tensor:
        return self.mean.expand(len(x), -1, -1)


# Every network the benchmark compares ours with, by the name in its records; each takes the input's size.
RIVALS: dict[str, Callable[[int], nn.Module]] = {
    "simcc": CoordinateClassifier,
    "cpm": ConvolutionalPoseMachine,
    "vgg": VggPose,
    "resnet50_heatmaps": lambda input_size, **options: ResNetHeatmaps(**options),
    "resnet34": residual_network,  # 34/-avg, the report's choice
    "resnet34_stock": partial(residual_network, last_relu=True, pooling=partial(nn.AdaptiveAvgPool2d, 1)),
    "resnet34_leaky": partial(residual_network, leaky=True, pooling=same_average_pooling),
    "resnet34_preactivation": preactivation_network,
    "resnet34_bottleneck": partial(residual_network, bottleneck=True),
    "resnet68_deepercut": partial(residual_network, bottleneck=True, layers=(3, 4, 12, 3), output_stride=16),
    "inception_v3": inception_v3,
    "inception_resnet_v2": inception_resnet_v2,
}
