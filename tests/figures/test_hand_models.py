"""Figures, tables, numbers and words of chapter 5 show what records and meshes say, on made-up ones."""

import copy
import re
import zlib

import numpy as np
import pytest

from thesislib.figures import (
    chapter5_numbers,
    chapter5_words,
    hand_model_errors,
    hand_model_scores,
    hand_model_tables,
    style,
)

SUBJECTS = 12
PLAIN = {  # of the small network as the thesis trains it
    "detected_2d_px_at_224": 7.0,
    "true_2d_px_at_224": 6.0,
    "tips_2d_px_at_224": 11.0,
    "joints_mm": 17.0,
    "joints_mm_aligned": 10.0,
    "tips_mm": 26.0,
    "tips_mm_aligned": 15.0,
    "bone_length_mm": 3.2,
    "bone_length_percent": 5.0,
    "direction_deg": 17.0,
    "direction_deg_aligned": 14.0,
    "twist_deg": 23.0,
    "twist_deg_aligned": 21.0,
    "shape_abs": 0.35,
    "limits_exceeded_deg": 8.0,
    "mesh_mm": 16.0,
    "mesh_mm_aligned": 9.0,
}
TRIVIAL = PLAIN | dict(true_2d_px_at_224=15.0, joints_mm=11.0, joints_mm_aligned=7.5, twist_deg_aligned=4.0)
CONFIGURATIONS = (  # configuration, factor of its errors in the picture, validation loss
    (dict(encoder="resnet50", shape_weight=0.0), 0.9, 100.0),
    (dict(encoder="resnet50"), 0.8, 110.0),
    (dict(encoder="resnet50", frozen=True), 2.0, 300.0),
    (dict(encoder="resnet50", start="random"), 1.4, 180.0),
    (dict(encoder="densenet121"), 1.0, 130.0),
    (dict(encoder="densenet121", frozen=True), 2.3, 340.0),
    (dict(encoder="inception_v3", frozen=True), 2.9, 420.0),
)
REPAIRS = (  # what was added, factors of errors
    (dict(fingertips=True), dict(tips_2d_px_at_224=0.5, tips_mm_aligned=0.6)),
    (dict(limits_weight=1.0), dict(limits_exceeded_deg=0.1, twist_deg_aligned=0.3, joints_mm_aligned=0.8)),
    (dict(person_weight=1.0), dict(bone_length_mm=0.8)),
    (
        dict(truth_weight=1.0, drawn_hands=500),
        dict(joints_mm=0.4, joints_mm_aligned=0.5, twist_deg_aligned=0.2),
    ),
    (
        dict(fingertips=True, limits_weight=1.0, truth_weight=1.0, drawn_hands=500),
        dict(
            joints_mm=0.35,
            joints_mm_aligned=0.4,
            twist_deg_aligned=0.15,
            tips_mm_aligned=0.3,
            limits_exceeded_deg=0.1,
        ),
    ),
)


def of_subjects(mean, rng):
    by_subject = mean * (1 + 0.08 * rng.normal(size=SUBJECTS))
    mean = float(by_subject.mean())
    return {"mean": mean, "low": 0.95 * mean, "high": 1.05 * mean, "by_subject": by_subject.tolist()}


def record(seed=0, *, errors=None, validation_loss=150.0, **config):
    """A record of `hand_from_picture`; ``errors``: factors of the plain errors."""
    rng = np.random.default_rng([seed, zlib.crc32(repr(sorted(config.items())).encode())])
    base = dict(encoder="small", start="hands", frozen=False, shape_weight=1.0, fingertips=False)
    base |= dict(limits_weight=0.0, person_weight=0.0, truth_weight=0.0, silhouette_weight=0.0, drawn_hands=0)
    base |= dict(train_pictures=10_000, size=64)
    config = base | config | {"seed": seed}
    found = {name: of_subjects(value * (errors or {}).get(name, 1.0), rng) for name, value in PLAIN.items()}
    last = found["true_2d_px_at_224"]["mean"]
    loss = validation_loss * (0.9 + 0.02 * rng.random())
    metrics = {
        "history": {"epoch": [1, 2, 3, 4], "loss": [4 * loss, 2 * loss, 1.3 * loss, loss]},
        "images_seen": 20000,
        "train_loss": loss,
        "validation_loss": validation_loss * (1 + 0.02 * rng.random()),
        "parameters": {"encoder": 23_500_000, "regressor": 1_200_000},
        "images_per_second": 50.0 + seed,
        "errors": found,
        "trivial": {name: of_subjects(value, np.random.default_rng(99)) for name, value in TRIVIAL.items()},
        "true_2d_px_at_224_by_iteration": [40.0, 2 * last, 1.2 * last, last],
    }
    split = {
        "train": {"hands": 5000, "subjects": list(range(152))},
        "validation": {"hands": 1250, "subjects": list(range(200, 200 + SUBJECTS))},
    }
    return {"config": config, "data": {"name": "flat"}, "split": split, "metrics": metrics, "published": {}}


