"""Test-time augmentation on the page: one column a finder, and words that follow the numbers."""

from thesislib.figures import joint_views

ROWS = ("unseen_signers", "asl7_keypoints_box", "rhd_samples_keypoints_box", "panoptic_samples_keypoints_box")


def made_up(
    views: tuple[float, ...] = (0.04, 0.12, 0.2, 0.09), *, real: bool = True, mediapipe: bool = True
) -> dict:
    """A record of `view_averaging`: errors over the box of each finder, which are known to 0.015."""
    errors = {"single_view": (0.05, 0.14, 0.21, 0.2), "18_views": views}
    if mediapipe:
        errors |= {"mediapipe_full_224px_whole": (0.3, 0.04, 0.2, 0.2)}
        errors |= {"mediapipe_full_224px_tracked": (0.2, 0.02, 0.1, 0.1)}

    def over_box(row: str, value: float, single: float) -> dict:
        above = value - single
        return {
            "error_over_box": value,
            "error_over_box_low": value - 0.01,
            "error_over_box_high": value + 0.01,
            "above_single": above,
            "above_single_low": above - 0.015,
            "above_single_high": above + 0.015,
            "n_images": 8,
            "n_signers": 5 if row == "asl7_keypoints_box" else 1,
        }

    finders = {}
    for finder, values in errors.items():
        rows = zip(ROWS if real else ROWS[:1], values, errors["single_view"], strict=False)
        finders[finder] = {"over_box": {row: over_box(row, value, single) for row, value, single in rows}}
        finders[finder]["unseen_signers"] = {
            "epe_px_at_256": 400 * values[0],
            "epe_median_px_at_256": 1 / values[0],
        }
    return {"metrics": {"finders": finders}}


def test_each_set_has_a_row_and_each_finder_a_column():
    table = joint_views.table(made_up())
    assert list(table.index) == [
        "invented hands of unseen signers",
        "asl7, cut out by the keypoints box",
        "rhd samples, cut out by the keypoints box",
        "panoptic samples, cut out by the keypoints box",
    ]
    assert list(table.columns) == [
        "n",
        "drawn again",
        "ours, one view",
        "ours, 18 views",
        "MediaPipe, 224 px, whole",
        "MediaPipe, 224 px, tracking crop",
    ]
    assert list(table["drawn again"]) == ["pictures", "5 people", "pictures", "pictures"]
    assert table["ours, 18 views"].iloc[0] == "0.040 [0.030, 0.050]"


def test_the_words_follow_the_numbers():
    told = joint_views.words(made_up())
    assert "the mean over 18 views is 16.0 px of 256 off, a single view 20.0; in parts" in told
    assert "The median goes from 20.0 to 25.0 px." in told
    assert "On asl7, cut out by the keypoints box, it is 3.00 times that on the invented hands." in told
    assert "0.040 and 0.050, undecided." in told  # 95 % of the differences are -0.025 to 0.005
    assert (
        "the views' error is on 2 lower (asl7, cut out by the keypoints box; panoptic samples, cut out by the "
        "keypoints box) and 1 undecided (rhd samples, cut out by the keypoints box)." in told
    )
    assert "is met on panoptic samples, cut out by the keypoints box." in told
    assert told.endswith(
        "is off by 0.300 (224 px, whole) and 0.200 (224 px, tracking crop) on the invented hands."
    )


def test_views_that_do_not_help_are_said_not_to():
    told = joint_views.words(made_up((0.09, 0.12, 0.3, 0.4)))
    assert (
        "0.090 and 0.050, higher." in told
        and "2 higher (rhd" in told
        and "still missed by all of them" in told
    )


def test_mediapipe_is_a_point_where_it_was_asked_and_timed():
    speed = {"metrics": {"systems": {"mediapipe_full": {"latency_ms_litert": 9.0}}}}
    point = {"MediaPipe, 224 px, tracking crop": (9.0, 80.0)}
    assert joint_views.latency_and_error(made_up(), speed) == point
    assert joint_views.latency_and_error(made_up(mediapipe=False), speed) == {}
    assert joint_views.latency_and_error(None, speed) == {}
    assert joint_views.latency_and_error(made_up(), {"metrics": {"systems": {}}}) == {}


def test_without_real_hands_or_mediapipe_nothing_is_said_of_them():
    assert joint_views.words(made_up(real=False, mediapipe=False)).endswith("25.0 px.")
    assert "other hands" not in joint_views.words(made_up(real=False))
    assert "MediaPipe" not in joint_views.words(made_up(mediapipe=False))
    assert "thesis run view_averaging" in joint_views.words(None)
