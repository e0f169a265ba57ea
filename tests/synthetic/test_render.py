import torch

from thesislib.synthetic.bones import NUM_BONES
from thesislib.synthetic.hand_surface import COLUMNS, HandSurface
from thesislib.synthetic.render import Camera, rasterise


def camera(count=1, *, distance=6.0, side=3.0, rotation=None, centre=(0.0, 0.0, 0.0)):
    side = torch.full((count,), side)
    return Camera(
        rotation=torch.eye(3).expand(count, 3, 3) if rotation is None else rotation,
        centre=torch.tensor(centre).expand(count, 3),
        distance=torch.full((count,), distance),
        corner=-side[:, None].expand(count, 2) / 2,
        side=side,
    )


def rigid(points):
    """Points bound to one bone, as a surface without marks."""
    weight = torch.zeros(len(points), NUM_BONES)
    weight[:, 0] = 1
    homogeneous = torch.nn.functional.pad(points, (0, 1), value=1.0)
    binding = (weight[:, :, None] * homogeneous[:, None]).flatten(1).T.contiguous()
    return HandSurface(points, torch.zeros(len(points), sum(COLUMNS)), binding)


def still(count=1):
    return torch.eye(3, 4).expand(count, NUM_BONES, 3, 4)


def test_projection_is_a_pinhole_camera():
    generator = torch.Generator().manual_seed(1)
    rotation = torch.linalg.qr(torch.randn(1, 3, 3, generator=generator)).Q
    rotation = rotation * torch.linalg.det(rotation)
    points = torch.rand(1, 9, 3, generator=generator) - 0.5
    view = camera(rotation=rotation, centre=(0.1, 0.2, -0.3))
    place, height = view.project(points)
    eye = torch.tensor([0.0, 0.0, 6.0])
    for k in range(9):
        seen = rotation[0] @ (points[0, k] - view.centre[0])
        ray = seen - eye  # from the eye through the point to the plane z = 0
        hit = eye + ray * (-eye[2] / ray[2])
        expected = torch.stack([hit[0] + 1.5, 1.5 - hit[1]]) / 3.0
        torch.testing.assert_close(place[0, k], expected, atol=1e-5, rtol=0)
        torch.testing.assert_close(height[0, k], seen[2], atol=1e-5, rtol=0)


def test_a_ball_looks_like_a_ball():
    k = torch.arange(20_000) + 0.5
    up = 1 - 2 * k / len(k)
    turn = k * 2.399963  # the golden angle spreads points evenly
    flat = (1 - up**2).sqrt()
    ball = torch.stack([flat * turn.cos(), flat * turn.sin(), up], dim=1)
    buffers = rasterise(rigid(ball), still(), camera(distance=1000.0), 48)
    place = ((torch.arange(48) + 0.5) / 48 - 0.5) * 3
    off = (place[None, :] ** 2 + place[:, None] ** 2).sqrt()
    mask, depth = buffers.mask[0], buffers.depth[0]
    assert mask[off < 0.95].all() and not mask[off > 1.05].any()
    inner = off < 0.85
    expected = (1 - off[inner] ** 2).sqrt()
    assert (depth[inner] - expected).abs().max() < 0.09  # a pixel is .0625 wide and the slope below 1.6
    assert (depth[inner] - expected).abs().mean() < 0.03
    torch.testing.assert_close(ball[buffers.point[0][inner], 2], depth[inner], atol=2e-3, rtol=0)


def test_the_nearer_point_wins_and_what_is_outside_is_not_drawn():
    points = torch.tensor(
        [[0.0, 0.0, 0.0], [0.0, 0.0, 0.5], [0.0, 0.0, -0.5], [1.7, 0.0, 0.0], [0.0, -9.0, 0.0]]
    )
    buffers = rasterise(rigid(points), still(), camera(), 9)
    assert buffers.mask.sum() == 1 and buffers.point[0, 4, 4] == 1


def test_a_gap_of_one_pixel_is_closed_and_no_silhouette_grows():
    place = ((torch.arange(15) + 0.5) / 15 - 0.5) * 3
    x, y = torch.meshgrid(place, place, indexing="xy")
    square = (x.abs() < 1) & (y.abs() < 1)
    square[7, 7] = False
    points = torch.stack([x[square], y[square], torch.zeros(int(square.sum()))], dim=1)
    buffers = rasterise(rigid(points), still(), camera(distance=1e4), 15)
    square[7, 7] = True
    assert torch.equal(buffers.mask[0].flip(0), square.flip(0))
