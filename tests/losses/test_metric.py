import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, normalize

from thesislib.losses.metric import METRIC_LOSSES, metric_loss
from thesislib.training import Recipe, fit

pytest.importorskip("pytorch_metric_learning")
WITH_PROXIES = ("proxy_anchor", "arcface", "cosface", "normalised_softmax")


def separation(x: torch.Tensor, label: torch.Tensor) -> float:
    """How much closer, by cosine, pictures of one class lie than those of two."""
    cosine = normalize(x, dim=1) @ normalize(x, dim=1).T
    same = label[:, None] == label[None, :]
    return float(cosine[same].mean() - cosine[~same].mean())


@pytest.mark.parametrize("name", METRIC_LOSSES)
def test_following_the_gradient_draws_classes_apart(name):
    torch.manual_seed(0)
    label = torch.arange(4).repeat(6)
    x = nn.Parameter(torch.randn(24, 8))
    loss = metric_loss(name, num_classes=4, f=8)
    optimizer = torch.optim.Adam([x, *loss.parameters()], lr=0.05)
    before, values = separation(x.detach(), label), []
    for _ in range(25):
        value = loss(normalize(x, dim=1), label)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < values[0]
    assert separation(x.detach(), label) > before + 0.1


@pytest.mark.parametrize("name", METRIC_LOSSES)
def test_a_vector_a_class_where_the_loss_has_them(name):
    shapes = [tuple(sorted(p.shape)) for p in metric_loss(name, num_classes=5, f=7).parameters()]
    assert shapes == ([(5, 7)] if name in WITH_PROXIES else [])


@pytest.mark.parametrize("name", WITH_PROXIES)
def test_fit_trains_the_vectors_of_the_classes_along(name, tmp_path):
    torch.manual_seed(0)
    label = torch.arange(3).repeat(8)
    loss, network = metric_loss(name, num_classes=3, f=4), nn.Linear(6, 4)
    before = [p.detach().clone() for p in loss.parameters()]
    recipe = Recipe(epochs=2, batch_size=8, schedule="constant", lr_max=0.01, warmup_epochs=0)
    fit(network, loss, torch.randn(24, 6), label, recipe, folder=tmp_path, seed=0)
    assert all((a != b).all() for a, b in zip(before, loss.parameters(), strict=True))


def test_normalised_softmax_is_the_cross_entropy_of_cosines():
    torch.manual_seed(0)
    loss, x, label = metric_loss("normalised_softmax", 3, 4), torch.randn(9, 4), torch.arange(3).repeat(3)
    (weight,) = loss.parameters()  # [f, C]
    cosine = normalize(x, dim=1) @ normalize(weight, dim=0)
    torch.testing.assert_close(loss(x, label), cross_entropy(cosine / loss.temperature, label))


def test_supcon_by_hand():
    torch.manual_seed(0)
    x, label = normalize(torch.randn(6, 3), dim=1), torch.tensor([0, 0, 1, 1, 1, 0])
    loss = metric_loss("supcon", 2, 3)
    logit = (x @ x.T / loss.temperature).double().numpy()
    terms = []
    for i in range(6):
        others = [k for k in range(6) if k != i]
        total = np.log(np.exp(logit[i, others]).sum())
        terms.append(-np.mean([logit[i, j] - total for j in others if label[j] == label[i]]))
    assert float(loss(x, label)) == pytest.approx(np.mean(terms), rel=1e-5)


def test_an_unknown_loss_is_named():
    with pytest.raises(ValueError, match="triplets.*proxy_anchor"):
        metric_loss("triplets", 3, 4)
