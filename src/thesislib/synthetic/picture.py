"""One picture of a hand: arm, camera, light, background and film around a posed hand, and its labels."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from thesislib.synthetic import degrade
from thesislib.synthetic.backgrounds import draw_background
from thesislib.synthetic.bones import bone_maps
from thesislib.synthetic.draws import fold, normal, uniform
from thesislib.synthetic.hand import Anatomy, PosedHand, pose
from thesislib.synthetic.hand_surface import COLUMNS, hand_surface
from thesislib.synthetic.lighting import draw_light, occlusion, shade
from thesislib.synthetic.render import Buffers, Camera, rasterise
from thesislib.synthetic.skin import MARKS, draw_cloth, draw_skin

_CAMERA, _ARM, _WALL, _FILM = 61, 62, 63, 64  # purposes of the draws of this room
_SPACING = 0.02 * 64  # hand units between points of the surface, times pixels: the closest view has no holes
_LEAST_SIDE = 1.35  # width of a picture in hand units
_WRIST_RADIUS = 0.62  # of the palm's thickness: the anatomy gives the wrist none
_FAR_WALL = -50.0  # height of a background too far for shadows


def picture(
    anatomy: Anatomy,
    signer: Tensor,
    angles: Tensor,
    orientation: Tensor,
    key: Tensor,
    *,
    size: int,
    supersample: int,
    clutter: float,
    resolution: float,
    blur: float,
    noise: float,
    camera: Camera | None = None,
) -> dict[str, Tensor]:
    """Draw B right hands and label them.

    signer: int64 [B], whose skin it is; angles: [B, 21] degrees; orientation: [B, 3, 3], hand frame to camera
    axes (x right, y up, z to the viewer); key: int64 [B], what everything else is drawn from; clutter,
    resolution, blur and noise as in scene.Difficulty; camera: drawn too unless given.

    Returns image float32 [B, 3, size, size] from 0 to 1, keypoints [B, 21, 2] in pixels, visible bool [B, 21],
    joints [B, 21, 3] in camera axes from the wrist, mask [B, size, size], the share of the hand in each pixel, and
    depth [B, size, size], the hand's height towards the viewer in hand units from the middle of its joints.
    """
    posed = pose(anatomy, angles)
    camera = camera or draw_camera(key, posed, orientation)
    forearm, sleeve = _draw_arm(key, orientation)
    maps = bone_maps(anatomy, posed, forearm, sleeve)
    raster = size * supersample
    surface = hand_surface(_SPACING / raster, str(key.device))
    buffers = rasterise(surface, maps, camera, raster)

    alpha = degrade.average_down(buffers.mask.float(), supersample)
    depth = degrade.average_down(buffers.depth * buffers.mask, supersample) / alpha.clamp(min=1e-3)
    light, u = draw_light(key), uniform(fold(_WALL, key), 2)
    wall = torch.where(u[:, 0] < 0.30, -0.35 - 0.9 * u[:, 1], _FAR_WALL)
    lit, exposed = occlusion(depth, alpha > 0.5, wall, light, camera.side)

    table = surface.table.index_select(0, buffers.point.flatten()).unflatten(0, (len(maps), -1))
    hand = _shade_hand(table, maps, camera, light, lit, exposed, signer, key)
    hand = (hand * buffers.mask.flatten(1)[:, None]).unflatten(2, (raster, raster))
    background = draw_background(key, size, torch.full_like(u[:, 0], clutter)) * lit[:, None]
    image = degrade.average_down(hand, supersample) + background * (1 - alpha[:, None])
    place, height = camera.project(posed.joints)
    return {
        "image": _develop(image, key, resolution, blur, noise),
        "keypoints": place * size,
        "visible": _visible(place, height, anatomy, buffers),
        "mask": alpha,
        "depth": depth,
        "joints": posed.joints @ orientation.mT,
    }


def draw_camera(key: Tensor, posed: PosedHand, orientation: Tensor) -> Camera:
    """Draw cameras and crops, key int64 [B]: all joints inside, with the margins that hand crops have."""
    u = uniform(fold(_CAMERA, key), 4)
    distance = 5.0 / (0.3 + 0.7 * u[:, 0])  # hand units; a webcam at half a metre is at about 6
    count, device = len(key), key.device
    zero = torch.zeros(count, 2, device=device)
    whole = Camera(orientation, posed.joints.mean(1), distance, zero, torch.ones(count, device=device))
    place, _ = whole.project(posed.joints)
    low, high = place.amin(1), place.amax(1)
    longer = (high - low).amax(1)
    side = (longer * (1.08 + 0.62 * u[:, 1])).clamp(min=_LEAST_SIDE)
    slack = side[:, None] - (high - low)
    corner = (low + high - side[:, None]) / 2 + 0.6 * slack * (u[:, 2:] - 0.5)
    return Camera(orientation, whole.centre, distance, corner, side)


def fixed_camera(posed: PosedHand, orientation: Tensor) -> Camera:
    """Return one camera for all poses of a hand: the wrist stays where it is, and everything fits.

    The picture is as wide as the farthest joint of any pose needs.
    """
    count, device = len(posed.joints), posed.joints.device
    distance = torch.full((count,), 8.0, device=device)
    zero, one = torch.zeros(count, 2, device=device), torch.ones(count, device=device)
    place, _ = Camera(orientation, torch.zeros(count, 3, device=device), distance, zero, one).project(
        posed.joints
    )
    low, high = place.amin((0, 1)), place.amax((0, 1))
    side = (1.25 * (high - low).amax()).clamp(min=_LEAST_SIDE)
    corner = (low + high - side) / 2
    return Camera(
        orientation, torch.zeros(count, 3, device=device), distance, corner.expand(count, 2), side * one
    )


def _draw_arm(key: Tensor, orientation: Tensor) -> tuple[Tensor, Tensor]:
    """Draw the turn of the forearm against the hand [B, 3, 3] and the sleeve [B, 2]: cuff and width.

    Arms hang: the elbow is drawn towards the lower edge of the picture, and away from the viewer's face, as
    far as a wrist bends.
    """
    u, z = uniform(fold(_ARM, key), 5), normal(fold(_ARM, key, 1), 3).clamp(-2, 2)
    hang = -orientation[:, 1]  # downwards in the hand frame: R^T (0, -1, 0)
    straight = torch.tensor([0.0, -1.0, 0.0], device=key.device)
    spread = torch.stack([0.10 * z[:, 0], 0 * z[:, 0], 0.22 * z[:, 1]], -1)
    at_viewer = (-orientation[:, 2, 1:2]).clamp(min=0)  # a straight arm would come out of the picture
    away = straight + 0.5 * u[:, :1] * hang + spread - 1.2 * at_viewer * orientation[:, 2]
    away = F.normalize(away, dim=-1)
    along = -away  # from elbow to wrist
    twist = 0.35 * z[:, 2]
    side = torch.stack([twist.cos(), 0 * twist, twist.sin()], -1)
    side = F.normalize(side - (side * along).sum(-1, keepdim=True) * along, dim=-1)
    turn = torch.stack([side, along, torch.linalg.cross(side, along)], -1)
    width = torch.where(u[:, 1] < 0.45, 0.5, 1.03 + 0.30 * u[:, 3] ** 2)  # bare arms hide theirs inside
    return turn, torch.stack([0.10 + 0.75 * u[:, 2], width], -1)


def _shade_hand(table, maps, camera, light, lit, exposed, signer, key) -> Tensor:
    """Return the linear light [B, 3, R * R] that the points in front send to the camera; table [B, R * R, .].

    What a pixel needs is linear in its point's row of the table, so one product gives it all: the turn of the
    skin (9), its resting normal with wrinkles (3), the logarithm of its albedo (3), gloss, sleeve, and place
    along the arm.
    """
    skin, (cloth, stripes) = draw_skin(signer), draw_cloth(key)
    rows = torch.zeros(len(table), 18, sum(COLUMNS), device=table.device)
    turn, resting, relief, marks = rows.split(COLUMNS, dim=-1)
    turn[:, :9] = (camera.rotation[:, None] @ maps[..., :3]).flatten(2).mT
    resting[:, 9:12] = torch.eye(3, device=table.device)
    relief[:, 9:12] = skin.wrinkles[:, None, None] * torch.eye(3, device=table.device)
    marks[:, 12:15] = skin.pigment.mT
    marks[:, 12:15, MARKS.index("cloth")] = (cloth / skin.colour).log()  # a sleeve is one more pigment
    marks[:, 15, MARKS.index("nail")] = 1.5
    marks[:, 15:17, MARKS.index("cloth")] = torch.tensor([-1.0, 1.0], device=table.device)
    marks[:, 17, MARKS.index("along")] = 1
    turn, resting, albedo, gloss, on_cloth, along = (rows @ table.mT).split((9, 3, 3, 1, 1, 1), dim=1)

    x, y, z = (turn.unflatten(1, (3, 3)) * resting[:, None]).sum(2).unbind(1)
    length = (x * x).addcmul_(y, y).addcmul_(z, z).clamp_(min=1e-12).sqrt_()
    normals = torch.stack([x, y, z], 1).div_(length[:, None])
    band = along.mul_(2 * math.pi * stripes[:, :1, None]).sin_().mul_(stripes[:, 1:, None]).mul_(on_cloth)
    albedo = albedo.add_(skin.colour.log()[..., None]).add_(band).exp_().clamp_(max=0.95)
    gloss = skin.gloss[:, None, None] * (1 + gloss)
    reach = F.interpolate(
        torch.stack([lit, exposed], 1), scale_factor=math.isqrt(table.shape[1]) // lit.shape[-1]
    )
    return shade(albedo, normals, *reach.flatten(2).split(1, dim=1), light, skin.scatter, gloss)


def _visible(place: Tensor, height: Tensor, anatomy: Anatomy, buffers: Buffers) -> Tensor:
    """Return which joints [B, 21] are seen: what lies before them is no thicker than their own flesh."""
    size = buffers.depth.shape[-1]
    inside = ((place >= 0) & (place < 1)).all(-1)
    column, row = (place * size).long().clamp(0, size - 1).unbind(-1)
    at = row * size + column
    front = buffers.depth.flatten(1).gather(1, at)
    hit = buffers.mask.flatten(1).gather(1, at)
    radius = torch.cat([_WRIST_RADIUS * anatomy.thickness[:, None], anatomy.radius.flatten(1)], 1)
    return inside & (~hit | (front - height <= 1.25 * radius + 0.03))


def _develop(image: Tensor, key: Tensor, resolution: float, blur: float, noise: float) -> Tensor:
    """Turn linear light into what a camera stores: exposure, white balance, tone, blur, grain, JPEG."""
    u, z = uniform(fold(_FILM, key), 8), normal(fold(_FILM, key, 1), 4).clamp(-2, 2)
    size = image.shape[-1]
    gain = torch.exp(0.05 + 0.26 * z[:, :1] + 0.06 * z[:, 1:])  # exposure, and what white balance leaves
    image = image * gain[:, :, None, None]
    image = image / (1 + 0.25 * image)  # highlights roll off
    gamma = 0.42 + 0.12 * u[:, 0]
    image = (1.12 * image).clamp(1e-5, 1).pow(gamma[:, None, None, None])
    contrast = 0.95 + 0.4 * u[:, 1]
    grey = 0.5
    image = (
        grey + (image - grey) * contrast[:, None, None, None] + 0.04 * (u[:, 2] - 0.5)[:, None, None, None]
    )
    saturation = (0.8 + 0.5 * u[:, 3])[:, None, None, None]
    image = torch.lerp(image.mean(1, keepdim=True), image, saturation)
    best = max(3 * resolution, size)
    pixels = resolution * (best / resolution) ** u[:, 4].pow(0.4)  # cameras with many pixels are frequent
    sigma = (0.1 + blur * u[:, 5].pow(3)) * size / 64
    image = degrade.blur_and_resample(image, sigma, pixels)
    if noise:
        image = degrade.add_noise(image, key, noise * u[:, 6].square())
        image = degrade.jpeg_loss(image.clamp(0, 1), 100 - 65 * u[:, 7].square())
    return image.clamp(0, 1)
