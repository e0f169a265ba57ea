"""Pages of chapter 4: its stored runs by question; left hands and more pose features from made-up records."""

import pytest

from thesislib import results
from thesislib.chapters.left_hands import PROTOCOLS
from thesislib.figures import chapter4_runs, left_hands, pose_features


def summary(*by_signer: float) -> dict:
    mean = sum(by_signer) / len(by_signer)
    return {"top1_macro": {"by_signer": list(by_signer), "mean": mean, "low": mean - 0.1, "high": mean + 0.1}}


def of_hands(**accuracies: tuple) -> dict:
    """A record of `left_hands`: system -> the accuracies of three people in each of the four protocols."""
    asked = {"signers": ["ann", "ben", "cleo"], "draws": 1, "queries": 24, "share_of_prototypes": 0.0}
    return {
        "config": {"dataset": "asl7", "seed": 0},
        "data": {"name": "asl7"},
        "metrics": {
            "letters": ["a", "b"],
            "signers": asked["signers"],
            "images": 24,
            "chance": 0.5,
            "protocols": dict.fromkeys(PROTOCOLS, asked),
            "systems": {
                name: {p: summary(*values) for p, values in zip(PROTOCOLS, of_system, strict=True)}
                for name, of_system in accuracies.items()
            },
        },
    }


HANDS = of_hands(
    pixels=((0.5, 0.6, 0.7), (0.5, 0.5, 0.5), (0.5, 0.6, 0.7), (0.5, 0.6, 0.7)),
    letters_together=((0.9, 0.9, 0.96), (0.5, 0.6, 0.61), (0.89, 0.91, 0.96), (0.88, 0.9, 0.95)),
)


def test_left_hands_are_told_against_the_same_people_with_the_right():
    told = left_hands.told({"asl7": [HANDS]}, "letters_together")
    assert "reads 92.0 % with right hands taught and asked" in told
    assert "the same people are read at 57.0 %: it loses 35.0 points [" in told
    # paired: 0.88 against 0.90, 0.90 against 0.90, 0.95 against 0.96
    assert "told and mirrored back, that changes by −1.0 points" in told
    assert "left hands are read at 91.0 %: it gains 34.0 points [" in told
    # paired: 0.88 against 0.89, 0.90 against 0.91, 0.95 against 0.96
    assert "right hands, which are read at 92.0 % then, a left hand loses 1.0 points [1.0, 1.0]" in told
    assert "teaching both in place of right ones alone changes by +0.0 points" in told


def test_left_hands_have_a_row_a_system_and_a_mark_a_protocol():
    table = left_hands.table([HANDS])
    assert list(table.index) == ["letter features, all together", "pixels", "guessing"]
    assert table.iloc[0, 1] == "57.0 [47.0, 67.0]" and table.loc["guessing"].iloc[0] == "50.0"
    drawn = left_hands.figure([HANDS])
    assert [text.get_text() for text in drawn.legends[0].get_texts()] == list(left_hands.TITLES.values())
    marks = [line for line in drawn.axes[0].lines if line.get_marker() in "oD"]
    assert len(marks) == 2 * 4


def of_features(**accuracies: dict) -> dict:
    """A record of `pose_features`: f128 -> protocol -> one tuple of people's accuracies a seed of the head."""
    return {
        "config": {"head_seeds": [0, 1]},
        "metrics": {
            "chance": 0.25,
            "signers": ["ann", "ben"],
            "protocols": {name: {"queries": 1200} for name in accuracies["f128"]},
            "features": {
                name.removeprefix("f"): {
                    "parameters": 1000,
                    "unseen_signers_epe_px_at_256": 45.0,
                    "systems": {
                        "thesis": {p: [summary(*seed) for seed in seeds] for p, seeds in of_size.items()}
                    },
                }
                for name, of_size in accuracies.items()
            },
        },
    }


