"""The letter network goes on learning, from photographs: what learns, from where, and what a batch is made of."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from thesislib import runtime
from thesislib.chapters import letter_network
from thesislib.chapters.letter_heads import LetterAugmentation
from thesislib.datasets.hand_images import HandImages
from thesislib.hand_features import as_right_hands
from thesislib.networks.letter_network import LetterNetwork
from thesislib.training import Recipe, fit
from thesislib.transforms.backdrops import RandomBackdrops
from thesislib.transforms.hands import to_input

AUGMENTATION = LetterAugmentation()


@dataclass(frozen=True)
class Condition:
    """What ``learns``; whether it was ``taught`` letters before, or starts from new weights of the same shape.

    ``invented``: every batch is half invented hands; ``backdrops``: half of the hands that were cut out on black
    stand before a background.
    """

    learns: Literal["nothing", "reader", "all"] = "all"
    taught: bool = True
    invented: bool = False
    backdrops: bool = False


CONDITIONS: dict[str, Condition] = {
    "as_it_is": Condition("nothing"),
    "last_layer": Condition("reader"),
    "end_to_end": Condition(),
    "end_to_end_mixed": Condition(invented=True),
    "end_to_end_backgrounds": Condition(backdrops=True),
    "end_to_end_scratch": Condition(taught=False),
}


@dataclass(frozen=True)
class Fold:
    """Some who teach and others who are asked.

    image: uint8 [N, 3, S, S], the pictures that teach, all as right hands; place: int64 [N], their letters' places
    among the network's; asked: int64 [Q], rows of the set that is read.
    """

    name: str
    image: np.ndarray
    place: np.ndarray
    asked: np.ndarray


@dataclass(frozen=True)
class Tuner:
    """What every condition starts from and is given: the letter network, a recipe each, and what is mixed in.

    ``hands`` and ``backdrops`` may be None where no condition asks for them; ``folder`` is where checkpoints are
    kept, by condition and fold. The seed is the letter network's.
    """

    letters: letter_network.Config
    start: LetterNetwork
    recipes: Mapping[str, Recipe]
    hands: HandImages | None
    backdrops: RandomBackdrops | None
    folder: Path

    def tuned(self, name: str, fold: Fold) -> tuple[LetterNetwork, list[dict[str, float]]]:
        """Return the network of a condition once a fold has taught it, and its history; a killed run goes on."""
        condition, device = CONDITIONS[name], runtime.best_device()
        network = self.network(condition).to(device, memory_format=torch.channels_last)
        if condition.learns == "nothing":
            return network, []

        def augment(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            x, y = self.batch(condition, x, y)
            x = to_input(AUGMENTATION(x)).contiguous(memory_format=torch.channels_last)
            if condition.learns == "reader":
                with torch.no_grad():
                    x = network.encoder(x)  # [B, 128, 4, 4]
            return x, y

        history = fit(
            # the reader alone: the encoder before it is never in training mode, and no bit of it changes
            network.reader if condition.learns == "reader" else network,
            nn.CrossEntropyLoss(label_smoothing=0.1),
            torch.from_numpy(fold.image).to(device),
            torch.from_numpy(fold.place).to(device),
            self.recipes[name],
            folder=self.folder / name / fold.name,
            seed=self.letters.seed,
            augment=augment,
            title=f"{name}, {fold.name}",
        )
        return network.eval(), history

    def network(self, condition: Condition) -> LetterNetwork:
        """Return a network of its own for a condition, as it is before any photograph, in evaluation mode."""
        if condition.taught:
            return deepcopy(self.start).eval().requires_grad_(True)
        return letter_network.build(replace(self.letters, start="scratch")).eval()

    def batch(self, condition: Condition, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return what a condition makes of a batch of photographs, uint8 [B, 3, S, S], and places [B]."""
        if condition.backdrops:
            x = self.backdrops(x)
        return half_invented(x, y, self.hands) if condition.invented else (x, y)


def half_invented(x: Tensor, y: Tensor, hands: HandImages) -> tuple[Tensor, Tensor]:
    """Return a batch whose second half has given way to invented hands, drawn with replacement, and their places.

    x: uint8 [B, 3, S, S], y: int64 [B]; of an odd number the photographs are one more. So an epoch shows half of
    the photographs, and costs no more than without the invented hands.
    """
    kept = len(x) - len(x) // 2
    which = torch.randint(len(hands.image), (len(x) - kept,)).numpy()
    image = as_right_hands(hands.image[which], hands.left[which])
    place = letter_network.letter_places(hands.letter[which])
    return (
        torch.cat([x[:kept], torch.from_numpy(image).to(x)]),
        torch.cat([y[:kept], torch.from_numpy(place).to(y)]),
    )
