"""Pictures of the hand model itself, whose 61 numbers are known: the thesis's data from the bottom up.

Komorowicz 2018, section 5.3.1: draw pose, shape, texture, light and place, and render the model. Here poses
are flat hands, textures are the generator's skins laid over the mesh, and paper and film are those of
`flat_hands`. All hands are right hands. A model ends behind its wrist; an arm and maybe a sleeve are added,
because hands have one.
"""

import math
from dataclasses import dataclass
from functools import lru_cache, partial

import torch
import torch.nn.functional as F
from scipy.spatial import cKDTree
from torch import Tensor

from thesislib.hand_model import HandModel, Mesh, Parameters, join, posed, project
from thesislib.mesh_render import Fragments, rasterise, to_pixels, unit_vectors, vertex_normals
from thesislib.synthetic import degrade, poses
from thesislib.synthetic.bones import rest_hand
from thesislib.synthetic.draws import fold, normal, uniform, whole
from thesislib.synthetic.flat_hands import BORDER, develop, draw_paper
from thesislib.synthetic.hand import draw_anatomy
from thesislib.synthetic.hand_surface import COLUMNS, hand_surface
from thesislib.synthetic.lighting import draw_light, occlusion, shade
from thesislib.synthetic.mesh_hand import theta_of
from thesislib.synthetic.picture import _develop as _expose
from thesislib.synthetic.picture import _draw_arm
from thesislib.synthetic.scene import check_size, in_chunks
from thesislib.synthetic.skin import MARKS, draw_cloth, draw_skin

KINDS = ("model",)
_SUBJECT, _POSE, _SHAPE, _SCENE, _CAMERA = 101, 102, 103, 104, 105  # purposes of the draws
_TEXELS = 4  # to a side of a face's texture
_SPACING = 0.02  # hand units between the points of skin that textures are read from
_AROUND = 20  # vertices around an arm
_THICK = 0.25  # hand units; a joint is no deeper under its own skin
_FLESH = 0.14  # hand units from the lowest joint to the paper


def draw(
    kind: str,
    seed: int,
    index: Tensor,
    *,
    model: HandModel,
    subjects: range,
    size: int = 64,
    supersample: int = 1,
) -> dict[str, Tensor]:
    """Draw the pictures of a hand model with these indices, int64 [B], of these subjects, on the index's
    device.

    kind: "model", the only one; a subject has one shape and one skin in all pictures; size: pixels to a side,
    a multiple of 8; supersample: samples to a pixel's side, at most 384 to a picture's. Returns image uint8
    [B, 3, size, size]; keypoints float32 [B, 21, 2] in pixels, the middle of the first one at 0.5; visible
    bool [B, 21]; joints float32 [B, 21, 3], hand units from the wrist, camera axes; frames float32 [B, 5, 3,
    3, 3], each phalanx in camera axes; theta float32 [B, 61]; silhouette bool [B, size, size], hand, forearm
    and sleeve; signer int64 [B], the subject; left and letter as `scene.generate` returns them: all right
    hands, no letters. Raises ValueError for a request that cannot be met.
    """
    if kind not in KINDS:
        raise ValueError(f"no pictures of kind {kind!r}; there are {', '.join(KINDS)}")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed must be a whole number from 0, got {seed!r}")
    if not isinstance(index, Tensor) or index.dtype != torch.int64 or index.ndim != 1 or not len(index):
        raise ValueError("index must be an int64 tensor [B] with at least one entry")
    if not len(subjects):
        raise ValueError("there must be at least one subject")
    check_size(size, supersample)
    drawing = partial(_draw, model, seed, subjects, size, supersample)
    return in_chunks(drawing, index, size * supersample)


