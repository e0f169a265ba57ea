"""Triangle meshes to pictures, many at once, without a display: depth buffer, mask, normals, shaded picture.

Plain torch, the same on CPU and CUDA, because the libraries that render batches of meshes want a graphics
card or a compiler (nvdiffrast, PyTorch3D) and the others draw one scene after the other through OpenGL
(pyrender, VTK). A scanline rasteriser is short: triangles become rows, rows become samples, and one scatter
with ``amin`` keeps the nearest. An edge that two triangles share is computed alike for both, so that every
sample inside a closed outline belongs to exactly one of them: no holes, nothing drawn twice.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from thesislib.hand_model import project

WHITE = (1.0, 1.0, 1.0)
_CLAY = (0.86, 0.72, 0.62)  # of a mesh without colours
_TOWARDS_LAMP = (-0.35, 0.55, 0.76)  # camera axes: from above, left and the viewer's side
_AMBIENT = 0.30
_SAMPLES = 1 << 21  # of the depth buffers held at once; meshes are drawn in chunks of so many
_EMPTY = (1 << 62) - 1
_DEPTH_STEP = 2.0**-20  # what the depth buffer can tell apart
_FACE_BITS = 24  # of a key; the rest is depth


# Normals -----------------------------------------------------------------------------------------------


def vertex_normals_by_loop(vertices: Tensor, faces: Tensor) -> Tensor:
    """Return what `vertex_normals` returns, by a loop over meshes and faces, as one would first write it.

    Komorowicz 2018, section 4.4: the first attempt, too slow to watch a training with.
    """
    found = np.zeros(vertices.shape, dtype=np.float32)
    corners = faces.cpu().numpy()
    for mesh, points in zip(found, vertices.detach().cpu().numpy(), strict=True):
        for a, b, c in corners:
            cross = np.cross(points[b] - points[a], points[c] - points[a])
            mesh[a] += cross
            mesh[b] += cross
            mesh[c] += cross
        for normal in mesh:
            normal /= max(np.linalg.norm(normal), 1e-12)
    return torch.from_numpy(found).to(vertices.device)


def vertex_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """Return unit normals [B, V, 3] of the vertices [B, V, 3] of meshes with the faces int64 [F, 3].

    A vertex's normal is the sum of its faces' cross products, so that larger faces count more; a vertex
    without a face has none (zeros). Differentiable.
    """
    rows = vertices.transpose(0, 1)  # [V, B, 3]: sums over whole rows of all meshes
    cross = _cross_products(rows.unbind(2), faces)  # [F, B, 3]
    total = torch.zeros_like(rows, memory_format=torch.contiguous_format)
    for corner in faces.unbind(1):
        total = total.index_add(0, corner, cross)
    return F.normalize(total, dim=2, eps=1e-12).transpose(0, 1)


def face_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """Return unit normals [B, F, 3] of the faces int64 [F, 3] of meshes with vertices [B, V, 3].

    What a geometry shader can know, which sees one triangle at a time (Komorowicz 2018, section 4.4): no smooth
    shading. A face without area has none (zeros).
    """
    cross = _cross_products(vertices.transpose(0, 1).unbind(2), faces)
    return F.normalize(cross, dim=2, eps=1e-12).transpose(0, 1)


def _cross_products(coordinates: tuple[Tensor, ...], faces: Tensor) -> Tensor:
    """Return [F, B, 3], twice the area times the normal, of coordinates x, y and z [V, B]; entry by entry."""
    a, b, c = faces.unbind(1)
    (ux, uy, uz), (vx, vy, vz) = ([axis[end] - axis[a] for axis in coordinates] for end in (b, c))
    return torch.stack([uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx], dim=2)


# Rasterising -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fragments:
    """What is seen of B meshes in pictures of R x R samples, at the P samples that show something.

    sample: int64 [P], mesh * R * R + row * R + column, rising; face: int64 [P], mesh * F + face; weights:
    float32 [3, P], how near the sample is to each corner of the face, from 0, summing to one; depth: [P], z
    towards the viewer; resolution: R.
    """

    sample: Tensor
    face: Tensor
    weights: Tensor
    depth: Tensor
    resolution: int

    def interpolate(self, values: Tensor, faces: Tensor) -> Tensor:
        """Return what values [B, V, C] at the vertices are at the samples, [C, P]; faces: int64 [F, 3]."""
        channels = values[:, faces].permute(3, 2, 0, 1).flatten(2)  # [C, 3 corners, B * F]
        return torch.stack(
            [
                sum(at * share for at, share in zip(corners[:, self.face], self.weights, strict=True))
                for corners in channels
            ]
        )


def rasterise(points: Tensor, faces: Tensor, resolution: int) -> Fragments:
    """Return what is seen of meshes in pictures of resolution x resolution samples.

    points: [B, V, 3], column and row in samples (the middle of the first is 0.5, rows go down) and z, larger
    being nearer; faces: int64 [F, 3], either way round. What lies outside of the picture is cut off. Of
    equally near faces the first is seen.
    """
    count, num_faces = len(points), len(faces)
    corner = points[:, faces].flatten(0, 1)  # [B * F, 3 corners, 3]
    x, y, z = corner.unbind(2)
    # Edges from the vertex with the lower number: the same sum for both triangles at an edge
    low = torch.tensor([0, 1, 2], device=faces.device)
    high = low.roll(-1)
    turned = (faces[:, low] > faces[:, high]).repeat(count, 1)  # [B * F, 3 edges]
    low, high = torch.where(turned, high, low), torch.where(turned, low, high)
    from_x, to_x, from_y, to_y = x.gather(1, low), x.gather(1, high), y.gather(1, low), y.gather(1, high)
    slope = (to_x - from_x) / (to_y - from_y)  # of level edges infinite, but those cross no row

    def first_middle(place: Tensor) -> Tensor:
        """Return the number of the first row or column whose middle is not before this place."""
        return (place - 0.5).ceil().clamp(0, resolution).long()

    top, bottom = first_middle(y.amin(1)), first_middle(y.amax(1))
    triangle, row = _ranges(top, bottom)  # one entry for each row of each triangle
    middle = (row + 0.5)[:, None]
    crossed = (from_y[triangle] <= middle) != (to_y[triangle] <= middle)
    crossing = from_x[triangle] + (middle - from_y[triangle]) * slope[triangle]
    left = first_middle(torch.where(crossed, crossing, math.inf).amin(1))
    right = first_middle(torch.where(crossed, crossing, -math.inf).amax(1))

    plane = _barycentric_planes(x, y)
    second, third = (z[:, 1:] - z[:, :1]).unbind(1)
    rightwards, downwards = plane[2] * second + plane[4] * third, plane[3] * second + plane[5] * third
    level = z[:, 0][triangle] + (middle[:, 0] - y[:, 0][triangle]) * downwards[triangle]
    # both ends stay within the triangle's depths, also where it is so thin that its plane is hardly known
    nearest, farthest = z.amax(1)[triangle], z.amin(1)[triangle]
    ends = [
        (level + (end + 0.5 - x[:, 0][triangle]) * rightwards[triangle]).minimum(nearest).maximum(farthest)
        for end in (left, right - 1)
    ]
    step = (ends[1] - ends[0]) / (right - left - 1).clamp(min=1)

    span, column = _ranges(left, right)  # one entry for each sample of each row of each triangle
    depth = ends[0][span] + step[span] * (column - left[span])
    mesh = triangle // num_faces
    place = (mesh * resolution**2 + row * resolution)[span] + column
    key = (depth * (-1 / _DEPTH_STEP)).long().bitwise_left_shift_(_FACE_BITS)
    key += (triangle - mesh * num_faces)[span]  # its number breaks ties
    buffer = torch.full((count * resolution**2,), _EMPTY, device=points.device)
    buffer.scatter_reduce_(0, place, key, "amin")

    sample = (buffer != _EMPTY).nonzero()[:, 0]
    key = buffer[sample]
    line = sample // resolution  # through all pictures
    mesh = line // resolution
    face = mesh * num_faces + (key & ((1 << _FACE_BITS) - 1))
    here = plane[:, face]
    across = sample - line * resolution + 0.5 - here[0]
    down = line - mesh * resolution + 0.5 - here[1]
    second = (here[2] * across + here[3] * down).clamp(0, 1)
    third = (here[4] * across + here[5] * down).clamp(min=0).minimum(1 - second)
    weights = torch.stack([1 - second - third, second, third])
    return Fragments(sample, face, weights, (key >> _FACE_BITS) * -_DEPTH_STEP, resolution)


def _ranges(start: Tensor, stop: Tensor) -> tuple[Tensor, Tensor]:
    """Return all whole numbers from start to before stop [N], one range after the other, and whose they are."""
    length = (stop - start).clamp(min=0)
    owner = torch.repeat_interleave(torch.arange(len(start), device=start.device), length)
    shift = start - (length.cumsum(0) - length)
    return owner, torch.arange(len(owner), device=start.device) + shift[owner]


def _barycentric_planes(x: Tensor, y: Tensor) -> Tensor:
    """Return [6, N] of triangles with corners x, y [N, 3]: where the first corner is, and how fast the weights
    of the second and third grow to the right and downwards; not at all in triangles without area."""
    (ux, vx), (uy, vy) = (x[:, 1:] - x[:, :1]).unbind(1), (y[:, 1:] - y[:, :1]).unbind(1)
    area = ux * vy - uy * vx
    scale = torch.where(area == 0, 0.0, 1 / area)
    return torch.stack([x[:, 0], y[:, 0], vy * scale, -vx * scale, -uy * scale, ux * scale])


# Pictures ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rendered:
    """Pictures of B meshes: image uint8 [B, 3, S, S]; mask [B, S, S], the share of each pixel that is
    covered; depth [B, S, S], mean z of what is seen there, towards the viewer, 0 where nothing is; normals
    [B, 3, S, S], mean unit normals in camera axes, 0 where nothing is."""

    image: Tensor
    mask: Tensor
    depth: Tensor
    normals: Tensor


@torch.no_grad()
def render(
    vertices: Tensor,
    faces: Tensor,
    *,
    size: int,
    translation: Tensor | None = None,
    scale: Tensor | None = None,
    supersample: int = 2,
    normals: Tensor | None = None,
    flat: bool = False,
    colours: Tensor | None = None,
    background: tuple[float, float, float] = WHITE,
) -> Rendered:
    """Draw meshes in clay or in colours, lit from above, seen in weak perspective (Komorowicz 2018, eq. 2.4).

    vertices: [B, V, 3] in camera axes (x right, y up, z to the viewer); faces: int64 [F, 3],
    counter-clockwise from outside; size: pixels to a side; translation [B, 2] and scale [B, 1] in normalised
    picture coordinates, -1 to 1 from edge to edge, y down: those of `framed` unless given; supersample:
    samples to a pixel's side; normals: [B, V, 3], those of `vertex_normals` unless given; flat: one normal
    for each face instead; colours: [V, 3] or [B, V, 3], 0 to 1; background: red, green, blue. Raises
    ValueError where a shape does not fit or a vertex is not finite.
    """
    _check_meshes(vertices, faces, size, supersample)
    if (translation is None) != (scale is None):
        raise ValueError("give both translation and scale, or neither")
    if translation is None:
        translation, scale = framed(vertices)
    _check_camera(translation, scale, len(vertices))
    if colours is not None:
        colours = colours.expand(len(vertices), -1, -1)
    chunk = max(1, _SAMPLES // (size * supersample) ** 2)
    parts = []
    for first in range(0, len(vertices), chunk):
        rows = slice(first, first + chunk)
        parts.append(
            _render(
                vertices[rows],
                faces,
                to_pixels(vertices[rows], translation[rows], scale[rows], size * supersample),
                size,
                supersample,
                None if normals is None else normals[rows],
                flat,
                None if colours is None else colours[rows],
                background,
            )
        )
    return Rendered(*(torch.cat(pieces) for pieces in zip(*parts, strict=True)))


def _render(vertices, faces, points, size, supersample, normals, flat, colours, background):
    """Draw one chunk of meshes; points are the vertices in samples."""
    seen = rasterise(points, faces, size * supersample)
    if flat:
        normal = face_normals(vertices, faces).flatten(0, 1).mT[:, seen.face]
    else:
        normals = vertex_normals(vertices, faces) if normals is None else normals
        normal = unit_vectors(seen.interpolate(normals, faces))
    albedo = normal.new_tensor(_CLAY)[:, None] if colours is None else seen.interpolate(colours, faces)
    lamp = F.normalize(normal.new_tensor(_TOWARDS_LAMP), dim=0)[:, None]
    colour = albedo * (_AMBIENT + (1 - _AMBIENT) * (lamp * normal).sum(0).clamp(min=0))
    layers = torch.cat([colour, normal, seen.depth[None], torch.ones_like(seen.depth)[None]])
    means = _pixel_means(layers, seen, len(vertices), supersample)
    colour, normal, depth, mask = means.split((3, 3, 1, 1), dim=1)
    image = colour + (1 - mask) * colour.new_tensor(background)[:, None, None]
    image = (255 * image.clamp(0, 1)).round().to(torch.uint8)
    return image, mask[:, 0], (depth / mask.clamp(min=1e-6))[:, 0], F.normalize(normal, dim=1)


def _pixel_means(values: Tensor, seen: Fragments, count: int, supersample: int) -> Tensor:
    """Return pictures [count, C, S, S] of values [C, P] at the samples seen, averaged over pixels of
    supersample x supersample samples; 0 where nothing is seen."""
    size = seen.resolution // supersample
    line = seen.sample // seen.resolution  # of samples, through all pictures
    column = seen.sample - line * seen.resolution
    pixel = line // supersample * size + column // supersample
    sums = [values.new_zeros(count * size**2).index_add_(0, pixel, channel) for channel in values]
    return torch.stack(sums).div_(supersample**2).unflatten(1, (count, size, size)).transpose(0, 1)


def unit_vectors(vectors: Tensor) -> Tensor:
    """Return vectors [3, P] of length one; torch's own norm is slow along the first dimension."""
    x, y, z = vectors
    return vectors / (x * x + y * y + z * z).sqrt().clamp(min=1e-12)


