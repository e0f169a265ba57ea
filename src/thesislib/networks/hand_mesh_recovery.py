"""From a picture to the 61 numbers of a hand model: an encoder, and a regressor that corrects its own guess.

End-to-end recovery of Kanazawa et al. 2018 ("End-to-end Recovery of Human Shape and Pose"), as Komorowicz 2018
uses it for hands (sections 2.2 and 6.1): features of the picture and the guess so far go in, a correction comes
out, three times, from one mean hand for all pictures.
"""

import math

import torch
from torch import Tensor, nn

from thesislib.hand_model import NUM_PARAMETERS, SIZES, Parameters, join

# The mean hand stands on edge, a quarter of a turn from palm and from back: both are downhill. Invented flat hands
# fitted one by one by 300 steps of gradient descent end, from here, at 3.8 pixels of 224 (palms) and 3.3 (backs);
# from a palm at 2.8 and 8.1, from a back at 7.9 and 2.8. Place and size are the mean of a crop around the joints.
_MEAN_ROTATION = (0.0, math.pi / 2, 0.0)  # axis-angle, radians
_MEAN_TRANSLATION = (0.0, 0.77)  # of the wrist, from -1 to 1 across the picture, y down
_MEAN_SCALE = 0.77  # in the same units, of a hand unit


def mean_parameters() -> Tensor:
    """Return the parameters [61] that every picture's estimate starts from.

    The model's resting hand (pose and shape 0), on edge to the viewer, upright in the middle of the picture.
    """
    return join(
        Parameters(
            pose=torch.zeros(SIZES["pose"]),
            shape=torch.zeros(SIZES["shape"]),
            rotation=torch.tensor(_MEAN_ROTATION),
            translation=torch.tensor(_MEAN_TRANSLATION),
            scale=torch.tensor([_MEAN_SCALE]),
        )
    )


class IterativeRegressor(nn.Module):
    """Iterative error feedback: features [B, C] and parameters [B, 61] to better parameters, ``iterations`` times.

    Two hidden layers with ReLU and dropout 0.5, and a linear one that starts near zero, so that first corrections
    are small; every iteration has the same weights (Kanazawa et al. 2018, section 3.2). Returns [T, B, 61], the
    estimate after each iteration.
    """

    def __init__(self, num_features: int, *, iterations: int = 3, hidden: int = 1024) -> None:
        super().__init__()
        if iterations < 1:
            raise ValueError(f"at least one iteration, not {iterations}")
        self.iterations = iterations
        self.register_buffer("mean", mean_parameters())
        self.correction = nn.Sequential(
            nn.Linear(num_features + NUM_PARAMETERS, hidden),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(hidden, NUM_PARAMETERS),
        )
        last = self.correction[-1]
        nn.init.xavier_uniform_(last.weight, gain=0.01)
        nn.init.zeros_(last.bias)

    def forward(self, features: Tensor) -> Tensor:
        theta, estimates = self.mean.expand(len(features), -1), []  # [B, 61]
        for _ in range(self.iterations):
            theta = theta + self.correction(torch.cat([features, theta], dim=1))
            estimates.append(theta)
        return torch.stack(estimates)  # [T, B, 61]


class HandMeshRecovery(nn.Module):
    """Pictures [B, 3, S, S] to parameters of a hand model, [T, B, 61], after each of T iterations.

    ``encoder`` gives features [B, num_features]. A ``frozen`` one carries no gradients and always runs in
    evaluation mode: neither its weights nor the statistics of its batch norms move (Komorowicz 2018, section 6.3,
    "freeze").
    """

    def __init__(
        self,
        encoder: nn.Module,
        num_features: int,
        *,
        iterations: int = 3,
        hidden: int = 1024,
        frozen: bool = False,
    ) -> None:
        super().__init__()
        self.encoder, self.frozen = encoder, frozen
        self.regressor = IterativeRegressor(num_features, iterations=iterations, hidden=hidden)
        if frozen:
            encoder.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "HandMeshRecovery":
        """Set the mode of all but a frozen encoder."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        return self.regressor(self.encoder(x))
