import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.nn.functional import normalize

from thesislib.losses.pairwise import PairwiseCosineLoss, PairwiseL1Loss, pair_cross_entropy

batches = st.lists(st.integers(0, 3), min_size=2, max_size=9)  # labels
seeds = st.integers(0, 10_000)


def embeddings(count: int, f: int, seed: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(count, f, generator=random, dtype=torch.float64), dim=1)


def slow_loss(logit, label: list[int]) -> float:
    """Equations 3.19 to 3.21 as loops over pairs; ``logit(i, j)`` is a float."""
    pairs = [(i, j) for i in range(len(label)) for j in range(len(label)) if i < j]
    same = sum(label[i] == label[j] for i, j in pairs)
    weight = (len(pairs) - same) / same
    total = 0.0
    for i, j in pairs:
        p = 1 / (1 + math.exp(-logit(i, j)))
        total += weight * math.log(p) if label[i] == label[j] else math.log(1 - p)
    return -total / len(pairs)


def has_a_pair(label: list[int]) -> bool:
    return len(set(label)) < len(label)


@given(batches, seeds)
def test_cross_entropy_is_the_loop_over_pairs(label, seed):
    assume(has_a_pair(label))
    random = torch.Generator().manual_seed(seed)
    logit = torch.randn(len(label), len(label), generator=random, dtype=torch.float64)
    logit = logit + logit.T
    expected = slow_loss(lambda i, j: float(logit[i, j]), label)
    assert float(pair_cross_entropy(logit, torch.tensor(label))) == pytest.approx(expected, rel=1e-9)


@given(batches, seeds)
def test_a_pair_of_an_image_with_itself_does_not_count(label, seed):
    assume(has_a_pair(label))
    logit = embeddings(len(label), 3, seed)
    logit = logit @ logit.T
    changed = logit + torch.diag(torch.full((len(label),), 1e3, dtype=torch.float64))
    truth = torch.tensor(label)
    assert pair_cross_entropy(changed, truth) == pair_cross_entropy(logit, truth)


@given(batches, seeds)
def test_the_order_of_a_batch_does_not_matter(label, seed):
    assume(has_a_pair(label))
    embedding, truth = embeddings(len(label), 4, seed), torch.tensor(label)
    order = torch.randperm(len(label), generator=torch.Generator().manual_seed(seed))
    for loss in (PairwiseCosineLoss().double(), PairwiseL1Loss(4).double()):
        a, b = loss(embedding, truth), loss(embedding[order], truth[order])
        torch.testing.assert_close(a, b)


def test_same_and_different_pairs_weigh_the_same():
    # 2 same pairs and 13 different ones, all with logit 0: each side is worth half of 2 * 13/15 * log 2.
    label = torch.tensor([0, 0, 1, 1, 2, 3])
    assert float(pair_cross_entropy(torch.zeros(6, 6), label)) == pytest.approx(2 * 13 / 15 * math.log(2))


@pytest.mark.parametrize("label", [[0, 1, 2], [4], []])
def test_a_batch_without_a_same_pair_raises(label):
    count = len(label)
    with pytest.raises(ValueError, match=f"no two of the {count} images.*larger batch"):
        pair_cross_entropy(torch.zeros(count, count), torch.tensor(label))


def test_a_batch_of_one_class_is_finite():
    assert float(pair_cross_entropy(torch.randn(4, 4), torch.zeros(4))) == 0  # no different pair: weight 0


# The thesis's cosine loss ---------------------------------------------------------------------------


@given(batches, seeds, st.floats(-2, 2), st.floats(-2, 2), st.floats(0, 1))
def test_the_cosine_loss_is_the_loop(label, seed, alpha, beta, penalty):
    assume(has_a_pair(label))
    loss = PairwiseCosineLoss(penalty).double()
    with torch.no_grad():
        loss.alpha.fill_(alpha)
        loss.beta.fill_(beta)
    embedding = embeddings(len(label), 3, seed)
    rows = embedding.tolist()

    def logit(i: int, j: int) -> float:
        return beta + alpha**2 * sum(a * b for a, b in zip(rows[i], rows[j], strict=True))

    expected = slow_loss(logit, label) + penalty * abs(beta)
    assert float(loss(embedding, torch.tensor(label)).detach()) == pytest.approx(expected, rel=1e-9)


