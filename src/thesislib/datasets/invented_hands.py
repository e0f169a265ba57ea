"""The built-in sets: invented people's flat hands as a camera and a detector would give them, and a hand model's.

They need no download. Flat hands stand in for 11k Hands with joints by OpenPose (Komorowicz 2018, section 5.2),
and everything that such a set leaves open is known of them; pictures of the hand model stand for that thesis's data
from the bottom up (section 5.3.1). Pictures are rendered once and kept; the detector's words are drawn anew, so
that other faults need no other pictures.
"""

import hashlib
from collections.abc import Callable
from functools import cache, partial
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch

from thesislib import paths, results
from thesislib.datasets.arrays import array_digest, read_npz
from thesislib.datasets.hand_images import NUM_JOINTS, HandImages
from thesislib.datasets.modelled_hands import NUM_PARAMETERS, ModelledHands, Truth
from thesislib.datasets.rendered_hands import rendered
from thesislib.datasets.sources import DataError
from thesislib.hand_model import HandModel
from thesislib.synthetic import flat_hands, mesh_pictures
from thesislib.synthetic.detector import USUAL, DetectorFaults, detect
from thesislib.synthetic.handshapes import TABLE
from thesislib.synthetic.scene import check_size
from thesislib.synthetic.supervisor import SHARP, Eye, by_rule

# Where the people of each part begin, far enough apart that nobody is ever in two.
FIRST_SUBJECT = {"train": 0, "validation": 1_000_000, "test": 2_000_000}
MOST_SUBJECTS = 1_000_000
DRAWN_SUBJECTS = 10_000_000  # added to the numbers of a hand model's people: they are others
SEEDS = {"train": 0, "validation": 1, "test": 2}
SUBJECTS = {"train": 152, "validation": 38}  # 190 people as in 11k Hands, four fifths of them to train on


def flat(
    part: str,
    hands: int,
    subjects: int,
    size: int,
    *,
    supersample: int = 1,
    faults: DetectorFaults = USUAL,
) -> ModelledHands:
    """Return so many flat right hands by so many people of a part, with the truth and a detector's joints.

    part: "train", "validation" or "test", whose people never meet; size: pixels to a side, a multiple of 8;
    supersample: rays to a pixel's side. Raises DataError for an unknown part and a full disk, ValueError for a
    size that cannot be drawn.
    """
    people, seed = _people(part, subjects), SEEDS[part]
    drawn, truth = _rendered(
        "flat", part, hands, people, size, supersample, flat_hands.photographed, generator_hash()
    )
    found = detect(torch.from_numpy(drawn.keypoints), seed, torch.arange(hands), faults)
    return ModelledHands(
        image=drawn.image,
        keypoints=found.keypoints.numpy(),
        certainty=found.certainty.numpy(),
        subject=drawn.signer,
        mirrored=drawn.left,
        source=f"invented flat hands, {part}",
        truth=truth,
    )


def drawn(
    model: HandModel, part: str, hands: int, subjects: int, size: int, *, supersample: int = 1
) -> ModelledHands:
    """Return pictures of a hand model itself, whose 61 parameters are known; the rest is as in flat().

    Nobody detected anything: keypoints are the true ones, their certainty 1. Subjects are people of their own,
    with numbers of their own.
    """
    people = _people(part, subjects)
    made, truth = _rendered(
        *("model", part, hands, people, size, supersample),
        partial(mesh_pictures.draw, model=model),
        f"{_source_and_table('thesislib.synthetic.mesh_pictures')}-{_model_digest(model)}",
    )
    return ModelledHands(
        image=made.image,
        keypoints=made.keypoints,
        certainty=np.ones(made.keypoints.shape[:2], np.float32),
        subject=made.signer + DRAWN_SUBJECTS,
        mirrored=made.left,
        source=f"pictures of the hand model {model.name}, {part}",
        truth=truth,
    )


def passes(hands: ModelledHands, *, eye: Eye = SHARP) -> tuple[np.ndarray, np.ndarray]:
    """Return what a simulated person keeps of flat() in the first pass, and what after the second, bool [N]."""
    found, true = torch.from_numpy(hands.keypoints), torch.from_numpy(hands.truth.keypoints)
    first, both = by_rule(found, true, 0, torch.arange(len(hands)), eye)
    return first.numpy(), both.numpy()


def supervised(hands: ModelledHands, *, eye: Eye = SHARP) -> np.ndarray:
    """Return which hands of flat() a simulated person lets pass, bool [N]."""
    return passes(hands, eye=eye)[1]


def _people(part: str, subjects: int) -> range:
    if part not in FIRST_SUBJECT:
        raise DataError(f"no part {part!r} of the invented hands; there are {', '.join(FIRST_SUBJECT)}")
    if not 1 <= subjects <= MOST_SUBJECTS:
        raise DataError(f"need from 1 to {MOST_SUBJECTS:,} people, asked for {subjects}")
    return range(FIRST_SUBJECT[part], FIRST_SUBJECT[part] + subjects)


def _rendered(
    kind: str,
    part: str,
    hands: int,
    people: range,
    size: int,
    supersample: int,
    draw: Callable[..., dict[str, torch.Tensor]],
    code: str,
) -> tuple[HandImages, Truth]:
    """Return the hands of a generator, drawn once and kept, and what it knows of them."""

    def packed(*args, **settings) -> dict[str, torch.Tensor]:
        made = draw(*args, **settings)  # eight pixels of a silhouette go into a byte
        return made | {"silhouette": torch.from_numpy(np.packbits(made["silhouette"].numpy(), axis=-1))}

    check_size(size, supersample)
    made = rendered(
        kind,
        SEEDS[part],
        hands,
        folder=paths.CACHE / "modelled",
        generate=packed,
        size=size,
        code=code,
        subjects=people,
        supersample=supersample,
    )
    # rendered() keeps all that a generator gave beside the pixels
    labels = Path(made.image.filename).with_name("labels.npz")
    layout = {
        "joints": (np.float32, (hands, NUM_JOINTS, 3)),
        "frames": (np.float32, (hands, 5, 3, 3, 3)),
        "silhouette": (np.uint8, (hands, size, size // 8)),
    }
    if kind == "model":
        layout["theta"] = (np.float32, (hands, NUM_PARAMETERS))
    known = dict(zip(layout, read_npz(labels, layout), strict=True))
    known["silhouette"] = np.unpackbits(known["silhouette"], axis=-1).astype(bool)
    return made, Truth(keypoints=made.keypoints, **known)


def generator_hash() -> str:
    """Return the hash of the code and the table of handshapes that draw flat hands: others draw other sets."""
    return _source_and_table("thesislib.synthetic.flat_hands")


@cache
def _source_and_table(module: str) -> str:
    table = files("thesislib.synthetic").joinpath(TABLE).read_bytes()
    return hashlib.sha256(results.source_hash(module).encode() + table).hexdigest()[:16]


def _model_digest(model: HandModel) -> str:
    tensors = (value for value in vars(model).values() if isinstance(value, torch.Tensor))
    return array_digest(*(tensor.numpy(force=True) for tensor in tensors))[:16]
