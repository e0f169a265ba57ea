"""Kernel PCA of an embedding with the cosine kernel (Ignatiev 2019, section 3.2.2, eqs 3.29-3.30)."""

import numpy as np
from sklearn.decomposition import PCA, KernelPCA
from sklearn.neighbors import KNeighborsClassifier


def kernel_pca(embedding: np.ndarray, components: int = 2) -> np.ndarray:
    """Return the leading kernel principal components of unit vectors: [N, f] to [N, components]."""
    return KernelPCA(components, kernel="cosine").fit_transform(embedding)


def largest_difference_to_plain_pca(embedding: np.ndarray, components: int = 2) -> float:
    """Return how far kernel PCA and plain PCA of unit vectors differ at most, signs of axes aside.

    For unit vectors the cosine kernel is the ordinary dot product, so both find the same axes; plain PCA does
    it in O(N f^2) where the kernel's N x N matrix takes O(N^3).
    """
    kernel, plain = kernel_pca(embedding, components), PCA(components).fit_transform(embedding)
    return float(np.abs(np.abs(kernel) - np.abs(plain)).max())


def nearest_neighbour_accuracy(
    train: np.ndarray, train_label: np.ndarray, test: np.ndarray, test_label: np.ndarray, components: int
) -> float:
    """Return the share of test points right by 5 nearest neighbours on kernel PCA fitted on the train points."""
    pca = KernelPCA(components, kernel="cosine").fit(train)
    neighbours = KNeighborsClassifier(5).fit(pca.transform(train), train_label)
    return float(neighbours.score(pca.transform(test), test_label))