def test_it_starts_where_the_text_says_it_ends():
    loss = PairwiseCosineLoss()
    assert (float(loss.alpha.detach()), float(loss.beta.detach()), loss.beta_penalty) == (2.0, -1.0, 0.25)
    a = torch.tensor([[1.0, 0.0]])
    b = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    torch.testing.assert_close(loss.similarity(a, b), torch.tensor([[3.0, -1.0, -5.0]]))


def test_the_penalty_pulls_beta_to_zero():
    embedding, label = embeddings(6, 3, 0), torch.tensor([0, 0, 1, 1, 2, 2])
    gradients = []
    for penalty in (0.0, 0.25):
        loss = PairwiseCosineLoss(penalty).double()
        loss(embedding, label).backward()
        gradients.append(float(loss.beta.grad))
    assert gradients[1] - gradients[0] == pytest.approx(-0.25)  # beta is -1: down the slope is up


@given(seeds)
def test_gradients_are_right(seed):
    embedding = embeddings(5, 3, seed).requires_grad_()
    label = torch.tensor([0, 0, 1, 1, 2])
    for loss in (PairwiseCosineLoss().double(), PairwiseL1Loss(3).double()):
        assert torch.autograd.gradcheck(lambda e, loss=loss: loss(e, label), (embedding,))
        loss(embedding, label).backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in loss.parameters())


@pytest.mark.parametrize("loss", [PairwiseCosineLoss(), PairwiseL1Loss(3)], ids=["cosine", "l1"])
def test_descent_brings_classes_together(loss):
    label = torch.tensor([0, 0, 0, 1, 1, 1])
    raw = embeddings(6, 3, 1).float().requires_grad_()
    first = float(loss(normalize(raw, dim=1), label).detach())
    optimizer = torch.optim.Adam([raw], lr=0.05)
    for _ in range(60):
        optimizer.zero_grad()
        loss(normalize(raw, dim=1), label).backward()
        optimizer.step()
    unit = normalize(raw.detach(), dim=1)
    cosine = unit @ unit.T
    same = label[:, None] == label[None, :]
    assert cosine[same].min() > cosine[~same].max()
    assert float(loss(unit, label).detach()) < first


# Koch's L1 similarity -------------------------------------------------------------------------------


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 5), seeds)
def test_l1_similarity_is_the_loop(count_a, count_b, f, seed):
    loss = PairwiseL1Loss(f).double()
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        loss.weight.copy_(torch.randn(f, generator=random))
        loss.bias.fill_(0.3)
    a, b = embeddings(count_a, f, seed), embeddings(count_b, f, seed + 1)
    similarity = loss.similarity(a, b)
    assert similarity.shape == (count_a, count_b)
    for i in range(count_a):
        for j in range(count_b):
            expected = 0.3 + sum(
                float(loss.weight[k].detach()) * abs(float(a[i, k]) - float(b[j, k])) for k in range(f)
            )
            assert float(similarity[i, j].detach()) == pytest.approx(expected)


@given(batches, seeds)
def test_the_l1_loss_is_the_loop(label, seed):
    assume(has_a_pair(label))
    embedding = embeddings(len(label), 3, seed)

    def logit(i: int, j: int) -> float:  # the weights start at -1, the bias at 1
        return 1 - float((embedding[i] - embedding[j]).abs().sum())

    expected = slow_loss(logit, label)
    loss = PairwiseL1Loss(3).double()
    assert float(loss(embedding, torch.tensor(label)).detach()) == pytest.approx(expected, rel=1e-9)


def test_the_embedding_must_have_as_many_features_as_weights():
    with pytest.raises(ValueError):
        PairwiseL1Loss(3).similarity(torch.zeros(2, 4), torch.zeros(2, 4))
