"""The letter network: figure 3.1's first half, and one layer that reads its features where they stand."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from thesislib.networks.blocks import count_parameters
from thesislib.networks.letter_network import LetterNetwork
from thesislib.networks.pose import PoseEncoder


def small(**options) -> LetterNetwork:
    torch.manual_seed(0)
    return LetterNetwork(PoseEncoder(width=0.25, depth=1), 24, **options)


@pytest.mark.parametrize(("stem_stride", "size", "places"), [(2, 64, 16), (4, 64, 4), (2, 96, 36)])
def test_shapes_and_parameters(stem_stride, size, places):
    encoder = PoseEncoder(width=0.25, depth=1, stem_stride=stem_stride)
    network = LetterNetwork(encoder, 24, size=size)
    x = torch.rand(2, 3, size, size)
    assert network(x).shape == (2, 24)
    assert network.features(x).flatten(1).shape == (2, 128 * places)
    assert count_parameters(network) == count_parameters(encoder) + 128 * places * 24 + 24


def test_the_encoder_is_taken_over_as_it_is_and_goes_on_learning():
    encoder = PoseEncoder(width=0.25, depth=1)
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    network = LetterNetwork(encoder, 24)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.encoder.state_dict().items())
    network.train()(torch.rand(4, 3, 64, 64)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert encoder.blocks[0][0].weight.grad.abs().max() > 0


def test_it_reads_where_features_stand():
    network = small().train()  # untrained norms would let nothing through
    features = network.features(torch.rand(2, 3, 64, 64))  # [2, 128, 4, 4]
    network.eval()
    elsewhere = features.flip(-1)
    assert torch.allclose(features.mean(dim=(2, 3)), elsewhere.mean(dim=(2, 3)), atol=1e-6)
    assert not torch.allclose(network.reader(features), network.reader(elsewhere))


def test_pictures_of_another_size_are_refused():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        small()(torch.rand(2, 3, 96, 96))
    with pytest.raises(ValueError, match="multiples of 16"):
        small()(torch.rand(2, 3, 60, 60))


def test_it_learns_one_batch_by_heart():
    torch.manual_seed(0)
    network = LetterNetwork(PoseEncoder(width=0.25, depth=1, stem_stride=4), 24).train()
    x, letter = torch.randn(24, 3, 64, 64), torch.arange(24)  # nothing but noise
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    for _ in range(12):
        optimizer.zero_grad()
        cross_entropy(network(x), letter).backward()
        optimizer.step()
    network.reader.eval()  # without dropout; the encoder's running statistics lag behind so few steps
    with torch.no_grad():
        assert (network(x).argmax(dim=1) == letter).all()
