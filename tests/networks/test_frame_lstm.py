"""The notebook's recurrent network: layers, dropout, transfer and what stays frozen."""

import pytest
import torch
from torch import nn

from thesislib.networks.blocks import count_parameters
from thesislib.networks.frame_lstm import FrameLSTM, freeze, transfer


def small(**settings) -> FrameLSTM:
    torch.manual_seed(0)
    return FrameLSTM(6, 5, **{"hidden": 8, **settings})


def lstm_by_hand(lstm: nn.LSTM, x: torch.Tensor) -> torch.Tensor:
    """One layer step by step; gates stand in the order in, forget, cell, out."""
    h = c = torch.zeros(len(x), lstm.hidden_size)
    states = []
    for step in x.unbind(1):
        gates = step @ lstm.weight_ih_l0.T + lstm.bias_ih_l0 + h @ lstm.weight_hh_l0.T + lstm.bias_hh_l0
        i, f, g, o = gates.chunk(4, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        states.append(h)
    return torch.stack(states, 1)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("dense", [1, 2])
def test_the_network_by_hand(layers, dense):
    network = small(layers=layers, dense=dense).eval()
    x = torch.randn(3, 20, 6)
    state = x
    for lstm in network.lstms:
        state = lstm_by_hand(lstm, state)
    state = state[:, -1]
    if dense == 2:
        state = (state @ network.dense[0].weight.T + network.dense[0].bias).relu()
    torch.testing.assert_close(network.features(x), state)
    torch.testing.assert_close(network(x), state @ network.classifier.weight.T + network.classifier.bias)


def test_parameters_of_the_notebooks_two_networks():
    """An LSTM of Keras has 4 h (f + h + 1) numbers; torch's has 4 h more, a second bias."""

    def expected(f: int, words: int, layers: int, dense: int) -> int:
        h = 1024
        lstms = sum(4 * h * (n + h + 2) for n in (f, h)[:layers])
        return lstms + (dense - 1) * h * (h + 1) + words * (h + 1)

    with torch.device("meta"):
        gestures, signs = FrameLSTM(2048, 249), FrameLSTM(2048, 21, layers=1, dense=2)
    assert count_parameters(gestures) == expected(2048, 249, 2, 1) == 21_243_129
    assert count_parameters(signs) == expected(2048, 21, 1, 2)


@pytest.mark.parametrize("settings", [{"layers": 0}, {"layers": 3}, {"dense": 0}, {"dense": 3}])
def test_other_numbers_of_layers_are_refused(settings):
    with pytest.raises(ValueError, match="1 or 2 LSTM layers and 1 or 2 dense"):
        small(**settings)


def test_dropout_hits_the_same_features_in_every_frame():
    network = small(dropout=0.5)
    entered = []
    for lstm in network.lstms:
        lstm.register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0]))
    network.train()(torch.ones(400, 7, 6))
    first, second = entered
    assert torch.equal(first, first[:, :1].expand_as(first))  # alike in all frames
    assert set(first.unique().tolist()) == {0.0, 2.0}  # what is kept is doubled
    assert abs((first[:, 0] == 0).float().mean() - 0.5) < 0.05
    assert ((first[:, 0] == 0).float().std(0) > 0.4).all()  # other features in other clips
    gone = (second == 0).all(1)
    assert torch.equal(gone, (second == 0).any(1)) and 0.4 < gone.float().mean() < 0.6
    x = torch.randn(2, 7, 6)
    assert torch.equal(network.eval()(x), network(x))


def test_it_starts_as_keras_does():
    network = small(hidden=16)
    for lstm in network.lstms:
        back = lstm.weight_hh_l0  # [4 h, h]
        torch.testing.assert_close(back.T @ back, torch.eye(16), rtol=0, atol=1e-5)
        bound = (6 / (lstm.input_size + 4 * 16)) ** 0.5
        assert 0.9 * bound < lstm.weight_ih_l0.abs().max() <= bound
        bias = (lstm.bias_ih_l0 + lstm.bias_hh_l0).view(4, 16)
        assert torch.equal(bias.mean(1), torch.tensor([0.0, 1.0, 0.0, 0.0])) and (bias.std(1) == 0).all()


def test_order_in_time_matters_and_clips_do_not_see_each_other():
    network = small().eval()
    x = torch.randn(3, 9, 6)
    assert not torch.allclose(network(x), network(x.flip(1)), atol=1e-3)
    torch.testing.assert_close(network(x)[1:2], network(x[1:2]))


@pytest.mark.parametrize("dense", [1, 2])
def test_transfer_replaces_the_classifying_layer_only(dense):
    network = small(dense=dense)
    freeze(network, 1)
    torch.manual_seed(1)
    other = transfer(network, 3)
    before, after = network.state_dict(), other.state_dict()
    assert after["classifier.weight"].shape == (3, 8) and not after["classifier.bias"].any()
    assert all(torch.equal(before[k], after[k]) for k in before if not k.startswith("classifier."))
    assert all(p.requires_grad for p in other.parameters())
    with torch.no_grad():  # a copy, not the same numbers
        other.lstms[0].weight_ih_l0.zero_()
    assert network.lstms[0].weight_ih_l0.any()
    x = torch.randn(2, 4, 6)
    assert network.eval()(x).shape == (2, 5) and other.eval()(x).shape == (2, 3)


@pytest.mark.parametrize("layers, frozen", [(1, 0), (1, 1), (2, 0), (2, 1), (2, 2)])
def test_frozen_layers_stay_and_all_others_learn(layers, frozen):
    network = small(layers=layers, dense=2).train()
    freeze(network, layers)  # what was frozen before counts no more
    freeze(network, frozen)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    learning = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(learning, lr=1e-2)
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(torch.randn(16, 5, 6)), torch.arange(16) % 5).backward()
        optimizer.step()
    still = {f"lstms.{i}" for i in range(frozen)}
    for name, p in network.named_parameters():
        assert torch.equal(p, before[name]) == any(name.startswith(f"{s}.") for s in still), name


def test_more_layers_than_there_are_cannot_be_frozen():
    with pytest.raises(ValueError, match="has 1 LSTM layers, 2 cannot"):
        freeze(small(layers=1), 2)
    with pytest.raises(ValueError, match="-1 cannot"):
        freeze(small(), -1)


def test_one_batch_can_be_learned_by_heart():
    """Words that differ in the order of the same two features: no frame alone gives them away."""
    network = small(hidden=16, dropout=0.0).train()
    a, b = torch.eye(6)[0], torch.eye(6)[1]
    orders = ([a, a, b, b], [b, b, a, a], [a, b, a, b], [b, a, b, a], [a, b, b, a])
    x = torch.stack([torch.stack(order) for order in orders])
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-2)
    for _ in range(80):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(x), torch.arange(5))
        loss.backward()
        optimizer.step()
    assert loss < 0.05 and torch.equal(network(x).argmax(1), torch.arange(5))
