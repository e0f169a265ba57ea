import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score
from torch.nn.functional import normalize

from thesislib.evaluation.low_shot import RULES, balanced_accuracy, class_scores, cosine, low_shot

seeds = st.integers(0, 10_000)


def random_units(count: int, f: int, seed: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(count, f, generator=random, dtype=torch.float64), dim=1)


def logit(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return -1 + 4 * a @ b.T


class Watched:
    """The cosine, noting the prototypes and the number of queries it meets at each draw."""

    def __init__(self) -> None:
        self.prototypes: list[torch.Tensor] = []
        self.queries: list[int] = []

    def __call__(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        self.queries.append(len(a))
        self.prototypes.append(b)
        return a @ b.T


# Where the right answer is known --------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("shots", [1, 4])
def test_one_hot_classes_are_always_right(rule, shots):
    label = torch.arange(5).repeat(6)
    embedding = torch.eye(5)[label]
    got = low_shot(embedding, label, embedding, label, shots=shots, draws=3, seed=0, rules=(rule,))
    assert (got.balanced_accuracy[rule] == 1).all()
    assert (got.confusion == np.diag([18] * 5)).all()  # 6 images in 3 draws


@pytest.mark.parametrize("rule", RULES)
def test_a_feature_that_is_the_label_decides(rule):
    """The label is one feature among noise: as an angle of the first two dimensions, unless it is left out."""
    torch.manual_seed(0)
    label = torch.arange(6).repeat_interleave(20)
    angle = 2 * math.pi * label / 6
    noise = 0.02 * torch.randn(120, 8)
    told = normalize(torch.cat([torch.stack([angle.cos(), angle.sin()], 1), noise], 1), dim=1)
    options = dict(shots=5, draws=4, seed=0, rules=(rule,))
    assert low_shot(told, label, told, label, **options).balanced_accuracy[rule].min() == 1
    untold = normalize(torch.randn(120, 8), dim=1)
    assert low_shot(untold, label, torch.randn(120, 8), label, **options).balanced_accuracy[rule].max() < 0.5


def test_labels_need_not_start_at_zero():
    label = torch.tensor([7, 7, 30, 30, 12, 12])
    position = torch.tensor([0, 0, 2, 2, 1, 1])  # by size
    embedding = torch.eye(3)[position]
    got = low_shot(embedding, label, embedding, label, shots=2, draws=1, seed=0)
    assert (got.confusion == 2 * np.eye(3)).all()


def test_rows_of_the_confusion_are_the_truth():
    pool, pool_label = torch.eye(3), torch.arange(3)
    query, query_label = torch.eye(3)[[1, 1, 2]], torch.tensor([0, 0, 2])  # class 0 looks like class 1
    got = low_shot(query, query_label, pool, pool_label, shots=1, draws=2, seed=0)
    assert got.confusion.tolist() == [[0, 4, 0], [0, 0, 0], [0, 0, 2]]
    assert got.balanced_accuracy["max"].tolist() == [0.5, 0.5]  # class 1 was not asked


def test_random_embeddings_are_at_chance():
    classes, each = 9, 200
    label = torch.arange(classes).repeat_interleave(each)
    query, pool = random_units(len(label), 10, 1), random_units(len(label), 10, 2)
    got = low_shot(query, label, pool, label, shots=1, draws=1, seed=0, rules=RULES)
    # Given the prototypes, a query falls to class c with probability p_c whatever its own class is: the mean
    # recall is 1/C on average, and its variance sum_c p_c (1 - p_c) / (n C^2) at most (1 - 1/C) / (n C^2).
    sd = math.sqrt((1 - 1 / classes) / each) / classes
    for values in got.balanced_accuracy.values():
        assert abs(values[0] - 1 / classes) < 5 * sd


# Rules ----------------------------------------------------------------------------------------------


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), seeds)
def test_every_rule_is_its_loop(count, classes, shots, seed):
    query = random_units(count, 3, seed)
    prototypes = random_units(classes * shots, 3, seed + 1).view(classes, shots, 3)
    got = {rule: class_scores(query, prototypes, logit, rule) for rule in RULES}
    for q in range(count):
        for c in range(classes):
            logits = [-1 + 4 * float(query[q] @ prototypes[c, s]) for s in range(shots)]
            mean = sum(prototypes[c, s] for s in range(shots)) / shots
            expected = {
                "max": max(logits),
                "mean": sum(1 / (1 + math.exp(-x)) for x in logits) / shots,
                "softmax": math.log(sum(math.exp(x) for x in logits)),
                "prototype_mean": -1 + 4 * float(query[q] @ mean) / math.sqrt(float(mean @ mean)),
            }
            for rule in RULES:
                assert float(got[rule][q, c]) == pytest.approx(expected[rule])


@given(st.integers(2, 6), seeds)
def test_one_shot_makes_all_rules_one(classes, seed):
    label = torch.arange(classes).repeat_interleave(4)
    query, pool = random_units(len(label), 4, seed), random_units(len(label), 4, seed + 1)
    got = low_shot(
        query, label, pool, label, shots=1, draws=3, seed=seed, rules=RULES, similarity=logit
    ).balanced_accuracy
    for rule in RULES:
        np.testing.assert_array_equal(got[rule], got["max"])