def seven(seeds=(0, 1, 2)):
    """Records of the thesis's seven configurations; several seeds for all."""
    found = []
    for config, factor, loss in CONFIGURATIONS:
        errors = {name: factor for name in PLAIN if "2d" in name} | {"joints_mm_aligned": 1.2}
        if config.get("shape_weight") == 0.0:
            errors["shape_abs"] = 6.0
        found += [record(seed, errors=errors, validation_loss=loss, **config) for seed in seeds]
    return found


def repaired(seeds=(0, 1, 2)):
    """Records of the small network without and with repairs, one at a time and together."""
    plain = [record(seed) for seed in seeds]
    return plain + [record(seed, errors=errors, **config) for config, errors in REPAIRS for seed in seeds]


SEVEN, REPAIRED = seven(), repaired()
TOGETHER = ("fingertips", "limits_weight", "truth_weight")


@pytest.fixture(autouse=True)
def _style():
    style.use_style()


# Scores -----------------------------------------------------------------------------------------------


def test_a_score_is_the_mean_over_seeds_of_people():
    runs = REPAIRED[:3]
    stored = [r["metrics"]["errors"]["joints_mm"] for r in runs]
    found = hand_model_scores.score(runs, "joints_mm")
    assert found.mean == pytest.approx(sum(s["mean"] for s in stored) / 3)
    assert found.by_subject[4] == pytest.approx(sum(s["by_subject"][4] for s in stored) / 3)
    assert found.over_seeds == pytest.approx(np.std([s["mean"] for s in stored], ddof=1))
    assert hand_model_scores.score(runs[:1], "joints_mm").over_seeds is None


def test_a_change_is_paired_by_subject_and_needs_the_same_people():
    worse = copy.deepcopy(REPAIRED[:1])
    value = worse[0]["metrics"]["errors"]["joints_mm"]
    value["by_subject"] = [v + 2.0 for v in value["by_subject"]]
    found = hand_model_scores.change(worse, REPAIRED[:1], "joints_mm")
    assert found["mean"] == pytest.approx(2.0) and found["high"] - found["low"] == pytest.approx(0, abs=1e-9)
    assert hand_model_scores.is_clear(found)
    value["by_subject"] = value["by_subject"][:-1]
    with pytest.raises(ValueError, match="different people"):
        hand_model_scores.change(worse, REPAIRED[:1], "joints_mm")
    with pytest.raises(KeyError, match="no_such"):
        hand_model_scores.score(worse, "no_such")


def test_configurations_stand_in_the_order_of_the_table_and_know_their_row():
    shuffled = [SEVEN[i] for i in np.random.default_rng(0).permutation(len(SEVEN))]
    groups = hand_model_scores.by_configuration(REPAIRED + shuffled)
    assert [c.stem for c in groups] == [*hand_model_scores.STEMS, None]  # the small network is no row of it
    assert all(len(runs) == 3 and not hand_model_scores.repairs_of(runs[0]) for runs in groups.values())
    names = {c.title for c in groups}
    assert len(names) == len(groups) and {"ResNet-50, no shape loss", "DenseNet, frozen"} <= names
    imagenet = hand_model_scores.Configuration("resnet50", "imagenet", True, True)
    assert imagenet.stem == "resnet_freeze" and imagenet.title != "ResNet-50, frozen"
    assert hand_model_scores.Configuration("resnet50", "random", False, False).stem is None


