"""Squares of pictures: what a cut-out shows, and where its points are in the picture."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thesislib.regions import Regions, about_middle

PICTURES = torch.randint(
    0, 256, (2, 3, 12, 12), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({}, PICTURES),
        ({"mirrored": True}, PICTURES.flip(-1)),
        ({"turn": math.pi / 2}, PICTURES.rot90(1, (-2, -1))),  # what was on the right is on top
        ({"turn": math.pi}, PICTURES.flip(-1, -2)),
        ({"turn": math.pi, "mirrored": True}, PICTURES.flip(-2)),
    ],
)
def test_a_whole_picture_turned_by_quarters_or_mirrored_is_exact(choice, expected):
    torch.testing.assert_close(about_middle(PICTURES, **choice).cut_out(PICTURES, 12), expected)


def test_a_part_is_what_lies_about_the_middle():
    cut = about_middle(PICTURES, share=0.5).cut_out(PICTURES, 6)
    torch.testing.assert_close(cut, PICTURES[:, :, 3:9, 3:9])


def test_outside_a_picture_its_edge_is_repeated():
    around = Regions(torch.tensor([[1.0, 6.0]]), torch.tensor([4.0]), torch.eye(2)[None])
    cut = around.cut_out(PICTURES[:1], 4)
    assert torch.equal(cut[..., 0], cut[..., 1]) and torch.equal(cut[..., 1:], PICTURES[:1, :, 4:8, :3])


@given(
    share=st.floats(0.3, 1.5),
    turn=st.floats(-4, 4),
    mirrored=st.booleans(),
    x=st.floats(0, 1),
    y=st.floats(0, 1),
)
def test_points_come_back_to_where_they_are_seen(share, turn, mirrored, x, y):
    size = 64
    column, row = torch.meshgrid(torch.arange(size) + 0.5, torch.arange(size) + 0.5, indexing="xy")
    picture = (
        torch.stack([3 * column, 3 * row, 0 * row])[None].round().to(torch.uint8)
    )  # a colour tells its place
    regions = about_middle(picture, share=share, turn=turn, mirrored=mirrored)
    cut = regions.cut_out(picture, size)
    seen = (torch.tensor([x, y]) * (size - 1)).round().long()
    place = regions.in_picture((seen + 0.5)[None, None] / size)[0, 0]
    if (place > 1).all() and (place < size - 1).all():
        torch.testing.assert_close(cut[0, :2, seen[1], seen[0]] / 3, place, atol=0.4, rtol=0)


@given(turn=st.floats(-4, 4), mirrored=st.booleans())
def test_the_axes_are_unit_vectors_at_right_angles(turn, mirrored):
    axes = about_middle(PICTURES, turn=turn, mirrored=mirrored).axes[0]
    torch.testing.assert_close(axes.mT @ axes, torch.eye(2), atol=1e-6, rtol=0)
    assert torch.linalg.det(axes).item() == pytest.approx(-1 if mirrored else 1)
