"""Heads that turn frozen features into an embedding on the unit sphere (Ignatiev 2019, section 3.2.1)."""

from torch import Tensor, nn
from torch.nn.functional import normalize

from thesislib.networks.blocks import LinearDualPath, initialise

GROWTH = 16  # channels that each dual-path layer adds, figure 3.9


class EmbeddingHead(nn.Module):
    """Dual-path embedding head (figure 3.9): features [B, c] to unit vectors [B, f] (eq. 3.15).

    ``depth`` is the number of dual-path layers (8 in the thesis; 0 leaves one linear layer), ``norm`` and the
    two dropout rates are the regularisers that section 3.2.2 compares with a small ``f``.
    """

    def __init__(
        self,
        features: int,
        f: int = 10,
        *,
        depth: int = 8,
        norm: type[nn.Module] = nn.BatchNorm1d,
        layer_dropout: float = 0.25,
        last_dropout: float = 0.5,
    ) -> None:
        super().__init__()
        widths = [features + GROWTH * layer for layer in range(depth + 1)]  # 32, 48, ..., 160
        self.layers = nn.Sequential(
            *(LinearDualPath(c, GROWTH, dropout=layer_dropout, norm=norm) for c in widths[:-1]),
            nn.Dropout(last_dropout),
            nn.Linear(widths[-1], f),
        )
        self.f = f
        initialise(self)

    def forward(self, features: Tensor) -> Tensor:
        return normalize(self.layers(features), dim=1)  # [B, c] -> [B, 160] -> [B, f], length 1
