"""The smoke run of chapter 3, once: what its record says, and that a kill on the way changes nothing of it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import thesislib
from thesislib import paths, published, results
from thesislib.chapters import learning_to_compare as chapter
from thesislib.chapters.character_stages import (
    Characters,
    best_recipe,
    embed,
    five_views,
    head_recipe,
    position_in,
    thesis_recipe,
    unit_pixels,
)
from thesislib.chapters.looking_inside import ADVERSARIAL_RATE, ADVERSARIAL_STEPS, first_of_each
from thesislib.evaluation.low_shot import RULES
from thesislib.results import RecordError

SMOKE = chapter.Config.profile("smoke")
SCORE = re.compile(r"(unseen|seen|all)_balanced_accuracy_s(1|5|10|25)_(max|mean|softmax|prototype_mean)_rule")
CONFUSION = re.compile(r"(unseen|seen|all)_confusion_s25_max_rule")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A build folder for this file alone."""
    folder = tmp_path_factory.mktemp("build")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "RUNS", folder / "runs")
        patch.setattr(paths, "QUICK_RESULTS", folder / "results")
        yield folder


@pytest.fixture(scope="module")
def record(folder: Path) -> dict[str, Any]:
    """The record of the smoke run."""
    return chapter.run(SMOKE)


def embeddings(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return record["metrics"]["embeddings"]


# The record -----------------------------------------------------------------------------------------


def test_the_record_is_on_disk_and_fresh(record):
    stored = results.read_record(chapter.record_path(SMOKE))
    assert stored == json.loads(json.dumps(record)) == record
    assert results.state(record) == "fresh"
    assert record["config"] == SMOKE.as_dict() and record["published"] == {}


def test_every_metric_follows_the_grammar(record):
    assert {"pixels", "thesis_features", "thesis_head", "koch_l1", "linear_head", "proxy_anchor"} < set(
        embeddings(record)
    )
    for metrics in embeddings(record).values():
        for name, value in metrics.items():
            if CONFUSION.fullmatch(name):
                continue
            group = SCORE.fullmatch(name)[1]
            assert 0 <= value["low"] <= value["high"] <= 1 and 0 <= value["mean"] <= 1 and value["sd"] >= 0
            assert value["n"] == (5 if group == "unseen" else 2)  # a fifth of the draws, two at least
        assert {SCORE.fullmatch(n)[1] for n in metrics if SCORE.fullmatch(n)} == {"unseen", "seen", "all"}
        shots = {SCORE.fullmatch(n)[2] for n in metrics if SCORE.fullmatch(n)}
        assert shots == {"1", "5", "10", "25"}


def test_the_thesis_head_answers_by_every_rule_and_l1_by_one(record):
    def rules(name: str) -> set[str]:
        return {match[3] for metric in embeddings(record)[name] if (match := SCORE.fullmatch(metric))}

    assert rules("thesis_head") == set(RULES)
    assert rules("koch_l1") == {"max"}
    assert rules("pixels") == {"max", "prototype_mean"}


def test_sweeps_vary_one_thing_at_a_time(record):
    sweeps = record["metrics"]["sweeps"]
    assert set(sweeps["dimensions"]) == {"2", "6", "10", "32"}
    assert set(sweeps["depth"]) == {"0", "2", "8"}
    assert set(sweeps["regularisers_f64"]) == {
        "batch norm and dropout", "batch norm", "layer norm", "none",
    }  # fmt: skip
    for points in sweeps.values():
        for metrics in points.values():
            assert set(metrics) == {f"{g}_balanced_accuracy_s10_max_rule" for g in ("unseen", "seen")}
            assert all(0 <= value["mean"] <= 1 for value in metrics.values())


def test_the_split_is_disjoint_and_whole(record):
    seen, unseen = set(record["split"]["seen"]), set(record["split"]["unseen"])
    assert len(seen) == 40 and len(unseen) == 9 and not seen & unseen
    assert seen | unseen == set(range(49))
    assert len(record["data"]["classes"]) == 49
    assert record["data"]["train_images"] == 49 * 30 and record["data"]["test_images"] == 49 * 10


def test_confusions_add_up_to_the_accuracies(record):
    for group, classes, draws in (("unseen", 9, 5), ("seen", 40, 2), ("all", 49, 2)):
        metrics = embeddings(record)["thesis_head"]
        confusion = np.array(metrics[f"{group}_confusion_s25_max_rule"])
        assert confusion.shape == (classes, classes)
        assert (confusion.sum(1) == 10 * draws).all()  # ten test images a class
        mean = metrics[f"{group}_balanced_accuracy_s25_max_rule"]["mean"]
        assert (confusion.diagonal() / confusion.sum(1)).mean() == pytest.approx(mean)


def test_pixels_score_what_a_loop_over_images_scores(record):
    """The protocol again from its words: prototypes from the train part, queries from the test part."""
    data = chapter.load(SMOKE)
    unseen = record["split"]["unseen"]

    def unit(image: np.ndarray) -> np.ndarray:
        x = image.astype(float).ravel()
        return x / np.linalg.norm(x)

    def nearest(image: np.ndarray, prototypes: list[tuple[np.ndarray, int]]) -> int:
        return max(prototypes, key=lambda prototype: float(prototype[0] @ unit(image)))[1]

    for shots in (1, 5):
        random = np.random.RandomState(shots)  # the split is 0: 1000 * 0 + shots
        accuracies = []
        for _ in range(5):
            prototypes = []
            for c in unseen:
                members = np.flatnonzero(data.train.label == c)
                prototypes += [(unit(data.train.image[i]), c) for i in random.choice(members, shots, False)]
            right = [
                nearest(image, prototypes) == label
                for image, label in zip(data.test.image, data.test.label, strict=True)
                if label in unseen
            ]
            accuracies.append(np.mean(right))  # every class has ten, so the mean is balanced
        expected = record["metrics"]["embeddings"]["pixels"][f"unseen_balanced_accuracy_s{shots}_max_rule"]
        assert np.mean(accuracies) == pytest.approx(expected["mean"])


def test_training_curves_are_kept(record):
    loss, rate = record["metrics"]["training_loss"], record["metrics"]["learning_rate"]
    assert set(loss) == set(rate) == {"thesis_classifier", "best_classifier", "thesis_head"}
    assert all(len(curve) == 2 for curve in [*loss.values(), *rate.values()])
    assert loss["thesis_classifier"][1] < loss["thesis_classifier"][0]


def test_the_arrays_beside_the_record(record):
    arrays = results.read_arrays(chapter.arrays_path(SMOKE))
    inside = record["metrics"]["looking_inside"]
    assert set(inside["mapped_seen_classes"]) <= set(record["split"]["seen"])
    assert inside["adversarial_rate"] == ADVERSARIAL_RATE
    for group, classes in (("seen", 10), ("unseen", 9)):
        n = classes * 10
        assert arrays[f"{group}_image"].shape == (n, 28, 28)
        label = arrays[f"{group}_label"]
        expected = inside["mapped_seen_classes"] if group == "seen" else record["split"]["unseen"]
        assert sorted(set(label.tolist())) == sorted(expected)
        for name in ("thesis", "best"):
            assert arrays[f"{group}_{name}_map"].shape == (n, 2)
            assert inside[f"{group}_{name}_kernel_minus_plain_pca"] < 1e-3
            assert 0 <= inside[f"{group}_{name}_accuracy_5nn_on_2_kernel_components"] <= 1
    assert arrays["preferred_image"].shape == (10, 28, 28)
    assert 0 <= arrays["preferred_image"].min() and arrays["preferred_image"].max() <= 1
    for name in ("thesis", "best"):
        assert arrays[f"{name}_gradient"].shape == (8, 8, 28, 28)
        before, after = arrays[f"{name}_adversarial"]
        assert before.shape == (9, 28, 28)
        assert np.abs(after - before).max() <= ADVERSARIAL_STEPS * ADVERSARIAL_RATE + 1e-6
        assert set(arrays[f"{name}_adversarial_target"].tolist()) <= set(record["split"]["unseen"])
        curve = inside[f"{name}_unseen_accuracy_s10_after_adversarial_steps"]
        assert len(curve) == ADVERSARIAL_STEPS + 1
        asked = [90 * share for share in curve]  # ten pictures of each of nine classes
        assert all(0 <= right <= 90 and right == pytest.approx(round(right), abs=1e-3) for right in asked)


def test_a_network_that_has_learned_is_led_astray_by_adversarial_steps():
    """Of the smoke profile's network, hardly above guessing, it depends on the processor whether it is."""
    records = results.committed_records("learning_to_compare")
    inside = [found for record in records if (found := record["metrics"].get("looking_inside"))]
    assert inside
    for found in inside:
        for name in ("thesis", "best"):
            before, *_, after = found[f"{name}_unseen_accuracy_s10_after_adversarial_steps"]
            assert after < 0.5 * before


# Stored, killed, resumed ----------------------------------------------------------------------------


def test_the_second_time_the_record_is_read(record, monkeypatch):
    def never(config: chapter.Config) -> None:
        raise AssertionError("a stored run must not be measured again")

    monkeypatch.setattr(chapter, "_Run", never)
    assert chapter.run(SMOKE) == record


def test_other_data_are_noticed(record, monkeypatch):
    class Other:
        sha256 = "b" * 64

    monkeypatch.setattr(chapter, "load", lambda config: Other)
    with pytest.raises(RecordError, match="measured on other data"):
        chapter.run(SMOKE)


# Runs the chapter once in peace and once killed (SIGKILL) three times on the way, each in a child process of
# one Python that has imported everything. The moments are random but spread: after so many trained networks.
KILLER = """
import json, os, random, signal, sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
from thesislib import paths
from thesislib.chapters import learning_to_compare as chapter

folder, moment = Path(sys.argv[1]), random.Random(int(sys.argv[2]))
config = chapter.Config.profile("smoke", **json.loads(sys.argv[3]))


def start(name):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            paths.RUNS, paths.QUICK_RESULTS = folder / name / "runs", folder / name / "results"
            chapter.run(config)
            code = 0
        finally:
            os._exit(code)
    return child


def trained():
    return len(list(folder.glob("killed/runs/**/weights.safetensors")))


killed = []
for after in (moment.randint(0, 1), moment.randint(2, 6), moment.randint(7, 9)):
    child, ended, status = start("killed"), 0, None
    while trained() <= after and not ended:
        ended, status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.005)
    if not ended:
        time.sleep(moment.uniform(0, 0.2))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        killed.append(trained())
done = [os.waitpid(start(name), 0)[1] for name in ("killed", "calm")]
print(json.dumps({"killed_after_networks": killed, "status": done}))
"""

TINY = dict(
    images_per_class=6, test_images_per_class=2, sweeps="none", draws=2, best_features=16, head_views=2,
    thesis_epochs=2, best_epochs=2, head_epochs=2,
)  # fmt: skip


def test_a_killed_run_resumes_to_the_same_metrics(tmp_path):
    source = Path(thesislib.__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": str(source), "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    command = [sys.executable, "-c", KILLER, str(tmp_path), "2", json.dumps(TINY)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["status"] == [0, 0], done.stderr
    assert len(report["killed_after_networks"]) == 3  # and each kill met a run on its way

    def only_record(name: str) -> dict[str, Any]:
        (path,) = (tmp_path / name / "results").rglob("*.json")
        return results.read_record(path)

    killed, calm = only_record("killed"), only_record("calm")
    different = {
        name
        for name in calm["metrics"]["embeddings"]
        if killed["metrics"]["embeddings"][name] != calm["metrics"]["embeddings"][name]
    }
    assert not different
    for part in ("metrics", "split", "data", "config", "source_hash"):
        assert killed[part] == calm[part]


# Configuration and the printed numbers --------------------------------------------------------------


def test_only_full_runs_on_real_characters_are_committed(folder):
    assert paths.RESULTS in chapter.record_path(chapter.Config.profile("full")).parents
    for config in (
        SMOKE,
        chapter.Config.profile("quick", dataset="k49"),
        chapter.Config.profile("full", dataset="invented"),
    ):
        assert folder / "results" in chapter.record_path(config).parents
    name = chapter.record_path(chapter.Config.profile("full", class_split=3, seed=2)).name
    assert name.startswith("k49-split3-seed2-")
    assert chapter.arrays_path(SMOKE) == chapter.record_path(SMOKE).with_suffix(".npz")


def test_the_printed_numbers_are_answered_by_the_same_data_alone(record):
    metrics = record["metrics"]
    answered = chapter.published(chapter.Config.profile("full"), metrics)
    assert {key: published.by_key(key).chapter for key in answered} == dict.fromkeys(answered, 3)
    head = metrics["embeddings"]["thesis_head"]
    assert answered["ignatiev2019_k49_unseen_s10_f10"] == (
        100 * head["unseen_balanced_accuracy_s10_max_rule"]["mean"]
    )
    assert answered["ignatiev2019_k49_seen"] == 100 * head["seen_balanced_accuracy_s25_max_rule"]["mean"]
    for changed in (dict(dataset="invented"), dict(dataset="k49_stand_in"), dict(class_split=1)):
        assert chapter.published(chapter.Config.profile("full", **changed), metrics) == {}


# Stages ---------------------------------------------------------------------------------------------


def test_images_of_some_classes_keep_their_labels():
    label = torch.tensor([4, 0, 2, 4, 1])
    image = torch.arange(5, dtype=torch.uint8)[:, None, None]
    part = Characters(image, label, image[:2], label[:2]).of((4, 1))
    assert part.pool.flatten().tolist() == [0, 3, 4] and part.pool_label.tolist() == [4, 4, 1]
    assert part.query.flatten().tolist() == [0] and part.query_label.tolist() == [4]


def test_positions_of_labels():
    assert position_in((3, 7, 1), torch.tensor([1, 3, 7, 0, 9, 7])).tolist() == [2, 0, 1, -1, -1, 1]


def test_the_first_images_of_each_class():
    label = torch.tensor([1, 0, 1, 0, 1, 2])
    assert first_of_each(label, [1, 0], 2).tolist() == [0, 2, 1, 3]


def test_embedding_in_batches_is_embedding_at_once():
    image = torch.randint(1, 256, (1100, 4, 4), dtype=torch.uint8)  # more than two batches of 512
    expected = image.flatten(1).double()
    expected = expected / expected.norm(dim=1, keepdim=True)
    torch.testing.assert_close(embed(unit_pixels, image).double(), expected, atol=1e-6, rtol=0)


def test_five_views_are_the_mean_over_one_pixel_moves():
    torch.manual_seed(0)
    weight = torch.randn(36, 3)

    def unit(x: torch.Tensor) -> torch.Tensor:
        y = x.flatten(1) @ weight
        return y / y.norm(dim=1, keepdim=True)

    image = np.zeros((1, 1, 6, 6), np.float32)
    image[0, 0, 2:4, 2:4] = np.random.RandomState(0).rand(2, 2)
    total = 0
    for dy, dx in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)):
        moved = np.zeros_like(image)
        moved[0, 0, 2 + dy : 4 + dy, 2 + dx : 4 + dx] = image[0, 0, 2:4, 2:4]
        total = total + unit(torch.from_numpy(moved))
    got = five_views(unit)(torch.from_numpy(image))
    torch.testing.assert_close(got, total / total.norm())


def test_recipes_scale_with_the_epochs():
    thesis = thesis_recipe(20, 1024)
    assert (thesis.warmup_epochs, thesis.restarts, thesis.lr_max) == (5, (10,), 0.1)
    assert head_recipe(8).warmup_epochs == 2 and head_recipe(8).restarts == (4,)
    best = best_recipe(16, 1024)
    assert (best.optimizer, best.schedule, best.warmup_epochs, best.batch_size) == (
        "adamw",
        "one_cycle",
        2,
        256,
    )
