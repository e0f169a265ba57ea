import math

import pytest
import torch
from torch import nn

from thesislib.hand_model import rotation_matrices, split
from thesislib.networks.hand_mesh_recovery import HandMeshRecovery, IterativeRegressor, mean_parameters
from thesislib.networks.layer_table import layer_table


def tiny_encoder() -> nn.Module:
    """Pictures [B, 3, S, S] to features [B, 8], with a batch norm whose statistics could move."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


def test_layers_and_parameters_of_the_papers_regressor():
    # 2048 features of ResNet-50 beside 61 parameters; weights and biases of three layers, counted by hand.
    regressor = IterativeRegressor(2048)
    table = layer_table(regressor, (2048,), depth=2)
    counted = table[table["parameters"] > 0].set_index("layer")["parameters"]
    layers = [(2048 + 61) * 1024 + 1024, 1024 * 1024 + 1024, 1024 * 61 + 61]
    assert counted.tolist() == [*layers, sum(layers)]
    assert sum(layers) == 3_272_765
    assert [type(layer).__name__ for layer in regressor.correction].count("Dropout") == 2


def test_corrections_one_after_the_other_with_the_same_weights():
    torch.manual_seed(0)
    regressor = IterativeRegressor(5, iterations=4, hidden=7).eval()
    nn.init.normal_(regressor.correction[-1].weight)
    features = torch.randn(3, 5)
    matrices = [(layer.weight, layer.bias) for layer in regressor.correction if isinstance(layer, nn.Linear)]
    for row in range(3):
        theta = mean_parameters()
        for iteration in range(4):
            x = torch.cat([features[row], theta])
            for weight, bias in matrices[:2]:
                x = (weight @ x + bias).clamp(min=0)
            theta = theta + matrices[2][0] @ x + matrices[2][1]
            torch.testing.assert_close(regressor(features)[iteration, row], theta, rtol=1e-4, atol=1e-4)


def test_first_corrections_are_small_and_shapes_are_as_told():
    network = HandMeshRecovery(tiny_encoder(), 8).eval()
    thetas = network(torch.randn(4, 3, 32, 32))
    assert thetas.shape == (3, 4, 61)
    assert (thetas - mean_parameters()).abs().max() < 0.05


def test_no_iteration_is_an_error():
    with pytest.raises(ValueError, match="at least one iteration"):
        IterativeRegressor(8, iterations=0)


def test_the_mean_hand_is_open_upright_on_edge_and_inside_the_picture():
    mean = split(mean_parameters())
    assert mean.pose.count_nonzero() == mean.shape.count_nonzero() == 0
    turn = rotation_matrices(mean.rotation)
    # The fingers' direction stays up; the palm's normal is as far from the viewer as from its opposite.
    torch.testing.assert_close(turn @ torch.tensor([0.0, 1, 0]), torch.tensor([0.0, 1, 0]))
    assert (turn @ torch.tensor([0.0, 0, 1]))[2].abs() < 1e-6
    for side in (torch.eye(3), torch.diag(torch.tensor([-1.0, 1, -1]))):  # palm and back to the viewer
        assert torch.arccos(((turn.T @ side).trace() - 1) / 2).item() == pytest.approx(math.pi / 2, abs=1e-3)
    # A hand is about 2 units long: its wrist and a fingertip above it are in the picture.
    wrist, tip = mean.translation[1], mean.translation[1] - 1.9 * mean.scale[0]
    assert -1 < tip < wrist < 1


def test_a_frozen_encoder_does_not_change_and_the_regressor_does():
    network = HandMeshRecovery(tiny_encoder(), 8, hidden=16, frozen=True)
    network.train()
    assert not network.encoder.training and network.regressor.training
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        network(3 + 2 * torch.randn(6, 3, 32, 32)).square().sum().backward()
        optimizer.step()
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all(name.startswith("regressor.correction") for name in changed)
    assert network.encoder[0].weight.grad is None


def test_an_encoder_that_learns_has_gradients_and_moves_its_statistics():
    network = HandMeshRecovery(tiny_encoder(), 8, hidden=16)
    network.train()
    before = network.encoder[1].running_mean.clone()
    network(torch.randn(6, 3, 32, 32)).square().sum().backward()
    assert network.encoder[0].weight.grad.abs().sum() > 0
    assert not torch.equal(network.encoder[1].running_mean, before)
    assert not network.eval().encoder.training
