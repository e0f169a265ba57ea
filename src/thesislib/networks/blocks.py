"""Building blocks of the thesis's networks (Ignatiev 2019, figures 3.8 and 3.11)."""

import torch
from torch import Tensor, nn


def conv_bn_relu6(c_in: int, c_out: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Return convolution, batch norm and ReLU6 (eq. 3.12): [B, c_in, H, W] to [B, c_out, H/stride, W/stride]."""
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(c_out),
        nn.ReLU6(inplace=True),
    )


class InvertedResidual(nn.Module):
    """Inverted residual block (figure 3.8): expand 1x1, depth-wise 3x3, project 1x1; x + y if shapes agree.

    The figure adds whenever c = c'; with stride 2 the sizes differ, so a stride-2 block never adds.
    """

    def __init__(self, c_in: int, c_out: int, stride: int = 1, expand: int = 4) -> None:
        super().__init__()
        hidden = expand * c_in
        self.residual = stride == 1 and c_in == c_out
        self.layers = nn.Sequential(
            conv_bn_relu6(c_in, hidden, kernel=1),
            conv_bn_relu6(hidden, hidden, stride=stride, groups=hidden),
            nn.Conv2d(hidden, c_out, 1, bias=False),
            nn.BatchNorm2d(c_out),
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.layers(x)  # [B, c_in, H, W] -> [B, c_out, H/stride, W/stride]
        return x + y if self.residual else y


class LinearDualPath(nn.Module):
    """Linear dual-path layer (figure 3.11): [B, c] to [B, c + grow]; the first c channels are a residual sum.

    ``norm`` is the layer between the two linear maps: nn.BatchNorm1d as printed, nn.LayerNorm or nn.Identity.
    """

    def __init__(
        self, c: int, grow: int, *, dropout: float = 0.25, norm: type[nn.Module] = nn.BatchNorm1d
    ) -> None:
        super().__init__()
        self.c = c
        self.layers = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(c, 4 * c),
            norm(4 * c),
            nn.LeakyReLU(0.01),
            nn.Linear(4 * c, c + grow),
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.layers(x)  # [B, c] -> [B, c + grow]
        return torch.cat([x + y[:, : self.c], y[:, self.c :]], dim=1)


def initialise(network: nn.Module) -> None:
    """Xavier weights, zero biases, identity norms; zero gamma where a skip exists (Ignatiev 2019, 3.1.2).

    Zero gamma at the end of every block, as the text could be read, stops every gradient before the last block
    without a skip, which would output zero for good. So only true residual blocks start as the identity.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        if isinstance(module, InvertedResidual) and module.residual:
            nn.init.zeros_(module.layers[-1].weight)


def count_parameters(network: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