def test_repairs_are_grouped_with_their_own_unrepaired_run_first():
    groups = hand_model_scores.by_repair(SEVEN + REPAIRED[::-1])
    assert list(groups)[0] == () and list(groups)[-1] == TOGETHER
    assert [hand_model_scores.configuration_of(r[0]).encoder for r in groups.values()] == ["small"] * len(
        groups
    )
    fewer = [r for r in REPAIRED if r["config"]["seed"] < 2 or not hand_model_scores.repairs_of(r)]
    assert {len(runs) for runs in hand_model_scores.by_repair(fewer).values()} == {
        2
    }  # and all of them paired
    with pytest.raises(ValueError, match="no seed"):
        hand_model_scores.by_repair([*repaired((0,))[:1], *repaired((1,))[1:]])
    assert hand_model_scores.by_repair(SEVEN) == {}
    with pytest.raises(ValueError, match="without repairs"):
        hand_model_scores.by_repair(REPAIRED[3:])
    other = record(encoder="resnet50", fingertips=True)
    with pytest.raises(ValueError, match="several configurations"):
        hand_model_scores.by_repair([*REPAIRED, other])


def test_printed_images_a_second_are_iterations_times_the_batch():
    groups = hand_model_scores.by_configuration(SEVEN)
    found = [round(hand_model_scores.printed_images_per_second(c)) for c in groups]
    assert found == [64, 67, 86, 64, 54, 86, 29]


# Tables -----------------------------------------------------------------------------------------------


def test_all_printed_losses_stand_beside_ours_as_not_comparable():
    table = hand_model_tables.compared(SEVEN).data
    assert len(table) == 13  # the first configuration has no validation loss there
    assert set(table["reading"]) == {"not comparable"}
    assert table["printed there"].tolist()[1:3] == ["1.675", "2.085"]
    ours = np.mean([r["metrics"]["validation_loss"] for r in SEVEN[3:6]])
    assert table["measured here"][2].startswith(f"{ours:.3f} ±") and "(n = 3)" in table["measured here"][2]
    assert "all 1,250 of 12 people" in table["protocol"][2] and "learned" in table["protocol"][1]


def test_configurations_show_seeds_and_dashes_where_the_thesis_has_nothing():
    table = hand_model_tables.configurations(SEVEN + REPAIRED)
    assert table.loc["DenseNet, frozen", ("pictures a second", "printed")] == "86"
    assert table.loc["DenseNet, frozen", ("encoder, million parameters", "here")] == "23.5"
    learned = [{"config": {"encoder": "densenet121"}, "metrics": {"parameters": 7_000_000}}]
    sized = hand_model_tables.configurations(SEVEN + REPAIRED, learned)["encoder, million parameters", "here"]
    assert sized["DenseNet, frozen"] == "7.0" and sized["ResNet-50, frozen"] == "23.5"
    small = table.loc["small network, pretrained"]
    assert small["pictures a second", "printed"] == "–" and small["seeds", "here"] == "3"
    one = hand_model_tables.configurations(SEVEN[:1])
    assert "±" not in one.iloc[0]["training loss", "here"] and "±" in small["training loss", "here"]


def test_what_it_could_not_know_ends_with_the_mean_hand():
    table = hand_model_tables.could_not_know(SEVEN)
    mean = SEVEN[0]["metrics"]["trivial"]["joints_mm_aligned"]["mean"]
    assert table.index[-1] == hand_model_scores.MEAN_HAND
    assert table.iloc[-1]["joints in space, aligned, mm"] == f"{mean:.1f}"
    lacking = copy.deepcopy(SEVEN)
    del lacking[5]["metrics"]["errors"]["mesh_mm_aligned"]
    assert not any("surface" in column for column in hand_model_tables.could_not_know(lacking))


def test_repairs_show_the_error_after_and_the_change_against_the_unrepaired_run():
    shown = hand_model_tables.repairs(REPAIRED)
    assert r"\n" not in shown.to_html()  # the two lines of a cell are lines
    table = shown.data
    title = "joints in space, aligned, mm"
    assert "\n" not in table[title].iloc[0]
    groups = hand_model_scores.by_repair(REPAIRED)
    change = hand_model_scores.change(groups[TOGETHER], groups[()], "joints_mm_aligned")
    error, shown = table[title].iloc[-1].replace("−", "-").split("\n")
    assert error == hand_model_scores.score(groups[TOGETHER], "joints_mm_aligned").text
    assert [float(x) for x in re.findall(r"[-+][\d.]+", shown)] == [
        pytest.approx(change[end], abs=0.051) for end in ("mean", "low", "high")
    ]
    assert hand_model_tables.repairs(SEVEN).data.empty


