import pytest
import torch
from torch.nn.functional import normalize

from thesislib.analysis.gradient_maps import adversarial_steps, preferred_images, similarity_gradients

SIZE = 4


def linear(f: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(SIZE * SIZE, f, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def images(count: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.rand(count, 1, SIZE, SIZE, generator=random, dtype=dtype)


# Gradients of a similarity --------------------------------------------------------------------------


def test_gradients_are_finite_differences():
    weight, x, step = linear(3), images(3), 1e-6

    def embed(x: torch.Tensor) -> torch.Tensor:
        return normalize(x.flatten(1) @ weight, dim=1)

    got = similarity_gradients(embed, x)
    assert got.shape == (3, 3, SIZE, SIZE)
    for a in range(3):
        for b in range(3):
            phi_b = embed(x[b : b + 1])[0]
            for row in range(SIZE):
                for column in range(SIZE):
                    up, down = x[a : a + 1].clone(), x[a : a + 1].clone()
                    up[0, 0, row, column] += step
                    down[0, 0, row, column] -= step
                    slope = (embed(up)[0] - embed(down)[0]) @ phi_b / (2 * step)
                    assert float(got[a, b, row, column]) == pytest.approx(float(slope), abs=1e-7)


def test_an_image_is_at_the_top_of_the_similarity_to_itself():
    weight, x = linear(3), images(4)
    got = similarity_gradients(lambda x: normalize(x.flatten(1) @ weight, dim=1), x)
    diagonal = got[range(4), range(4)]
    assert diagonal.abs().max() < 1e-12  # phi(x) . phi(x) is 1, the largest there is
    assert got.abs().max() > 1e-2


def test_the_images_are_left_alone():
    x = images(2)
    before = x.clone()
    similarity_gradients(lambda x: normalize(x.flatten(1), dim=1), x)
    assert torch.equal(x, before) and not x.requires_grad


# Preferred images -----------------------------------------------------------------------------------


def test_a_linear_filter_prefers_its_positive_part():
    weight = linear(5, dtype=torch.float32)
    got = preferred_images(lambda x: x.flatten(1) @ weight, 5, SIZE)
    assert got.shape == (5, SIZE, SIZE) and not got.requires_grad
    for feature in range(5):
        pattern = (weight[:, feature] > 0).float().view(SIZE, SIZE)
        assert torch.equal(got[feature], pattern)


def test_ascent_goes_as_far_as_its_steps_and_rate():
    weight = torch.ones(SIZE * SIZE, 1)
    got = preferred_images(lambda x: x.flatten(1) @ weight, 1, SIZE, steps=3, rate=0.05)
    torch.testing.assert_close(got, torch.full((1, SIZE, SIZE), 0.1 + 3 * 0.05))


# Adversarial steps ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_steps_raise_the_wanted_class_within_the_rate(seed):
    weight, x = linear(4, seed), images(6, seed)
    target = torch.randint(4, (6,), generator=torch.Generator().manual_seed(seed))

    def score(x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1) @ weight

    rate, steps = 0.01, 10
    path = adversarial_steps(score, x, target, rate=rate, steps=steps)
    assert path.shape == (steps + 1, 6, SIZE, SIZE)
    assert torch.equal(path[0], x[:, 0])
    assert path.min() >= 0 and path.max() <= 1
    assert (path[1:] - path[:-1]).abs().max() <= rate + 1e-12
    wanted = torch.stack([score(p).log_softmax(1)[range(6), target] for p in path])  # [steps + 1, n]
    assert (wanted[1:] > wanted[:-1]).all()


def test_enough_steps_reach_the_wrong_class():
    weight, x = linear(3), images(5)
    right = (x.flatten(1) @ weight).argmax(1)
    target = (right + 1) % 3
    path = adversarial_steps(lambda x: x.flatten(1) @ weight, x, target, rate=0.05, steps=40)
    assert torch.equal((path[-1].flatten(1) @ weight).argmax(1), target)


def test_images_walk_alone():
    """An image's path is the same whatever else is in the batch."""
    weight, x, target = linear(3), images(4), torch.tensor([0, 1, 2, 0])

    def score(x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1) @ weight

    together = adversarial_steps(score, x, target, rate=0.02, steps=5)
    for i in range(4):
        alone = adversarial_steps(score, x[i : i + 1], target[i : i + 1], rate=0.02, steps=5)
        torch.testing.assert_close(alone[:, 0], together[:, i])


def test_no_steps_are_the_images():
    x = images(2)
    path = adversarial_steps(lambda x: x.flatten(1), x, torch.tensor([0, 1]), rate=0.1, steps=0)
    assert torch.equal(path, x[:, 0][None])
