"""The paragraphs of chapter 5 that numbers decide, as Markdown: what a run reached, what repairs are worth.

Each function takes what is stored, which may be nothing; then it says which command makes it.
"""

from statistics import median
from typing import Any

from thesislib.evaluation.intervals import of_the_mean
from thesislib.figures import chapter5_numbers as numbers
from thesislib.figures.hand_model_scores import (
    NO_REPAIR,
    STEMS,
    Configuration,
    Record,
    Records,
    by_configuration,
    by_repair,
    change,
    configuration_of,
    counts,
    is_clear,
    is_together,
    repair_name,
    repairs_of,
    score,
    values,
)
from thesislib.figures.tables import missing
from thesislib.published import by_key

FAILED_SD = 0.5  # a fit whose shape numbers are farther off than this has not found the person
REPAIRED = ("aligned", "twist", "tips", "picture")  # of which a paragraph on repairs speaks


def of_this_run(record: Record | None) -> str:
    """Return what the run of this page reached in the picture and in space, against the mean hand."""
    if record is None:
        return missing("a hand from one picture", "thesis run hand_from_picture")
    n = numbers.of_one([record])
    (learned, teachers), (asked, people) = (counts(record, part) for part in ("train", "validation"))
    return (
        f"The network has learned from {learned:,} pictures of {teachers} people, with {n['images_seen']} "
        f"looks in all, and is asked about {asked:,} of {people} others. In the picture its joints are off "
        f"by {n['picture']}, as pictures of 224 would show it; the start is off by {n['start']:.1f} px, the "
        f"first of {n['iterations']} iterations by {n['after_one']:.1f} px. The mean hand, laid on the true "
        f"joints as well as turn, size and place allow, is off by {n['picture_of_mean_hand']}: against it "
        f"the network's error {n['picture_against_mean_hand']}. That is what two dimensions say. In space, "
        f"with turn, size and place taken off, the network's joints are off by {n['aligned']}, the mean "
        f"hand's by {n['aligned_of_mean_hand']}: the network's error {n['aligned_against_mean_hand']}. "
        f"{_verdict(record)} Bones are twisted about themselves by {n['twist']} (the mean hand's by "
        f"{n['twist_of_mean_hand']}), and joints are bent {n['limits']} beyond what joints can do. (Brackets "
        f"hold 95 % intervals over the people asked.) {_on_the_joints_of_the_loss(n)}"
    )


def _on_the_joints_of_the_loss(n: dict[str, Any]) -> str:
    """Return what the picture says of the joints that the loss sees, which are not all."""
    if "detected_of_mean_hand" not in n:
        return ""
    return (
        f"All 21 joints count there, fingertips too, though no loss of the thesis sees those; on the 16 that it "
        f"sees, against the detector, the error is {n['detected']}, the mean hand's {n['detected_of_mean_hand']}."
    )


def _verdict(record: Record) -> str:
    """Return what the two comparisons with the mean hand say together."""
    picture, space = (
        numbers.against_mean_hand([record], error) for error in ("true_2d_px_at_224", "joints_mm_aligned")
    )
    better, worse = picture["mean"] < 0 and is_clear(picture), space["mean"] > 0 and is_clear(space)
    if better and worse:
        return "It has learned to meet the picture, and in space it has left the hand that it started from."
    if worse:
        return "In neither does it gain, and in space it has moved away from the hand that it started from."
    if space["mean"] < 0 and is_clear(space):
        return "It gains in space, too." if better else "It gains in space alone."
    return "In space it cannot be told from the hand that it started from."


