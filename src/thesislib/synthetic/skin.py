"""Skin: where it is palm, nail, crease or knuckle, and what colour that has on whom.

Colours are drawn in CIELAB by the individual typology angle (Chardon et al. 1991), the usual measure of skin
colour from very light (above 55 degrees) to dark (below -30), and become linear light. Marks act on the
logarithm of the albedo, as pigments do: what absorbs half of the light leaves half of it.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from thesislib.synthetic.draws import fold, normal, uniform

MARKS = ("palm", "nail", "crease", "knuckle", "flush", "mottle", "patch", "grain", "cloth", "along")
_PALM, _NAIL, _CREASE, _KNUCKLE, _FLUSH, _MOTTLE, _PATCH, _GRAIN, _CLOTH, _ALONG = range(len(MARKS))
_STREAM = 21  # purposes of the draws of this room
_STREAM_CLOTH = 22

# CIELAB (D65) to linear sRGB
_XYZ_TO_RGB = torch.tensor([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
_WHITE = torch.tensor([0.9505, 1.0, 1.089])


@dataclass(frozen=True)
class Skin:
    """Skins of B signers.

    colour: [B, 3], linear albedo of the back of the hand; pigment: [B, len(MARKS), 3], what each mark adds to
    its logarithm; wrinkles: [B], strength of the relief; gloss: [B]; scatter: [B, 3], how far light of each
    colour creeps past the edge of the shadow.
    """

    colour: Tensor
    pigment: Tensor
    wrinkles: Tensor
    gloss: Tensor
    scatter: Tensor


def draw_skin(seeds: Tensor) -> Skin:
    """Draw the skins of signers, int64 [B]: the same seed is the same person."""
    u = uniform(fold(_STREAM, seeds), 12)
    z = normal(fold(_STREAM, seeds, 1), 8).clamp(-2, 2)
    # Light and intermediate skins are as frequent as all others together.
    angle = 58 - 95 * u[:, 0] ** 1.4  # degrees, individual typology angle
    yellow = 15.0 + 2.0 * z[:, 0]
    lightness = (50 + yellow * torch.tan(torch.deg2rad(angle))).clamp(26, 78)
    red = 11.0 + 1.8 * z[:, 1] + 0.06 * (60 - lightness).clamp(0, 25)
    colour = lab_to_linear(torch.stack([lightness, red, yellow], -1))
    # Palms hold little melanin: those of dark skins are much lighter than the back, all are redder.
    palm_lightness = lightness + 0.55 * (68 - lightness).clamp(min=0) + 1.0
    palm = lab_to_linear(torch.stack([palm_lightness, red + 1.5 + z[:, 2], 0.95 * yellow], -1))
    nail_lightness = lightness + 0.5 * (74 - lightness).clamp(min=-2)
    nail = lab_to_linear(torch.stack([nail_lightness, red + 2.5, 0.7 * yellow], -1))

    pigment = torch.zeros(len(seeds), len(MARKS), 3, device=seeds.device)
    pigment[:, _PALM] = (palm / colour).log()
    pigment[:, _NAIL] = (nail / colour).log()
    blood = torch.tensor([-0.06, -0.42, -0.38], device=seeds.device)  # haemoglobin takes green and blue
    melanin = torch.tensor([-0.25, -0.38, -0.48], device=seeds.device)
    pigment[:, _CREASE] = (0.10 + 0.35 * u[:, 1:2]) * (blood + 1.3 * melanin)
    pigment[:, _KNUCKLE] = (0.25 + 0.5 * u[:, 2:3]) * blood + (0.2 + 0.3 * u[:, 3:4]) * melanin
    pigment[:, _FLUSH] = (0.25 + 0.75 * u[:, 4:5]) * blood
    pigment[:, _MOTTLE] = (0.25 + 0.35 * u[:, 5:6]) * blood
    pigment[:, _PATCH] = (0.10 + 0.25 * u[:, 6:7]) * melanin
    pigment[:, _GRAIN] = (0.05 + 0.12 * u[:, 7:8]) * melanin
    return Skin(
        colour=colour,
        pigment=pigment,
        wrinkles=0.15 + 0.75 * u[:, 8],
        gloss=0.15 + 0.5 * u[:, 9] ** 2,
        scatter=torch.stack([0.20 + 0.2 * u[:, 10], 0.08 + 0.1 * u[:, 10], 0.05 + 0.08 * u[:, 10]], -1),
    )


def draw_cloth(key: Tensor) -> tuple[Tensor, Tensor]:
    """Draw sleeves, key int64 [B]: linear albedo [B, 3], and stripes [B, 2]: their number per hand unit and
    strength."""
    u = uniform(fold(_STREAM_CLOTH, key), 6)
    grey = 0.02 + 0.75 * u[:, 0] ** 2.2
    hue = 2 * math.pi * u[:, 1]
    tint = 0.85 * u[:, 2] ** 2
    wave = torch.stack([(hue + turn * math.pi / 3).cos() for turn in (0, -2, 2)], -1)
    striped = (u[:, 3] < 0.25).float()
    return grey[:, None] * (tint[:, None] * wave).exp(), torch.stack(
        [4 + 14 * u[:, 4], 0.4 * striped * u[:, 5]], -1
    )


def lab_to_linear(lab: Tensor) -> Tensor:
    """Turn CIELAB (D65) [..., 3] into linear sRGB [..., 3], cut to what a screen can show."""
    f = (lab[..., 0] + 16) / 116
    f = torch.stack([f + lab[..., 1] / 500, f, f - lab[..., 2] / 200], -1)
    xyz = torch.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * _WHITE.to(lab)
    return (xyz @ _XYZ_TO_RGB.T.to(lab)).clamp(0.004, 0.95)