def framed(vertices: Tensor, margin: float = 0.08) -> tuple[Tensor, Tensor]:
    """Return translation [B, 2] and scale [B, 1] with which vertices [B, V, 3] fill a picture.

    margin: share of the picture's side that stays free on each side.
    """
    flat = vertices[..., :2] * vertices.new_tensor([1.0, -1.0])
    low, high = flat.amin(1), flat.amax(1)
    scale = 2 * (1 - 2 * margin) / (high - low).amax(1, keepdim=True).clamp(min=1e-6)
    return -scale * (low + high) / 2, scale


def to_pixels(vertices: Tensor, translation: Tensor, scale: Tensor, size: int) -> Tensor:
    """Return column and row, in pixels, and z of vertices [B, V, 3] in camera axes, [B, V, 3].

    translation: [B, 2]; scale: [B, 1]; size: pixels to a side; the middle of the first pixel is 0.5.
    """
    place = project(vertices, translation, scale)  # -1 to 1 from edge to edge
    return torch.cat([(place + 1) * (size / 2), vertices[..., 2:]], dim=2)


def sheet(images: Tensor, columns: int) -> Tensor:
    """Return images [N, 3, S, S] as one picture [3, rows * S, columns * S], the last row filled with white.

    With 256 meshes in sixteen columns it is figure 4.4 of Komorowicz 2018.
    """
    blank = images.new_full((-len(images) % columns, *images.shape[1:]), 255)
    tiles = torch.cat([images, blank]).unflatten(0, (-1, columns))  # [rows, columns, 3, S, S]
    return tiles.permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2)


