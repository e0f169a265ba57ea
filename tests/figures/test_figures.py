"""Figures draw what they are given: the numbers in a record are the numbers on the axes."""

import urllib.request

import numpy as np
import pytest
from PIL import Image

from thesislib.figures import chapter3_numbers, characters, confusion, curves, embeddings, style, tables


def over(mean):
    return {"mean": mean, "sd": 0.01, "low": mean - 0.02, "high": mean + 0.02, "n": 5}


def scores(base):
    return {
        f"{group}_balanced_accuracy_s{shots}_{rule}_rule": over(base + shots / 1000)
        for group in ("unseen", "seen", "all")
        for shots in (1, 5, 10, 25)
        for rule in ("max", "mean", "softmax", "prototype_mean")
    }


NAMES = ("pixels", "thesis_features", "thesis_head", "linear_head", "best_features", "best_embedding")
OTHERS = ("best_spatial_features", "best_linear_head")  # which sentences quote and the table leaves out


def record(split, base):
    systems = {name: scores(base + i / 100) for i, name in enumerate((*NAMES, *OTHERS))}
    metrics = {"embeddings": systems, "thesis_classifier_seen_balanced_accuracy": 0.9}
    metrics["best_classifier_seen_balanced_accuracy"] = 0.88
    config = {"class_split": split, "images_per_class": 50}
    return {
        "metrics": metrics,
        "config": config,
        "split": {"seen": list(range(9, 49)), "unseen": list(range(9))},
    }


def test_mosaic_puts_every_image_in_its_place():
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 4), dtype=np.uint8)
    picture = characters.mosaic(images, gap=1)
    assert picture.shape == (9, 14)
    assert np.allclose(picture[5:9, 5:9], 1 - images[1, 1] / 255)
    assert (picture[4] == 1).all()  # the gap is paper


def test_curves_show_the_records_numbers():
    figure = curves.against_shots(record(1, 0.5)["metrics"]["embeddings"], ["pixels", "thesis_head"])
    line = figure.axes[0].lines[1]
    assert list(line.get_xdata()) == [1, 5, 10, 25]
    assert np.allclose(line.get_ydata(), [100 * (0.52 + s / 1000) for s in (1, 5, 10, 25)])


def test_a_rule_is_not_mistaken_for_another_that_ends_alike():
    shots, rows = curves._by_shots(scores(0.5), "unseen", "mean")
    assert shots == [1, 5, 10, 25] and len(rows) == 4


def test_paired_differences_and_their_interval_are_those_of_the_splits():
    drawn = [record(i, 0.5 + 0.02 * i) for i in (1, 2, 3)]
    numbers = chapter3_numbers.of_stored_runs(drawn, [record(0, 0.6), record(0, 0.61)])
    assert numbers["n_drawn"] == 3 and numbers["n_fixed"] == 2
    assert numbers["gain_pixels_mean"] == pytest.approx(5)  # the same in every split, so no spread
    assert numbers["gain_pixels_low"] == pytest.approx(numbers["gain_pixels_high"])
    assert numbers["stored_pixels_s10"] == pytest.approx(100 * (0.54 + 0.01))
    assert numbers["split_sd"] == pytest.approx(2)
    assert numbers["gain_place_mean"] == pytest.approx(2) and numbers["gain_views_mean"] == pytest.approx(-1)
    assert (numbers["stored_thesis_seen"], numbers["stored_best_seen"]) == (
        pytest.approx(90),
        pytest.approx(88),
    )
    assert numbers["head_seed_range"] == pytest.approx(1) and numbers["n_goals_met"] == 0
    good = [
        record(i, base) for i, base in enumerate((0.88, 0.91, 0.94), start=1)
    ]  # best: 94, 97, 100 at S=10
    assert chapter3_numbers.of_stored_runs(good, good)["n_goals_met"] == 2
    table = tables.over_splits(drawn, NAMES)
    assert table.loc["pixels", "minus pixels"] == "–" and table.loc["pixels", "S=10"].startswith("55.0 [")


