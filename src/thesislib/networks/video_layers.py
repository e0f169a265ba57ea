"""What a network for video is made of, after S3D MobileNet-V3 (Izutov 2020, section III).

Videos are [B, C, T, H, W], as in torchvision. Space and time are never convolved together, so both kinds of
convolution run as two-dimensional ones: a 1 x k x k kernel on all frames at once, a t x 1 x 1 kernel on a picture
of time by places. That is exact, trains nearly twice as fast on a processor as three-dimensional convolutions, and
lets frames use a two-dimensional network's weights as they are.
"""

import torch
from torch import Tensor, nn


class FrameConv(nn.Conv2d):
    """A convolution of every frame: [B, c_in, T, H, W] to [B, c_out, T, H/stride, W/stride]."""

    def forward(self, x: Tensor) -> Tensor:
        frames = x.transpose(1, 2).flatten(0, 1)  # [B * T, c_in, H, W], no copy where channels are last
        return super().forward(frames).unflatten(0, (-1, x.shape[2])).transpose(1, 2)


class TimeConv(nn.Conv2d):
    """A convolution along time, alike at every place: [B, c_in, T, H, W] to [B, c_out, T, H, W], zeros outside."""

    def __init__(self, c_in: int, c_out: int, kernel: int, *, groups: int = 1) -> None:
        super().__init__(c_in, c_out, (kernel, 1), padding=(kernel // 2, 0), groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(3)).unflatten(3, x.shape[3:])  # [B, c_in, T, H * W] between


def batch_norm(channels: int) -> nn.BatchNorm3d:
    """Return batch norm over clips, time and space; epsilon is that of the ImageNet weights it may be given."""
    return nn.BatchNorm3d(channels, eps=1e-3)


class SqueezeExcitation(nn.Module):
    """Weights of channels from their means over space alone, so for every frame its own (Izutov 2020, III-A).

    Names, order and the number of channels between, a quarter rounded to a multiple of 8, are torchvision's.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = max(8, int(channels / 4 + 4) // 8 * 8)
        squeezed += 8 if squeezed < 0.9 * (channels // 4) else 0
        self.fc1 = FrameConv(channels, squeezed, 1)
        self.fc2 = FrameConv(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean((3, 4), keepdim=True)  # [B, C, T, 1, 1]
        return x * nn.functional.hardsigmoid(self.fc2(self.fc1(means).relu()))


class GaussianDropout(nn.Module):
    """Continuous dropout (Shen et al. 2019): in training, times a draw from N(mean, std) cut to [0, 1], over mean.

    Every number of the input has its own draw; in evaluation nothing changes. Izutov 2020 gives neither number:
    the defaults are those of the training code published after it.
    """

    def __init__(self, mean: float = 0.1, std: float = 0.03) -> None:
        super().__init__()
        if not 0 < mean < 1 or std < 0:
            raise ValueError(f"dropout needs a mean in (0, 1) and a std of at least 0, not {mean} and {std}")
        self.mean, self.std = mean, std

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return x * torch.empty_like(x).normal_(self.mean, self.std).clamp_(0, 1).div_(self.mean)

    def extra_repr(self) -> str:
        return f"mean={self.mean}, std={self.std}"


def gumbel_sigmoid(logits: Tensor) -> Tensor:
    """Return a mask drawn around sigmoid(logits), differentiable in them, each value in [0, 1] (temperature 1).

    Two Gumbel draws, one for "on" and one for "off", differ by a logistic draw, which is the logit of a uniform
    one: a value is above a half as often as its sigmoid says (Jang et al. 2016, for two classes).
    """
    return torch.sigmoid(logits + torch.rand_like(logits).logit(eps=1e-6))


class AttentionMask(nn.Module):
    """The mask of residual attention (Izutov 2020, figure 1): [B, C, T, H, W] to [B, 1, T, H, W], 0 to 1.

    One stream looks at space, the other at time after a mean over space; their logits add. In training the mask is
    drawn by `gumbel_sigmoid`, in evaluation it is the sigmoid. It serves as x + mask * x.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()

        def stream(depthwise: nn.Module) -> nn.Sequential:
            one_map = FrameConv(channels, 1, 1, bias=False)
            return nn.Sequential(depthwise, batch_norm(channels), nn.Hardswish(), one_map, batch_norm(1))

        self.space = stream(FrameConv(channels, channels, 3, padding=1, groups=channels, bias=False))
        self.time = stream(TimeConv(channels, channels, 3, groups=channels))

    def forward(self, x: Tensor) -> Tensor:
        logits = self.space(x) + self.time(x.mean((3, 4), keepdim=True))  # [B, 1, T, H, W] + [B, 1, T, 1, 1]
        return gumbel_sigmoid(logits) if self.training else logits.sigmoid()
