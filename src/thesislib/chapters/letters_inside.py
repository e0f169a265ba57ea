"""A look inside chapter 4: by which pixels two invented hands become alike (Ignatiev 2019, eq. 3.38)."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from thesislib import paths, results, runtime
from thesislib.analysis.gradient_maps import similarity_gradients
from thesislib.chapters import across_signers, letter_sets
from thesislib.chapters.letter_heads import new_head, train_head
from thesislib.chapters.letter_systems import THESIS, features, networks, weights
from thesislib.evaluation.signers import zero_shot
from thesislib.hand_features import as_right_hands
from thesislib.losses.pairwise import PairwiseCosineLoss
from thesislib.transforms.hands import LUMA, to_input

LETTERS = ("a", "s", "e", "o", "u", "r", "v", "l")  # fists, rings and raised fingers


def gradients(config: across_signers.Config) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return pictures of the built-in set's first signer, and d s_ab / d x_a for the brightness of each pixel.

    Pictures are uint8 [n, 3, S, S], one of each of LETTERS; gradients float32 [n, n, S, S], row a by the pixels of
    a: `thesis`, its embedding with a head that learned from the other signers, and `letters`, the letter network's
    features where they stand. Whatever set the configuration reads, these hands are invented.
    """
    invented = replace(config, dataset=letter_sets.INVENTED, data_folder="")
    chosen, device = across_signers.letter_set(invented), runtime.best_device()
    data, found = chosen.load(), networks(config.seed)
    train = zero_shot(data.signer, 0).train
    x = features(THESIS.feature, data, found)
    head = new_head(x.shape[1], THESIS.f, seed=config.seed, depth=THESIS.depth)
    names = (
        results.source_hash(__name__)[:8],
        letter_sets.digest([chosen.sha256()], weights(config.seed))[:8],
    )
    folder = paths.RUNS / "letters_inside" / f"{invented.digest()}-{'-'.join(names)}"
    options = dict(epochs=config.head_epochs, folder=folder, seed=config.seed)
    train_head(x[None, train], data.letter[train], head, PairwiseCosineLoss(), **options)
    head.eval().requires_grad_(False)

    rows = [
        np.flatnonzero((data.signer == 0) & (data.letter == data.letters.index(name)))[0] for name in LETTERS
    ]
    image = as_right_hands(data.image[rows], data.left[rows])
    colour = torch.tensor(image, device=device) / 255
    brightness = (colour * colour.new_tensor(LUMA)[:, None, None]).sum(dim=1, keepdim=True)  # [n, 1, S, S]
    hue = colour - brightness  # stays as it is

    def thesis(x: Tensor) -> Tensor:
        return head(found.pose.features(to_input(255 * (hue + x))).mean(dim=(2, 3)))  # [n, f]

    def letters(x: Tensor) -> Tensor:
        return normalize(found.letters.features(to_input(255 * (hue + x))).flatten(1), dim=1)

    found.pose.eval().requires_grad_(False)
    embeddings = {"thesis": thesis, "letters": letters}
    return image, {n: similarity_gradients(e, brightness).cpu().numpy() for n, e in embeddings.items()}


def in_squares(gradient: np.ndarray, side: int = 4) -> np.ndarray:
    """Return gradients [n, n, S, S] by the brightness of whole squares, each repeated over its side x side pixels.

    Single pixels flicker where a network skips every other one. A picture is never made more like itself: what
    rounding leaves of that is set to 0.
    """
    n, s = len(gradient), gradient.shape[-1]
    squares = gradient.reshape(n, n, s // side, side, s // side, side).sum(axis=(3, 5))
    squares[np.arange(n), np.arange(n)] = 0
    return squares.repeat(side, axis=2).repeat(side, axis=3)