RENDERED = {
    "config": {"meshes": 256},
    "environment": {"device": "a processor"},
    "metrics": {
        "protocol": "256 hands",
        "seconds": dict(loop_normals=20.0, vectorized_normals=2.0, face_normals=1.0, given_normals=0.9),
        "normals_seconds": dict(loop_normals=18.5, vectorized_normals=0.25),
    },
}


def test_rendering_is_compared_as_ratios_to_the_loop():
    table = hand_model_tables.rendering(RENDERED).data
    assert table["measured here"].tolist() == ["—", "20 s", "2 s", "1.0 s"]
    ratios = hand_model_tables.rendering_ratios(RENDERED)
    assert ratios["here"].tolist() == ["1.0", "10.0", "20.0"]
    assert ratios.index[2] == "geometry shader (here: face normals)"  # no shader was run
    assert ratios["printed"].tolist() == ["1.0", "2.1", "75.0"]


# Figures of errors ------------------------------------------------------------------------------------


def test_repairs_are_hollow_where_they_may_do_nothing():
    figure = hand_model_errors.repairs(REPAIRED, ["joints_mm_aligned"])
    axis = figure.axes[0]
    groups = hand_model_scores.by_repair(REPAIRED)
    marks = [line for line in axis.lines if line.get_marker() == "D"]
    for mark, (repairs, runs) in zip(marks, groups.items(), strict=True):
        score = hand_model_scores.score(runs, "joints_mm_aligned")
        assert mark.get_xdata() == [score.mean]
        change = hand_model_scores.change(runs, groups[()], "joints_mm_aligned")
        assert (mark.get_color() == "white") == (repairs != () and not hand_model_scores.is_clear(change))
    assert {mark.get_color() == "white" for mark in marks} == {True, False}
    assert "joint limits" in figure.get_label()
    with pytest.raises(ValueError, match="repair"):
        hand_model_errors.repairs(SEVEN)


def test_training_iterations_and_space_draw_each_configuration():
    training = hand_model_errors.training(SEVEN).axes[0]
    assert training.lines[0].get_xdata().tolist() == [5000, 10000, 15000, 20000]
    assert training.lines[1].get_ydata() == pytest.approx(
        [np.mean([r["metrics"]["validation_loss"] for r in SEVEN[:3]])]
    )
    errors = hand_model_errors.iterations(SEVEN).axes[0]
    last = np.mean([r["metrics"]["true_2d_px_at_224_by_iteration"][-1] for r in SEVEN[:3]])
    assert errors.lines[0].get_ydata()[-1] == pytest.approx(last)
    space = hand_model_errors.picture_against_space(SEVEN)
    crosses = [line for line in space.axes[0].lines if line.get_marker() == "x"]
    trivial = SEVEN[0]["metrics"]["trivial"]
    assert [(*c.get_xdata(), *c.get_ydata()) for c in crosses] == [
        (trivial["true_2d_px_at_224"]["mean"], trivial["joints_mm_aligned"]["mean"])
    ]
    assert len(space.legends[0].get_texts()) == 8 and "Inception-v3, frozen" in space.get_label()


# Numbers and words ------------------------------------------------------------------------------------


def with_losses(*losses: float) -> list[dict]:
    """One seed of the six configurations that have a printed validation loss, with these losses."""
    records = copy.deepcopy(seven((0,))[1:])
    for run, loss in zip(records, losses, strict=True):
        run["metrics"]["validation_loss"] = loss
    return records