FEATURES = of_features(
    f256={"zero_shot": [(0.3, 0.4), (0.5, 0.6)], "same_signer": [(0.9, 0.91), (0.9, 0.93)]},
    f128={"zero_shot": [(0.5, 0.6), (0.5, 0.6)], "same_signer": [(0.7, 0.71), (0.7, 0.73)]},
)


def test_more_features_are_compared_person_by_person():
    assert pose_features.sizes(FEATURES) == [128, 256]
    told = pose_features.told(FEATURES)
    assert told.startswith("Against 128 features") and "2 seeds of the head" in told
    assert (
        "with 256, on strangers, it loses 10.0 points [10.0, 10.0]" in told
    )  # each person: 0.4 against 0.5, ...
    assert "known people's pictures, it gains 20.0 points" in told
    assert told.endswith("As in the thesis, strangers lose by more features.")
    fewer = of_features(
        f128={"zero_shot": [(0.3, 0.4), (0.5, 0.6)], "same_signer": [(0.7, 0.7)]},
        f256={"zero_shot": [(0.5, 0.6), (0.5, 0.6)], "same_signer": [(0.7, 0.7)]},
    )
    assert "does not show here" in pose_features.told(fewer) and "made of" not in pose_features.told(fewer)
    for of_size in fewer["metrics"]["features"].values():
        of_size["systems"]["pooled"] = {"zero_shot": [summary(0.6, 0.7)], "same_signer": [summary(0.7, 0.7)]}
    assert pose_features.told(fewer).endswith("worse than *pose features, pooled*, which it is made of.")
    without = pose_features.told(FEATURES, usual=256)
    assert without.startswith("Against 256 features") and "with 128, on strangers, it gains 10.0" in without
    assert pose_features.told(FEATURES, usual=64) == ""


def test_clips_that_cannot_be_halved_leave_strangers_alone():
    short = of_features(f128={"zero_shot": [(0.5, 0.6)]}, f256={"zero_shot": [(0.3, 0.4)]})
    assert pose_features.protocols(short) == ["zero_shot"]
    assert "known" not in pose_features.told(short)
    assert not any("halves" in row for row in pose_features.table(short).index)
    assert pose_features.figure(short).axes[0].lines


def test_the_table_of_features_has_their_seeds_spread():
    table = pose_features.table(FEATURES)
    assert list(table.columns) == ["128 features", "256 features", "guessing", "people", "pictures asked"]
    row = table.loc["the thesis's embedding, zero-shot"]
    assert list(row) == ["55.0 ± 0.0", "45.0 ± 14.1", "25.0", "2", "1,200"]
    assert pose_features.accuracies(FEATURES, 256, "thesis", "zero_shot").tolist() == [
        pytest.approx([30, 40]),
        pytest.approx([50, 60]),
    ]
    assert len(pose_features.figure(FEATURES).axes[0].lines) == 2 * (1 + 2) + 1


def test_every_stored_run_of_the_page_has_a_question():
    stored = chapter4_runs.stored()
    of_sets = {
        "across_signers": stored.sets,
        "fine_tuning": stored.tuned,
        "left_hands": stored.other_hand,
    }
    for experiment, sets in of_sets.items():
        found = [record for records in sets.values() for record in records]
        committed = results.committed_records(experiment)
        assert sorted(r["config_digest"] for r in found) == sorted(r["config_digest"] for r in committed)
    assert stored.asl7 == stored.sets["asl7"] and {r["config"]["dataset"] for r in stored.asl7} == {"asl7"}
    assert stored.untaught.keys() == {name for name in stored.tuned if " to " not in name}
    assert all(100 / 24 < percent < 100 for percent in stored.untaught.values())
    assert stored.crossed == results.committed_records("across_sets")
    assert all(0 < percent < 100 for percent in stored.frozen.values()) and set(stored.frozen) <= set(
        stored.tuned
    )


def test_a_page_without_stored_runs_is_empty_and_no_error(monkeypatch):
    monkeypatch.setattr(results, "committed_records", lambda experiment: [])
    stored = chapter4_runs.stored()
    assert stored.asl7 == [] and not any((stored.sets, stored.crossed, stored.tuned, stored.frozen))
