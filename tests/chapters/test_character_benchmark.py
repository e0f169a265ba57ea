"""The benchmark of all classes: nearest neighbours against scikit-learn, and one small run."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier
from torch.nn.functional import normalize

from thesislib import paths
from thesislib.chapters import character_benchmark
from thesislib.chapters.character_benchmark import Config, accuracies, nearest_neighbours


@settings(deadline=None)
@given(st.integers(0, 1000), st.sampled_from([1, 3, 4]))
def test_nearest_neighbours_are_scikit_learns(seed, k):
    random = torch.Generator().manual_seed(seed)
    pool, query = (normalize(torch.randn(n, 5, generator=random), dim=1) for n in (40, 30))
    label = torch.randint(0, 3, (40,), generator=random)
    reference = KNeighborsClassifier(k, metric="cosine").fit(pool.numpy(), label.numpy())
    shares = torch.from_numpy(reference.predict_proba(query.numpy()))
    predicted = nearest_neighbours(query, pool, label, k)
    column = torch.searchsorted(torch.from_numpy(reference.classes_), predicted)
    # where classes tie, scikit-learn takes the smaller label and we the more similar one
    assert (shares.gather(1, column[:, None])[:, 0] == shares.max(dim=1).values).all()


def test_a_tie_goes_to_the_more_similar_class():
    pool = normalize(torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.0, 1.0]]), dim=1)
    label = torch.tensor([1, 1, 0, 0])
    assert nearest_neighbours(torch.tensor([[1.0, 0.0]]), pool, label, 4).tolist() == [1]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_balanced_accuracy_is_scikit_learns(pairs):
    label, predicted = (torch.tensor(part) for part in zip(*pairs, strict=True))
    measured = accuracies(predicted, label)
    assert measured["test_accuracy"] == pytest.approx((label == predicted).double().mean().item())
    by_class = [(predicted[label == c] == c).double().mean().item() for c in label.unique()]
    assert measured["test_balanced_accuracy"] == pytest.approx(sum(by_class) / len(by_class), abs=1e-6)
    if set(predicted.tolist()) <= set(
        label.tolist()
    ):  # scikit-learn warns of classes that are not in the truth
        expected = balanced_accuracy_score(label, predicted)
        assert measured["test_balanced_accuracy"] == pytest.approx(expected, abs=1e-6)


def test_a_small_run_compares_both_recipes_with_neighbours_and_with_a_guess(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(paths, "QUICK_RESULTS", tmp_path / "results")
    config = Config.profile("smoke")
    record = character_benchmark.run(config)
    metrics = record["metrics"]
    assert metrics["train_images"] == 49 * 20 and metrics["test_images"] == 49 * 5
    assert metrics["largest_class"]["test_balanced_accuracy"] == pytest.approx(1 / 49)
    for name in ("pixels_1nn", "pixels_4nn"):
        assert metrics[name]["test_accuracy"] > 3 / 49  # better than a guess
    losses = metrics["training_loss"]
    assert [len(losses[name]) for name in ("thesis", "best")] == [1, 6] and losses["best"][-1] < losses[
        "best"
    ][0]
    assert metrics["best_classifier"]["test_accuracy"] != metrics["thesis_classifier"]["test_accuracy"]
    assert character_benchmark.run(config) == record  # stored, not measured again
