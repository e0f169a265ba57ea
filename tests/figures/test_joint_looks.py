"""Many looks on the page: one column a finder, and words that follow the numbers."""

from thesislib.figures import joint_looks


def made_up(*, real: bool = True, mediapipe: bool = True) -> dict:
    """A record of `many_looks`: errors over the box of two finders of ours and two looks of MediaPipe's model."""
    errors = {"ours_1_view": (0.05, 0.14, 0.3, 0.2), "ours_18_views": (0.04, 0.12, 0.2, 0.09)}
    if mediapipe:
        errors |= {"mediapipe_full_224px_look_1": (0.3, 0.04, 0.2, 0.2)}
        errors |= {"mediapipe_full_224px_look_2": (0.2, 0.02, 0.1, 0.1)}
    rows = (
        "unseen_signers",
        "asl7_keypoints_box",
        "rhd_samples_keypoints_box",
        "panoptic_samples_keypoints_box",
    )
    return {
        "metrics": {
            "finders": {
                name: {
                    "unseen_signers": {"epe_px_at_256": 400 * values[0]},
                    "over_box": {
                        row: {
                            "error_over_box": value,
                            "error_over_box_low": value - 0.01,
                            "error_over_box_high": value + 0.01,
                            "n_images": 8,
                            "n_signers": 5 if row == "asl7_keypoints_box" else 1,
                        }
                        for row, value in zip(rows, values, strict=True)
                        if real or row == "unseen_signers"
                    },
                }
                for name, values in errors.items()
            }
        }
    }


def test_each_set_has_a_row_and_each_finder_a_column():
    table = joint_looks.table(made_up())
    assert list(table.index) == [
        "invented hands of unseen signers",
        "asl7, cut out by the keypoints box",
        "rhd samples, cut out by the keypoints box",
        "panoptic samples, cut out by the keypoints box",
    ]
    assert list(table.columns) == [
        "n",
        "drawn again",
        "ours, 1 view",
        "ours, 18 views",
        "MediaPipe, 224 px, look 1",
        "MediaPipe, 224 px, look 2",
    ]
    assert list(table["drawn again"]) == ["images", "5 people", "images", "images"]
    assert table["ours, 18 views"].iloc[0] == "0.040 [0.030, 0.050]"


def test_the_words_follow_the_numbers():
    told = joint_looks.words(made_up())
    assert "the mean over 18 views is 16.0 px of 256 from the truth and a single look 20.0" in told
    assert "0.040 and 0.050" in told
    assert "On 3 of 3 rows" in told and "is met on panoptic samples, cut out by the keypoints box." in told
    assert "goes from 0.140 to 0.120, which is 3.0 times that on invented hands" in told
    assert told.endswith(
        "is off by 0.200 on invented hands in its last column, and nearer than the views on 1 of 2 rows whose "
        "points are not its own."
    )
    assert "still missed by all" in joint_looks.words(_far(made_up()))
    alone = joint_looks.words(made_up(real=False, mediapipe=False))
    assert alone.endswith("0.040 and 0.050.") and "MediaPipe" not in alone
    assert joint_looks.words(made_up(real=False)).endswith("on invented hands in its last column.")
    assert "thesis run many_looks" in joint_looks.words(None)


def _far(record: dict) -> dict:
    record["metrics"]["finders"]["ours_18_views"]["over_box"]["panoptic_samples_keypoints_box"][
        "error_over_box"
    ] = 0.11
    return record
