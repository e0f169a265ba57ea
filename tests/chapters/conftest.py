"""What the tests of chapter 4 share: letters that are quickly drawn, and a letter network taught by them."""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from thesislib import paths, results
from thesislib.chapters import letter_network
from thesislib.datasets.hand_images import HandImages
from thesislib.datasets.letter_images import LetterImages

SIZE = 64
TINY = dict(hands=24, signers=4, test_hands=24, test_signers=2, epochs=2, batch_size=12)


def bar(letter: int, signer: int, take: int) -> tuple[np.ndarray, np.ndarray]:
    """A bar whose angle is the letter, on a ground that is the signer's: uint8 [3, S, S] and keypoints [21, 2]."""
    random = np.random.default_rng((letter, signer, take))
    angle, middle = np.pi * letter / 24 + random.normal(0, 0.02), SIZE / 2 + random.normal(0, 1.5, 2)
    along = np.array([np.cos(angle), np.sin(angle)])
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    across = np.abs((x - middle[0]) * along[1] - (y - middle[1]) * along[0])
    ground = 30 + 40 * np.random.default_rng(signer).random((3, 1, 1)) + random.normal(0, 8, (3, SIZE, SIZE))
    image = ground + 150 * (across < 6)
    # along the bar and at its end off to one side, as a hand is not the same from its other end
    points = middle + np.linspace(-25, 25, 21)[:, None] * along
    points[15:] += 8 * np.array([-along[1], along[0]])
    return image.clip(0, 255).astype(np.uint8), points.astype(np.float32)


@pytest.fixture(scope="session")
def drawn_letters():
    """A function: clips of frames for each signer, one letter every (24 / letters) turns -> LetterImages."""

    def draw(clips_and_frames: Sequence[tuple[int, int]], names: str = "aiqx") -> LetterImages:
        rows = [
            (letter, signer, take, frame)
            for signer, (clips, frames) in enumerate(clips_and_frames)
            for letter in range(len(names))
            for take in range(clips)
            for frame in range(frames)
        ]
        letter, signer, take, frame = np.array(rows, np.int64).T
        turn = 24 // len(names)
        pictures = [bar(turn * a, b, 100 * c + d) for a, b, c, d in rows]
        return LetterImages(
            image=np.stack([image for image, _ in pictures]),
            letter=letter,
            signer=signer,
            clip=(100 * signer + letter) * 10 + take,
            frame=frame,
            keypoints=np.stack([points for _, points in pictures]),
            left=np.zeros(len(rows), bool),
            letters=tuple(names),
            signers=tuple(f"person {number}" for number in range(len(clips_and_frames))),
            source="bars",
        )

    return draw


def rendered_bars(kind, seed, count, *, signers, **settings) -> HandImages:
    """In place of datasets.rendered_hands.rendered: every letter of `kind` "letters" in turn, as bars."""
    letter = np.array([ord(name) - ord("a") for name in letter_network.STATIC])[np.arange(count) % 24]
    signer = np.array(signers)[np.arange(count) % len(signers)]
    pictures = [bar(n % 24, who, 1000 * seed + n) for n, who in enumerate(signer)]
    return HandImages(
        image=np.stack([image for image, _ in pictures]),
        keypoints=np.stack([points for _, points in pictures]),
        visible=np.ones((count, 21), bool),
        left=np.zeros(count, bool),
        signer=signer.astype(np.int64),
        letter=letter.astype(np.int64),
        source=f"bars, {kind}",
    )


@pytest.fixture(scope="session")
def draw_bars():
    """`rendered_bars`, to be put in the renderer's place."""
    return rendered_bars


@pytest.fixture(scope="module")
def build_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A build folder for one file of tests, and source hashes that are taken once."""
    folder = tmp_path_factory.mktemp("build")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "RUNS", folder / "runs")
        patch.setattr(paths, "QUICK_RESULTS", folder / "results")
        patch.setattr(results, "source_hash", functools.cache(results.source_hash))
        yield folder


@pytest.fixture(scope="module")
def letters_taught(build_folder: Path) -> Iterator[letter_network.Config]:
    """The configuration of a letter network that has learned from bars, and counts as the stored one."""
    config = letter_network.Config.profile("smoke", **TINY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(letter_network, "rendered", rendered_bars)
        patch.setattr(letter_network, "stored", lambda: config)
        letter_network.run(config)
        yield config
