"""The pose network's convolutional half with a reader of letters behind it."""

from torch import Tensor, nn

from thesislib.networks.blocks import initialise
from thesislib.networks.pose import PoseEncoder


class LetterNetwork(nn.Module):
    """An encoder of figure 3.1 (Ignatiev 2019) and one linear layer: [B, 3, S, S] to logits of letters [B, C].

    The layer reads the features where they stand: averaged over the picture, as the thesis has it, they no longer
    say which finger is where. ``size`` is the side S of the pictures it is made for.
    """

    def __init__(
        self, encoder: PoseEncoder, num_letters: int, *, size: int = 64, dropout: float = 0.3
    ) -> None:
        super().__init__()
        self.encoder = encoder
        places = (size // encoder.stride) ** 2
        self.reader = nn.Sequential(
            nn.Flatten(),  # [B, 128, 4, 4] -> [B, 2048]
            nn.Dropout(dropout),
            nn.Linear(encoder.num_features * places, num_letters),
        )
        initialise(self.reader)

    def features(self, x: Tensor) -> Tensor:
        """Return the features where they stand, [B, 3, 64, 64] to [B, 128, 4, 4]."""
        return self.encoder(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.reader(self.encoder(x))  # [B, 3, 64, 64] -> [B, 128, 4, 4] -> [B, C]
