"""Readers: given features of labelled pictures, score every letter for each query.

Each takes `train_x` [N, D], `train_letter` int [N], `query_x` [Q, D] and the number of letters C, and returns
scores float32 [Q, C]: the higher, the likelier. A letter without a training picture scores -inf and is never
read. Features that are not finite, letters outside the C and an empty training set raise ValueError.
"""

from collections.abc import Callable

import numpy as np
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, normalize

MOST_DIMENSIONS = 256  # of shrunk LDA, whose covariance has their square in it

Reader = Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]


def nearest(
    train_x: np.ndarray, train_letter: np.ndarray, query_x: np.ndarray, num_letters: int
) -> np.ndarray:
    """The cosine to the letter's nearest picture: the thesis's rule 'max' (Ignatiev 2019, eq. 3.24).

    A vector of zeros has no direction: its cosine to anything counts as 0.
    """
    _check(train_x, train_letter, query_x, num_letters)
    train_x, query_x = normalize(train_x), normalize(query_x)  # rows of zeros stay zeros
    scores = _nothing_known(query_x, num_letters)
    for letter in np.unique(train_letter):
        scores[:, letter] = (query_x @ train_x[train_letter == letter].T).max(axis=1)
    return scores


def prototype_mean(
    train_x: np.ndarray, train_letter: np.ndarray, query_x: np.ndarray, num_letters: int
) -> np.ndarray:
    """The cosine to the mean of the letter's pictures, each scaled to length 1 before (Snell et al. 2017).

    A vector of zeros has no direction: its cosine to anything counts as 0.
    """
    _check(train_x, train_letter, query_x, num_letters)
    train_x = normalize(train_x)
    letters = np.unique(train_letter)
    means = np.stack([train_x[train_letter == letter].mean(axis=0) for letter in letters])
    scores = _nothing_known(query_x, num_letters)
    scores[:, letters] = normalize(query_x) @ normalize(means).T
    return scores


def shrunk_lda(
    train_x: np.ndarray, train_letter: np.ndarray, query_x: np.ndarray, num_letters: int
) -> np.ndarray:
    """Linear discriminant analysis with a shrunk covariance (Ledoit and Wolf 2004), letters equally likely.

    The covariance is that of all training pictures around the means of their letters. scikit-learn's own
    discriminant shrinks one for each letter and averages them, which two shots are too few for. It is shrunk
    towards the same spread in every direction, so features should share a scale, as for the cosines. More than
    256 dimensions are first reduced to 256 principal components of the training pictures. Where the pictures of
    no letter differ, as with a single one a letter, there is no spread to estimate, and the scores are those of
    `prototype_mean`.
    """
    _check(train_x, train_letter, query_x, num_letters)
    letters, place = np.unique(train_letter, return_inverse=True)
    if not any(np.ptp(train_x[train_letter == letter], axis=0).any() for letter in letters):
        return prototype_mean(train_x, train_letter, query_x, num_letters)
    # in double precision: the covariance may be nearly singular
    train_x, query_x = train_x.astype(np.float64), query_x.astype(np.float64)
    if train_x.shape[1] > MOST_DIMENSIONS:
        components = PCA(min(MOST_DIMENSIONS, len(train_x) - 1), random_state=0).fit(train_x)
        train_x, query_x = components.transform(train_x), components.transform(query_x)
    means = np.stack([train_x[train_letter == letter].mean(axis=0) for letter in letters])  # [L, D]
    covariance = LedoitWolf(assume_centered=True).fit(train_x - means[place]).covariance_  # [D, D]
    weights = np.linalg.lstsq(covariance, means.T)[0]  # [D, L]
    scores = _nothing_known(query_x, num_letters)
    scores[:, letters] = query_x @ weights - (means.T * weights).sum(axis=0) / 2
    return scores


def ridge(train_x: np.ndarray, train_letter: np.ndarray, query_x: np.ndarray, num_letters: int) -> np.ndarray:
    """Ridge regression from standardised features to one letter against the rest.

    The penalty is the number of features, as if each standardised vector had a length of about 1.
    """
    _check(train_x, train_letter, query_x, num_letters)
    scores = _nothing_known(query_x, num_letters)
    letters = np.unique(train_letter)
    if len(letters) == 1:  # nothing to decide, which scikit-learn would refuse
        scores[:, letters] = 0
        return scores
    model = make_pipeline(StandardScaler(), RidgeClassifier(alpha=train_x.shape[1]))
    decided = model.fit(train_x.astype(np.float64), train_letter).decision_function(
        query_x.astype(np.float64)
    )
    scores[:, letters] = decided if len(letters) > 2 else np.stack([-decided, decided], axis=1)
    return scores


READERS: dict[str, Reader] = {
    "max": nearest,
    "prototype_mean": prototype_mean,
    "shrunk_lda": shrunk_lda,
    "ridge": ridge,
}


def _check(train_x: np.ndarray, train_letter: np.ndarray, query_x: np.ndarray, num_letters: int) -> None:
    if not len(train_x) or train_x.ndim != 2 or train_letter.shape != train_x.shape[:1]:
        raise ValueError(
            f"one or more vectors with a letter each, not {train_x.shape} with {train_letter.shape}"
        )
    if query_x.ndim != 2 or query_x.shape[1] != train_x.shape[1]:
        raise ValueError(f"queries {query_x.shape} have other dimensions than training {train_x.shape}")
    if train_letter.min() < 0 or train_letter.max() >= num_letters:
        raise ValueError(f"letters must be from 0 to {num_letters - 1}")
    if not (np.isfinite(train_x).all() and np.isfinite(query_x).all()):
        raise ValueError("features must be finite; what made these gave NaN or infinity")


def _nothing_known(query_x: np.ndarray, num_letters: int) -> np.ndarray:
    return np.full((len(query_x), num_letters), -np.inf, dtype=np.float32)