def test_draws_are_told_apart_by_their_kana():
    drawn = [record(i, base) for i, base in enumerate((0.5, 0.6, 0.7, 0.8), start=1)]
    for made, kana in zip(drawn, (4, 2, 2, 0), strict=True):
        made["split"]["unseen"] = [*range(kana), *range(20, 29 - kana)]
    found = chapter3_numbers.of_kana(drawn)
    assert found["kana_correlation"] == pytest.approx(-0.9487, abs=1e-3)
    assert (found["kana_fewest"], found["kana_most"]) == (0, 4)
    assert found["kana_fewest_s10"] == pytest.approx(86) and found["kana_most_s10"] == pytest.approx(56)


def test_the_table_of_systems_has_guessing_and_every_system():
    table = tables.systems(record(0, 0.5))
    assert len(table) == len(NAMES) + len(OTHERS) + 1
    assert table.loc["guessing"].tolist() == ["11.1"] * 4 + ["2.5", "2.0"]
    assert table.loc["pixels", "unseen, S=10"] == "51.0 ± 1.0"


def test_confusions_are_shares_of_the_true_class():
    counts = np.array([[30, 10], [0, 5]])
    figure = confusion.unseen_confusion({"a": counts}, np.zeros((2, 28, 28), np.uint8))
    shares = figure.axes[0].images[0].get_array()
    assert np.allclose(shares, [[0.75, 0.25], [0, 1]])
    assert {text.get_text() for text in figure.axes[0].texts} == {"75", "25", "100"}


def test_the_unseen_classes_come_last_in_the_large_confusion():
    counts = np.diag([1, 2, 3, 4]) + np.eye(4, dtype=int)[[1, 0, 2, 3]]
    shares = confusion.all_confusion(counts, unseen=[0]).axes[0].images[0].get_array()
    expected = counts / counts.sum(axis=1, keepdims=True)
    assert np.allclose(shares, expected[np.ix_([1, 2, 3, 0], [1, 2, 3, 0])])


def test_a_map_shows_every_class_and_a_figure_is_shown_once():
    import matplotlib.pyplot as plt

    style.use_style()
    arrays = {}
    for group in ("seen", "unseen"):
        arrays[f"{group}_thesis_map"] = np.random.default_rng(1).normal(size=(12, 2))
        arrays[f"{group}_image"] = np.full((12, 28, 28), 200, np.uint8)
        arrays[f"{group}_label"] = np.repeat([3, 4, 8], 4)
    figure = embeddings.kernel_pca_maps(arrays, "thesis")
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["3 seen classes", "3 unseen classes"]
    assert len(figure.axes[0].artists) == 12
    first, *others = embeddings.interactive_map(arrays, "seen", "thesis").data
    assert len(others) == 2 and len(first.customdata) == 4
    with Image.open(urllib.request.urlopen(first.customdata[0])) as hovered:  # the address holds the picture
        assert np.array_equal(hovered, np.full((28, 28), 255 - 200))
    assert plt.get_fignums() == []


def test_the_curve_over_classes_is_in_order_of_classes():
    def point(classes, key):
        systems = ("spatial_five_views", "features", "head_f64", "head_f10", "pixels")
        metrics = {n: {"unseen_balanced_accuracy_s10_max_rule": over(classes / 1000)} for n in systems}
        config = {"total_images": None, "images_per_class": None} | {key: 60}
        return {"config": config, "metrics": {"train_classes": classes, "embeddings": metrics}}

    records = [point(c, key) for key in ("total_images", "images_per_class") for c in (100, 10, 30)]
    figure = curves.more_classes(records)
    assert list(figure.axes[0].lines[0].get_xdata()) == [10, 30, 100]
    assert np.allclose(figure.axes[1].lines[2].get_ydata(), [1, 3, 10])
    assert len(set(style.CYCLE)) == len(style.CYCLE) == len(style.MARKERS)


