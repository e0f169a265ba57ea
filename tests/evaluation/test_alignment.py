import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from thesislib.evaluation.alignment import align

seeds = st.integers(0, 1000)


def some_points(seed: int, sets: int = 3, count: int = 12) -> torch.Tensor:
    return torch.randn(sets, count, 3, generator=torch.Generator().manual_seed(seed))


def some_move(seed: int) -> tuple[torch.Tensor, float, torch.Tensor]:
    random = np.random.default_rng(seed)
    turn = torch.from_numpy(Rotation.random(random_state=seed).as_matrix())
    return turn, float(random.uniform(0.2, 5)), torch.from_numpy(random.normal(size=3))


@given(seeds)
def test_a_moved_copy_is_laid_back_exactly(seed):
    points, (turn, scale, shift) = some_points(seed).double(), some_move(seed)
    found = align(points, scale * points @ turn.T + shift)
    torch.testing.assert_close(found.turn, turn.expand(3, 3, 3))
    torch.testing.assert_close(found.scale, torch.full((3,), scale, dtype=torch.float64))
    torch.testing.assert_close(found.shift, shift.expand(3, 3))


@given(seeds)
def test_turn_and_scale_are_those_of_scipy(seed):
    points, onto = some_points(seed), some_points(seed + 5000)
    found = align(points, onto)
    for row in range(3):
        a, b = (p[row].double().numpy() - p[row].double().numpy().mean(0) for p in (points, onto))
        turn = Rotation.align_vectors(b, a)[0].as_matrix()  # never a reflection
        np.testing.assert_allclose(found.turn[row], turn, atol=1e-6)
        scale = np.sum(b * (a @ turn.T)) / np.sum(a * a)
        assert found.scale[row] == pytest.approx(scale, abs=1e-9)


def test_no_other_similarity_is_better():
    points, onto = some_points(1, 1).double(), some_points(2, 1).double()

    def left(numbers: np.ndarray) -> float:
        turn = torch.from_numpy(Rotation.from_rotvec(numbers[:3]).as_matrix())
        moved = np.exp(numbers[3]) * points[0] @ turn.T + torch.from_numpy(numbers[4:])
        return float((moved - onto[0]).square().sum())

    best = min(minimize(left, np.r_[start, 0, 0, 0, 0]).fun for start in np.eye(3) * 2)
    assert float((align(points, onto)(points) - onto).square().sum()) == pytest.approx(best, rel=1e-6)


def test_a_mirror_image_is_not_laid_on_the_original():
    points = some_points(0)
    mirrored = points * torch.tensor([-1.0, 1, 1])
    found = align(points, mirrored)
    torch.testing.assert_close(torch.linalg.det(found.turn), torch.ones(3, dtype=torch.float64))
    assert (found(points.double()) - mirrored).norm(dim=-1).mean(dim=1).min() > 0.1


def test_without_scale_sizes_stay():
    points = some_points(0)
    assert align(points, 2 * points, scale=False).scale.tolist() == [1, 1, 1]
    assert align(points, 2 * points).scale.tolist() == pytest.approx([2, 2, 2])


def test_what_cannot_be_laid_is_refused():
    points = some_points(0)
    with pytest.raises(ValueError, match=r"\[B, N, 3\]"):
        align(points, points[:, :5])
    with pytest.raises(ValueError, match=r"\[B, N, 3\]"):
        align(points[..., :2], points[..., :2])
    with pytest.raises(ValueError, match="one place"):
        align(torch.ones(2, 4, 3), torch.ones(2, 4, 3))
    with pytest.raises(ValueError, match="not finite"):
        align(torch.full((1, 4, 3), torch.nan), torch.ones(1, 4, 3))
