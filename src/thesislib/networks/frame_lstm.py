"""A recurrent network that reads a sign from the features of its frames (the 2018 LedaSila notebook)."""

import copy

import torch
from torch import Tensor, nn

from thesislib.networks.blocks import initialise

LAYERS = (1, 2)
DENSE = (1, 2)


class FrameLSTM(nn.Module):
    """LSTM layers over time, then dense ones: features of frames [B, T, num_features] to logits [B, num_words].

    The notebook's two networks are ``layers`` 2 with ``dense`` 1, for many gestures, and 1 with 2, for few signs;
    as there, ``dense`` counts the layer that classifies. ``dropout`` hits what enters each LSTM layer, and the same
    features in every frame of a clip, as in Keras. ValueError for other numbers of layers.
    """

    def __init__(
        self,
        num_features: int,
        num_words: int,
        *,
        hidden: int = 1024,
        layers: int = 2,
        dense: int = 1,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if layers not in LAYERS or dense not in DENSE:
            raise ValueError(
                f"the notebook has 1 or 2 LSTM layers and 1 or 2 dense ones (the last classifies), "
                f"not {layers} and {dense}"
            )
        self.dropout = nn.Dropout1d(dropout)  # whole channels of [B, F, T]: a feature, in all frames
        self.lstms = nn.ModuleList(
            nn.LSTM(hidden if i else num_features, hidden, batch_first=True) for i in range(layers)
        )
        self.dense = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU()) if dense == 2 else nn.Identity()
        self.classifier = nn.Linear(hidden, num_words)
        for lstm in self.lstms:
            _start_as_keras(lstm)
        initialise(self)

    def features(self, x: Tensor) -> Tensor:
        """Return what the classifier reads: [B, T, num_features] to [B, hidden]."""
        for lstm in self.lstms:
            x = self.dropout(x.transpose(1, 2)).transpose(1, 2)
            x, _ = lstm(x)  # [B, T, hidden]
        return self.dense(x[:, -1])

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))


def transfer(network: FrameLSTM, num_words: int) -> FrameLSTM:
    """Return a copy for other words: all is carried over but the layer that classifies, which starts afresh."""
    other = copy.deepcopy(network).requires_grad_(True)
    other.classifier = nn.Linear(network.classifier.in_features, num_words).to(network.classifier.weight)
    initialise(other.classifier)
    return other


def freeze(network: FrameLSTM, lstms: int) -> None:
    """Let the first ``lstms`` LSTM layers learn no more, and all else learn; ValueError if there are fewer.

    Dropout before a frozen layer stays on while training, as in Keras.
    """
    if not 0 <= lstms <= len(network.lstms):
        raise ValueError(f"the network has {len(network.lstms)} LSTM layers, {lstms} cannot be frozen")
    network.requires_grad_(True)
    network.lstms[:lstms].requires_grad_(False)


def _start_as_keras(lstm: nn.LSTM) -> None:
    """Draw weights as Keras does: Glorot for what enters, orthogonal for what returns, forget gates open."""
    nn.init.xavier_uniform_(lstm.weight_ih_l0)
    nn.init.orthogonal_(lstm.weight_hh_l0)
    nn.init.zeros_(lstm.bias_ih_l0)
    nn.init.zeros_(lstm.bias_hh_l0)
    with torch.no_grad():
        lstm.bias_ih_l0[lstm.hidden_size : 2 * lstm.hidden_size] = 1  # torch's order: in, forget, cell, out
