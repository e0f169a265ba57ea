"""The thesis's network for the 21 joints of a hand (Ignatiev 2019, figure 3.1), whole and in halves."""

import torch
from torch import Tensor, nn

from thesislib.heatmaps import NUM_JOINTS
from thesislib.networks.blocks import InvertedResidual, conv_bn_relu6, initialise

# Figure 3.1, the deconvolutional half: channels after each transposed convolution.
DECODER_CHANNELS = (64, 64, 32, 32)

# The logit of 0.0061, the share of a 64 x 64 map that a Gaussian of radius 2 fills: where training starts.
HEATMAP_BIAS = -5.09


class PoseEncoder(nn.Module):
    """The convolutional half of figure 3.1: [B, 3, S, S] to features [B, 128, S/16, S/16].

    The rows of the figure give the size a layer reads, and "/2" its stride: stem, then at each of three sizes
    ``depth`` inverted residual blocks and one of stride 2, then a 3 x 3 convolution. ``width`` multiplies the
    channels inside; ``features`` is how many come out. ``stem_stride`` is 2 as printed; 4 halves every map, for
    a laptop. Expansion is 4 everywhere, as in figure 3.8; figure 3.1 does not say.
    """

    def __init__(
        self, *, width: float = 1.0, depth: int = 3, features: int = 128, stem_stride: int = 2
    ) -> None:
        super().__init__()
        if stem_stride not in (2, 4):
            raise ValueError(
                f"the stem's stride is 2 (figure 3.1) or 4 (half the resolution), not {stem_stride}"
            )
        rows = [(16, 1)] + [row for c in (32, 64, 128) for row in [(c, 1)] * depth + [(c, 2)]]
        channels = int(32 * width)
        blocks: list[nn.Module] = [conv_bn_relu6(3, channels, stride=stem_stride)]  # 64 -> 32
        for c_out, stride in rows:
            c_in, channels = channels, int(c_out * width)
            blocks.append(InvertedResidual(c_in, channels, stride))  # 32 -> 16 -> 8 -> 4
        blocks.append(conv_bn_relu6(channels, features))  # [B, 128, 4, 4]
        self.blocks = nn.Sequential(*blocks)
        self.num_features = features
        self.stride = 8 * stem_stride
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] % self.stride or x.shape[-2] % self.stride:
            raise ValueError(
                f"the image's sides must be multiples of {self.stride}, not {tuple(x.shape[-2:])}"
            )
        return self.blocks(x)  # [B, 3, 64, 64] -> [B, 128, 4, 4]


class PoseNetwork(nn.Module):
    """The network of figure 3.1: [B, 3, S, S] to one heatmap of logits a joint, [B, 21, S, S].

    Four transposed convolutions take the features back to the input's size: the figure marks three of them
    "*2", but 4 x 4 becomes 64 x 64 by four. ``width`` is the convolutional half's, ``decoder_width`` the other's,
    the same unless given. ``literal`` leaves out the ReLUs that the figure does not list after them, which makes
    the decoder one linear map. With ``stem_stride`` 4 heatmaps have half the input's size.
    """

    output = "heatmaps"

    def __init__(
        self,
        *,
        width: float = 1.0,
        decoder_width: float | None = None,
        depth: int = 3,
        features: int = 128,
        stem_stride: int = 2,
        literal: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = PoseEncoder(width=width, depth=depth, features=features, stem_stride=stem_stride)
        layers: list[nn.Module] = []
        channels = features
        for c in DECODER_CHANNELS:
            c_in, channels = channels, int(c * (width if decoder_width is None else decoder_width))
            layers += [nn.ConvTranspose2d(c_in, channels, 4, 2, 1, bias=False), nn.BatchNorm2d(channels)]
            layers += [] if literal else [nn.ReLU6(inplace=True)]  # 4 -> 8 -> 16 -> 32 -> 64
        self.decoder = nn.Sequential(*layers)
        self.heatmaps = nn.Conv2d(channels, NUM_JOINTS, 1)
        initialise(self.decoder)
        initialise(self.heatmaps)
        nn.init.constant_(self.heatmaps.bias, HEATMAP_BIAS)

    def features(self, x: Tensor) -> Tensor:
        """Return the features where they stand, [B, 3, 64, 64] to [B, 128, 4, 4]; the thesis averages them."""
        return self.encoder(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.heatmaps(self.decoder(self.encoder(x)))  # [B, 3, 64, 64] -> [B, 21, 64, 64]


class CoordinateClassifier(nn.Module):
    """The encoder with a SimCC head (Li et al. 2022): [B, 3, S, S] to logits of bins [B, 21, 2, bins].

    Each coordinate is a class: ``bins_per_pixel`` bins a pixel of the input, x and y apart, and no decoder. A
    1 x 1 convolution gives every joint eight maps of its own (one map, as in the original, would leave 16
    numbers a joint at 64 pixels, too few to say where it is), and two linear layers, shared by the joints, read
    them. The head belongs to one ``input_size``.
    """

    output = "bins"

    def __init__(self, input_size: int = 64, *, width: float = 1.0, bins_per_pixel: int = 2) -> None:
        super().__init__()
        self.encoder = PoseEncoder(width=width)
        self.input_size = input_size
        self.maps = nn.Conv2d(self.encoder.num_features, 8 * NUM_JOINTS, 1)
        numbers = 8 * (input_size // self.encoder.stride) ** 2
        self.x = nn.Linear(numbers, bins_per_pixel * input_size)
        self.y = nn.Linear(numbers, bins_per_pixel * input_size)
        for layer in (self.maps, self.x, self.y):
            initialise(layer)

    def forward(self, image: Tensor) -> Tensor:
        if image.shape[-1] != self.input_size:
            raise ValueError(f"this head reads images of {self.input_size} pixels, not {image.shape[-1]}")
        maps = self.maps(self.encoder(image)).unflatten(1, (NUM_JOINTS, 8)).flatten(2)  # [B, 21, 8 * 4 * 4]
        return torch.stack([self.x(maps), self.y(maps)], dim=2)  # [B, 21, 2, bins]
