"""Meshes to pictures: areas, depths and normals that geometry tells, and no hole where triangles meet."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thesislib import mesh_render
from thesislib.mesh_render import (
    face_normals,
    framed,
    rasterise,
    render,
    sheet,
    vertex_normals,
    vertex_normals_by_loop,
)

CUBE = torch.tensor([[x, y, z] for x in (-1.0, 1) for y in (-1.0, 1) for z in (-1.0, 1)])
CUBE_FACES = torch.tensor(
    [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1]]
    + [[2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]]
)
CUBE_NORMALS = torch.eye(3)[[0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]] * torch.tensor(
    [-1.0, -1, 1, 1, -1, -1, 1, 1, -1, -1, 1, 1]
).unsqueeze(1)
STILL = torch.zeros(1, 2)


def ball(steps: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a unit ball of bands between poles on the z axis."""
    height = math.pi * torch.arange(1, steps) / steps
    turn = math.pi * torch.arange(2 * steps) / steps
    ring = torch.stack([turn.cos(), turn.sin(), 0 * turn], 1)
    rows = [a.sin() * ring + a.cos() * torch.tensor([0.0, 0, 1]) for a in height]
    vertices = torch.cat([torch.tensor([[0.0, 0, 1]]), *rows, torch.tensor([[0.0, 0, -1]])])
    faces, n = [], 2 * steps
    for k in range(n):
        after = (k + 1) % n
        faces += [
            [0, 1 + k, 1 + after],
            [len(vertices) - 1, 1 + (steps - 2) * n + after, 1 + (steps - 2) * n + k],
        ]
        for band in range(steps - 2):
            a, b = 1 + band * n + k, 1 + band * n + after
            faces += [[a, a + n, b], [b, a + n, b + n]]
    return vertices, torch.tensor(faces)


def test_a_ball_has_the_area_the_depth_and_the_normals_of_a_ball():
    vertices, faces = ball(48)
    seen = render(
        vertices[None], faces, size=64, translation=STILL, scale=torch.tensor([[0.8]]), supersample=4
    )
    radius = 0.8 * 32
    assert seen.mask.sum() == pytest.approx(math.pi * radius**2, rel=0.01)
    axis = (torch.arange(64) + 0.5 - 32) / radius
    x, y = axis.expand(64, 64), -axis[:, None].expand(64, 64)
    inside = x**2 + y**2 < 0.8
    z = (1 - x**2 - y**2).clamp(min=0).sqrt()
    assert (seen.depth[0] - z)[inside].abs().max() < 0.01
    truth = torch.stack([x, y, z])
    assert (seen.normals[0] - truth)[:, inside].abs().max() < 0.03
    assert (seen.normals[0].norm(dim=0)[seen.mask[0] == 0] == 0).all()
    assert (seen.image[0][:, seen.mask[0] == 0] == 255).all()


def test_the_nearer_triangle_is_seen_whatever_the_order_of_faces():
    corner = torch.tensor([[-0.9, -0.9, 0.0], [0.9, -0.9, 0.0], [0.0, 0.9, 0.0]])
    vertices = torch.cat([corner, 0.5 * corner + torch.tensor([0.0, 0.0, 0.2])])
    colours = torch.tensor([[1.0, 0.0, 0.0]] * 3 + [[0.0, 0.0, 1.0]] * 3)
    how = dict(size=32, translation=STILL, scale=torch.ones(1, 1), supersample=1, colours=colours, flat=True)
    images = []
    for order in ([[0, 1, 2], [3, 4, 5]], [[3, 4, 5], [0, 1, 2]], [[2, 0, 1], [4, 5, 3]]):
        images.append(render(vertices[None], torch.tensor(order), **how).image)
        middle = images[-1][0, :, 16, 16]
        assert middle[2] > 100 and middle[0] == 0  # the small blue one is nearer
        assert images[-1][0, 0, 28, 4] > 100  # red around it
    assert torch.equal(images[0], images[1]) and torch.equal(images[0], images[2])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), resolution=st.integers(3, 40), snapped=st.booleans())
