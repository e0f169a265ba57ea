import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from thesislib.networks.blocks import count_parameters
from thesislib.networks.glyph_classifier import GlyphClassifier
from thesislib.networks.rival_classifiers import dual_path_encoder, resnet18_encoder


@pytest.mark.parametrize("make", [resnet18_encoder, dual_path_encoder])
def test_a_rival_takes_characters_and_learns_one_batch_by_heart(make):
    torch.manual_seed(0)
    encoder = make()
    classifier = GlyphClassifier(encoder, 3, dropout=0.0)
    x, label = torch.rand(6, 1, 28, 28), torch.arange(3).repeat(2)
    assert encoder(x).shape == (6, encoder.features)
    optimizer = torch.optim.Adam(classifier.parameters(), lr=0.001)
    for _ in range(15):
        loss = cross_entropy(classifier(x), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1
    assert torch.equal(classifier(x).argmax(1), label)


def test_resnet18_counts_as_by_hand():
    def block(c_in: int, c_out: int) -> int:
        shortcut = c_in * c_out + 2 * c_out if c_in != c_out else 0
        return 9 * c_in * c_out + 9 * c_out * c_out + 4 * c_out + shortcut

    total, c = 9 * 64 + 2 * 64, 64  # a 3x3 first layer on one channel
    for c_out in (64, 128, 256, 512):
        total += block(c, c_out) + block(c_out, c_out)
        c = c_out
    encoder = resnet18_encoder()
    assert count_parameters(encoder) == total
    assert isinstance(encoder.backbone.fc, nn.Identity)


def test_the_dual_path_rival_is_bigger_than_the_thesis_network():
    encoder = dual_path_encoder()
    assert count_parameters(encoder) > 10 * 414_792
    first = next(m for m in encoder.modules() if isinstance(m, nn.Conv2d))
    assert first.in_channels == 1