def of_configurations(records: Records) -> str:
    """Return how the thesis's configurations rank here, whether as printed, and what the shape loss does."""
    groups = {c: runs for c, runs in by_configuration(records).items() if c.stem}
    if not groups:
        return missing("the seven configurations", "make records")
    n = numbers.numbers([record for runs in groups.values() for record in runs])
    seeds = f"{n['seeds_least']} to {n['seeds_most']} seeds" if n["seeds_least"] < n["seeds_most"] else ""
    each = seeds or (f"{n['seeds_most']} seeds" if n["seeds_most"] > 1 else "one seed")
    lacking = len(STEMS) - len(groups)
    parts = [
        f"Of the seven configurations {len(groups)} are stored, with {each} each; {lacking} are still to be "
        "run. "
        if lacking
        else f"All seven configurations are stored, with {each} each. "
    ]
    seen = {int(n) for runs in groups.values() for n in values(runs, "images_seen")}
    if len(seen) == 1:
        parts.append(f"Each has seen {seen.pop():,} pictures. ")
    if "best_by_loss" in n and n["best_by_loss"] != n["worst_by_loss"]:
        parts.append(
            f"By the validation loss of equation 6.1, on the whole set, {n['best_by_loss']} is ahead with "
            f"{n['best_loss']:.2f} and {n['worst_by_loss']} last with {n['worst_loss']:.2f}. In the picture "
            f"{n['best_by_picture']} is best ({n['best_picture']:.1f} px) and {n['worst_by_picture']} worst "
            f"({n['worst_picture']:.1f} px); in space, aligned, {n['best_by_space']} ({n['best_space']:.1f} "
            f"mm) and {n['worst_by_space']} ({n['worst_space']:.1f} mm). {_near_ties(groups)}"
        )
    if "same_order" in n:
        parts.append(
            f"Beside the thesis's table: {n['same_order']}. {n['same_best']}. That an encoder which learns "
            f"along beats the same one frozen: {n['learning_ahead_of_frozen']}. That a pretrained start "
            f"beats a random one: {n['pretrained_ahead_of_random']}. "
        )
    if "shape_ratio" in n:
        printed = by_key("komorowicz2018_shape_parameter_explosion").printed
        parts.append(
            f"Without the loss on shape the ten shape numbers have a mean size of {n['shape_without_loss']}, "
            f"with it of {n['shape_with_loss']}; the thesis saw them grow {printed} standard deviations "
            "(there the largest, here the mean). "
            f"Leaving it out, the error in the picture {n['without_shape_loss_picture']}, that in space, "
            f"aligned, {n['without_shape_loss_aligned']}. "
        )
    if shape := _of_shape(groups):
        parts.append(shape)
    parts.append(
        f"The thesis says that speed depends on the batch. With one batch, of {numbers.BATCH}, its own table "
        f"gives {n['printed_speed_least']:.0f} to {n['printed_speed_most']:.0f} pictures a second: it "
        "depends on the network too."
    )
    return "".join(parts).strip()


def _near_ties(groups: dict[Configuration, Records]) -> str:
    """Return how many configurations are within what seeds of one of them differ by, in space, after the best."""
    means = {c: [score([run], "joints_mm_aligned").mean for run in runs] for c, runs in groups.items()}
    spans = [max(of) - min(of) for of in means.values() if len(of) > 1]
    if not spans:
        return ""
    best = min(sum(of) / len(of) for of in means.values())
    near = sum(sum(of) / len(of) - best <= max(spans) for of in means.values())
    return (
        f"{near} of them lie within {max(spans):.1f} mm there, by which seeds of one configuration differ. "
    )


def _of_shape(groups: dict[Configuration, Records]) -> str:
    """Return how far off bones are with the loss on shape, against those of the mean hand; '' without either."""
    runs = [run for c, of in groups.items() if c.shape_loss for run in of]
    error = "bone_length_mm"
    if not runs or any(
        error not in run["metrics"].get(part, {}) for run in runs for part in ("errors", "trivial")
    ):
        return ""
    means = [score([run], error).mean for run in runs]
    return (
        f"Nobody's shape is read: with the loss on shape, bones are off by {min(means):.2f} to {max(means):.2f} "
        f"mm, those of the mean hand by {score(runs[:1], error, of='trivial').mean:.2f} mm. "
    )


