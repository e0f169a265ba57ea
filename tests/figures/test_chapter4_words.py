"""The words of chapter 4 say what the numbers say: who gains, who loses, and what nobody measured."""

import numpy as np
import pytest

from thesislib.figures import chapter4_words as words
from thesislib.figures import signer_scores
from thesislib.figures import signers as drawn


def record(top1: dict[str, dict[str, list[float]]], dataset: str = "asl7", seed: int = 0) -> dict:
    """A record with these accuracies by signer: system -> protocol -> one a signer."""
    asked = {protocol: by for of in top1.values() for protocol, by in of.items()}
    systems = {
        name: {
            protocol: {
                "top1_macro": {"by_signer": by, "mean": sum(by) / len(by), "low": min(by), "high": max(by)}
            }
            for protocol, by in of.items()
        }
        for name, of in top1.items()
    }
    return {
        "config": {"dataset": dataset, "seed": seed, "test": dataset, "train": ["massey"]},
        "split": {"name": f"massey to {dataset}"},
        "metrics": {
            "letters": ["a", "b"],
            "signers": ["Anna", "Ben", "Cleo"],
            "images": 12,
            "chance": 0.5,
            "protocols": {p: {"signers": ["Anna", "Ben", "Cleo"][: len(by)]} for p, by in asked.items()},
            "systems": systems,
        },
    }


@pytest.mark.parametrize(
    ("gain", "expected"),
    [
        ({"mean": 4.25, "low": 1.0, "high": 7.5, "n": 5}, "gains 4.2 points [1.0, 7.5]"),
        ({"mean": -4.25, "low": -7.5, "high": -1.0, "n": 5}, "loses 4.2 points [1.0, 7.5]"),
        (
            {"mean": 1.0, "low": -2.0, "high": 4.0, "n": 5},
            "changes by +1.0 points [−2.0, +4.0], which may be none",
        ),
        ({"mean": -3.0, "low": -3.0, "high": -3.0, "n": 1}, "loses 3.0 points"),
        (
            {"mean": 0.0, "low": 0.0, "high": 0.0, "n": 5},
            "changes by +0.0 points [+0.0, +0.0], which may be none",
        ),
    ],
)
def test_a_difference_becomes_a_verb_only_where_the_interval_leaves_zero(gain, expected):
    assert words.gains(gain) == expected


def test_differences_are_paired_by_signer_and_may_cross_protocols():
    r = record(
        {
            "thesis": {"zero_shot": [0.5, 0.6, 0.7], "k_shot_s5": [0.6, 0.7, 0.8]},
            "pooled": {"zero_shot": [0.7, 0.8, 0.9]},
        }
    )
    assert words.against([r], "thesis", "pooled") == "loses 20.0 points [20.0, 20.0]"
    assert (
        words.against([r], "thesis", "thesis", "k_shot_s5", to="zero_shot")
        == "gains 10.0 points [10.0, 10.0]"
    )
    assert words.against([r], "thesis", "hog") == "was not compared in this run"
    assert words.reached([r], "pooled", "zero_shot") == "80.0 % [70.0, 90.0]"
    assert words.reached([r], "pooled", "k_shot_s5") == "not measured here"


def test_the_few_shots_of_a_page_are_five_or_the_most_there_are():
    def shots(*counts):
        of = {f"{kind}_s{s}": [0.5, 0.5, 0.5] for s in counts for kind in ("k_shot", "joined")}
        return [record({"thesis": {"zero_shot": [0.5, 0.5, 0.5]} | of})]

    assert words.few_shots(shots(1, 5, 10)) == ("k_shot_s5", "joined_s5")
    assert words.few_shots(shots(1, 2)) == ("k_shot_s2", "joined_s2")
    assert words.few_shots(shots()) == ("", "")
    assert words.of_this_run(shots(1), "thesis")["few_shots"] == "1 labelled picture a letter"
    assert (
        words.of_this_run(shots(), "thesis")["thesis_few_against_strangers"] == "was not compared in this run"
    )


def test_every_phrase_is_there_whatever_was_measured():
    everything = {
        name: {
            p: [0.5, 0.6, 0.7] for p in ("zero_shot", "k_shot_s5", "joined_s5", "same_signer", "random_split")
        }
        for name in ("pixels", "pooled", "spatial", "thesis", "cross_entropy", "letters_together")
    }
    full = words.of_this_run([record(everything)], "letters_together")
    little = words.of_this_run([record({"thesis": {"zero_shot": [0.5, 0.6, 0.7]}})], "letters_together")
    assert full.keys() == little.keys()
    assert not any("not" in phrase and "measured" in phrase for phrase in full.values())


