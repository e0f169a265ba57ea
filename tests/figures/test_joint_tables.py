"""Tables and numbers of chapter 2 from made-up records: who is compared with whom, and what a row is called."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_ind

from thesislib import paths, results
from thesislib.chapters import finding_joints, pose_speed
from thesislib.chapters.finding_joints import Config
from thesislib.evaluation.speed import latency_table
from thesislib.figures import (
    chapter2_numbers,
    chapter2_words,
    hand_errors,
    joint_changes,
    joint_runs,
    joint_tables,
)
from thesislib.networks.joint_regression import RIVALS


def made_up(error: float = 10.0, real: dict[str, float] | None = None, **choices) -> dict:
    """A record of the full profile with these choices; its real hands are name -> error over the box."""
    config = Config.profile("full", **choices)
    scores = {name: error for name in ("epe_px_at_256", "epe_px_at_256_visible", "epe_px_at_256_occluded")}
    scores |= {"auc_0_30_px_at_256": error / 100, "share_within_2_px_at_128": 0.5}
    scores |= {"epe_median_px_at_256": error / 2}
    metrics = {
        "decoder": "dark",
        "unseen_signers_dark": scores,
        "unseen_signers_mean_pose": scores | {"epe_px_at_256": 5 * error},
        "unseen_signers_error_px_at_256_by_joint": [error] * 21,
        "unseen_signers_pck": {"px_at_256": [0, 30], "share": [0.0, error / 100]},
        "parameters": 1000,
        "multiply_adds": 10**6,
        "history": {"seconds": [60.0, 60.0, 600.0]},  # other work slowed the last
        "real": {
            name: {
                "network": {
                    "n_images": 8,
                    "error_over_box": value,
                    "error_over_box_low": value - 0.01,
                    "error_over_box_high": value + 0.01,
                    "error_over_box_median": value,
                },
                "mean_pose": {"error_over_box": 0.3},
            }
            for name, value in (real or {}).items()
        },
    }
    return {
        "config": config.as_dict(),
        "config_digest": config.digest(),
        "metrics": metrics,
        "environment": {"device": "a machine, 1 thread"},
    }


def speeds(**milliseconds: float) -> dict:
    peers = {"resnet50_heatmaps_256": 100.0, "mediapipe_full": 8.0}
    return {
        "metrics": {
            "systems": {
                name: {"latency_ms_onnx": ms, "input_px": 64}
                | {
                    f"latency_ratio_to_{peer}{end}_onnx": ms / of_peer
                    for peer, of_peer in peers.items()
                    for end in ("", "_low", "_high")
                }
                | {f"latency_ratio_to_{peer}_pytorch": 2 * ms / of_peer for peer, of_peer in peers.items()}
                for name, ms in milliseconds.items()
            }
        },
        "config": {"rounds": 30},
    }


# Which run a page is about ----------------------------------------------------------------------------


def test_the_reference_has_seen_the_most_pictures_then_the_fewest_changes_then_the_lowest_seed():
    rival = made_up(network="resnet34", train_hands=900_000)
    few, half = made_up(train_hands=1000), made_up(width=0.5)
    recipe = made_up(width=0.5, optimizer="adamw")
    whole, again = made_up(seed=3), made_up(seed=4)
    records = [rival, few, recipe, half, again, whole]
    assert joint_runs.reference(records) is whole
    assert joint_runs.reference([few, recipe, half]) is half
    assert joint_runs.reference([rival, few]) is few
    in_bf16 = made_up(precision="bf16")  # departs in as few fields
    assert joint_runs.reference([in_bf16, half]) is half and joint_runs.reference([half, in_bf16]) is half
    assert joint_runs.seeds_of(again, records) == [whole, again]
    with pytest.raises(ValueError, match="no run of the thesis's network is among these 1"):
        joint_runs.reference([rival])


def test_real_hands_do_not_make_another_training_and_the_run_that_saw_more_of_them_counts():
    plain, tested = made_up(), made_up(real_sets=("asl7",), real={"asl7_given_box": 0.2})
    other_seed = made_up(seed=1)
    for records in ([plain, tested, other_seed], [other_seed, tested, plain]):
        assert joint_runs.by_seed(records) == [[tested, other_seed]]


# Labels -----------------------------------------------------------------------------------------------

CHANGES = {
    "width": (0.5, "width 0.5"),
    "decoder_width": (0.25, "decoder width 0.25"),
    "depth": (2, "depth 2"),
    "stem_stride": (4, "stem stride 4"),
    "literal": (True, "literal"),
    "size": (128, "size 128"),
    "supersample": (1, "supersample 1"),
    "train_hands": (1000, "train hands 1,000"),
    "train_signers": (16, "train signers 16"),
    "test_hands": (500, "test hands 500"),
    "test_signers": (32, "test signers 32"),
    "augmentation": ("strong", "strong augmentation"),
    "loss": ("spatial_cross_entropy", "spatial cross entropy loss"),
    "radius": (1.5, "radius 1.5"),
    "last_radius": (1.0, "last radius 1"),
    "epochs": (3, "epochs 3"),
    "batch_size": (32, "batch size 32"),
    "optimizer": ("adamw", "adamw optimizer"),
    "schedule": ("one_cycle", "one cycle schedule"),
    "lr_max": (0.003, "lr max 0.003"),
    "lr_min": (1e-5, "lr min 1e-05"),
    "weight_decay": (0.05, "weight decay 0.05"),
    "precision": ("bf16", "bf16"),
}


def test_every_choice_of_a_configuration_can_be_told():
    fields = set(Config.profile("full").as_dict())
    assert fields == CHANGES.keys() | {"seed", "profile_name", "network", "real_sets"}


@pytest.mark.parametrize("network", ["thesis", "resnet34"])
@given(chosen=st.sets(st.sampled_from(sorted(CHANGES))))
def test_a_label_names_every_difference_and_nothing_else(network, chosen):
    usual = made_up()
    other = made_up(network=network, **{field: CHANGES[field][0] for field in chosen})
    if network != "thesis":  # it does not have these choices
        chosen = chosen - set(joint_runs.OURS_ALONE)
    first, *told = joint_runs.label(other, usual).split(", ")
    rest = ", ".join([first, *told]).removeprefix(joint_runs.NAMES[network]).removeprefix(", ")
    assert sorted(rest.split(", ")) == sorted(CHANGES[field][1] for field in chosen) or (
        not rest and not chosen
    )
    back = joint_runs.label(usual, other)
    assert back.startswith(joint_runs.NAMES["thesis"])
    # what makes the network another one is told against the thesis's own, whoever is compared with whom
    assert not set(back.split(", ")) & {CHANGES[field][1] for field in joint_runs.OURS_ALONE}
    own = joint_runs.label(other, other).removeprefix(joint_runs.NAMES[network])
    assert own.count(",") == len(chosen & set(joint_runs.OURS_ALONE))


def test_a_way_to_learn_that_has_a_name_is_told_by_it_and_what_departs_from_it_beside_it():
    usual, (adamw, report) = made_up(), joint_runs.RECIPES.values()
    assert joint_runs.label(made_up(**adamw), usual) == "the thesis's network, by AdamW"
    assert joint_runs.label(made_up(**report), usual) == "the thesis's network, the report's way"
    both = made_up(network="vgg", **report | {"lr_max": 0.003})
    rival = made_up(network="vgg", **adamw)
    assert joint_runs.label(rival, usual, rival=rival) == "VGG of the thesis's figure 2.2"
    assert "lr max 0.003" in joint_runs.label(both, usual, rival=rival)
    wider = joint_runs.label(made_up(radius=1.0, **adamw), usual)
    assert wider == "the thesis's network, radius 1, by AdamW"


def test_different_trainings_have_rows_of_their_own_rivals_included():
    changed = [{field: value} for field, (value, _) in CHANGES.items()]
    records = [made_up(**change) for change in ({}, *changed)]
    rivals = [change for change in changed if not change.keys() & set(joint_runs.OURS_ALONE)]
    records += [made_up(network="vgg", **change) for change in ({}, *rivals)]
    table = joint_tables.benchmark(joint_runs.named(records[::-1], records[0]))
    assert len(table) == len(records) + 1 and table.index.is_unique  # and the mean pose
    assert table.index[0] == "the thesis's network" and table["own machine's minutes"].iloc[0] == "3.0"


def test_two_trainings_of_one_label_are_refused():
    one, other = made_up(lr_max=0.003), made_up(lr_max=0.0030000001)
    with pytest.raises(ValueError, match=f"both called .*lr max 0.003.*{one['config_digest']} and"):
        joint_runs.named([made_up(), one, other], made_up())


# What stored runs are asked --------------------------------------------------------------------------------

SMALL = dict(train_hands=8000, epochs=6)
OURS_SMALL = dict(width=0.5, loss="cross_entropy", **SMALL)
ADAMW = dict(optimizer="adamw", lr_max=0.001)


def of_all_questions() -> dict[str, dict]:
    return {
        "large": made_up(20.0, width=0.5, loss="cross_entropy"),
        "usual": made_up(45.0, **OURS_SMALL),
        "again": made_up(47.0, seed=1, **OURS_SMALL),
        "closer to full": made_up(60.0, width=0.5, **SMALL),
        "twice": made_up(60.0, width=0.5, seed=1, **SMALL),
        "thrice": made_up(60.0, width=0.5, seed=2, **SMALL),
        "as rivals": made_up(50.0, **ADAMW, **OURS_SMALL),
        "whole width": made_up(44.0, loss="cross_entropy", **SMALL),
        "narrow encoder": made_up(46.0, **OURS_SMALL | {"width": 0.25, "decoder_width": 0.5}),
        "two changes": made_up(44.0, depth=1, **OURS_SMALL | {"loss": "l2"}),
        "rival": made_up(42.0, network="resnet34", **ADAMW, **SMALL),
        "second": made_up(43.0, network="cpm", **ADAMW, **SMALL),
        "its own way": made_up(39.0, network="resnet34", optimizer="adam", batch_size=8, **SMALL),
        "few hands": made_up(55.0, **OURS_SMALL | {"train_hands": 1000, "epochs": 48}),
        "few hands, less seen": made_up(70.0, **OURS_SMALL | {"train_hands": 1000}),
    }


def test_stored_runs_are_sorted_by_what_they_are_asked():
    of = of_all_questions()
    runs = joint_runs.by_question(list(of.values()))
    assert runs.usual is of["usual"] and joint_runs.usual_rival(runs.networks) is of["rival"]
    assert runs.large == [of["large"]]
    assert runs.networks == [of[n] for n in ("usual", "again", "as rivals", "rival", "second", "its own way")]
    # a change stays one, however often it is repeated, and though it is closer to the profile full
    changes = (
        "usual",
        "again",
        "closer to full",
        "twice",
        "thrice",
        "as rivals",
        "whole width",
        "narrow encoder",
    )
    assert runs.changes == [of[n] for n in changes]
    assert runs.hands == [of["usual"], of["again"], of["few hands"]]


def test_only_the_rivals_own_way_to_learn_puts_ours_beside_them():
    of = of_all_questions()
    by_sgd = [record for record in of.values() if record["config"]["optimizer"] == "sgd"]
    rival = made_up(
        48.0, network="vgg", **SMALL
    )  # learns as the usual training does, and so do all losses of ours
    assert joint_runs.by_question([*by_sgd, rival]).networks == [of["usual"], of["again"], rival]


def test_precision_is_no_way_to_learn():
    of = of_all_questions()
    in_bf16 = [
        made_up(41.0, network=name, precision="bf16", **ADAMW, **SMALL) for name in ("vgg", "inception_v3")
    ]
    runs = joint_runs.by_question([*in_bf16, *of.values()])
    assert of["as rivals"] in runs.networks and joint_runs.usual_rival(runs.networks) is in_bf16[0]
    systems = joint_runs.named(runs.networks, runs.usual, rival=joint_runs.usual_rival(runs.networks))
    assert {"VGG of the thesis's figure 2.2, bf16", "ResNet-34, no pooling"} <= systems.keys()


def test_without_a_rival_of_its_size_there_is_no_small_training():
    records = [made_up(), made_up(**SMALL)]
    assert joint_runs.by_question(records) == joint_runs.StoredRuns(records, None, [], [], [])
    assert joint_runs.usual_rival(records) is None
    strangers = [made_up(network=name, **SMALL) for name in ("resnet34", "cpm")]
    for without_ours in ([*strangers], [made_up(), *strangers], []):
        assert joint_runs.by_question(without_ours).large == without_ours


def test_rivals_tell_only_what_other_rivals_do_not_do():
    of = of_all_questions()
    runs = joint_runs.by_question(list(of.values()))
    systems = joint_runs.named(runs.networks, runs.usual, rival=joint_runs.usual_rival(runs.networks))
    assert list(systems) == [
        "the thesis's network, width 0.5",  # whose table it is; then by their errors
        "ResNet-34, no pooling, batch size 8, adam optimizer, lr max 0.1",
        "ResNet-34, no pooling",
        "convolutional pose machine",
        "the thesis's network, width 0.5, adamw optimizer, lr max 0.001",
    ]
    assert systems["the thesis's network, width 0.5"] == [of["usual"], of["again"]]
    told = chapter2_words.of_networks(systems)
    assert "Each has seen 8,000 hands 6 times." in told
    lowest = "*ResNet-34, no pooling, batch size 8, adam optimizer, lr max 0.1*"
    assert f"The lowest error, 39.0 px, is that of {lowest};" in told
    assert "*the thesis's network, width 0.5* has 46.0 px, the mean pose 225.0 px" in told
    assert "1 of the 5 rows has more than one seed" in told
    assert (
        f"a run may lie 22.0 px from that row's mean by luck; {lowest} is not further from it than that."
        in told
    )
    alone = {name: group[:1] for name, group in systems.items()}
    assert "With one seed each" in chapter2_words.of_networks(alone)
    one = dict(list(systems.items())[:1])
    assert chapter2_words.of_networks({}) == chapter2_words.of_networks(one) == ""


def _choices(record: dict) -> dict:
    return {name: value for name, value in record["config"].items() if name != "profile_name"}


def test_the_large_training_is_of_one_size_and_tells_precision_and_what_it_adds():
    of = of_all_questions()
    of["whole"] = made_up(18.0, loss="cross_entropy", precision="bf16")
    of["large rival"] = made_up(24.0, network="resnet34", precision="bf16", **ADAMW)
    of["larger rival"] = made_up(23.0, network="cpm", epochs=900, **ADAMW)
    runs = joint_runs.by_question(
        list(of.values())[::-1]
    )  # of one network, the row of its own way is the first
    small = joint_runs.named(runs.networks, runs.usual, rival=joint_runs.usual_rival(runs.networks))
    assert runs.large == [of[n] for n in ("large rival", "whole", "large")]
    large = joint_runs.named(runs.large, of["large"], rival=joint_runs.usual_rival(runs.large))
    assert list(large) == [
        "the thesis's network, width 0.5",
        "the thesis's network, whole width, bf16",
        "ResNet-34, no pooling, bf16",
    ]
    assert "20 times. The lowest error, 18.0 px, is that of *the thesis's network, whole width, bf16*;" in (
        chapter2_words.of_networks(large)
    )
    told = chapter2_words.of_longer_training(small, large)
    assert told == (
        "The large training above, of 200,000 hands, shows 83.3 times as many pictures, and takes *the thesis's "
        "network, width 0.5* from 46.0 to 20.0 px and *ResNet-34, no pooling* from 42.0 to 24.0 px (in bf16): both "
        "end lower, so the order here is that of networks which have not learned all they can."
    )
    assert chapter2_words.of_longer_training(small, {}) == ""
    worse = {name: [made_up(90.0, **_choices(group[0]))] for name, group in large.items()}
    told = chapter2_words.of_longer_training(small, worse)
    assert told.endswith("from 42.0 to 90.0 px (in bf16): 0 of 2 end lower.")


def with_answer(output: str, *, near: float, far: float, **choices: Any) -> dict:
    record = made_up(**choices)
    record["metrics"]["unseen_signers_pck"] = {"px_at_256": [0, 20, 60], "share": [0, 2 * near, far]}
    return record | {"metrics": record["metrics"] | {"output": output}}


def test_networks_are_compared_by_what_they_answer_with():
    ours = with_answer("heatmaps", near=0.2, far=0.7)
    systems = {
        "ours": [ours],
        "cpm": [with_answer("stages", near=0.1, far=0.6, network="cpm")],
        "simcc": [with_answer("bins", near=0.08, far=0.8, network="simcc")],
    }
    assert joint_tables.kinds_of_answer(systems) == {
        "ours": "heatmaps",
        "cpm": "heatmaps",
        "simcc": "coordinates",
    }
    assert chapter2_words.of_kinds(systems) == (
        "Within 10 px of 256, networks with heatmaps find 10 to 20 % of the joints and networks with coordinates "
        "find 8 %; *ours* finds most. Within 60 px of 256, networks with heatmaps find 60 to 70 % of the joints "
        "and networks with coordinates find 80 %; *simcc* finds most."
    )
    assert chapter2_words.of_kinds({"ours": [ours]}) == chapter2_words.of_kinds({}) == ""


def read_by(argmax: float, centre: float, dark: float, **choices: Any) -> dict:
    record = made_up(dark, **choices)
    for name, error in (("argmax", argmax), ("soft_argmax", centre)):
        record["metrics"][f"unseen_signers_{name}"] = {"epe_px_at_256": error}
    return record | {"metrics": record["metrics"] | {"output": "heatmaps"}}


def test_each_network_with_maps_is_shown_by_every_way_to_read_them():
    systems = {
        "ours": [read_by(24.0, 23.0, 20.0), read_by(26.0, 23.0, 22.0, seed=1)],
        "resnet": [read_by(25.0, 20.0, 22.0, network="resnet50_heatmaps")],
        "simcc": [with_answer("bins", near=0.1, far=0.5, error=20.5, network="simcc")],  # without maps
    }
    table = joint_tables.decoders_of(systems)
    assert list(table.index) == ["ours", "resnet"]
    assert list(table.loc["ours"]) == ["25.0 px", "23.0 px", "21.0 px"]
    assert chapter2_words.of_decoders(systems) == (
        "Other than by DARK, lower is *resnet* by the centre of mass near it (20.0 px). Each read in the way of "
        "these that suits it best here, the lowest of all rows would then be *resnet*, no longer *simcc*."
    )
    machine = with_answer("stages", near=0.1, far=0.5, error=19.0, network="cpm")
    assert chapter2_words.of_decoders(systems | {"cpm": [machine]}).endswith(
        "(20.0 px). Of *cpm* only DARK's points are stored. Each read in the way of these that suits it best here, "
        "*cpm* stays the lowest of all rows."
    )
    suited = systems | {"resnet": [read_by(25.0, 24.0, 22.0, network="resnet50_heatmaps")]}
    assert chapter2_words.of_decoders(suited).startswith("None has a lower error than by DARK.")
    assert chapter2_words.of_decoders({"ours": systems["ours"]}) == chapter2_words.of_decoders({}) == ""


def test_errors_by_joint_are_means_over_seeds():
    systems = {"ours": [made_up(10.0), made_up(30.0, seed=1)]}
    assert joint_tables.errors_by_joint(systems)["ours"] == pytest.approx([20.0] * 21)


def test_a_benchmark_can_show_the_latency_of_what_was_timed():
    systems = {"ours": [made_up(width=0.5)], "not timed": [made_up(depth=1)]}
    table = joint_tables.benchmark(systems, speeds(thesis_half_64=2.0))
    assert list(table["latency, ms"]) == ["2.00", "–", "–"]  # and the mean pose
    assert "latency, ms" not in joint_tables.benchmark(systems)


def test_pictures_are_those_of_the_nearest_network_that_has_heatmaps_and_stored_them(tmp_path, monkeypatch):
    for name in ("RESULTS", "QUICK_RESULTS"):
        monkeypatch.setattr(paths, name, tmp_path / name)
    runs = [
        with_answer("coordinates", near=0.1, far=0.5, error=5.0, network="simcc"),
        with_answer("heatmaps", near=0.1, far=0.5, error=10.0),  # has stored none
        with_answer("heatmaps", near=0.1, far=0.5, error=20.0, width=0.5),
        with_answer("heatmaps", near=0.1, far=0.5, error=30.0, width=0.25),
    ]
    with pytest.raises(results.RecordError, match="of 4 runs none has stored its heatmaps"):
        chapter2_numbers.arrays_of_nearest(runs)
    for run in (runs[0], *runs[2:]):
        place = finding_joints.arrays_path(Config(**run["config"]))
        place.parent.mkdir(parents=True, exist_ok=True)
        np.savez(place, error=run["metrics"]["unseen_signers_dark"]["epe_px_at_256"])
    assert chapter2_numbers.arrays_of_nearest(runs)["error"] == 20.0


def test_luck_is_students_t_for_two_means():
    # two seeds at 45 and 47: spread 1.414, t with one degree of freedom 12.706, times sqrt(1/2 + 1)
    assert joint_changes.luck([45.0, 47.0]) == pytest.approx(12.706 * 2**0.5 * 1.5**0.5, rel=1e-4)
    assert joint_changes.luck([45.0, 46.0, 47.0], [60.0]) == pytest.approx(4.303 * (4 / 3) ** 0.5, rel=1e-3)
    # the spreads of both are pooled: the half-width of the interval of the classical test
    usual, other = [45.0, 46.0, 47.0, 45.5], [60.0, 62.0]
    interval = ttest_ind(usual, other).confidence_interval(0.95)
    assert joint_changes.luck(usual, other) == pytest.approx((interval.high - interval.low) / 2)
    runs = joint_runs.by_question(list(of_all_questions().values()))  # seeds at 45 and 47, spread 1.414
    assert joint_changes.luck_between_two(runs) == pytest.approx(12.706 * 2**0.5 * 2**0.5, rel=1e-4)
    assert joint_changes.luck_between_two(joint_runs.by_question([])) is None
    with pytest.raises(ValueError, match="one seed of the usual training"):
        joint_changes.luck([45.0], other)


@pytest.mark.parametrize(
    ("changed", "said", "agrees"),
    [
        ({"loss": "l2"}, "no difference", ["within luck"]),
        ({"loss": "l2", "lr_max": 1.0}, "no difference", ["within luck"]),
        ({"loss": "l2", "optimizer": "adamw", "lr_max": 0.001}, None, []),
        ({"radius": 1.0}, "worse", ["worse"]),
        ({"radius": 4.0, "last_radius": 1.0}, "no benefit", ["within luck", "worse"]),
        ({"radius": 1.0, "last_radius": None}, None, []),
        ({"optimizer": "adamw", "lr_max": 0.001}, "no better", ["within luck", "worse"]),
        ({"optimizer": "adam", "lr_max": 0.001}, "no better", ["within luck", "worse"]),
        ({"optimizer": "adabound", "lr_max": 0.001}, "worse", ["worse"]),
        ({"lr_min": 0.01}, "no difference", ["within luck"]),
        ({"lr_min": 0.01, "lr_max": 0.3}, None, []),
        ({"loss": "spatial_cross_entropy"}, None, []),
        ({"width": 1.0}, None, []),
    ],
)
def test_the_thesis_speaks_of_some_changes(changed, said, agrees):
    claim = joint_changes.claim_of(changed)
    assert (claim and claim.said) == said
    assert sorted(claim.verdicts if claim else ()) == agrees


def test_a_change_counts_where_luck_could_not_do_as_much():
    of = {name: record for name, record in of_all_questions().items() if name != "narrow encoder"}
    runs = joint_runs.by_question([*of.values(), made_up(46.0, seed=2, **OURS_SMALL)])
    found = joint_changes.changes(runs)
    assert list(found) == [
        "width 0.5 → 1.0",
        "optimizer sgd → adamw",
        "loss cross_entropy → default",
    ]
    assert [change.verdict for change in found.values()] == ["within luck", "within luck", "worse"]
    assert [change.seeds for change in found.values()] == [1, 1, 3]
    assert (
        found["width 0.5 → 1.0"].difference == pytest.approx(-2.0)
        and found["loss cross_entropy → default"].usual == 46.0
    )
    assert chapter2_words.of_changes(found) == (
        "Of 3 changes, 1 is worse: `loss cross_entropy → default`. 2 are within luck. That judges each row by "
        "itself. With all rows at once, luck has to be given up to ± 8.8 px (Bonferroni); of those that learned, "
        "`loss cross_entropy → default` lies beyond. The thesis speaks of 2 of them; "
        "`loss cross_entropy → default` (no difference there) contradicts it here."
    )
    assert [change.contradicts for change in found.values()] == [None, False, True]
    # three questions: t with two degrees of freedom at 1 - 0.025 / 3 is 7.649; the usual seeds' spread is 1
    assert found["width 0.5 → 1.0"].luck_of_all == pytest.approx(7.649 * (4 / 3) ** 0.5, rel=1e-3)
    failed = {"loss l2": replace(found["loss cross_entropy → default"], mean_pose=55.0)}
    assert chapter2_words.of_changes(failed) == (
        "Of 1 change, 1 did not learn: `loss l2`. What ends no better than the mean pose, 55.0 px away, has "
        "learned nothing at its rate in so few steps, and says nothing of what the thesis claims. The thesis "
        "speaks of 1 of them; none contradicts it here."
    )
    assert failed["loss l2"].contradicts is None
    table = joint_changes.changes_table(found)
    assert [cell.split()[0] for cell in table["difference (luck, 95 %)"]] == ["-2.0", "+4.0", "+14.0"]
    assert list(table["the thesis says"]) == ["–", "no better", "no difference"]
    assert list(table["contradicted"]) == ["–", "no", "yes"]
    twice = [*of.values(), made_up(52.0, optimizer="adamw", lr_max=0.003, **OURS_SMALL)]
    told = [name for name in joint_changes.changes(joint_runs.by_question(twice)) if "adamw" in name]
    assert told == ["optimizer sgd → adamw", "optimizer sgd → adamw and lr_max 0.1 → 0.003"]
    together = [made_up(48.0, **OURS_SMALL | {"loss": "l2", **rates}) for rates in (ADAMW, {"lr_max": 1.0})]
    of_two = joint_changes.changes(joint_runs.by_question([*of.values(), *together]))
    told = {name: change.contradicts for name, change in of_two.items() if "l2" in name}
    assert told == {  # a loss with rates that suit it is one choice
        "loss cross_entropy → l2 and optimizer sgd → adamw": None,
        "loss cross_entropy → l2 and lr_max 0.1 → 1.0": False,
    }
    figure = hand_errors.changed_trainings(found, [45.0, 47.0, 46.0])
    rows = [text.get_text().replace("\n", " ") for text in figure.axes[0].get_yticklabels()]
    assert rows == ["as usual, each seed", *found]
    assert [line.get_marker() for line in figure.axes[0].lines if line.get_marker() in "o<>"] == [
        "o",
        "o",
        ">",
    ]
    one_seed = [record for name, record in of.items() if name != "again"]
    assert joint_changes.changes(joint_runs.by_question(one_seed)) == {}
    assert joint_changes.changes(joint_runs.by_question([])) == {} and chapter2_words.of_changes({}) == ""


def test_losses_are_compared_by_adamw_where_both_have_it():
    of = of_all_questions()
    assert chapter2_words.of_losses(joint_runs.by_question(list(of.values()))) == ""
    squared = made_up(51.0, **OURS_SMALL | {"loss": "l2", **ADAMW})
    runs = joint_runs.by_question([*of.values(), squared])
    assert joint_changes.errors_by_loss(runs) == {"cross_entropy": [50.0], "l2": [51.0]}
    told = chapter2_words.of_losses(runs)
    assert "squared error ends at 51.0 px and cross entropy at 50.0." in told
    assert told.endswith("two single runs 25.4 px apart, so they cannot be told apart, as the thesis says.")
    far = made_up(90.0, **OURS_SMALL | {"loss": "l2", **ADAMW})
    told = chapter2_words.of_losses(joint_runs.by_question([*of.values(), far]))
    assert told.endswith("so they differ, which the thesis denies.")


def test_a_training_is_told_by_its_choices():
    table = joint_tables.protocols({"small": made_up(**OURS_SMALL), "large": made_up(batch_size=64)})
    assert list(table.columns) == ["small", "large"]
    assert table.loc["training hands", "small"] == "8,000 by 2,000 people"
    assert table.loc["epochs of batches", "large"] == "20 of 64, 62,500 steps"
    assert table.loc["width, stem's stride", "small"] == "50%, 2"
    assert table.loc["rate", "large"] == "sgdr, 0.1 to 0.0001"


# Curves and points ------------------------------------------------------------------------------------


def test_curves_are_means_over_seeds():
    records = [made_up(10.0), made_up(30.0, seed=1), made_up(40.0, width=0.5)]
    for error, record in zip((10.0, 30.0, 40.0), records, strict=True):
        record["metrics"]["history"] = {"epoch": [0, 1], "share_within_2_px_at_128": [0.0, error / 100]}
    systems = joint_runs.named(records, records[0])
    assert list(systems) == ["the thesis's network", "the thesis's network, width 0.5"]
    assert joint_tables.shares_found(systems)["the thesis's network"] == ([0, 30], pytest.approx([0, 0.2]))
    rows = joint_tables.histories(systems)["the thesis's network"]
    assert [row["share_within_2_px_at_128"] for row in rows] == pytest.approx([0, 20])


def test_every_network_that_is_timed_is_found_under_the_configuration_it_has():
    timed = {name for name, *_ in pose_speed.systems(pose_speed.Config.profile("full"))}
    for name, (size, options) in pose_speed.OURS.items():
        assert joint_tables.timed_as(made_up(size=size, **options)["config"]) == name
    for rival in RIVALS:
        assert joint_tables.timed_as(made_up(network=rival)["config"]) in timed
    for untimed in ({"width": 0.25}, {"size": 96}, {"depth": 2}, {"literal": True}, {"decoder_width": 0.5}):
        assert joint_tables.timed_as(made_up(**untimed)["config"]) is None


def test_points_join_those_that_were_trained_and_timed():
    records = [
        made_up(20.0, width=0.5),
        made_up(10.0),
        made_up(14.0, seed=1),
        made_up(9.0, network="resnet50_heatmaps", size=256),
        made_up(9.0, network="resnet34"),  # not timed
        made_up(30.0, width=0.25),  # neither
    ]
    speed = speeds(thesis_64=3.0, thesis_half_64=2.0, resnet50_heatmaps_256=100.0, mediapipe_full=8.0)
    points = joint_tables.latency_and_error(joint_runs.named(records, records[1]), speed)
    assert points == {
        "the thesis's network": (3.0, 12.0),
        "the thesis's network, width 0.5": (2.0, 20.0),
        "ResNet-50, heatmaps, size 256": (100.0, 9.0),
    }
    assert len(hand_errors.error_against_latency(points).axes[0].lines) == 3


def test_who_is_nearer_and_faster_is_told_for_each_rival():
    ours = {"the thesis's network": (3.0, 18.0), "the thesis's network, width 0.5": (1.0, 22.0)}
    told = chapter2_words.of_error_and_latency(ours | {"ResNet-50": (15.0, 21.0), "SimCC": (5.0, 17.9)})
    assert told == (
        "At least as near as ResNet-50 (21.0 px, 15.0 ms), and faster, is the thesis's network (18.0 px, 3.0 ms). "
        "At least as near as SimCC (17.9 px, 5.0 ms), and faster, is none."
    )
    assert (
        "is the thesis's network (18.0 px, 3.0 ms) and the thesis's network, width 0.5 (22.0 px, 1.0 ms)."
        in (chapter2_words.of_error_and_latency(ours | {"VGG": (50.0, 30.0)}))
    )
    assert chapter2_words.of_error_and_latency(ours) == ""


def test_the_curve_over_hands_is_of_runs_that_saw_as_many_pictures():
    runs = joint_runs.by_question(list(of_all_questions().values()))
    curve = joint_changes.errors_by_train_hands(runs.hands)
    assert curve == {1000: [55.0], 8000: [45.0, 47.0]}
    assert hand_errors.learning_curve({"ours": curve}).axes[0].lines
    low, high = joint_changes.reach_of_luck(runs)
    assert (low + high) / 2 == 46.0 and high - 46.0 == pytest.approx(joint_changes.luck([45.0, 47.0]))
    drawn = hand_errors.learning_curve({"ours": curve}, by_luck=(low, high)).axes[0]
    assert [text.get_text() for text in drawn.get_legend().get_texts()] == ["by luck alone, 95 %", "ours"]
    assert chapter2_words.of_more_hands(runs) == (
        "All have seen 48,000 pictures: 1,000 hands 55.0 px and 8,000 hands 46.0 px. "
        "Luck alone may move a single run by ± 22.0 px, so none of them can be told from it."
    )
    nothing = joint_runs.by_question([])
    assert joint_changes.errors_by_train_hands([]) == {} and chapter2_words.of_more_hands(nothing) == ""
    one_seed = joint_runs.by_question(
        [made_up(), made_up(**OURS_SMALL), made_up(network="vgg", **ADAMW, **SMALL)]
    )
    assert joint_changes.reach_of_luck(nothing) is None and joint_changes.reach_of_luck(one_seed) is None


def test_latencies_are_those_of_all_or_of_trained_networks_and_the_two_peers():
    every = joint_tables.latencies(SPEED)
    assert len(every) == len(SPEED["metrics"]["systems"])
    trained = [made_up(width=0.5, size=64), made_up(network="vgg", size=64)]  # one of them was not timed
    some = joint_tables.latencies(SPEED, trained)
    assert list(some.index) == [
        "the thesis's network, half width, 64 px",
        "ResNet-50, heatmaps, 256 px",
        "MediaPipe, full",
    ]
    assert list(some["ms"]) == ["2.00", "100.00", "8.00"]


def test_real_hands_are_those_of_the_first_system_over_all_its_seeds_beside_the_means_of_others():
    sets = {"asl7_given_box": 0.1, "freihand_samples_keypoints_box": 0.2}
    systems = {
        "ours": [
            made_up(real=sets, real_sets=("asl7", "freihand_samples")),
            made_up(seed=1, real={"asl7_given_box": 0.3}, real_sets=("asl7",)),
        ],
        "rival": [made_up(network="resnet34", real={"asl7_given_box": 0.15}, real_sets=("asl7",))],
        "untested": [made_up(network="cpm")],
    }
    table = joint_tables.real_hands(systems)
    assert list(table["mean"]) == ["0.200 ± 0.141", "0.200"]
    assert list(table["rival"]) == ["0.150", "–"] and set(table["untested"]) == {"–"}
    assert list(table.index) == [
        "asl7 (given box)",
        "freihand samples (keypoints box)",
    ]


# Numbers in sentences -----------------------------------------------------------------------------------

SPEED = speeds(
    thesis_64=4.0,
    thesis_half_64=2.0,
    thesis_256=50.0,
    resnet50_heatmaps_64=6.0,
    resnet50_heatmaps_256=100.0,
    mediapipe_full=8.0,
)


def test_stored_numbers_are_of_the_reference_not_of_the_first_file():
    records = [
        made_up(90.0, train_hands=1000, real={"asl7_given_box": 0.01}),
        made_up(10.0, width=0.5, real={"asl7_given_box": 0.08, "rhd_keypoints_box": 0.2}),
        made_up(20.0, width=0.5, seed=1, real={"asl7_given_box": 0.16, "rhd_keypoints_box": 0.2}),
    ]
    found = chapter2_numbers.of_stored_runs(records, [SPEED])
    assert (found["stored_seeds"], found["stored_width"]) == ("2 seeds", "50%")
    assert (found["stored_error"], found["stored_error_mean_pose"]) == (15, 75)
    assert (found["stored_error_median"], found["stored_auc"]) == (7.5, pytest.approx(0.15))
    real = chapter2_numbers.of_nearest("half", records[1:])
    assert real["nearest_name"] == "half" and real["nearest_error"] == 15 and real["real_people"] == 0
    assert real["real_verdict"] == "it is missed by 2 of the 2 rows"  # 0.12 on average
    systems = {"half": records[1:], "few hands": records[:1], "near": [made_up(5.0)]}
    assert list(joint_tables.nearest_first(systems)) == ["near", "half", "few hands"]
    assert found["speedup_resnet50"] == 25 and found["speedup_mediapipe"] == 2
    assert found["speedup_half_resnet50"] == 50 and found["speedup_half_mediapipe"] == 4
    assert found["speedup_resnet50_64"] == 1.5 and found["speedup_at_256"] == 2
    assert found["speedup_resnet50_pytorch"] == 12.5 and found["speedup_of_resnet50s_input"] == pytest.approx(
        100 / 6
    )
    assert found["speed_verdict"].startswith("10 times as fast as ResNet-50 at 256 is met and 3 times")
    assert found["speed_verdict"].endswith("MediaPipe is met at half width only")


def test_what_the_thesis_prints_stands_beside_its_network_here():
    of = of_all_questions() | {"narrow peak": made_up(49.0, radius=1.0, **OURS_SMALL)}
    table = chapter2_numbers.printed_and_measured(joint_runs.by_question(list(of.values())), SPEED).data
    assert list(table["printed there"]) == ["16 px", "about 1 min per epoch", "30 px", "1 ms"]
    assert list(table["measured here"]) == ["20 px", "1 min per epoch", "49 px", "4 ms"]
    assert set(table["reading"]) == {"not comparable"}
    of["whole"] = made_up(18.0, loss="cross_entropy", precision="bf16")
    table = chapter2_numbers.printed_and_measured(joint_runs.by_question(list(of.values())), SPEED).data
    assert (
        list(table["protocol"]).count(
            "50% of the width, synthetic hands of unseen signers, 64 px input, all joints"
        )
        == 1
    )
    assert "100% of the width, 200,000 hands an epoch and validation, bf16, a machine, 1 thread" in list(
        table["protocol"]
    )


@pytest.mark.parametrize(
    ("real", "says"),
    [
        ({}, "no real hands were there when it was measured"),
        ({"asl7_given_box": 0.1}, "it is met by all of them"),
        ({"asl7_given_box": 0.11, "rhd_keypoints_box": 0.1}, "it is missed by 1 of the 2 rows"),
    ],
)
def test_the_verdict_on_real_hands(real, says):
    assert chapter2_numbers.real_verdict([made_up(real=real)]) == says


def test_rows_on_which_the_mean_pose_does_as_well_are_named():
    real = {"asl7_given_box": 0.1, "onehand10k_samples_keypoints_box": 0.295, "rhd_keypoints_box": 0.3}
    told = chapter2_numbers.real_no_better([made_up(real=real)])  # the mean pose is off by 0.3
    assert told.startswith("On onehand10k and rhd that is inside the network's interval")
    assert chapter2_numbers.real_no_better([made_up(real={"asl7_given_box": 0.1})]).startswith("On no row")
    told = chapter2_numbers.real_no_better([made_up(real=real | {"asl7_given_box": 0.9})])
    assert told.startswith("On asl7 that is better than the network. On onehand10k and rhd that is inside")
    both = {"asl7_given_box": 0.9, "asl7_keypoints_box": 0.9}
    told = chapter2_numbers.real_no_better([made_up(real=both)])
    assert told == "On asl7 that is better than the network"


def test_speeds_have_rows_with_names():
    timed = {"thesis_64", "thesis_half_64", "thesis_half_stem4_64", "resnet34_leaky_128", "mediapipe_full"}
    names = {joint_tables.timed_name(system) for system in timed}
    assert names == {
        "the thesis's network, 64 px",
        "the thesis's network, half width, 64 px",
        "the thesis's network, half width, stem of stride 4, 64 px",
        "ResNet-34, leaky ReLU, 128 px",
        "MediaPipe, full",
    }


def test_fingers_are_ranked_by_the_mean_of_their_four_joints_over_seeds():
    first, second = made_up(), made_up(seed=1)
    errors = (
        [99.0] + [10.0] * 4 + [9.0] * 4 + [11.0] * 4 + [8.0, 8.0, 8.0, 24.0] + [10.0] * 4
    )  # wrist: no finger
    for record in (first, second):
        record["metrics"]["unseen_signers_error_px_at_256_by_joint"] = list(errors)
    found = chapter2_numbers.best_and_worst_finger([first])
    assert found == {"best_finger": "index finger", "worst_finger": "ring finger"}
    second["metrics"]["unseen_signers_error_px_at_256_by_joint"][1:5] = [2.0] * 4
    assert chapter2_numbers.best_and_worst_finger([first, second])["best_finger"] == "thumb"


@pytest.mark.parametrize("augmentation", ["thesis", "report", "strong"])
def test_the_page_tells_its_own_augmentation(augmentation):
    record = made_up(augmentation=augmentation)
    assert (
        chapter2_numbers.of_this_run(record)["augmentation"] == chapter2_numbers.AUGMENTATIONS[augmentation]
    )


def test_the_coarseness_of_the_highest_pixel_is_that_of_a_random_point_of_a_square():
    import torch

    from thesislib.heatmaps import argmax, gaussian_heatmaps

    points = 8 + 48 * torch.rand(400, 21, 2, generator=torch.Generator().manual_seed(0))
    found = chapter2_numbers.of_this_run(made_up(stem_stride=4))
    assert found["map_size"] == 32 and found["against_mean_pose"] == "40.0 pixels better than the mean pose"
    maps = gaussian_heatmaps(points, 64, 32, radius=2.0)
    measured = 4 * (argmax(maps, 64) - points).norm(dim=-1).mean()  # px at 256
    assert found["argmax_floor"] == pytest.approx(measured, rel=0.02)


# Eight bits -----------------------------------------------------------------------------------------------


def in_bits(*, mediapipe: float | None = 6.0, real: bool = True) -> dict:
    """A record of `eight_bits`: milliseconds 1.5 and 1 of half the width, 3 and 1.5 of the whole."""
    times = {"half_width_fp32": [1.5] * 4, "half_width_int8": [1.0] * 4, "whole_width_fp32": [3.0] * 4}
    times |= {"whole_width_int8": [1.5] * 4} | ({"mediapipe_full": [mediapipe] * 4} if mediapipe else {})
    peers = ("half_width_fp32", "whole_width_fp32", *(["mediapipe_full"] if mediapipe else []))

    def network(error: float, box: float) -> dict:
        boxes = {p: {"error_over_box": of, "n_images": 9} for p, of in (("fp32", 0.2), ("int8", box))}
        return {
            "bytes": {"fp32": 4000, "int8": 1000},
            "unseen_signers_fp32": {"epe_px_at_256": error},
            "unseen_signers_int8": {"epe_px_at_256": error + 0.5},
            "unseen_signers_int8_from_fp32_median_px_at_256": 0.4,
            "real": {"asl7_given_box": boxes} if real else {},
        }

    return {
        "metrics": {
            "networks": {"half_width": network(20.0, 0.1938), "whole_width": network(15.0, 0.21)},
            "latency": {peer: latency_table(times, peer).to_dict("index") for peer in peers},
        }
    }


def test_eight_bits_have_a_row_a_network_and_precision():
    table = joint_tables.of_bits(in_bits())
    assert list(table.index) == [
        "half width, 32 bits",
        "half width, 8 bits",
        "whole width, 32 bits",
        "whole width, 8 bits",
    ]
    assert list(table["of its 32 bits"]) == ["–", "0.67 [0.67, 0.67]", "–", "0.50 [0.50, 0.50]"]
    assert list(table["of MediaPipe full"]) == [f"{r} [{r}, {r}]" for r in ("0.25", "0.17", "0.50", "0.25")]
    assert list(table["error, px at 256"]) == ["20.00", "20.50", "15.00", "15.50"]
    assert set(joint_tables.of_bits(in_bits(mediapipe=None))["of MediaPipe full"]) == {"–"}


def test_the_words_on_eight_bits_follow_the_record():
    told = chapter2_words.of_bits(in_bits())
    assert (
        "The half width's mean error is 20.50 px in eight bits and was 20.00 px; joints move by 0.4 px"
        in told
    )
    assert "It is 1.5 times as fast as before. On no set of real hands" in told
    assert "by more than 0.007 of the box, that much on the 9 pictures of asl7." in told
    assert "The whole width's mean error is 15.50 px" in told and "by more than 0.010 of the box" in told
    assert told.endswith(
        "4.0 times as fast in eight bits and 2.0 times in 32: in eight bits the goal of 3 is met."
    )
    assert "the goal of 3 is missed." in chapter2_words.of_bits(in_bits(mediapipe=4.0))
    alone = chapter2_words.of_bits(in_bits(mediapipe=None, real=False))
    assert "MediaPipe" not in alone and "real hands" not in alone
    assert "thesis run eight_bits" in chapter2_words.of_bits(None)