def of_encoders(pretrained: Records) -> str:
    """Return what the pretrained encoders could read before they were frozen or taught further."""
    if not pretrained:
        return ""
    told = []
    for record in pretrained:
        share = record["metrics"]["unseen_invented_signers"]["top1_macro"]
        told.append(f"{record['config']['encoder'].replace('_', '-')} {100 * share:.0f} %")
    return (
        f"Of the letters of unseen signers the pretrained encoders read: {', '.join(told)}; guessing gets "
        f"{100 * pretrained[0]['metrics']['chance']:.0f} %. A frozen row shows what these features hold, not "
        "what the encoder could."
    )


def of_repairs(records: Records) -> str:
    """Return what each repair alone does to a few errors, which one helps most, and what all together reach."""
    groups = by_repair(records)
    if not groups:
        return missing("a repair", "make records")
    n = numbers.of_repairs(records)
    lines = [
        f"Unrepaired, the joints are off by {n['unrepaired_aligned']} in space, aligned, fingertips by "
        f"{n['unrepaired_tips']}, bones are twisted by {n['unrepaired_twist']}, and joints in the picture "
        f"are off by {n['unrepaired_picture']}. Paired by person, with 95 % intervals:",
        "",
    ]
    for repairs in groups:
        if repairs != NO_REPAIR:
            key = "_".join(field.removesuffix("_weight") for field in repairs)
            aligned, twist, tips, picture = (n[f"{key}_{name}"] for name in REPAIRED)
            lines.append(
                f"- **{repair_name(repairs)}**: the error in space, aligned, {aligned}; that of fingertips "
                f"{tips}; twist {twist}; in the picture {picture}."
            )
    lines += ["", _helping(groups), "", _luck(records, groups)]
    return "\n".join(lines)


def _luck(records: Records, groups: dict[tuple[str, ...], Records]) -> str:
    """Return what another start of the training does to the unrepaired network, which brackets do not hold."""
    count, which = len(groups[NO_REPAIR]), configuration_of(groups[NO_REPAIR][0])
    text = f"All rows are means over the same {count} seeds. " if count > 1 else "All rows have one seed. "
    plain = [r for r in records if configuration_of(r) == which and not repairs_of(r)]
    if len(plain) < 2:
        return text + "How much another start of the training would change is not measured."
    spans = dict(aligned="in space, aligned", tips="at the tips", twist="of twist", picture="in the picture")
    told = []
    for name, where in spans.items():
        found = [score([run], numbers.QUOTED[name]) for run in plain]
        means = sorted(of_run.mean for of_run in found)
        quantity = found[0].quantity
        ends = f"{means[0]:.{quantity.decimals}f} and {means[-1]:.{quantity.decimals}f}"
        told.append(f"{ends}{numbers.spaced(quantity)} {where}")
    return text + (
        f"Brackets say how people differ, not what luck in training does: {len(plain)} seeds of the unrepaired "
        f"network end between {'; '.join(told)}. A change that is not larger than that may be luck."
    )


def _helping(groups: dict[tuple[str, ...], Records]) -> str:
    """Return which repair alone helps most in space, which do nothing that can be told, and what together do."""
    gains = {r: change(runs, groups[NO_REPAIR], "joints_mm_aligned") for r, runs in groups.items() if r}
    alone = {r: gain for r, gain in gains.items() if not is_together(r)}
    helping = [r for r, gain in alone.items() if gain["mean"] < 0 and is_clear(gain)]
    said = []
    if helping:
        best = min(helping, key=lambda r: alone[r]["mean"])
        said.append(f"Of single repairs, *{repair_name(best)}* lowers the aligned error in space most.")
    elif alone:
        said.append("No repair by itself lowers the aligned error in space by what can be told from nothing.")
    if helping and (rest := [repair_name(r) for r in alone if r not in helping]):
        said.append(f"None that can be told comes from: {'; '.join(rest)}.")
    together = {r: gain for r, gain in gains.items() if is_together(r)}
    if together and alone:
        best, single = (min(of, key=lambda r, of=of: of[r]["mean"]) for of in (together, alone))
        more = change(groups[best], groups[single], "joints_mm_aligned")
        said.append(
            f"Several at once ({repair_name(best)}), against {repair_name(single)} alone: the error "
            f"{numbers.changed(more, 'joints_mm_aligned')}."
        )
    return " ".join(said)