def _check_meshes(vertices: Tensor, faces: Tensor, size: int, supersample: int) -> None:
    """Refuse what cannot be drawn, with the reason."""
    if vertices.ndim != 3 or vertices.shape[2] != 3 or not len(vertices):
        raise ValueError(f"vertices must be [B, V, 3] with at least one mesh, got {list(vertices.shape)}")
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.dtype != torch.int64:
        raise ValueError(f"faces must be int64 [F, 3], got {faces.dtype} {list(faces.shape)}")
    if len(faces) and not 0 <= int(faces.min()) <= int(faces.max()) < vertices.shape[1]:
        raise ValueError(f"faces must name vertices from 0 to {vertices.shape[1] - 1}")
    if not torch.isfinite(vertices).all():
        raise ValueError("vertices must be finite numbers; some are NaN or infinite")
    if size < 1 or supersample < 1:
        raise ValueError(f"size and supersample must be at least 1, got {size} and {supersample}")


def _check_camera(translation: Tensor, scale: Tensor, count: int) -> None:
    """Refuse a camera that is not one for each mesh."""
    if translation.shape != (count, 2) or scale.shape != (count, 1):
        found = f"{list(translation.shape)} and {list(scale.shape)}"
        raise ValueError(f"translation must be [{count}, 2] and scale [{count}, 1], got {found}")
    if not (torch.isfinite(translation).all() and torch.isfinite(scale).all()):
        raise ValueError("translation and scale must be finite numbers; some are NaN or infinite")
