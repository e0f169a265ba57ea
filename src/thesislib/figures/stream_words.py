"""The paragraphs of chapter 6 on streams, on where a network looks and on how fast it is, as Markdown.

Each function takes a record, which may be None; then it says which command makes one.
"""

from collections.abc import Mapping

from thesislib.evaluation.intervals import of_the_mean
from thesislib.evaluation.streams import WINDOW
from thesislib.figures.chapter6_numbers import Record, chance
from thesislib.figures.chapter6_words import count, gain, percent
from thesislib.figures.sign_streams import FRAMES_A_SECOND
from thesislib.figures.tables import missing

# Rows of `signs_and_spelling`: what is signed, and what is known of spelling.
SPELLING = {
    "signs_alone": "signs alone",
    "spelling_unknown": "spelling, unknown",
    "spelling_in_threshold": "spelling, known to the threshold",
    "examples_same_threshold": "and examples, same threshold",
    "examples": "and examples, own threshold",
}
LAST_MASK = "after_bottleneck_12"


def of_stream(record: Record | None) -> str:
    """Return how right a window over strangers' streams was."""
    if record is None:
        return missing("a stream", "thesis run signs_in_video --profile full")
    s, config = record["metrics"]["streams"], record["config"]
    said = (
        f"{count(s['n_signed'], 'word is', 'words are')} signed one after another, in "
        f"{count(s['n_streams'], 'stream by a stranger', 'streams by a stranger each')}. The threshold, "
        f"{s['threshold']:.2f}, is the best for the streams of the validation signers. "
    )
    if not s["n_said"]:
        return said + "Above it nothing is said at all, so every word is left out."
    late = s.get("lag_frames")
    side = "after" if late is None or late > 0 else "before"
    lag = (
        ""
        if late is None
        else f" The surest window of a right answer ends {abs(late):.1f} frames {side} its sign does, on average; "
        f"a live system says it {WINDOW // 2} frames later or more, when no surer answer can come."
    )
    right = round(s["precision"] * s["n_said"])
    return (
        f"{said}{count(s['n_said'], 'word is', 'words are')} said; {right} of them, {percent(s['precision'])}, are "
        f"right: the word is, and its window shares {percent(s['overlap'])} or more of the frames that it and the "
        f"sign cover together. Of the {s['n_signed']} signs {percent(s['recall'])} are found. By the order of "
        f"words alone the word error rate is {percent(s['word_error_rate'])}: {s['substituted']} substituted, "
        f"{s['left_out']} left out, {s['put_in']} put in.{lag} Of the windows that see a whole sign, or nothing "
        f"else, {percent(s['windows_named_right'])} are named right; guessing among "
        f"{config['words']} words gets {percent(chance(record))}."
    )


def of_spelling(record: Record | None) -> str:
    """Return what spelling between signs does to a network that knows signs alone, and whether telling it helps."""
    if record is None:
        return missing("signing and spelling", "thesis run signs_and_spelling --profile full")
    m, config = record["metrics"], record["config"]
    alone, unknown, threshold, same, examples = (m[row] for row in SPELLING)

    def between(row: Mapping, other: Mapping) -> str:
        pairs = zip(row["f1_by_signer"]["by_signer"], other["f1_by_signer"]["by_signer"], strict=True)
        return gain(of_the_mean([one - before for one, before in pairs]))

    def wrong(row: Mapping) -> str:
        inside = count(row["wrong_while_spelling"], "wrong answer", "wrong answers")
        return f"{inside} while somebody spells and {row['wrong_otherwise']} otherwise"

    seconds = [row["n_frames"] / row["n_streams"] / FRAMES_A_SECOND for row in (alone, unknown)]
    taken = m["examples_from"]
    kind = "single windows" if taken["kind"] == "windows" else "a mean for each text"
    return (
        f"{count(alone['n_streams'], 'stranger signs', 'strangers sign')} {config['signs']} of {config['words']} "
        f"words, the same in the same order twice: alone, in {seconds[0]:.0f} seconds on average, and with "
        f"{config['texts']} texts between them, in {seconds[1]:.0f}. So there is more time for answers that are "
        "wrong, and signs come from letters and go to letters.\n\n"
        f"Alone, the F1 is {percent(alone['f1_by_signer'])}, with {alone['wrong_otherwise']} wrong answers. "
        f"{_left_handed(m)}With spelling, of which nothing is known, the F1 {between(unknown, alone)}, with "
        f"{wrong(unknown)}. A threshold from streams in which others spell other texts leaves {wrong(threshold)}; "
        f"the F1 {between(threshold, unknown)}.\n\n"
        f"The {taken['count']} examples are {kind}, chosen on the streams that choose the threshold: there the F1 "
        f"is {percent(taken['validation_f1_windows'])} with single windows and "
        f"{percent(taken['validation_f1_text_means'])} with means. At the threshold of the row before they leave "
        f"{wrong(same)}. They pass over {percent(same['passed_over_in_texts'])} of the windows in texts, and "
        f"{percent(same['passed_over_in_signs'])} of those in signs; the F1 {between(same, threshold)}. With a "
        "threshold of its own the last row is to be held against the second, where nothing is known of spelling: "
        f"the F1 {between(examples, unknown)}. Against the first, without spelling, it {between(examples, alone)}. "
        "(Brackets are over people.)"
    )


