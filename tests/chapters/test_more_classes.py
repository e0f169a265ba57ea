"""The curve of accuracy against training classes: which classes train, which are asked about, one small run."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thesislib import paths
from thesislib.chapters import more_classes
from thesislib.chapters.more_classes import Config, divide
from thesislib.config import ConfigError

counts = st.lists(st.integers(0, 40), min_size=12, max_size=60)


@given(counts, counts)
def test_classes_are_disjoint_nested_and_fit_their_part(pool, query):
    size = min(len(pool), len(query))
    pool, query = np.array(pool[:size]), np.array(query[:size])
    usable = [c for c in range(size) if pool[c] >= 10 and query[c] >= 3]
    if len(usable) < 3:
        with pytest.raises(ConfigError, match="enough images"):
            divide(pool, query, 3, None, shots=5)
        return
    everything, unseen = divide(pool, query, 3, None, shots=5)
    assert len(unseen) == 3 and set(unseen) <= set(usable)
    expected = {c for c in range(size) if pool[c] + query[c] >= 2} - set(unseen)
    assert set(everything) == expected  # all that can teach, none that is asked about
    for fewer in range(1, len(everything)):
        part, same = divide(pool, query, 3, fewer, shots=5)
        assert part == everything[:fewer] and same == unseen
    sizes = [pool[c] + query[c] for c in everything]
    assert sizes == sorted(sizes, reverse=True)


def test_too_many_training_classes_are_refused():
    with pytest.raises(ConfigError, match="only 9 classes are left"):
        divide(np.full(12, 20), np.full(12, 5), 3, 10, shots=5)


def test_equal_totals_and_equal_classes_exclude_each_other():
    with pytest.raises(ConfigError, match="not both"):
        Config.profile("full", images_per_class=20, total_images=6000)


def test_a_small_run_measures_every_system_on_the_unseen_classes(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(paths, "QUICK_RESULTS", tmp_path / "results")
    config = Config.profile("smoke", total_images=48, images_per_class=None)
    record = more_classes.run(config)
    seen, unseen = record["split"]["seen"], record["split"]["unseen"]
    assert not set(seen) & set(unseen) and len(seen) == 12 and len(unseen) == 5
    assert record["metrics"]["train_images"] == 12 * (48 // 12)
    embeddings = record["metrics"]["embeddings"]
    assert set(embeddings) == {"pixels", "features", "spatial_five_views", "head_f10", "head_f64"}
    for metrics in embeddings.values():
        assert {name.rsplit("_s", 1)[1].split("_")[0] for name in metrics} == {"1", "5"}
        assert all(0 <= value["mean"] <= 1 and value["n"] == config.draws for value in metrics.values())
    assert more_classes.run(config) == record  # stored, not measured again