@torch.no_grad()
def _draw(
    model: HandModel, seed: int, subjects: range, size: int, supersample: int, index: Tensor
) -> dict[str, Tensor]:
    subject = subjects.start + subjects.step * whole(fold(seed, _SUBJECT, index), len(subjects))
    angles, orientation = poses.flat(fold(seed, _POSE, torch.zeros_like(index)), index, subject)
    pose, _, rotation = theta_of(model, draw_anatomy(subject), angles, orientation)
    shape = normal(fold(_SHAPE, subject), 10).clamp(-2, 2)
    mesh = posed(model, pose, shape, rotation)
    key = fold(seed, _SCENE, index)
    translation, scale = _draw_camera(key, mesh.keypoints)
    place = (project(mesh.keypoints, translation, scale) + 1) * (size / 2)

    outfit = _outfit(model)
    vertices, turns = _dressed(model, outfit, mesh, key, orientation)
    resolution = size * supersample
    points = to_pixels(vertices, translation, scale, resolution)
    seen = rasterise(points, outfit.faces, resolution)
    mask = _dense(torch.ones_like(seen.depth), seen, len(index)).unflatten(1, (resolution, resolution))
    depth = _dense(seen.depth, seen, len(index)).view_as(mask)
    alpha = degrade.average_down(mask, supersample)
    height = degrade.average_down(depth, supersample) / alpha.clamp(min=1e-3)

    light, side = draw_light(key), 2 / scale[:, 0]
    table = mesh.keypoints[..., 2].amin(1) - _FLESH
    lit, exposed = occlusion(height, alpha > 0.5, table, light, side)
    hand = _shade(outfit, seen, vertices, turns, subject, key, lit, exposed, light)
    hand = degrade.average_down(_expose(hand, key, float(resolution), 0.0, 0.0) * mask[:, None], supersample)
    paper = draw_paper(key, height, alpha > 0.5, table, side)
    image = develop(hand + paper * (1 - alpha[:, None]), key)
    return {
        "image": (255 * image).round().to(torch.uint8),
        "keypoints": place,
        "visible": _visible(place * supersample, mesh.keypoints[..., 2], mask, depth),
        "joints": mesh.keypoints,
        "frames": mesh.turns[:, 1:].unflatten(1, (5, 3)) @ rest_hand()[1].frames.to(mesh.turns),
        "theta": join(Parameters(pose, shape, rotation, translation, scale)),
        "silhouette": alpha > 0.5,
        "signer": subject,
        "left": torch.zeros_like(subject, dtype=torch.bool),
        "letter": torch.full_like(subject, -1),
    }


def _draw_camera(key: Tensor, keypoints: Tensor) -> tuple[Tensor, Tensor]:
    """Return translation [B, 2] and scale [B, 1]: a square around the keypoints with a border, a little off."""
    u = uniform(fold(_CAMERA, key), 3)
    flat = keypoints[..., :2] * keypoints.new_tensor([1.0, -1.0])
    low, high = flat.amin(1), flat.amax(1)
    side = (high - low).amax(1, keepdim=True) * (1 + 2 * BORDER * (0.75 + 0.5 * u[:, :1]))
    middle = (low + high) / 2 + 0.06 * side * (u[:, 1:] - 0.5)
    return -2 / side * middle, 2 / side


@dataclass(frozen=True, eq=False)
class Outfit:
    """A hand model's mesh with arm and sleeve, at rest: faces int64 [F, 3] over the model's vertices, then
    the arm's and the sleeve's; arm and sleeve [N, 3]; end: int64, the model's vertices behind the wrist;
    texture [F * texels^2, 3 + len(MARKS)], the relief and the marks of the skin."""

    faces: Tensor
    arm: Tensor
    sleeve: Tensor
    end: Tensor
    texture: Tensor


@lru_cache(maxsize=4)
def _outfit(model: HandModel) -> Outfit:
    """Return what does not change from picture to picture."""
    device = model.template.device
    arm = _tube((0.0, -0.9, -1.8), 0.265, 0.0645, 1.32)  # as hand_surface has the forearm
    sleeve = _tube((0.0, -0.8, -1.6), 0.315, 0.072, 1.22)
    tube = _tube_faces(3)
    count = len(model.template)
    faces = torch.cat([model.faces.cpu(), tube + count, tube + count + len(arm)])
    rest = torch.cat([model.template.cpu(), arm, sleeve])
    # texels: squares over each face, half of them beyond it; those are never read
    second, third = torch.cartesian_prod(*2 * [(torch.arange(_TEXELS) + 0.5) / _TEXELS]).unbind(1)
    weights = torch.stack([1 - second - third, second, third], dim=1)
    texels = torch.einsum("tk,fkc->ftc", weights, rest[faces]).flatten(0, 1)
    surface = hand_surface(_SPACING, "cpu")
    marks = surface.table[:, -len(MARKS) :]
    skin = (marks[:, MARKS.index("cloth")] == 0).nonzero()[:, 0]
    nearest = cKDTree(surface.position[skin].numpy()).query(texels.numpy())[1]
    texture = surface.table[skin[torch.from_numpy(nearest)], COLUMNS[0] + COLUMNS[1] :]
    cloth = texture[-len(tube) * _TEXELS**2 :]
    cloth.zero_()
    cloth[:, 3 + MARKS.index("cloth")] = 1
    cloth[:, 3 + MARKS.index("along")] = texels[-len(cloth) :, 1]
    end = (model.template[:, 1] < model.template[:, 1].min() + 0.05).nonzero()[:, 0]
    return Outfit(faces.to(device), arm.to(device), sleeve.to(device), end, texture.to(device))


def _tube(heights: tuple[float, ...], radius: float, growth: float, flat: float) -> Tensor:
    """Return the vertices [N, 3] of a tube along -y whose radius grows downwards; it is wider than thick."""
    turn = torch.arange(_AROUND) * (2 * math.pi / _AROUND)
    rings = [
        (radius - growth * y) * torch.stack([turn.cos(), 0 * turn, turn.sin() / flat], 1) for y in heights
    ]
    return torch.cat([ring + torch.tensor([0.0, y, 0.0]) for ring, y in zip(rings, heights, strict=True)])


