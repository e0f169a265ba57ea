"""The paragraphs of chapter 6 on streams, on where a network looks and on how fast it is, as Markdown.

Each function takes a record, which may be None; then it says which command makes one.
"""

from collections.abc import Mapping

from thesislib.evaluation.intervals import of_the_mean
from thesislib.evaluation.streams import WINDOW
from thesislib.figures.chapter5_words import missing
from thesislib.figures.chapter6_numbers import Record, chance
from thesislib.figures.chapter6_words import count, gain, listed, percent

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
    """Return what spelling between signs does to a network that knows signs alone, and what helps."""
    if record is None:
        return missing("signing and spelling", "thesis run signs_and_spelling --profile full")
    m, config = record["metrics"], record["config"]
    alone, unknown, threshold, shown = (
        m[row] for row in ("signs_alone", "spelling_unknown", "spelling_in_threshold", "spelling_shown")
    )

    def between(row: Mapping, other: Mapping) -> str:
        pairs = zip(row["f1_by_signer"]["by_signer"], other["f1_by_signer"]["by_signer"], strict=True)
        return gain(of_the_mean([one - before for one, before in pairs]))

    def during(row: Mapping) -> str:
        return (
            f"{count(row['said_while_spelling'], 'answer falls', 'answers fall')} into {row['n_texts']} texts"
        )

    recalls = [percent(row["recall"]) for row in (alone, unknown, threshold, shown)]
    people = alone["f1_by_signer"]["by_signer"]
    return (
        f"{count(alone['n_streams'], 'stranger signs', 'strangers sign')} {config['signs']} of {config['words']} "
        f"words each, once without spelling and once, the same signs in the same order, with {config['texts']} "
        "texts between them. Without spelling the F1, the harmonic mean of precision and recall, is "
        f"{percent(alone['f1_by_signer'])} as a mean over people, from {percent(min(people))} for one to "
        f"{percent(max(people))} for another. A network that knows nothing of spelling takes letters for signs: "
        f"{during(unknown)}, and the F1 {between(unknown, alone)}. With a threshold from streams in which others "
        f"spell the F1 {between(threshold, unknown)}; {during(threshold)}. With {m['n_examples']} windows of the "
        f"teachers' spelling as examples, too, it {between(shown, threshold)}; {during(shown)}. (Each change is "
        "against the row above, its bracket over people.) No weight is learned for it, and no text of the examples "
        f"is among those asked. From the first row to the last {listed(recalls)} of the signs are found."
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
