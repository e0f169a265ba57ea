"""Augmentation of hands: whole batches on their device, keypoints carried along exactly.

An augmentation is called with pictures uint8 [B, 3, S, S] and targets float [B, 21, 3] (x and y in pixels with
pixel centres at +0.5, and a weight) and returns the network's input, float [B, 3, S, S], normalised, and targets
[B, 21, 3]: moved with the pictures, weight 0 where a keypoint has left them. What keypoint is which joint never
changes: a mirrored right hand is a left hand with the same joints. Lengths in pixels are for pictures of 64 and
grow with S. Every picture has its own draw, which does not depend on what its batch mates show.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, pad

from thesislib.transforms.cutout import cutout

SIZE = 64  # pixels: what lengths below are told for
# The usual constants of natural pictures (ImageNet), not statistics of a set: an exported network needs no file.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
LUMA = (0.299, 0.587, 0.114)  # brightness of red, green and blue (ITU-R BT.601)
TO_YIQ = (LUMA, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))  # brightness and two colour axes


def to_input(images: Tensor) -> Tensor:
    """Return pictures uint8 [B, 3, S, S] as a network's input, float [B, 3, S, S], normalised."""
    return _normalised(images.float() / 255)


@dataclass(frozen=True, kw_only=True)
class ThesisAugmentation:
    """The thesis's list in its order (Ignatiev 2019, section 3.1.2); pictures come resized already.

    Gaussian blur with sigma `blur` pixels on every picture; brightness, contrast and saturation by factors
    within 1 +- `jitter` and hue by +- `hue` turns; normalisation; white noise with standard deviation `noise`
    of the normalised input; an erased square with side `cutout`. "Hue by 40 %" read literally (hue=0.4) turns
    skin green and blue; 0.1 is the default. Keypoints stay where they are.
    """

    blur: float = 1.0
    jitter: float = 0.4
    hue: float = 0.1
    noise: float = 0.01
    cutout: float = 8

    def __call__(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return input and targets, as told at the top of this file."""
        b, scale = len(images), images.shape[-1] / SIZE
        x = blurred(images.float() / 255, torch.full((b,), self.blur * scale))
        brightness, contrast, saturation = (1 + _uniform(b, self.jitter) for _ in range(3))
        x = recoloured(x, brightness, contrast, saturation, _uniform(b, self.hue))
        return _finished(x, self.noise, self.cutout), targets


@dataclass(frozen=True, kw_only=True)
class ReportAugmentation:
    """The list of Tishchenko and Vänskä 2018, section 3.4, in its order.

    A picture is augmented with `probability`; then each operation is applied with probability one half: turn
    within +-`rotation` degrees, shear within +-`shear` degrees, mirror, turn upside down, contrast and brightness
    within 1 +- `colour`, dropped (black) pixels, salt and pepper. A turn or shear that moves a joint out of the
    picture is taken back. Every picture is cut tightly about its joints and scaled to full size, as the report's
    test pictures were. It does not say how tightly; ours are cut as synthetic tests are (`picture.draw_camera`), so
    that training and test show hands of the same sizes: the square's side over the longer side of the joints' box
    is drawn from `crop`, and of the room that the box leaves a share of `off_centre` is its own to stand in. Nor
    does the report say how many pixels are dropped, salted or peppered: `spots` (a share, for both) is ours.
    """

    probability: float = 0.3
    rotation: float = 90.0
    shear: float = 15.0
    crop: tuple[float, float] = (1.08, 1.70)
    off_centre: float = 0.6
    colour: float = 0.2
    spots: float = 0.02

    def __call__(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return input and targets, as told at the top of this file."""
        b, device, size = len(images), images.device, images.shape[-1]
        chosen = torch.rand(b) < self.probability

        def happens() -> Tensor:
            return chosen & (torch.rand(b) < 0.5)

        matrix = torch.eye(3, device=device).repeat(b, 1, 1)
        turn = about_centre(_linear(rotation=_uniform(b, self.rotation)).to(device), size)
        matrix = _unless_joints_leave(matrix, turn, happens().to(device), targets, size)
        lean = about_centre(_linear(shear=_uniform(b, self.shear)).to(device), size)
        matrix = _unless_joints_leave(matrix, lean, happens().to(device), targets, size)
        low, high = self.crop
        margin, place = low + (high - low) * torch.rand(b), self.off_centre * _uniform((b, 2), 0.5)
        matrix = _tight_crop(_moved(targets, matrix), margin.to(device), place.to(device), size) @ matrix
        for axis in (0, 1):
            signs = torch.ones(b, 2)
            signs[:, axis] = torch.where(happens(), -1.0, 1.0)
            matrix = about_centre(torch.diag_embed(signs).to(device), size) @ matrix
        x, targets = warped(images.float() / 255, targets, matrix)
        contrast, brightness = (torch.where(happens(), 1 + _uniform(b, self.colour), 1.0) for _ in "cb")
        x = recoloured(x, brightness, contrast, torch.ones(b), torch.zeros(b))
        dropped, salted = (
            torch.where(happens(), self.spots, 0.0).to(device)[:, None, None, None] for _ in "ds"
        )
        lot = torch.rand(b, 1, size, size, device=device)
        x = x.masked_fill(torch.rand_like(lot) < dropped, 0.0)
        x = x.masked_fill(lot < salted / 2, 0.0).masked_fill(lot > 1 - salted / 2, 1.0)
        return _normalised(x), targets


@dataclass(frozen=True, kw_only=True)
class StrongAugmentation:
    """A stronger list than either document's, for hands that were rendered and shall work on real ones.

    Affine: `rotation` and `shear` in degrees, `scale` and `shift` as shares of the picture, all plus or minus;
    mirrored with probability one half. Then colour as in the thesis's list, Gaussian blur with sigma up to `blur`
    pixels, white noise with standard deviation up to `noise` of the normalised input, and an erased square.
    """

    rotation: float = 30.0
    scale: float = 0.2
    shift: float = 0.08
    shear: float = 10.0
    jitter: float = 0.4
    hue: float = 0.05
    blur: float = 1.2
    noise: float = 0.1
    cutout: float = 16

    def __call__(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return input and targets, as told at the top of this file."""
        b, size = len(images), images.shape[-1]
        mirror = torch.where(torch.rand(b) < 0.5, -1.0, 1.0)
        linear = _linear(rotation=_uniform(b, self.rotation), shear=_uniform(b, self.shear))
        zoom = 1 + _uniform(b, self.scale)
        linear = linear @ torch.diag_embed(torch.stack([mirror * zoom, zoom], dim=1))
        matrix = about_centre(linear, size)
        matrix[:, :2, 2] += size * torch.stack([_uniform(b, self.shift), _uniform(b, self.shift)], dim=1)
        x, targets = warped(images.float() / 255, targets, matrix.to(images.device))
        brightness, contrast, saturation = (1 + _uniform(b, self.jitter) for _ in range(3))
        x = recoloured(x, brightness, contrast, saturation, _uniform(b, self.hue))
        x = blurred(x, torch.rand(b) * self.blur * size / SIZE)
        noise = (torch.rand(b) * self.noise).to(x.device)[:, None, None, None]
        return _finished(x, noise, self.cutout), targets


def about_centre(linear: Tensor, size: int) -> Tensor:
    """Return linear maps [B, 2, 2] as matrices [B, 3, 3] that keep the middle of a picture where it is."""
    matrix = torch.eye(3, device=linear.device).repeat(len(linear), 1, 1)
    matrix[:, :2, :2] = linear
    middle = torch.full((2,), size / 2, device=linear.device)
    matrix[:, :2, 2] = middle - linear @ middle
    return matrix


def warped(x: Tensor, targets: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Move pictures [B, C, S, S] and targets [B, 21, 3] by matrices [B, 3, 3], old to new pixel coordinates.

    Bilinear; beyond the edge the edge's pixels are repeated. Keypoints that leave the picture get weight 0.
    """
    size = x.shape[-1]
    to_pixels = torch.tensor([[size / 2, 0, size / 2], [0, size / 2, size / 2], [0, 0, 1]], device=x.device)
    # grid_sample asks for every new pixel where it came from, with the picture spanning -1..1
    theta = torch.linalg.inv(to_pixels) @ torch.linalg.inv(matrix) @ to_pixels
    grid = affine_grid(theta[:, :2], list(x.shape), align_corners=False)
    moved = _moved(targets, matrix)
    moved[..., 2] *= _inside(moved, size)
    return grid_sample(x, grid, padding_mode="border", align_corners=False), moved


def blurred(x: Tensor, sigma: Tensor) -> Tensor:
    """Blur each picture [B, C, S, S] with its own Gaussian, sigma [B] in pixels; 0 leaves it as it is.

    Beyond the edge the edge's pixels are repeated; the filter ends at three times the largest sigma.
    """
    reach, size = math.ceil(3 * float(sigma.max())), x.shape[-1]
    if reach == 0:
        return x
    step = torch.arange(-reach, reach + 1)
    taps = torch.softmax(-(step**2) / (2 * sigma[:, None].clamp_min(1e-3) ** 2), dim=1)  # [B, 2 reach + 1]
    taps = taps.to(x)[:, :, None, None, None]
    for dim, border in ((3, (reach, reach, 0, 0)), (2, (0, 0, reach, reach))):
        padded = pad(x, border, mode="replicate")
        x = padded.narrow(dim, 0, size) * taps[:, 0]
        for k in range(1, 2 * reach + 1):
            x.addcmul_(padded.narrow(dim, k, size), taps[:, k])
    return x


def recoloured(x: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor) -> Tensor:
    """Change the colours of pictures [B, 3, S, S] in 0..1 by factors [B] and a hue shift [B] in turns.

    Contrast is about the picture's mean brightness. Hue turns about the grey axis (in YIQ), a linear map;
    turning in HSV, as torchvision does, is dearer and differs little. All four are one matrix a picture.
    """
    luma, to_yiq = x.new_tensor(LUMA), x.new_tensor(TO_YIQ)
    draws = (brightness, contrast, saturation, hue)
    brightness, contrast, saturation, hue = (draw.to(x)[:, None, None] for draw in draws)
    cos, sin = (2 * math.pi * hue).cos(), (2 * math.pi * hue).sin()
    turn = torch.zeros(len(x), 3, 3, device=x.device, dtype=x.dtype)
    turn[:, 0, 0] = 1
    turn[:, 1:, 1:] = saturation * torch.cat([torch.cat([cos, -sin], 2), torch.cat([sin, cos], 2)], 1)
    matrix = brightness * contrast * (torch.linalg.inv(to_yiq) @ turn @ to_yiq)  # [B, 3, 3]
    mean = (x.mean(dim=(2, 3)) @ luma)[:, None, None]
    offset = brightness * (1 - contrast) * mean
    return torch.baddbmm(offset.expand(-1, 3, 1), matrix, x.flatten(2)).clamp_(0, 1).view_as(x)


def _finished(x: Tensor, noise: float | Tensor, cutout_side: float) -> Tensor:
    x = _normalised(x)
    x = x.addcmul_(torch.randn_like(x), torch.as_tensor(noise, device=x.device, dtype=x.dtype))
    return cutout(x, round(cutout_side * x.shape[-1] / SIZE))


def _normalised(x: Tensor) -> Tensor:
    return (x - x.new_tensor(MEAN)[:, None, None]) / x.new_tensor(STD)[:, None, None]


def _uniform(shape: int | tuple[int, ...], limit: float) -> Tensor:
    return torch.empty(shape).uniform_(-limit, limit)  # on the CPU: the same draw whatever the device


def _linear(*, rotation: Tensor | None = None, shear: Tensor | None = None) -> Tensor:
    """Return turns (clockwise to the eye) after shears along x, in degrees [B], as matrices [B, 2, 2]."""
    b = len(rotation if rotation is not None else shear)
    angle = torch.deg2rad(rotation) if rotation is not None else torch.zeros(b)
    lean = torch.deg2rad(shear).tan() if shear is not None else torch.zeros(b)
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([cos, cos * lean - sin, sin, sin * lean + cos], dim=1).view(b, 2, 2)


def _moved(targets: Tensor, matrix: Tensor) -> Tensor:
    position = targets[..., :2] @ matrix[:, :2, :2].mT + matrix[:, None, :2, 2]
    return torch.cat([position, targets[..., 2:]], dim=-1)


def _inside(targets: Tensor, size: int) -> Tensor:
    position = targets[..., :2]
    return ((position >= 0) & (position <= size)).all(dim=-1)  # [B, 21]


def _unless_joints_leave(matrix: Tensor, step: Tensor, wanted: Tensor, targets: Tensor, size: int) -> Tensor:
    """Return step @ matrix where it is wanted and no labelled joint of the picture ends outside, else matrix."""
    after = step @ matrix
    labelled = targets[..., 2] > 0
    stay = (_inside(_moved(targets, after), size) | ~labelled).all(dim=1)
    return torch.where((wanted & stay)[:, None, None], after, matrix)


def _tight_crop(targets: Tensor, margin: Tensor, place: Tensor, size: int) -> Tensor:
    """Return matrices [B, 3, 3] that bring a square about the labelled joints' box to full size.

    margin: [B], its side over the longer side of the box; place: [B, 2] from -0.5 to 0.5, where the square stands
    in the room that the box leaves it, 0 in the middle.
    """
    position, labelled = targets[..., :2], targets[..., 2:] > 0
    low = torch.where(labelled, position, torch.inf).amin(dim=1)  # [B, 2]
    high = torch.where(labelled, position, -torch.inf).amax(dim=1)
    side = margin[:, None] * (high - low).amax(dim=1, keepdim=True)  # [B, 1]
    middle = (low + high) / 2 + place * (side - (high - low))
    found = torch.isfinite(side) & (side >= 1)  # no box: leave the picture alone
    zoom = torch.where(found, size / side, 1.0)
    middle = torch.where(found, middle, size / 2)
    matrix = torch.eye(3, device=targets.device).repeat(len(targets), 1, 1)
    matrix[:, :2, :2] *= zoom[:, :, None]
    matrix[:, :2, 2] = size / 2 - zoom * middle
    return matrix