@pytest.mark.parametrize(
    ("losses", "pairs", "best", "frozen", "random"),
    [
        ((1, 4, 2, 3, 5, 6), 15, "The best is the same", "holds for all of them", "holds"),
        ((1, 2, 4, 3, 5, 6), 12, "The best is the same", "holds for 2 of 3", "holds"),
        (
            (6, 3, 5, 4, 2, 1),
            0,
            "The best there is ResNet-50, pretrained",
            "holds for none of them",
            "does not hold",
        ),
    ],
)
def test_the_ranking_is_compared_pair_by_pair(losses, pairs, best, frozen, random):
    # printed: 2.085, 4.689, 2.908, 3.222, 5.192, 6.539
    found = chapter5_numbers.of_ranking(with_losses(*losses))
    assert (found["pairs"], found["pairs_in_the_same_order"]) == (15, pairs)
    assert found["same_best"] == best and found["pretrained_ahead_of_random"] == random
    assert found["learning_ahead_of_frozen"] == frozen


@pytest.mark.parametrize(
    ("change", "falls", "compared"),
    [
        (
            dict(mean=-2.04, low=-3.0, high=-1.0, n=9),
            "falls by 2.0 mm [1.0, 3.0]",
            "is 2.0 mm [1.0, 3.0] lower",
        ),
        (
            dict(mean=2.04, low=1.0, high=3.0, n=9),
            "rises by 2.0 mm [1.0, 3.0]",
            "is 2.0 mm [1.0, 3.0] higher",
        ),
        (
            dict(mean=-0.01, low=-1.0, high=1.0, n=9),
            "changes by +0.0 mm [−1.0, +1.0], which may be none",
            "differs by +0.0 mm [−1.0, +1.0], which may be nothing",
        ),
        (dict(mean=2.0, low=2.0, high=2.0, n=1), "rises by 2.0 mm", "is 2.0 mm higher"),
    ],
)
def test_words_follow_the_interval(change, falls, compared):
    assert chapter5_numbers.changed(change, "joints_mm") == falls
    assert chapter5_numbers.compared(change, "joints_mm") == compared


def test_numbers_name_best_worst_and_what_helps():
    found = chapter5_numbers.numbers(SEVEN + REPAIRED, prefix="stored_")
    assert found["stored_best_by_loss"] == "ResNet-50, pretrained"
    assert found["stored_worst_by_picture"] == "Inception-v3, frozen"
    assert found["stored_num_configurations"] == 7
    assert found["stored_limits_twist"].startswith("falls by 14.")
    assert found["stored_best_repair_limits"].startswith(("joint limits", "fingertips, joint limits"))
    assert found["stored_shape_ratio"] == pytest.approx(6, rel=0.1)
    assert chapter5_numbers.numbers([]) == {}


@pytest.mark.parametrize(
    ("picture", "space", "verdict"),
    [
        (
            6.0,
            20.0,
            "It has learned to meet the picture, and in space it has left the hand that it started from.",
        ),
        (30.0, 20.0, "In neither does it gain"),
        (6.0, 2.0, "It gains in space, too."),
        (30.0, 2.0, "It gains in space alone."),
    ],
)
def test_the_verdict_weighs_picture_against_space(picture, space, verdict):
    errors = {"true_2d_px_at_224": picture / 6.0, "joints_mm_aligned": space / 10.0}
    assert verdict in chapter5_words.of_this_run(record(errors=errors))


def test_paragraphs_speak_of_what_is_stored_and_of_nothing_else():
    assert "are still to be run" not in chapter5_words.of_configurations(SEVEN)
    few = chapter5_words.of_configurations(seven((0,))[:2])
    assert "2 are stored, with one seed each; 5 are still to be run" in few and " last with" not in few
    repairs = chapter5_words.of_repairs(REPAIRED)
    plain = [hand_model_scores.score([r], "joints_mm_aligned").mean for r in REPAIRED[:3]]
    assert f"between {min(plain):.1f} and {max(plain):.1f} mm" in repairs and "the same 3 seeds" in repairs
    assert "is not measured" in chapter5_words.of_repairs(repaired((0,)))
    assert repairs.count("\n- **") == 5
    assert "Of single repairs, *parameters of drawn hands* lowers the aligned error in space most." in repairs
    plain = [record(seed, **config) for config in ({}, {"fingertips": True}) for seed in (0, 1)]
    for run in plain[2:]:
        run["metrics"]["errors"] = plain[run["config"]["seed"]]["metrics"]["errors"]
    assert "No repair by itself lowers" in chapter5_words.of_repairs(plain)
    rendering = chapter5_words.of_rendering(RENDERED)
    assert (
        "10.0 times as fast as the loop; there it was 2.1 times" in rendering and "faster still" in rendering
    )
    assert "alone take 18 s by the loop and 0.25 s vectorised" in rendering
    assert "bones are off by" in chapter5_words.of_configurations(SEVEN)
    read = {"unseen_invented_signers": {"top1_macro": 0.31}, "chance": 1 / 24}
    encoders = chapter5_words.of_encoders([{"config": {"encoder": "inception_v3"}, "metrics": read}])
    assert "inception-v3 31 %; guessing gets 4 %" in encoders and chapter5_words.of_encoders([]) == ""