def of_model(record: Record | None) -> str:
    """Return what the hand model's numbers can say of people it was not built from (record of `hand_mesh`)."""
    if record is None:
        return missing("the hand model", "thesis run hand_mesh --profile full")
    m, config = record["metrics"], record["config"]
    shares, rest = m["variance_share"]["unseen_people"], m["unseen_people_at_rest_by_shape_numbers"]
    bent, flat = m["average_hand_in_random_poses"], m["unseen_people_with_flat_hands"]
    repaired = {name: bent[name]["vertices_99th_percentile_mm"] for name in bent}
    counts = sorted(rest, key=int)
    none, most = (rest[count]["vertices_mm"] for count in (counts[0], counts[-1]))
    return (
        f"The model has {m['vertices']:,} vertices and {m['faces']:,} triangles and is built from "
        f"{config['people']:,} invented people. Asked about {config['test_people']:,} others at rest, its "
        f"first shape number explains {100 * shares[0]:.0f} % of how they differ, all {len(shares)} together "
        f"{100 * sum(shares):.0f} %; what is left of {none:.1f} mm with the mean shape is {most:.1f} mm with "
        f"{counts[-1]} numbers. Pose blend shapes mend what skinning squeezes: in random poses of the "
        f"average hand the worst hundredth of the skin is off by more than {repaired['skinning_alone']:.2f} "
        f"mm without them and {repaired['with_pose_blend_shapes']:.2f} mm with them. So of a stranger's flat "
        "hand, given the right numbers, the model still misses the skin by "
        f"{flat['with_pose_blend_shapes']['vertices_mm']:.1f} mm and the joints by "
        f"{flat['with_pose_blend_shapes']['joints_mm']:.1f} mm; a fit with wrong numbers can come nearer to "
        "the skin, as the scans below show."
    )


def of_rendering(record: Record | None) -> str:
    """Return how the ways to come by normals compare, as printed and here (record of `mesh_rendering_speed`)."""
    if record is None:
        return missing("the renderer's speed", "thesis run mesh_rendering_speed --profile full")
    n = numbers.of_rendering(record)
    there = {
        name: by_key("komorowicz2018_render_loop_normals").value
        / by_key(f"komorowicz2018_render_{name}").value
        for name in ("vectorized_normals", "geometry_shader")
    }
    alone = record["metrics"]["normals_seconds"]
    faces_win = n["render_face_normals"] < n["render_vectorized_normals"]
    return (
        f"One picture of {record['config']['meshes']} hands takes {n['render_loop_normals']:.2g} s with "
        f"normals by a loop, {n['render_vectorized_normals']:.2g} s with vectorised cross products and "
        f"{n['render_face_normals']:.2g} s with normals of faces alone. Vectorised it is "
        f"{n['render_vectorized_normals_faster']:.1f} times as fast as the loop; there it was "
        f"{there['vectorized_normals']:.1f} times. The normals alone take "
        f"{alone['loop_normals']:.2g} s by the loop and {alone['vectorized_normals']:.2g} s vectorised; the rest "
        "is drawing. Normals of faces are "
        f"{'faster still' if faces_win else 'no faster than that'} here, at "
        f"{n['render_face_normals_faster']:.1f} times the loop; the thesis's geometry shader, on a graphics "
        f"card, reached {there['geometry_shader']:.0f} times."
    )