def test_the_rules_can_disagree():
    query = torch.tensor([[1.0, 0.0]])
    near_and_far = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    twice_fair = torch.tensor([[0.8, 0.6], [0.8, 0.6]])
    prototypes = torch.stack([near_and_far, twice_fair])
    assert int(class_scores(query, prototypes, cosine, "max").argmax()) == 0
    assert int(class_scores(query, prototypes, cosine, "mean").argmax()) == 1
    assert int(class_scores(query, prototypes, cosine, "softmax").argmax()) == 1
    assert int(class_scores(query, prototypes, cosine, "prototype_mean").argmax()) == 1


def test_an_unknown_rule_raises():
    with pytest.raises(ValueError, match="unknown rule 'median'; known: max, mean"):
        class_scores(torch.zeros(1, 2), torch.zeros(1, 1, 2), cosine, "median")


# Draws ----------------------------------------------------------------------------------------------


def test_the_seed_decides_the_draws_and_the_embedding_does_not():
    label = torch.arange(4).repeat(10)
    numbered = torch.arange(40.0)[:, None]  # an embedding that tells which image was drawn

    def drawn(seed: int, pool: torch.Tensor) -> torch.Tensor:
        watched = Watched()
        low_shot(pool[:4], label[:4], pool, label, shots=3, draws=5, seed=seed, similarity=watched)
        return torch.stack(watched.prototypes)

    first = drawn(1, numbered)
    assert torch.equal(drawn(1, numbered), first)
    assert torch.equal(drawn(1, 100 + numbered), 100 + first)
    assert not torch.equal(drawn(2, numbered), first)
    assert len({tuple(draw.flatten().tolist()) for draw in first}) == 5  # and every draw is another


def test_prototypes_are_different_images_of_their_class():
    label = torch.arange(4).repeat(10)
    watched = Watched()
    numbered = torch.arange(40.0)[:, None]
    low_shot(numbered[:4], label[:4], numbered, label, shots=6, draws=20, seed=0, similarity=watched)
    for prototypes in watched.prototypes:
        index = prototypes.view(4, 6).long()
        assert (label[index] == torch.arange(4)[:, None]).all()
        assert all(len(set(row.tolist())) == 6 for row in index)
    used = torch.cat(watched.prototypes).unique()
    assert len(used) == 40  # every image of the pool gets its turn


def test_rules_meet_the_same_draws():
    label = torch.arange(4).repeat(10)
    query, pool = random_units(40, 3, 0), random_units(40, 3, 1)
    options = dict(shots=3, draws=6, seed=0)
    together = low_shot(query, label, pool, label, rules=RULES, **options)
    for rule in RULES:
        alone = low_shot(query, label, pool, label, rules=(rule,), **options)
        np.testing.assert_array_equal(alone.balanced_accuracy[rule], together.balanced_accuracy[rule])
    first = low_shot(query, label, pool, label, rules=RULES[:1], **options)
    np.testing.assert_array_equal(first.confusion, together.confusion)


def test_episodes_ask_about_some_of_the_classes():
    label = torch.arange(10).repeat(4)
    embedding = torch.eye(10)[label]
    watched = Watched()
    got = low_shot(embedding, label, embedding, label, shots=2, draws=30, seed=0, ways=3, similarity=watched)
    assert (got.balanced_accuracy["max"] == 1).all()
    assert watched.queries == [12] * 30  # 3 classes of 4 images
    episodes = [tuple(p.argmax(1)[::2].tolist()) for p in watched.prototypes]
    assert all(len(set(episode)) == 3 for episode in episodes)
    assert len(set(episodes)) > 10 and {c for episode in episodes for c in episode} == set(range(10))
    assert got.confusion.sum() == 12 * 30 and (got.confusion == np.diag(got.confusion.diagonal())).all()


def test_fewer_ways_are_easier():
    label = torch.arange(10).repeat(20)
    query, pool = random_units(200, 4, 0), random_units(200, 4, 1)
    chance = [
        low_shot(query, label, pool, label, shots=1, draws=40, seed=0, ways=ways)
        .balanced_accuracy["max"]
        .mean()
        for ways in (2, 5, None)
    ]
    assert chance == pytest.approx([1 / 2, 1 / 5, 1 / 10], abs=0.05)


# Errors and averages --------------------------------------------------------------------------------


def test_too_few_images_for_the_shots_raise():
    label = torch.tensor([0, 0, 0, 1, 1])
    embedding = torch.eye(2)[label]
    with pytest.raises(ValueError, match=r"needs 3 images in the pool; too few for classes \[1\]"):
        low_shot(embedding, label, embedding, label, shots=3, draws=1, seed=0)


def test_a_query_of_a_class_without_pool_raises():
    with pytest.raises(ValueError, match="unknown"):
        low_shot(
            torch.eye(2), torch.tensor([0, 2]), torch.eye(2), torch.tensor([0, 1]), shots=1, draws=1, seed=0
        )


@pytest.mark.filterwarnings("ignore::UserWarning")  # sklearn's, on classes that are only predicted
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
def test_balanced_accuracy_is_sklearns(pairs):
    truth, predicted = zip(*pairs, strict=True)
    confusion = np.zeros((5, 5), int)
    for t, p in pairs:
        confusion[t, p] += 1
    expected = balanced_accuracy_score(truth, predicted)  # leaves out classes without truth, as we do
    assert balanced_accuracy(confusion) == pytest.approx(expected)
    assert balanced_accuracy(torch.from_numpy(confusion)) == pytest.approx(expected)


def test_a_rare_class_counts_as_much_as_a_common_one():
    assert balanced_accuracy(np.array([[98, 0], [2, 0]])) == 0.5
