"""The gradients of chapter 4 point where a similarity grows, for invented hands whatever the page reads."""

import numpy as np
import pytest
from sklearn.preprocessing import normalize

from thesislib import hand_features
from thesislib.chapters import across_signers, letters_inside
from thesislib.chapters.letter_systems import networks
from thesislib.datasets import spelled_hands


@pytest.fixture(scope="module")
def looked_inside(letters_taught, drawn_letters):
    """What is shown of bars in place of hands, asked for by a page on a real set."""
    with pytest.MonkeyPatch.context() as patch:
        bars = drawn_letters(((1, 2), (1, 2)), names="".join(letters_inside.LETTERS))
        patch.setattr(spelled_hands, "invented", lambda signers, **settings: bars)
        yield bars, *letters_inside.gradients(across_signers.Config.profile("smoke", dataset="asl7"))


def test_one_picture_a_letter_of_the_signer_left_out(looked_inside):
    bars, image, gradient = looked_inside
    rows = [np.flatnonzero((bars.signer == 0) & (bars.letter == n))[0] for n in range(8)]
    assert np.array_equal(image, bars.image[rows])
    assert {name: g.shape for name, g in gradient.items()} == dict.fromkeys(
        ("thesis", "letters"), (8, 8, 64, 64)
    )


def test_nothing_makes_a_picture_more_like_itself(looked_inside):
    for gradient in looked_inside[2].values():
        size = np.abs(gradient).max(axis=(2, 3))
        assert (np.diag(size) < 1e-3 * size.max()).all()


def test_a_step_along_the_gradient_raises_the_similarity_by_what_it_promises(looked_inside):
    _, image, gradient = looked_inside
    network = networks(0).letters

    def similarity(pictures: np.ndarray) -> float:
        a, b = normalize(hand_features.spatial(network, np.stack([pictures, image[5]])))
        return float(a @ b)

    g = gradient["letters"][2, 5]
    strong = np.abs(g) > np.quantile(np.abs(g), 0.995)
    step = (np.sign(g) * strong).astype(int)  # grey levels
    room = np.clip(image[2].astype(int), 1, 254)  # so that no pixel is cut off
    ahead, back = ((room + sign * step).astype(np.uint8) for sign in (1, -1))
    promised = float((g * 2 * step / 255).sum())
    assert similarity(ahead) - similarity(back) == pytest.approx(promised, rel=0.3)


def test_squares_hold_what_their_pixels_promise_together():
    gradient = np.random.default_rng(0).normal(size=(3, 3, 8, 8))
    squares = letters_inside.in_squares(gradient, side=4)
    assert squares.shape == gradient.shape
    assert np.allclose(squares[0, 1, 4:, :4], gradient[0, 1, 4:, :4].sum())
    assert not squares[np.arange(3), np.arange(3)].any()