def test_sets_stand_side_by_side_with_a_dash_for_what_is_missing():
    sets = words.by_set(
        [
            record({"pixels": {"zero_shot": [0.2, 0.3, 0.4]}}, "asl7", seed=0),
            record({"pixels": {"zero_shot": [0.4, 0.5, 0.6]}}, "asl7", seed=1),
            record({"hog": {"zero_shot": [0.8]}}, "massey"),
        ]
    )
    assert {name: len(seeds) for name, seeds in sets.items()} == {"asl7": 2, "massey": 1}
    table = words.sets_side_by_side(sets, ("pixels", "hog"))
    assert table.loc["pixels", "asl7"] == "40.0 [30.0, 50.0], 2 seeds"
    assert table.loc["pixels", "massey"] == "–"
    crossed = sets["asl7"] + sets["massey"]
    across = words.from_set_to_set(crossed, ("pixels", "mediapipe", "hog"))  # nobody measured mediapipe's
    assert list(across.columns) == ["massey to asl7", "massey to massey"]
    counts = ["guessing", "letters", "strangers", "pictures asked", "seeds"]
    assert list(across.index) == ["pixels", signer_scores.system_name("hog"), *counts]
    assert across.loc[signer_scores.system_name("hog"), "massey to massey"] == "80.0 [80.0, 80.0]"


def test_what_is_read_from_set_to_set_names_the_highest_row_where_it_is_not_the_recipe():
    zero = {"thesis": 0.3, "letters_together": 0.5, "letters_pooled": 0.6}
    measured = {name: {"zero_shot": [value - 0.1, value + 0.1]} for name, value in zero.items()}
    told = words.of_crossings([record(measured, "asl7")], "letters_together")
    assert "From massey to asl7, the thesis's system reaches 30.0 % and the recipe 50.0 %" in told
    assert f"*{signer_scores.system_name('letters_pooled')}* is the highest with 60.0 %" in told
    assert "the recipe loses 10.0 points" in told and "untaught" not in told
    beside = words.of_crossings(
        [record(measured, "asl7")], "letters_together", {"asl7": 66.1, "massey": 70.0}
    )
    assert "taught by no photograph, reads the same people at 66.1 %." in beside and "70.0" not in beside
    del measured["letters_pooled"]
    assert "highest" not in words.of_crossings([record(measured, "asl7")], "letters_together")


def test_ways_to_one_set_stand_together_those_from_fewer_sets_first():
    found = [record({"pixels": {"zero_shot": [0.2]}}, test) for test in ("lsa16", "asl7", "lsa16")]
    found[0]["config"]["train"] = ["asl7", "massey"]
    found[0]["split"]["name"] = "asl7 and massey to lsa16"
    ways = words.by_way(found)
    assert list(ways) == ["massey to asl7", "massey to lsa16", "asl7 and massey to lsa16"]
    figure = drawn.crossings(ways, ("pixels", "hog"))
    rows = [text.get_text().split("\n") for text in figure.axes[0].get_yticklabels()]
    assert [way for way, _ in rows] == list(ways) and rows[0][1] == "(3 strangers)"


def test_the_most_confused_pairs_are_named_with_their_shares():
    counts = np.array([[6, 4, 0], [0, 10, 0], [1, 1, 8]])
    told = words.of_confusions({"the recipe": counts}, ["a", "b", "c"], pairs=2)
    assert told == "Of a letter's pictures, the recipe reads A as B (40 %) and C as A (10 %)."


def test_the_ends_of_a_curve_are_found_as_numbers():
    def at(share):
        return {"mean": share, "low": share - 0.1, "high": share + 0.1}

    curves = {"training_signers": {"spatial": {"16": at(0.8), "2": at(0.4)}}}
    expected = "40.0 % [30.0, 50.0] with 2 and 80.0 % [70.0, 90.0] with 16"
    assert words.grown(curves, "training_signers", "spatial") == expected


