"""The paragraphs of chapter 2 that records write: who is nearer, what a change does, what eight bits cost."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from thesislib.chapters.joint_choices import OURS
from thesislib.chapters.stored_pose import MEDIAPIPE, WHOLE
from thesislib.config import digest
from thesislib.figures.chapter2_numbers import SPEED_GOALS, Records, mean_of, set_of
from thesislib.figures.joint_changes import (
    BETTER,
    NOT_LEARNED,
    WITHIN_LUCK,
    WORSE,
    Change,
    errors_by_loss,
    errors_by_train_hands,
    luck,
    luck_between_two,
)
from thesislib.figures.joint_runs import (
    NAMES,
    SIZE,
    StoredRuns,
    choices,
    main_errors,
    main_scores,
    mean_error,
    pictures_seen,
)
from thesislib.figures.joint_tables import Systems, by_decoder, kinds_of_answer, shares_found
from thesislib.figures.tables import listed, missing

NEAR_PX, FAR_PX = 10, 60  # of 256: close by, and so far off that it may be another finger


def of_networks(systems: Systems) -> str:
    """Return the paragraph on networks that were trained on the same hands, equally often; '' of fewer than two.

    The first system is the thesis's network.
    """
    if len(systems) < 2:
        return ""
    ours = next(iter(systems.values()))[0]
    scores = {name: [main_scores(r) for r in group] for name, group in systems.items()}
    errors = {name: mean_error(group) for name, group in systems.items()}
    areas = {name: mean_of(of, "auc_0_30_px_at_256") for name, of in scores.items()}
    best, nearest = min(errors, key=errors.__getitem__), max(areas, key=areas.__getitem__)
    first, lowest = (main_errors(systems[name]) for name in (next(iter(systems)), best))
    apart = ""
    if len(first) > 1 and lowest != first:
        reach = luck(first, lowest)
        further = np.mean(first) - np.mean(lowest) > reach
        apart = (
            f" If all networks scatter as the first row's seeds do, a run may lie {reach:.1f} px from that row's "
            f"mean by luck; *{best}* {'is further' if further else 'is not further'} from it than that."
        )
    mean_pose = ours["metrics"]["unseen_signers_mean_pose"]["epe_px_at_256"]
    config = ours["config"]
    return (
        f"Each has seen {config['train_hands']:,} hands {config['epochs']} times. "
        f"The lowest error, {errors[best]:.1f} px, is that of *{best}*; *{next(iter(errors))}* has "
        f"{next(iter(errors.values())):.1f} px, the mean pose {mean_pose:.1f} px.{apart} The highest AUC, the mean "
        "share of joints found over all distances up to 30 px, which a few large errors cannot spoil, is that of "
        f"*{nearest}*, {areas[nearest]:.3f}. " + _seeds_told([len(group) for group in systems.values()])
    )


def of_kinds(systems: Systems) -> str:
    """Return how many joints are found near and far, by what networks answer with; '' where all answer alike."""
    curves, kinds = shares_found(systems), kinds_of_answer(systems)
    if len(set(kinds.values())) < 2:
        return ""
    told = []
    for within_px in (NEAR_PX, FAR_PX):
        shares = {name: 100 * float(np.interp(within_px, *curve)) for name, curve in curves.items()}
        of_kind = {kind: [shares[name] for name in shares if kinds[name] == kind] for kind in kinds.values()}
        ends = {kind: dict.fromkeys(f"{end(of):.0f}" for end in (min, max)) for kind, of in of_kind.items()}
        (kind, first), *others = ((kind, " to ".join(of)) for kind, of in ends.items())
        ranges = [f"networks with {kind} find {first} % of the joints"]
        ranges += [f"networks with {kind} find {share} %" for kind, share in others]
        most = max(shares, key=shares.__getitem__)
        told.append(f"Within {within_px} px of 256, {listed(ranges)}; *{most}* finds most.")
    return " ".join(told)


def of_decoders(systems: Systems) -> str:
    """Return whether the order of networks turns on how their maps are read; '' where fewer than two have maps."""
    read = by_decoder(systems)
    if len(read) < 2:
        return ""
    own = {name: mean_error(group) for name, group in systems.items()}
    better = {name: min(errors, key=errors.__getitem__) for name, errors in read.items()}
    told = [
        f"*{name}* by {'the ' * (decoder != 'DARK')}{decoder} ({read[name][decoder]:.1f} px)"
        for name, decoder in better.items()
        if read[name][decoder] < own[name]
    ]
    suited = own | {name: read[name][decoder] for name, decoder in better.items()}
    first, then = min(own, key=own.__getitem__), min(suited, key=suited.__getitem__)
    said = f"Other than by DARK, lower is {listed(told)}." if told else "None has a lower error than by DARK."
    order = (
        f"*{first}* stays the lowest of all rows"
        if first == then
        else f"the lowest of all rows would then be *{then}*, no longer *{first}*"
    )
    by_dark_alone = [
        f"*{name}*"
        for name, kind in kinds_of_answer(systems).items()
        if kind == "heatmaps" and name not in read
    ]
    alone = f" Of {listed(by_dark_alone)} only DARK's points are stored." if by_dark_alone else ""
    return f"{said}{alone} Each read in the way of these that suits it best here, {order}."


def of_longer_training(small: Systems, large: Systems) -> str:
    """Return what networks that have both trainings gain from the large one; '' where none has both.

    A network's two trainings are alike in all but their size and precision.
    """

    def by_training(systems: Systems) -> dict[str, tuple[str, Records]]:
        found = {}
        for name, group in systems.items():
            config = group[0]["config"]
            alike = {of: value for of, value in choices(config).items() if of not in (*SIZE, "precision")}
            found.setdefault(digest({"network": config["network"], **alike}), (name, group))
        return found

    after = by_training(large)
    both = {
        name: (group, after[training][1])
        for training, (name, group) in by_training(small).items()
        if training in after
    }
    if not both:
        return ""
    gains = [
        f"*{name}* from {mean_error(a):.1f} to {mean_error(b):.1f} px"
        + (
            f" (in {b[0]['config']['precision']})"
            * (a[0]["config"]["precision"] != b[0]["config"]["precision"])
        )
        for name, (a, b) in both.items()
    ]
    lower = sum(mean_error(b) < mean_error(a) for a, b in both.values())
    count = "both end" if lower == len(both) == 2 else f"{lower} of {len(both)} end{'s' * (lower == 1)}"
    so = ", so the order here is that of networks which have not learned all they can" if lower else ""
    one, other = next(iter(both.values()))
    times = pictures_seen(other[0]) / pictures_seen(one[0])
    return (
        f"The large training above, of {other[0]['config']['train_hands']:,} hands, shows {times:.3g} times as "
        f"many pictures, and takes {listed(gains)}: {count} lower{so}."
    )


def of_error_and_latency(points: Mapping[str, tuple[float, float]]) -> str:
    """Return which networks of ours are faster than each other system and at least as near; '' where there is none.

    ``points`` are those of `joint_tables.latency_and_error`: name -> (ms, error in px at 256); as near is what is
    as it is shown.
    """
    shown = {name: (round(ms, 1), round(error, 1)) for name, (ms, error) in points.items()}
    ours = {name: point for name, point in shown.items() if name.startswith(NAMES[OURS])}
    told = []
    for rival, (ms, error) in shown.items():
        if rival not in ours:
            better = [
                name for name, (its_ms, its_error) in ours.items() if its_ms < ms and its_error <= error
            ]
            named = [f"{name} ({ours[name][1]} px, {ours[name][0]} ms)" for name in better]
            told.append(
                f"At least as near as {rival} ({error} px, {ms} ms), and faster, is {listed(named or ['none'])}."
            )
    return " ".join(told)


def of_changes(changes: Mapping[str, Change]) -> str:
    """Return the paragraph on what single changes of the training do; '' without any."""
    if not changes:
        return ""
    named = {
        verdict: [f"`{name}`" for name, change in changes.items() if change.verdict == verdict]
        for verdict in (BETTER, WORSE, WITHIN_LUCK, NOT_LEARNED)
    }
    told = []
    for verdict, names in named.items():
        verb = "" if verdict == NOT_LEARNED else "is " if len(names) == 1 else "are "
        listing = "" if verdict == WITHIN_LUCK else f": {'; '.join(names)}"
        told += [f"{len(names)} {verb}{verdict}{listing}"] if names else []
    said = f"Of {len(changes)} change{'s' * (len(changes) > 1)}, {'. '.join(told)}."
    if named[NOT_LEARNED]:
        mean_pose = next(iter(changes.values())).mean_pose
        said += (
            f" What ends no better than the mean pose, {mean_pose:.1f} px away, has learned nothing at its rate in "
            "so few steps, and says nothing of what the thesis claims."
        )
    if len(changes) > 1:
        widest = max(change.luck_of_all for change in changes.values())
        apart = [
            f"`{name}`"
            for name, change in changes.items()
            if change.verdict in (BETTER, WORSE) and abs(change.difference) > change.luck_of_all
        ]
        said += (
            f" That judges each row by itself. With all rows at once, luck has to be given up to ± {widest:.1f} px "
            f"(Bonferroni); of those that learned, {listed(apart or ['none'])} "
            f"{'lie' if len(apart) > 1 else 'lies'} beyond."
        )
    claimed = {name: change for name, change in changes.items() if change.claim}
    if claimed:
        against = [
            f"`{name}` ({change.claim.said} there)" for name, change in claimed.items() if change.contradicts
        ]
        verb = "contradict" if len(against) > 1 else "contradicts"
        said += f" The thesis speaks of {len(claimed)} of them; {listed(against or ['none'])} {verb} it here."
    return said


def of_losses(runs: StoredRuns) -> str:
    """Return what the thesis's loss does under AdamW, whose steps no loss scales; '' where either is missing."""
    if not (errors := errors_by_loss(runs)).keys() >= {"l2", "cross_entropy"}:
        return ""
    squared, entropy = errors["l2"], errors["cross_entropy"]
    reach = luck_between_two(runs)
    said = (
        "Stochastic gradient descent takes larger steps for a larger loss, so one rate does not suit two losses. "
        f"By AdamW, whose steps hardly depend on that, squared error ends at {np.mean(squared):.1f} px and cross "
        f"entropy at {np.mean(entropy):.1f}."
    )
    if reach is None:
        return said
    told = abs(np.mean(squared) - np.mean(entropy)) > reach
    return said + (
        f" Luck may take two single runs {reach:.1f} px apart, so "
        + (
            "they differ, which the thesis denies."
            if told
            else "they cannot be told apart, as the thesis says."
        )
    )


