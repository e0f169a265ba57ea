"""Augmentation of clips: whole batches on their device, one draw a clip for all its frames (Izutov 2020, III-E).

Clips come as uint8 [B, T, 3, S, S], as `datasets.sign_clips` keeps them; a network takes float [B, 3, T, S, S],
normalised. Nothing here flickers: what is drawn for a clip holds for each of its frames, so motion is the
signer's own. All is drawn from torch's generator on the CPU, the same whatever the device, and no clip's draw
depends on what its batch mates show.
"""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.distributions import Beta

from thesislib.transforms.hands import MEAN, STD, about_centre, recoloured, warped


def to_input(frames: Tensor) -> Tensor:
    """Return clips uint8 [B, T, 3, S, S] as a network's input, float [B, 3, T, S, S], normalised."""
    _check_frames(frames)
    return _normalised(_channels_first(frames))


def jittered_start(
    begin: Tensor, end: Tensor, *, frames: int, length: int, min_intersection: float = 0.6
) -> Tensor:
    """Return the first frames of windows of ``length`` drawn about signs: int64 [B], [B] to [B].

    begin, end: the sign's first frame in its clip of ``frames`` and one past its last. A window shares at least
    ``min_intersection`` (Izutov 2020: 0.6) of the shorter of sign and window with the sign, and stays in its
    clip; each such place is as likely. With 1 it holds the sign whole, or nothing else. A clip that is shorter than
    the window lies somewhere in it: then starts are below 0. Raises ValueError for signs outside their clip.
    """
    if not 0 < min_intersection <= 1 or length < 1:
        raise ValueError(f"need an intersection in (0, 1] and a frame: {min_intersection}, {length}")
    if not ((begin >= 0) & (begin < end) & (end <= frames)).all():
        raise ValueError(f"a sign begins before it ends, within the {frames} frames of its clip")
    shorter = (end - begin).clamp_max(length)
    shared = torch.ceil(min_intersection * shorter.double() - 1e-6).long().clamp_min(1)  # 0.6 * 5 is 3, not 4
    first = (begin + shared - length).clamp_min(min(0, frames - length))
    last = (end - shared).clamp_max(max(0, frames - length))
    drawn = (torch.rand(len(begin), dtype=torch.float64).to(begin.device) * (last - first + 1)).long()
    return first + drawn.minimum(last - first)


def window(frames: Tensor, start: Tensor, length: int) -> Tensor:
    """Return ``length`` frames of each clip from its start [B] on: [B, T, ...] to [B, length, ...].

    Before a clip its first frame is repeated (Izutov 2020, section IV-B), after it its last.
    """
    place = start[:, None] + torch.arange(length, device=start.device)
    place = place.clamp(0, frames.shape[1] - 1).to(frames.device)  # [B, length]
    return frames[torch.arange(len(frames), device=frames.device)[:, None], place]