def test_the_numbers_of_more_classes_are_those_of_the_ends_of_the_curve():
    def run(classes, total, head):
        systems = {
            "pixels": 0.5,
            "features": 0.7,
            "head_f10": head,
            "head_f64": 0.65,
            "spatial_five_views": 0.8,
        }
        return {
            "config": {"total_images": total, "ways": None, "shots": [1, 10], "image_passes": 48_000},
            "split": {"unseen": list(range(49))},
            "metrics": {
                "train_classes": classes,
                "train_images": 12 * classes,
                "embeddings": {
                    name: {f"unseen_balanced_accuracy_s{s}_max_rule": over(value) for s in (1, 10)}
                    for name, value in systems.items()
                },
            },
        }

    runs = [run(1000, 60, 0.69), run(10, 60, 0.6), run(10, None, 0.1)]
    numbers = chapter3_numbers.of_more_classes(runs, run(1200, 60, 0.66))
    assert (numbers["more_few_classes"], numbers["more_many_classes"], numbers["more_unseen"]) == (
        10,
        1000,
        49,
    )
    assert numbers["more_few_gap_f10"] == pytest.approx(10) and numbers["more_many_gap_f10"] == pytest.approx(
        1
    )
    assert numbers["omniglot_head_f10_s1"] == pytest.approx(66)
    # 120 images are repeated to an epoch of 6,000 and seen 8 times; 12,000 are seen 4 times
    assert (numbers["more_least_passes"], numbers["more_most_passes"]) == ("48,000", "48,000")
    table = tables.few_shot(runs[0])
    assert table.loc["thesis's head, f = 10", "49-way, S=10"].startswith("69.0")
    assert table.loc["guessing", "49-way, S=1"] == "2.0"


def test_the_benchmark_has_a_column_a_data_set():
    systems = ("largest_class", "pixels_1nn", "pixels_4nn", "thesis_classifier", "best_classifier")
    metrics = {
        name: {"test_balanced_accuracy": 0.1 * i}
        for i, name in enumerate((*systems, "best_classifier_five_views"))
    }
    made = {
        "data": {"title": "KMNIST"},
        "split": {"classes": "ab"},
        "metrics": metrics | {"test_images": 10_000},
    }
    table = tables.benchmark([made])
    assert list(table.columns) == ["KMNIST, 2 classes, 10,000 test images"]
    assert table.loc["best recipe", table.columns[0]] == "40.00"


def test_encoders_are_compared_by_how_far_apart_they_are():
    features, heads = {"thesis": 0.8, "dual_path": 0.82, "resnet18": 0.79}, (0.7, 0.62, 0.75)
    embeddings = {f"{name}_features": scores(value) for name, value in features.items()}
    embeddings |= {f"{name}_head": scores(value) for name, value in zip(features, heads, strict=True)}
    seen = {f"{name}_classifier_seen_balanced_accuracy": 0.9 + i / 100 for i, name in enumerate(features)}
    found = chapter3_numbers.of_other_encoders({"metrics": {"embeddings": embeddings} | seen})
    assert {name: round(value, 6) for name, value in found.items()} == {
        "encoders_seen_range": 2.0,
        "encoders_features_range": 3.0,
        "encoders_least_loss": 4.0,
        "encoders_most_loss": 20.0,
    }


def test_encoders_and_shares_of_the_images_are_those_of_the_record():
    names = (
        "pixels",
        "thesis_features",
        "thesis_head",
        "resnet18_features",
        "resnet18_head",
        "data_0.25_features",
    )
    seen = {"thesis": 0.9, "resnet18": 0.95, "data_0.25": 0.6}
    metrics = {"embeddings": {name: scores(0.5 + i / 100) for i, name in enumerate(names)}}
    for name, value in seen.items():
        suffix = "" if name.startswith("data") else "_classifier"
        metrics[f"{name}{suffix}_seen_balanced_accuracy"] = value
    made = {
        "metrics": metrics,
        "config": {"images_per_class": 400, "data_shares": [0.25], "width": 1.0, "stem_stride": 1},
    }
    table = tables.rival_encoders(made)
    assert (
        list(table.index) == ["the thesis's", "ResNet-18", "pixels"]
        and table.loc["ResNet-18", "classifier, seen"] == "95.0"
    )
    classifier, features, _ = curves.data_shares(made).axes[0].lines
    assert list(classifier.get_xdata()) == [100, 400] and np.allclose(classifier.get_ydata(), [60, 90])
    assert np.allclose(features.get_ydata(), [100 * (0.55 + 0.01), 100 * (0.51 + 0.01)])
