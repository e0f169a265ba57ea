"""The mesh of the resting hand: closed, even, on the skin, and simplified without tearing."""

from collections import Counter

import numpy as np
import pytest
import torch
from skimage.measure import marching_cubes

from thesislib.synthetic.bones import rest_hand
from thesislib.synthetic.hand_surface import _flesh
from thesislib.synthetic.rest_mesh import WRIST_END, _collapse, rest_mesh


@pytest.fixture(scope="module")
def mesh():
    return rest_mesh(600)


def directed_edges(faces: torch.Tensor) -> Counter:
    return Counter((a, b) for face in faces.tolist() for a, b in zip(face, face[1:] + face[:1], strict=True))


def volume(vertices: torch.Tensor, faces: torch.Tensor) -> float:
    one, two, three = vertices[faces].double().unbind(1)
    return ((one * torch.linalg.cross(two, three)).sum() / 6).item()


def corners(vertices: torch.Tensor, faces: torch.Tensor) -> np.ndarray:
    """The least angle of each triangle in degrees."""
    sides = vertices[faces.roll(-1, dims=1)] - vertices[faces]
    sides = torch.nn.functional.normalize(sides, dim=-1)
    cosine = -(sides * sides.roll(1, dims=1)).sum(dim=-1)
    return torch.rad2deg(cosine.clamp(-1, 1).acos()).amin(dim=1).numpy()


def assert_closed_ball(vertices, faces):
    edges = directed_edges(faces)
    assert set(edges.values()) == {1}, "an edge is used twice in one direction"
    assert all((b, a) in edges for a, b in edges), "an edge has one side only"
    assert len(vertices) - len(edges) // 2 + len(faces) == 2  # Euler: no handle, one piece
    assert faces.unique().tolist() == list(range(len(vertices)))


def test_the_mesh_is_closed_and_looks_outward(mesh):
    vertices, faces, _ = mesh
    assert len(vertices) == 600 and vertices.dtype == torch.float32 and faces.dtype == torch.int64
    assert_closed_ball(vertices, faces)
    # The flesh in front of the plane, counted by points of a lattice.
    sides = [torch.arange(low, high, 0.03) for low, high in ((-0.9, 1.2), (WRIST_END, 2.3), (-0.8, 1.1))]
    counted = (_flesh(torch.cartesian_prod(*sides)) < 0).sum().item() * 0.03**3
    assert 0.9 * counted < volume(vertices, faces) < counted  # chords and the rounded rim cut a little off


def test_vertices_are_on_the_skin_or_behind_the_wrist(mesh):
    vertices, _, tips = mesh
    hand = vertices[:, 1] > WRIST_END + 0.17
    assert _flesh(vertices[hand]).abs().max() < 2e-3
    assert vertices[:, 1].min() > WRIST_END - 1e-3
    assert _flesh(vertices).max() < 2e-3
    torch.testing.assert_close(vertices[tips], rest_hand()[1].joints[0, [4, 8, 12, 16, 20]])


def test_triangles_are_even_and_fingertips_are_round(mesh):
    vertices, faces, tips = mesh
    least = corners(vertices, faces)
    assert np.median(least) > 40 and np.quantile(least, 0.05) > 25
    for finger, tip in enumerate(tips.tolist()):
        ring = faces[(faces == tip).any(dim=1)].unique()
        away = (vertices[ring] - vertices[tip]).norm(dim=1)
        assert away.max() < 2 * rest_hand()[0].radius[0, finger, 3]  # a lone tip would make a pyramid


@pytest.mark.parametrize(("kind", "count"), [("ball", 150), ("ring", 150), ("ring", 20), ("two rings", 12)])
def test_collapsing_keeps_the_topology(kind, count):
    x, y, z = np.mgrid[-1.5:1.5:24j, -1.5:1.5:24j, -1.5:1.5:24j] + 0.01
    ring = np.hypot(np.hypot(x, y) - 0.9, z) - 0.4
    ball = np.sqrt(x**2 + y**2 + z**2) - 1.2
    bar = np.maximum(np.maximum(abs(x) - 0.15, abs(y) - 1), abs(z) - 0.3)  # across the hole of the ring
    value = {"ball": ball, "ring": ring, "two rings": np.minimum(ring, bar)}[kind]
    euler = {"ball": 2, "ring": 0, "two rings": -2}[kind]
    vertices, faces, _, _ = marching_cubes(value, 0.0)
    vertices, faces = torch.from_numpy(vertices.copy()), torch.from_numpy(faces.astype(np.int64))
    fewer, kept = _collapse(vertices, faces, count)
    edges = directed_edges(kept)
    assert set(edges.values()) == {1} and all((b, a) in edges for a, b in edges)
    assert len(fewer) - len(edges) // 2 + len(kept) == euler and kept.unique().tolist() == list(
        range(len(fewer))
    )
    if count == 150:
        assert len(fewer) == count
        assert volume(fewer, kept) == pytest.approx(volume(vertices, faces), rel=0.15)