def test_triangles_that_cover_the_picture_leave_no_hole_and_overlap_nowhere(seed, resolution, snapped):
    """A fan around any inner point tiles the square: every sample belongs to exactly one triangle.

    Snapped to half pixels, corners lie on samples and edges run through many.
    """
    rng = torch.Generator().manual_seed(seed)
    number = 3 + seed % 9
    turn = torch.rand(number, generator=rng).sort()[0]
    edge = torch.cat([turn, torch.arange(4) / 4 + 0.125]).sort()[0] * 2 * math.pi
    flat = torch.stack([edge.cos(), edge.sin()], 1)
    flat = flat / flat.abs().amax(1, keepdim=True)  # around the square from -1 to 1, its corners among them
    inner = 1.6 * torch.rand(1, 2, generator=rng) - 0.8
    points = (torch.cat([inner, flat]) + 1) * resolution / 2
    points = (2 * points).round() / 2 if snapped else points
    points = torch.cat([points, torch.rand(len(points), 1, generator=rng)], 1)[None]
    around = torch.arange(1, len(edge) + 1)
    faces = torch.stack([torch.zeros_like(around), around, around.roll(-1)], 1)
    seen = rasterise(points, faces, resolution)
    assert len(seen.sample) == resolution**2
    alone = [len(rasterise(points, face[None], resolution).sample) for face in faces]
    assert sum(alone) == resolution**2
    # at the samples the weights give back place and depth
    place = seen.interpolate(points, faces)
    row, column = seen.sample // resolution + 0.5, seen.sample % resolution + 0.5
    torch.testing.assert_close(place[:2], torch.stack([column, row]), atol=2e-2, rtol=0)
    torch.testing.assert_close(place[2], seen.depth, atol=2e-3, rtol=0)


@pytest.mark.parametrize(
    ("one", "other"),
    [((8.5, 0.0), (0.5, 28.0)), ((0.5, 0.0), (35.5, 32.5)), ((36.5, 0.5), (1.5, 32.0)), ((27, 6), (0, 25))],
)
def test_an_edge_is_the_same_from_both_ends(one, other):
    """Followed from its other end, each of these edges would pass a sample on its other side."""
    points = torch.tensor([[*one, 0.0], [*other, 0.0], [-40.0, 20.0, 0.0], [80.0, 15.0, 0.0]])[None]
    left, right = torch.tensor([[0, 1, 2]]), torch.tensor([[1, 0, 3]])
    seen = rasterise(points, torch.cat([left, right]), 40).sample
    alone = [rasterise(points, face, 40).sample for face in (left, right)]
    assert len(alone[0]) + len(alone[1]) == len(seen)
    row = seen // 40
    for between in row.unique():
        columns = seen[row == between] - 40 * between
        assert len(columns) == columns[-1] - columns[0] + 1


def test_what_lies_outside_of_the_picture_is_cut_off():
    points = torch.tensor([[[-50.0, -50.0, 0.0], [200.0, -50.0, 0.0], [-50.0, 200.0, 0.0]]])
    seen = rasterise(points, torch.tensor([[0, 1, 2]]), 20)
    assert torch.equal(seen.sample, torch.arange(400))
    away = rasterise(points + torch.tensor([300.0, 0.0, 0.0]), torch.tensor([[0, 1, 2]]), 20)
    assert len(away.sample) == 0
    line = torch.tensor([[[2.0, 2.0, 0.0], [9.0, 9.0, 0.0], [16.0, 16.0, 0.0]]])
    assert len(rasterise(line, torch.tensor([[0, 1, 2]]), 20).sample) == 0  # no area, no sample


def test_normals_three_ways_agree():
    vertices, faces = ball(6)
    vertices = torch.stack([vertices, vertices * torch.tensor([1.0, 2.0, 0.5])])
    found = vertex_normals(vertices, faces)
    torch.testing.assert_close(found, vertex_normals_by_loop(vertices, faces), atol=1e-6, rtol=0)
    assert (found[0] * vertices[0]).sum(1).min() > 0.99  # those of a ball point away from its middle
    torch.testing.assert_close(face_normals(CUBE[None], CUBE_FACES)[0], CUBE_NORMALS)
    middle = vertices[:, faces].mean(2)
    flat = face_normals(vertices, faces)
    assert ((flat * middle).sum(2) > 0).all()
    alone = torch.cat([CUBE, torch.ones(1, 3)])[None]  # a vertex without a face
    for way in (vertex_normals, vertex_normals_by_loop):
        assert (way(alone, CUBE_FACES)[0, 8] == 0).all()