def of_more_hands(runs: StoredRuns) -> str:
    """Return the paragraph on trainings that saw as many pictures of fewer or of more hands; '' without any."""
    if not runs.hands:
        return ""
    errors = errors_by_train_hands(runs.hands)
    told = [f"{hands:,} hands {np.mean(of_seeds):.1f} px" for hands, of_seeds in errors.items()]
    usual = errors[runs.usual["config"]["train_hands"]]
    said = f"All have seen {pictures_seen(runs.usual):,} pictures: {listed(told)}."
    if len(usual) < 2:
        return said
    most = max(abs(np.mean(of_seeds) - np.mean(usual)) for of_seeds in errors.values())
    verdict = "so none of them can be told from it" if most <= luck(usual) else "and some differ by more"
    return f"{said} Luck alone may move a single run by ± {luck(usual):.1f} px, {verdict}."


def _seeds_told(seeds: Sequence[int]) -> str:
    if max(seeds) == 1:
        return "With one seed each, small differences tell nothing."
    several = sum(n > 1 for n in seeds)
    return (
        f"{several} of the {len(seeds)} rows {'has' if several == 1 else 'have'} more than one seed, whose spread "
        "says how much is luck."
    )


def of_bits(record: Mapping[str, Any] | None) -> str:
    """Return the paragraph on what eight bits save and cost, from a record of `eight_bits`."""
    if record is None:
        return missing("eight bits", "thesis run eight_bits --profile full")
    latency, said = record["metrics"]["latency"], ""
    for network, m in record["metrics"]["networks"].items():
        before, after = (m[f"unseen_signers_{precision}"]["epe_px_at_256"] for precision in ("fp32", "int8"))
        faster = 1 / latency[f"{network}_fp32"][f"{network}_int8"][f"ratio_to_{network}_fp32"]
        said += (
            f"The {network.replace('_', ' ')}'s mean error is {after:.2f} px in eight bits and was {before:.2f} "
            f"px; joints move by {m['unseen_signers_int8_from_fp32_median_px_at_256']:.1f} px of 256 (median). It "
            f"is {faster:.1f} times as fast as before. "
        )
        if m["real"]:
            moved = {
                name: abs(both["int8"]["error_over_box"] - both["fp32"]["error_over_box"])
                for name, both in m["real"].items()
            }
            worst = max(moved, key=moved.__getitem__)
            most = math.ceil(1000 * moved[worst]) / 1000  # a bound is not rounded down
            said += (
                f"On no set of real hands does its error change by more than {most:.3f} of the box, that much on "
                f"the {m['real'][worst]['int8']['n_images']} pictures of {set_of(worst)}. "
            )
    if MEDIAPIPE in latency:
        goal = SPEED_GOALS["mediapipe"]
        whole = {p: 1 / latency[MEDIAPIPE][f"{WHOLE}_{p}"][f"ratio_to_{MEDIAPIPE}"] for p in ("fp32", "int8")}
        met = "met" if whole["int8"] >= goal else "missed"
        said += (
            f"Beside MediaPipe's full landmark model, as published and under LiteRT, in turns on that machine, the "
            f"whole width is {whole['int8']:.1f} times as fast in eight bits and {whole['fp32']:.1f} times in 32: "
            f"in eight bits the goal of {goal} is {met}."
        )
    return said.strip()