def test_what_is_not_stored_names_its_command():
    said = [f(None) for f in (chapter5_words.of_model, chapter5_words.of_rendering, chapter5_words.of_scans)]
    said += [
        chapter5_words.of_configurations([]),
        chapter5_words.of_repairs(SEVEN),
        chapter5_words.of_this_run(None),
    ]
    assert all(re.search(r"No run of .+ is stored yet; `.+` makes one", words) for words in said)


def scans(inside: float, outside: float, shared: float) -> dict:
    """A record of fitted scans with these errors of shape numbers."""

    def row(inner: float, outer: float) -> dict:
        found = {}
        for kind, value in (("inside_exact", inner), ("own_flesh_exact", outer)):
            found[f"{kind}_shape_sd"] = {
                "mean": value,
                "low": 0.9 * value,
                "high": 1.1 * value,
                "by_person": [value] * 4,
            }
            found |= {f"{kind}_skin_mm": {"mean": 0.5}, f"{kind}_joint_deg": {"mean": 1.0}}
        return found

    protocols = {"one_scan": row(inside, outside), "shared_2": row(0, 9), "shared_10": row(0, shared)}
    return {"metrics": {"protocols": protocols}}


def test_scans_say_whether_the_shape_space_is_at_fault():
    said = chapter5_words.of_scans(scans(0.1, 0.6, 0.4))
    assert (
        "0.60 standard deviations from the person's in the median" in said and "4 of 4 stopped in a" in said
    )
    assert "Plain gradient descent" not in said  # this record has no such fits
    every = scans(0.1, 0.6, 0.4)
    fits = dict(sgd_300=0.94, sgd_3000=0.79, mean_hand=0.98, levenberg_marquardt_300=0.0)
    every["metrics"]["protocols"] |= {n: {"inside_exact_shape_sd": {"mean": v}} for n, v in fits.items()}
    every["metrics"]["protocols"]["pose_given"] = {"own_flesh_exact_shape_sd": {"mean": 0.19}}
    told = chapter5_words.of_scans(every)
    assert "0.94 standard deviations off after 300 iterations and 0.79 after 3,000" in told
    assert "with the true pose given it is 0.19" in told
    assert "can be true of an exact scan" in said
    assert (
        "10 scans of a person, the error of the shape numbers of people's own skin falls by 0.20 SD" in said
    )
    said = chapter5_words.of_scans(scans(0.5, 0.5, 0.7))
    assert "no difference that can be told" in said and "rises by 0.20 SD" in said


def test_the_model_is_told_by_its_record():
    both = {"vertices_mm": 1.4, "joints_mm": 1.6, "vertices_99th_percentile_mm": 0.2}
    poses = {"skinning_alone": both | {"vertices_99th_percentile_mm": 1.3}, "with_pose_blend_shapes": both}
    metrics = {
        "vertices": 900,
        "faces": 1796,
        "variance_share": {"unseen_people": [0.5, 0.25]},
        "unseen_people_at_rest_by_shape_numbers": {"0": {"vertices_mm": 5.0}, "10": {"vertices_mm": 1.2}},
        "average_hand_in_random_poses": poses,
        "unseen_people_with_flat_hands": poses,
    }
    said = chapter5_words.of_model({"config": {"people": 2000, "test_people": 500}, "metrics": metrics})
    assert "explains 50 % of how they differ, all 2 together 75 %" in said
    assert "5.0 mm with the mean shape is 1.2 mm with 10 numbers" in said
    assert "1.30 mm without them and 0.20 mm with them" in said