def of_scans(record: Record | None) -> str:
    """Return what keeps a fitted shape from the true one (record of `fitting_scans`)."""
    if record is None:
        return missing("the fits to scans", "thesis run fitting_scans --profile full")
    protocols = record["metrics"]["protocols"]
    kinds = {
        "inside_exact": "of meshes that are the model's own",
        "inside_1mm": "of these with 1 mm of noise",
        "own_flesh_exact": "of people's own skin",
    }
    said = []
    row = protocols["one_scan"]
    for kind, words in kinds.items():
        if f"{kind}_shape_sd" in row:
            skin, joint = (row[f"{kind}_{what}"]["mean"] for what in ("skin_mm", "joint_deg"))
            people = row[f"{kind}_shape_sd"]["by_person"]
            failed = sum(error > FAILED_SD for error in people)
            but = f", {failed} of {len(people)} stopped in a wrong pose" if failed else ""
            said.append(
                f"{words}: {skin:.2f} mm from the skin, joints {joint:.1f}° and shape numbers "
                f"{median(people):.2f} standard deviations from the person's in the median (mean "
                f"{sum(people) / len(people):.2f}{but})"
            )
    shared = [name for name in protocols if name.startswith("shared_")]
    text = f"Fitted to the end, one scan at a time, {'; '.join(said)}. "
    kind = next(
        (k for k in ("own_flesh_exact", "inside_1mm") if f"{k}_shape_sd" in protocols["one_scan"]), None
    )
    if shared and kind:
        most = max(shared, key=lambda name: int(name.removeprefix("shared_")))
        alone, together = (protocols[name][f"{kind}_shape_sd"] for name in ("one_scan", most))
        pairs = zip(together["by_person"], alone["by_person"], strict=True)
        gain = numbers.changed(of_the_mean([a - b for a, b in pairs]), "shape_abs")
        text += (
            f"With one shape for {most.removeprefix('shared_')} scans of a person, the error of the shape "
            f"numbers {kinds[kind]} {gain}, person by person. "
        )
    return text + _why_scans_miss(protocols)


def _why_scans_miss(protocols: dict[str, dict[str, dict[str, float]]]) -> str:
    """Return whether being outside of the shape space is what separates fitted from true shapes."""
    row = protocols["one_scan"]
    if not {"inside_exact_shape_sd", "own_flesh_exact_shape_sd"} <= row.keys():
        return ""
    inside, outside = row["inside_exact_shape_sd"], row["own_flesh_exact_shape_sd"]
    said = []
    if {"sgd_300", "sgd_3000", "mean_hand", "levenberg_marquardt_300"} <= protocols.keys():
        few, many, without, best = (
            protocols[name]["inside_exact_shape_sd"]["mean"]
            for name in ("sgd_300", "sgd_3000", "mean_hand", "levenberg_marquardt_300")
        )
        said.append(
            "Plain gradient descent through the thesis's three stages does not find the shape even where the "
            f"model could have made the scan: it is {few:.2f} standard deviations off after 300 iterations and "
            f"{many:.2f} after 3,000, where the mean hand without any fit has {without:.2f} and "
            f"Levenberg-Marquardt in the same stages {best:.2f}. So a bad shape alone does not show that a scan "
            "lies outside the space; an optimiser "
            "that has not arrived looks the same."
        )
    if outside["low"] > inside["high"]:
        given = protocols.get("pose_given", {}).get("own_flesh_exact_shape_sd")
        pose = (
            f" Part of what is left is a pose that stands in for a shape: with the true pose given it is "
            f"{given['mean']:.2f}."
            if given
            else ""
        )
        said.append(
            "Scans that do lie outside are fitted worse by a fit that goes on to the end, too, so the thesis's "
            f"conclusion can be true of an exact scan.{pose}"
        )
    else:
        said.append("Whether a scan lies in the shape space makes no difference that can be told here.")
    return " ".join(said)