def _tube_faces(rings: int) -> Tensor:
    """Return the faces [F, 3] of a tube, counter-clockwise from outside."""
    here = torch.arange(_AROUND)
    after = here.roll(-1)
    ring = torch.stack([here, after, here + _AROUND, after, after + _AROUND, here + _AROUND], 1).view(-1, 3)
    return torch.cat([ring + _AROUND * k for k in range(rings - 1)])


def _dressed(
    model: HandModel, outfit: Outfit, mesh: Mesh, key: Tensor, orientation: Tensor
) -> tuple[Tensor, Tensor]:
    """Return vertices [B, V, 3] of hand, arm and sleeve, and how far each is turned from rest, [B, V, 3, 3]."""
    forearm, sleeve = _draw_arm(key, orientation)
    end = (mesh.vertices[:, outfit.end] @ orientation)[..., ::2].norm(dim=2).mean(1)
    girth = end / model.template[outfit.end][:, ::2].norm(dim=1).mean()
    slim = torch.stack([girth, torch.ones_like(girth), girth], dim=1)[:, None]
    cuff = torch.stack([sleeve[:, 1], torch.ones_like(girth), sleeve[:, 1]], dim=1)[:, None]
    behind = torch.stack([0 * girth, -sleeve[:, 0], 0 * girth], dim=1)[:, None]
    turn = orientation @ forearm
    added = torch.cat([outfit.arm * slim, outfit.sleeve * slim * cuff + behind], dim=1) @ turn.mT
    turns = torch.einsum("vj,bjcd->bvcd", model.skinning, mesh.turns)
    turns = torch.cat([turns, turn[:, None].expand(-1, added.shape[1], -1, -1)], dim=1)
    return torch.cat([mesh.vertices, added], dim=1), turns


def _dense(values: Tensor, seen: Fragments, count: int) -> Tensor:
    """Return [count, R * R], 0 where nothing is seen, of values [P] at the samples seen."""
    dense = values.new_zeros(count * seen.resolution**2)
    dense[seen.sample] = values
    return dense.unflatten(0, (count, -1))


def _shade(outfit, seen, vertices, turns, subject, key, lit, exposed, light) -> Tensor:
    """Return the linear light [B, 3, R, R] that hand, arm and sleeve send to the camera."""
    count, resolution = len(subject), seen.resolution
    skin, (cloth, stripes) = draw_skin(subject), draw_cloth(key)
    mesh = seen.sample // resolution**2
    second, third = (seen.weights[1:] * _TEXELS).long().clamp(max=_TEXELS - 1)
    texel = (seen.face - mesh * len(outfit.faces)) * _TEXELS**2 + second * _TEXELS + third
    relief, marks = outfit.texture[texel].T.split((3, len(MARKS)))  # [3, P], [M, P]

    turn = turns[:, outfit.faces].mean(2).flatten(2).flatten(0, 1)[seen.face].T.unflatten(0, (3, 3))
    normals = seen.interpolate(vertex_normals(vertices, outfit.faces), outfit.faces)
    normals = normals + skin.wrinkles[mesh] * (turn * relief).sum(1)
    normals = torch.stack([_dense(row, seen, count) for row in unit_vectors(normals)], dim=1)
    marks = torch.stack([_dense(row, seen, count) for row in marks], dim=1)  # [B, M, R * R]

    pigment = skin.pigment.clone()
    pigment[:, MARKS.index("cloth")] = (cloth / skin.colour).log()  # a sleeve is one more pigment
    on_cloth, along = marks[:, MARKS.index("cloth"), None], marks[:, MARKS.index("along"), None]
    band = stripes[:, 1:, None] * on_cloth * (2 * math.pi * stripes[:, :1, None] * along).sin()
    albedo = (skin.colour.log()[..., None] + pigment.mT @ marks + band).exp().clamp(max=0.95)
    gloss = skin.gloss[:, None, None] * (1 + 1.5 * marks[:, MARKS.index("nail"), None] - on_cloth)
    reach = F.interpolate(torch.stack([lit, exposed], 1), size=resolution)
    shaded = shade(albedo, normals, *reach.flatten(2).split(1, dim=1), light, skin.scatter, gloss)
    return shaded.unflatten(2, (resolution, resolution))


def _visible(place: Tensor, height: Tensor, mask: Tensor, depth: Tensor) -> Tensor:
    """Return which joints [B, 21] are in the picture and have nothing before them but their own flesh."""
    size = mask.shape[-1]
    column, row = place.long().clamp(0, size - 1).unbind(-1)
    at = row * size + column
    front = torch.where(mask > 0, depth, -math.inf).flatten(1).gather(1, at)
    return ((place >= 0) & (place < size)).all(-1) & (front - height <= _THICK)
