"""The character classifier of the thesis (Ignatiev 2019, figure 3.7) and the two it was compared with."""

from torch import Tensor, nn

from thesislib.networks.blocks import InvertedResidual, conv_bn_relu6, initialise

# Figure 3.7, one row a block: channels and stride.
INVERTED_RESIDUALS = (
    (32, 1), (32, 1), (32, 1),
    (64, 2), (64, 1), (64, 1), (64, 1), (64, 1),
    (96, 2), (128, 1), (32, 2),
)  # fmt: skip


class GlyphEncoder(nn.Module):
    """The convolutional block of figure 3.7: [B, 1, 28, 28] to pooled features [B, 32].

    ``width`` multiplies the channels between input and output (the features keep their number unless
    ``features`` says otherwise); ``stem_stride`` 2 halves the resolution in the first layer. The thesis's
    network has width 1 and stem stride 1; half and 2 are for a laptop.
    """

    def __init__(self, *, width: float = 1.0, stem_stride: int = 1, features: int = 32) -> None:
        super().__init__()
        channels = int(32 * width)
        blocks = [conv_bn_relu6(1, channels, stride=stem_stride)]  # [B, 32, 28, 28]
        for c_out, stride in INVERTED_RESIDUALS[:-1]:
            c_in, channels = channels, int(c_out * width)
            blocks.append(InvertedResidual(c_in, channels, stride))  # 28 -> 14 -> 7
        blocks.append(InvertedResidual(channels, features, INVERTED_RESIDUALS[-1][1]))  # [B, 32, 4, 4]
        self.blocks = nn.Sequential(*blocks)
        self.features = features
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(x).mean(dim=(2, 3))  # [B, 1, 28, 28] -> [B, 32, 4, 4] -> [B, 32]

    def spatial(self, x: Tensor) -> Tensor:
        """Return the features where they stand, before the average: [B, 1, 28, 28] to [B, features * 4 * 4].

        With stem stride 2 the last maps are 2 x 2. The average forgets the place, which the seen classes can do
        without; a new class may need it.
        """
        return self.blocks(x).flatten(1)


class GlyphClassifier(nn.Module):
    """Encoder, dropout and one linear layer (figure 3.7): [B, 1, 28, 28] to class scores [B, C]."""

    def __init__(self, encoder: nn.Module, num_classes: int, *, dropout: float = 0.5) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(encoder.features, num_classes)
        initialise(self.linear)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.dropout(self.encoder(x)))  # [B, 1, 28, 28] -> [B, features] -> [B, C]