def _left_handed(metrics: Mapping) -> str:
    """Return how those are read who sign with a hand that no teacher signs with; nothing where there are none."""
    hands, f1 = metrics["left_handed"], metrics["signs_alone"]["f1_by_signer"]["by_signer"]
    theirs = [score for score, left in zip(f1, hands["test"], strict=True) if left]
    others = [score for score, left in zip(f1, hands["test"], strict=True) if not left]
    if any(hands["teachers"]) or not theirs or not others:
        return ""
    return (
        f"{count(len(theirs), 'stranger signs', 'strangers sign')} with the left hand, as no teacher does: "
        f"{percent(sum(theirs) / len(theirs))}; the others' mean is {percent(of_the_mean(others))}. "
    )


def of_masks(record: Record | None, without: Record | None = None) -> str:
    """Return how sharp a run's masks are, beside those of a run that learned without the loss on them."""
    if record is None or LAST_MASK not in record["metrics"]["masks"]:
        return missing("attention", "thesis run signs_in_video --profile full -p rung tv_loss")
    said = []
    for run, words in ((record, "with the loss on its masks"), (without, "without it")):
        if run is not None:
            told = "; ".join(
                f"{place.replace('_', ' ')} {mask['undecided']:.2f}"
                for place, mask in run["metrics"]["masks"].items()
            )
            said.append(f"{words}: {told}")
    text = (
        f"A mask's mean distance from 0 or 1, whichever is nearer, over a few clips, {'; '.join(said)}. It is 0.5 "
        "at most, and numbers drawn evenly from 0 to 1 would have 0.25."
    )
    if without is None:
        return f"{text} {missing('the same network without the loss', 'make records')}"
    sharper = all(
        mask["undecided"] < without["metrics"]["masks"][place]["undecided"]
        for place, mask in record["metrics"]["masks"].items()
    )
    does = "makes" if sharper else "does not make"
    return f"{text} In these two runs the loss {does} them sharper."


def of_speed(record: Record | None) -> str:
    """Return how fast the network is beside torchvision's full 3D ResNet, as ratios of one run of `sign_speed`."""
    if record is None:
        return missing("the networks' speed", "thesis run sign_speed --profile full")
    m = record["metrics"]
    peer, ours = (
        m["peer"],
        {k: row for k, row in m["systems"].items() if k.startswith("s3d_mobilenet_v3_table_iv_")},
    )
    said = [
        f"at {row['input_px']} pixels {1 / row[f'latency_ratio_to_{peer}_pytorch']:.1f} times as fast with PyTorch "
        f"and {1 / row[f'latency_ratio_to_{peer}_onnx']:.1f} times with ONNX Runtime"
        for row in ours.values()
    ]
    return (
        f"On one thread of a processor the network of table IV is, beside torchvision's full 3D ResNet ({peer}) on "
        f"the same clips, {'; '.join(said)}. The document prints no time, so there is none to compare with."
    )
