"""The skin of the average hand at rest as one closed mesh of few, even triangles.

Marching cubes finds the surface of the flesh, edges are collapsed, shortest first, until few vertices are left,
and these slide along the surface until their triangles are even. A plane closes the mesh behind the wrist.
"""

import heapq

import numpy as np
import torch
from skimage.measure import marching_cubes
from torch import Tensor

from thesislib.synthetic.bones import FINGER, SLEEVE, rest_hand
from thesislib.synthetic.hand_surface import _bind, _blend, _flesh, _gradient

WRIST_END = -0.25  # where the mesh is closed, hand units along the forearm
_STEP = 0.04  # of the lattice that marching cubes sees
_BOX = ((-0.9, 1.2), (WRIST_END, 2.3), (-0.8, 1.1))  # holds the resting hand
_ROUNDING = 0.16  # reach of the rounded rim behind the wrist


def rest_mesh(num_vertices: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return vertices float32 [V, 3], faces int64 [F, 3], counter-clockwise from outside, and the tips int64 [5].

    The vertices of the tips are the fingertip joints of `bones.rest_hand` themselves: these are on the skin.
    """
    vertices, faces = _collapse(*_surface(), num_vertices)
    fingertips = _fingertips()
    tips = torch.cdist(fingertips, vertices).argmin(dim=1)
    vertices[tips] = fingertips
    return _relax(vertices, faces, tips), faces, tips


def _fingertips() -> Tensor:
    return rest_hand()[1].joints[0, 4::4]


def _fineness(points: Tensor) -> Tensor:
    """Return [N]: how much shorter than on the palm edges should be, on fingers and most of all at their tips."""
    on_finger = _bind(points)[:, FINGER:SLEEVE].sum(dim=1)
    from_tip = torch.cdist(points, _fingertips()).amin(dim=1)
    return 1 + 0.4 * on_finger + 0.6 * (1 - from_tip / 0.2).clamp(min=0)


def _closed(points: Tensor) -> Tensor:
    """Signed distance [N] to the flesh in front of the plane behind the wrist."""
    return -_blend(-_flesh(points), points[:, 1] - WRIST_END, _ROUNDING)


def _surface() -> tuple[Tensor, Tensor]:
    sides = [torch.arange(low - 2 * _STEP, high + 2 * _STEP, _STEP) for low, high in _BOX]
    lattice = torch.cartesian_prod(*sides)
    value = torch.cat([_closed(part) for part in lattice.split(1 << 16)])
    vertices, faces, _, _ = marching_cubes(value.unflatten(0, [len(side) for side in sides]).numpy(), 0.0)
    corner = torch.stack([side[0] for side in sides])
    return torch.from_numpy(vertices.copy()) * _STEP + corner, torch.from_numpy(faces.astype(np.int64))


def _collapse(vertices: Tensor, faces: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Collapse edges into their middles, shortest first, until `count` vertices are left.

    An edge stays where collapsing it would change the surface's topology or turn a triangle over.
    """
    place = vertices.double().numpy().copy()
    fineness = _fineness(vertices).double().numpy()
    triangles: list[list[int] | None] = faces.tolist()
    around: list[set[int]] = [set() for _ in place]  # the triangles of each vertex
    for number, triangle in enumerate(triangles):
        for vertex in triangle:
            around[vertex].add(number)

    def neighbours(vertex: int) -> set[int]:
        return {other for number in around[vertex] for other in triangles[number]} - {vertex}

    def edge(one: int, two: int) -> tuple[float, int, int]:
        step = place[one] - place[two]
        return float(step @ step) * fineness[one] * fineness[two], min(one, two), max(one, two)

    def normals(numbers: list[int]) -> np.ndarray:
        corners = place[[triangles[number] for number in numbers]]
        return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])

    waiting = list({edge(*pair) for a, b, c in triangles for pair in ((a, b), (b, c), (c, a))})
    heapq.heapify(waiting)
    gone: set[int] = set()
    while len(place) - len(gone) > count and waiting:
        shortest = heapq.heappop(waiting)
        _, one, two = shortest
        shared = around[one] & around[two]
        if len(shared) != 2 or shortest != edge(one, two) or len(neighbours(one) & neighbours(two)) != 2:
            continue
        kept = sorted((around[one] | around[two]) - shared)
        before, old = normals(kept), place[[one, two]]
        place[[one, two]] = old.mean(axis=0)
        after = normals(kept)
        lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
        if ((before * after).sum(axis=1) < 0.2 * lengths).any():
            place[[one, two]] = old
            continue
        for number in shared:
            for vertex in triangles[number]:
                around[vertex].discard(number)
            triangles[number] = None
        for number in around[two]:
            triangles[number] = [one if vertex == two else vertex for vertex in triangles[number]]
        around[one] |= around[two]
        around[two] = set()
        gone.add(two)
        for other in neighbours(one):
            heapq.heappush(waiting, edge(one, other))
    left = np.setdiff1d(np.arange(len(place)), list(gone))
    kept = np.array([triangle for triangle in triangles if triangle is not None])
    return torch.from_numpy(place[left]).float(), torch.from_numpy(np.searchsorted(left, kept))


def _relax(vertices: Tensor, faces: Tensor, still: Tensor, steps: int = 8) -> Tensor:
    """Slide vertices along the surface until triangles are even, all but those that stand still.

    Each moves towards the middle of its neighbours, in which a neighbour counts by the area around it.
    """
    start, end = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).T
    fixed, fineness = vertices[still], _fineness(vertices)

    def sum_at(places: Tensor, values: Tensor) -> Tensor:
        return values.new_zeros(len(vertices), *values.shape[1:]).index_add_(0, places, values)

    for _ in range(steps):
        one, two, three = vertices[faces].unbind(1)
        area = torch.linalg.cross(two - one, three - one).norm(dim=1)
        weight = (sum_at(faces.flatten(), area.repeat_interleave(3)) * fineness.square())[end, None]
        middle = sum_at(start, weight * vertices[end]) / sum_at(start, weight)
        step = 0.5 * (middle - vertices)
        _, normal = _gradient(_closed, vertices)
        vertices = vertices + step - (step * normal).sum(dim=1, keepdim=True) * normal
        for _ in range(2):
            distance, normal = _gradient(_closed, vertices)
            vertices = vertices - distance[:, None] * normal
        vertices[still] = fixed
    return vertices