@dataclass(frozen=True, kw_only=True)
class ClipAugmentation:
    """What Izutov 2020 (section III-E) does to clips, each a draw for all frames of one.

    A window of `length` frames (`jittered_start`); a square cut out, side and place drawn, its side at least
    `crop` of the frame's, and brought to full size; brightness, contrast and saturation by factors within 1 +-
    their values and hue by +- `hue` turns; with probability `erasing` a rectangle erased (`erased`); mixed with a
    picture (`mixed_with_pictures`) where there are `pictures`, uint8 [M, 3, S, S]. `rotation`, in degrees either
    way, and `mirror`, with probability one half, are not in the paper, but the author's published configuration for
    MS-ASL has both, with 10 degrees; a mirrored sign is a left-handed signer's, or another sign. The paper gives no
    ranges: those of crop, contrast, saturation, hue and mixup are from that configuration, brightness is ours.
    """

    length: int = 16
    min_intersection: float = 0.6
    crop: float = 0.875
    brightness: float = 0.3
    contrast: float = 0.4
    saturation: float = 0.3
    hue: float = 0.05
    erasing: float = 0.5
    mixup: float = 0.2
    rotation: float = 0.0
    mirror: bool = False
    pictures: Tensor | None = field(default=None, repr=False, compare=False)

    def __call__(self, frames: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return input [B, 3, length, S, S] and words [B], which mixing with a picture leaves as they are.

        frames: uint8 [B, T, 3, S, S]; targets: int64 [B, 3], each clip's word, first frame of the sign and one past
        its last. Raises ValueError for other kinds and shapes.
        """
        _check_frames(frames)
        if targets.dtype != torch.int64 or targets.shape != (len(frames), 3):
            raise ValueError(
                f"targets are int64 [{len(frames)}, 3]: word, first frame and one past the last of the sign; got "
                f"{targets.dtype} {list(targets.shape)}"
            )
        word, begin, end = targets.unbind(1)
        start = jittered_start(
            *(begin, end), frames=frames.shape[1], length=self.length, min_intersection=self.min_intersection
        )
        x = _channels_first(window(frames, start, self.length))
        x = _recoloured(self._moved(x), self.brightness, self.contrast, self.saturation, self.hue)
        x = erased(_normalised(x), self.erasing)
        if self.pictures is not None:
            x = mixed_with_pictures(x, self.pictures, self.mixup)
        return x, word

    def _moved(self, x: Tensor) -> Tensor:
        b, size = len(x), x.shape[-1]
        side = 1 - (1 - self.crop) * torch.rand(b)  # of the square cut out, as a share
        angle = torch.deg2rad(_uniform(b, self.rotation))
        sign = torch.where(torch.rand(b) < 0.5 * self.mirror, -1.0, 1.0)
        cos, sin = angle.cos() / side, angle.sin() / side
        matrix = about_centre(torch.stack([cos * sign, -sin, sin * sign, cos], dim=1).view(b, 2, 2), size)
        room = (1 - side) / side * size
        matrix[:, :2, 2] += room[:, None] * (torch.rand(b, 2) - 0.5)
        moved, _ = warped(x.flatten(1, 2), torch.zeros(b, 0, 3, device=x.device), matrix.to(x.device))
        return moved.view_as(x)


def erased(x: Tensor, probability: float = 0.5) -> Tensor:
    """Return clips [B, 3, T, S, S] with a rectangle set to 0, the mean colour: the same place in all frames.

    Random erasing (Zhong et al. 2017) with the ranges given there: 2 to 40 % of the frame, sides 0.3 to 1/0.3 of
    each other; each clip with ``probability``.
    """
    b, size = len(x), x.shape[-1]
    area, ratio = 0.02 + 0.38 * torch.rand(b, 1), torch.exp(_uniform((b, 1), -math.log(0.3)))
    side = (area * torch.cat([ratio, 1 / ratio], dim=1)).sqrt().clamp_max(1) * size  # [B, 2], height, width
    corner = torch.rand(b, 2) * (size - side)
    middle = torch.arange(size) + 0.5  # of each pixel
    inside = (middle >= corner[..., None]) & (middle < (corner + side)[..., None])  # [B, 2, S]
    hidden = inside[:, 0, :, None] & inside[:, 1, None] & (torch.rand(b) < probability)[:, None, None]
    return x.masked_fill(hidden[:, None, None].to(x.device), 0.0)


def mixed_with_pictures(x: Tensor, pictures: Tensor, alpha: float = 0.2) -> Tensor:
    """Return clips [B, 3, T, S, S] with a drawn picture shining through: uint8 [M, 3, S, S], one a clip.

    Mixup (Zhang et al. 2017) without mixing labels (Izutov 2020, section III-E): the clip's share is drawn from
    Beta(alpha, alpha) and never less than one half, as the author's code has it, so that the label stays true.
    Raises ValueError for pictures of another kind or size, and where there is none.
    """
    shape = (x.shape[1], *x.shape[3:])
    if pictures.dtype != torch.uint8 or len(pictures) == 0 or pictures.shape[1:] != shape:
        raise ValueError(
            f"pictures to mix with are uint8 [M, {', '.join(map(str, shape))}], one at least; got "
            f"{pictures.dtype} {list(pictures.shape)}"
        )
    share = Beta(alpha, alpha).sample((len(x),))
    share = torch.minimum(share, 1 - share).to(x)[:, None, None, None, None]  # of the picture
    chosen = pictures[torch.randint(len(pictures), (len(x),)).to(pictures.device)].to(x.device)
    return torch.lerp(x, to_input(chosen[:, None]), share)


def _channels_first(frames: Tensor) -> Tensor:
    return frames.transpose(1, 2).float() / 255  # [B, T, 3, S, S] -> [B, 3, T, S, S]


def _normalised(x: Tensor) -> Tensor:
    mean, std = (x.new_tensor(colour)[:, None, None, None] for colour in (MEAN, STD))
    return (x - mean) / std


def _recoloured(x: Tensor, brightness: float, contrast: float, saturation: float, hue: float) -> Tensor:
    factors = (1 + _uniform(len(x), limit) for limit in (brightness, contrast, saturation))
    flat = x.flatten(2, 3)  # frames below one another, so that one matrix and one mean serve a whole clip
    return recoloured(flat, *factors, _uniform(len(x), hue)).view_as(x)


def _uniform(shape: int | tuple[int, ...], limit: float) -> Tensor:
    return torch.empty(shape).uniform_(-limit, limit)


def _check_frames(frames: Tensor) -> None:
    if frames.dtype != torch.uint8 or frames.ndim != 5 or frames.shape[2] != 3 or frames.shape[1] < 1:
        raise ValueError(f"clips are uint8 [B, T, 3, S, S], got {frames.dtype} {list(frames.shape)}")
    if frames.shape[3] != frames.shape[4]:
        raise ValueError(f"frames are square, got {list(frames.shape)}")