def test_people_pictures_and_occasions_are_told_in_one_paragraph():
    at = {"mean": 0.5, "low": 0.4, "high": 0.6}
    names = ("training_signers", "pictures_in_a_row", "pictures_on_occasions")
    curves = {name: {"spatial_lda": {"1": at, str(most): at}} for most, name in enumerate(names, start=2)}
    config = {"few": 4, "frames": 4, "draws": 3, "pictures": [1, 4]}
    metrics = {"curves": curves, "signers": ["Anna", "Ben"], "chance": 0.25}
    told = words.of_more_signers({"metrics": metrics, "config": config})
    assert "The 2 strangers" in told and "Guessing gets 25.0 %" in told
    # 4 pictures a letter of 4 people are as many as 4 people of 4 frames give, which is not on the first curve
    equally = (
        "4 people reach not measured, 4 people on 4 occasions 50.0 % [40.0, 60.0], and in a row not measured"
    )
    assert equally in told
    for most, before in ((2, "understood at"), (3, "in a row:"), (4, "occasions:")):
        end = f"50.0 % [40.0, 60.0] with 1 and 50.0 % [40.0, 60.0] with {most}"
        assert f"{before} {end}" in told


def chosen_in(r: dict, by_signer: list[float], *, systems: int = 3) -> dict:
    """The record, with what inner folds chose among so many systems."""
    metric = {"by_signer": by_signer, "mean": sum(by_signer) / 3, "low": 0.1, "high": 0.9}
    r["metrics"]["chosen_by_inner_folds"] = {
        "signers": ["Anna", "Ben", "Cleo"],
        "chosen": ["spatial", "letters_lda", "spatial"],
        "inner": {str(n): [0.5, 0.5, 0.5] for n in range(systems)},
        "zero_shot": {"top1_macro": metric},
    }
    return r


def test_what_inner_folds_chose_is_said_and_has_a_row_where_a_record_has_it():
    plain = record({"thesis": {"zero_shot": [0.5, 0.6, 0.7]}})
    assert words.of_choice([plain]) == "" and signer_scores.chosen([plain]) is None
    assert words.sets_side_by_side({"asl7": [plain]}, ("thesis",)).loc[words.CHOSEN, "asl7"] == "–"
    full = chosen_in(record({"thesis": {"zero_shot": [0.5, 0.6, 0.7]}}), [0.3, 0.6, 0.9])
    fewer = chosen_in(record({"thesis": {"zero_shot": [0.5, 0.6, 0.7]}}, seed=1), [0.0, 0.0, 0.0], systems=2)
    said = words.of_choice([plain, fewer, full])
    spatial, letters = (signer_scores.system_name(name) for name in ("spatial", "letters_lda"))
    assert f"*{spatial}* (2), *{letters}* (1)" in said and "60.0 % [10.0, 90.0]" in said and "of 3 " in said
    table = words.sets_side_by_side({"asl7": [fewer, full]}, ("thesis",))
    assert table.loc[words.CHOSEN, "asl7"] == "60.0 [10.0, 90.0]"
    assert signer_scores.chosen([full]).by_signer == {"Anna": 30.0, "Ben": 60.0, "Cleo": 90.0}


def test_the_rows_of_the_ladders_are_systems_of_the_chapter():
    from thesislib.chapters.letter_systems import SYSTEMS

    listed = {*words.OTHER_LEARNING, *words.OTHER_READING, *words.TOGETHER, *words.MAIN}
    assert listed <= SYSTEMS.keys()
    assert listed <= signer_scores.SYSTEMS.keys()


def test_what_a_set_does_not_allow_is_named():
    r = record({"thesis": {"zero_shot": [0.5, 0.6, 0.7]}})
    assert words.not_possible([r]) == "allow all of them"
    r["metrics"]["not_possible"] = ["joined_s5", "same_signer"]
    assert words.not_possible([r]) == "are too few for 5 shots and the others, contiguous halves"


def test_the_paragraph_on_asl7_tells_scores_goals_and_differences():
    everything = {
        system: {p: [0.9, 0.95, 1.0] for p in ("zero_shot", "k_shot_s5", "joined_s5")}
        for system in ("thesis", "thesis_plain", "pooled", "letters_together", "mediapipe")
    }
    told = words.of_asl7([record(everything)], "letters_together")
    assert (
        "the thesis's system reaches 95.0 %" in told
        and "The goal of 90 % is met, the aim of 93 % met." in told
    )
    # the recipe looks at all pictures of the stranger at once, and MediaPipe's points are none of our networks'
    assert f"the highest here is *{signer_scores.system_name('pooled')}* with 95.0 %: the goal is met" in told
    assert "the goal of 97 % is, in this order, missed by 2.0 points and missed by 2.0 points" in told
    assert "read by shrunk LDA, reach not measured here" in told