def test_vertex_normals_can_be_learned_through():
    vertices, faces = ball(4)
    vertices = vertices[None].double().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: vertex_normals(v, faces)[:, 3:9], vertices, eps=1e-6, atol=1e-4)


def test_flat_shading_has_one_colour_a_face_and_smooth_shading_many():
    turned = CUBE @ torch.linalg.qr(torch.tensor([[1.0, 0.3, 0.4], [0.2, 1.0, 0.5], [0.6, 0.1, 1.0]]))[0]
    how = dict(size=64, supersample=1)
    flat = render(turned[None], CUBE_FACES, flat=True, **how)
    smooth = render(turned[None], CUBE_FACES, **how)
    assert len(flat.image[0].flatten(1).T.unique(dim=0)) == 4  # three sides of a cube, and the background
    assert len(smooth.image[0].flatten(1).T.unique(dim=0)) > 20
    assert torch.equal(flat.mask, smooth.mask) and torch.equal(flat.depth, smooth.depth)
    given = render(turned[None], CUBE_FACES, normals=vertex_normals(turned[None], CUBE_FACES), **how)
    assert torch.equal(given.image, smooth.image)


def test_a_picture_depends_on_its_mesh_alone(monkeypatch):
    vertices, faces = ball(8)
    stretch = 0.5 + torch.rand(7, 1, 3, generator=torch.Generator().manual_seed(0))
    many = render(vertices * stretch, faces, size=24)
    monkeypatch.setattr(mesh_render, "_SAMPLES", 2 * 48**2)  # chunks of two
    few = render(vertices * stretch, faces, size=24)
    one = render((vertices * stretch)[4:5], faces, size=24)
    for name in ("image", "mask", "depth", "normals"):
        assert torch.equal(getattr(many, name), getattr(few, name))
        assert torch.equal(getattr(many, name)[4:5], getattr(one, name))


def test_framed_meshes_fill_the_picture_but_for_the_margin():
    vertices = torch.tensor([[[3.0, 5.0, 0.0], [7.0, 5.0, 1.0], [5.0, 6.0, 2.0]]])
    place = mesh_render.to_pixels(vertices, *framed(vertices, margin=0.1), 100)
    torch.testing.assert_close(place[0], torch.tensor([[10.0, 60, 0], [90.0, 60, 1], [50.0, 40, 2]]))


def test_a_sheet_puts_pictures_row_by_row():
    images = torch.arange(5, dtype=torch.uint8)[:, None, None, None].expand(5, 3, 2, 2)
    page = sheet(images, 3)
    assert page.shape == (3, 4, 6)
    assert page[0, ::2, ::2].tolist() == [[0, 1, 2], [3, 4, 255]]
    assert torch.equal(page[0, ::2, ::2], page[2, 1::2, 1::2])


@pytest.mark.parametrize(
    ("vertices", "faces", "options", "says"),
    [
        (CUBE, CUBE_FACES, {}, r"\[B, V, 3\]"),
        (CUBE[None], CUBE_FACES.float(), {}, "int64"),
        (CUBE[None], CUBE_FACES + 1, {}, "from 0 to 7"),
        (CUBE[None] / 0, CUBE_FACES, {}, "finite"),
        (CUBE[None], CUBE_FACES, {"scale": torch.ones(1, 1)}, "both"),
        (CUBE[None], CUBE_FACES, {"scale": torch.ones(1), "translation": STILL}, r"scale \[1, 1\]"),
        (CUBE[None], CUBE_FACES, {"scale": STILL[:, :1] / 0, "translation": STILL}, "finite"),
        (CUBE[None], CUBE_FACES, {"supersample": 0}, "at least 1"),
    ],
)
def test_what_cannot_be_drawn_is_refused(vertices, faces, options, says):
    with pytest.raises(ValueError, match=says):
        render(vertices, faces, size=16, **options)
