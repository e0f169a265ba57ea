import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from thesislib.analysis.kernel_pca import (
    kernel_pca,
    largest_difference_to_plain_pca,
    nearest_neighbour_accuracy,
)


def units(count: int, f: int, seed: int) -> np.ndarray:
    """Random unit vectors, spread differently along each axis so that components are distinct."""
    x = np.random.RandomState(seed).normal(size=(count, f)) * np.geomspace(1, 8, f)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def same_up_to_signs(a: np.ndarray, b: np.ndarray) -> None:
    for one, other in zip(a.T, b.T, strict=True):
        np.testing.assert_allclose(one * np.sign(one @ other), other, atol=1e-6)


@given(st.integers(20, 40), st.integers(3, 8), st.integers(0, 1000))
def test_on_unit_vectors_kernel_pca_is_plain_pca(count, f, seed):
    x = units(count, f, seed)
    same_up_to_signs(kernel_pca(x, 2), PCA(2).fit_transform(x))
    assert largest_difference_to_plain_pca(x) < 1e-6


def test_it_is_the_eigenvectors_of_the_centred_gram_matrix():
    x = units(30, 5, 0)
    centre = np.eye(30) - 1 / 30
    value, vector = np.linalg.eigh(centre @ (x @ x.T) @ centre)
    expected = vector[:, ::-1][:, :3] * np.sqrt(value[::-1][:3])
    same_up_to_signs(kernel_pca(x, 3), expected)


def test_the_kernel_is_the_cosine():
    x = units(30, 5, 0)
    longer = x * np.linspace(1, 9, 30)[:, None]
    same_up_to_signs(kernel_pca(longer, 2), kernel_pca(x, 2))
    assert largest_difference_to_plain_pca(longer) > 0.1  # plain PCA sees the lengths


def test_neighbours_know_classes_that_stand_apart():
    random = np.random.RandomState(0)
    label = np.repeat(np.arange(3), 20)
    x = np.eye(6)[label] + random.normal(scale=0.05, size=(60, 6))
    y = np.eye(6)[label] + random.normal(scale=0.05, size=(60, 6))
    assert nearest_neighbour_accuracy(x, label, y, label, 2) == 1
    assert nearest_neighbour_accuracy(x, label, y, (label + 1) % 3, 2) == 0


def test_neighbours_guess_where_there_is_nothing_to_know():
    x, y, label = units(400, 6, 0), units(400, 6, 1), np.arange(400) % 4
    # 400 guesses among four: standard deviation sqrt(3 / 16 / 400) = 0.022
    assert nearest_neighbour_accuracy(x, label, y, label, 2) == pytest.approx(0.25, abs=5 * 0.022)
