"""Which stored training of chapter 2 answers which question, what it is called, and what belongs to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thesislib.chapters.joint_choices import OURS, Config
from thesislib.config import digest

NAMES = {
    "thesis": "the thesis's network",
    "simcc": "SimCC head on the thesis's encoder, whole width",
    "cpm": "convolutional pose machine",
    "vgg": "VGG of the thesis's figure 2.2",
    "resnet50_heatmaps": "ResNet-50, heatmaps",
    "resnet34": "ResNet-34, no pooling",
    "resnet34_stock": "ResNet-34, stock",
    "resnet34_leaky": "ResNet-34, leaky ReLU",
    "resnet34_preactivation": "ResNet-34, pre-activation",
    "resnet34_bottleneck": "ResNet-34, bottleneck",
    "resnet68_deepercut": "68 layers, DeeperCut",
    "inception_v3": "Inception-v3",
    "inception_resnet_v2": "Inception-ResNet-v2",
}
NO_CHOICE = ("seed", "profile_name", "network", "real_sets")  # what does not make two trainings different
OURS_ALONE = ("width", "decoder_width", "depth", "stem_stride", "literal")  # a rival has no such choice

SIZE = ("train_hands", "epochs")  # of a training
OPTIMISER = ("optimizer", "lr_max", "lr_min", "weight_decay")
# Ways to learn that a row names in a word; the second is that of the ETH report.
BY_ADAMW, THE_REPORTS_WAY = "by AdamW", "the report's way"
RECIPES = {
    BY_ADAMW: {"optimizer": "adamw", "lr_max": 0.001, "lr_min": 0.000001},
    THE_REPORTS_WAY: {
        "augmentation": "report",
        "batch_size": 8,
        "optimizer": "adam",
        "schedule": "constant",
        "lr_max": 0.0001,
        "lr_min": 0.0001,
    },
}
# Fields that are chosen together.
ONE_CHOICE = (("loss", *OPTIMISER), ("radius", "last_radius"), ("width", "decoder_width"))

Records = Sequence[Mapping[str, Any]]


def reference(records: Records) -> Mapping[str, Any]:
    """Return the run that a page is about, and that tables compare all others with.

    It is a run of the thesis's network: of those that have seen the most pictures the one whose configuration
    departs in the fewest fields from the profile full, fp32 before bf16, and of its seeds the lowest. Raises
    ValueError where there is none.
    """
    ours = [record for record in records if record["config"]["network"] == OURS]
    if not ours:
        raise ValueError(f"no run of the thesis's network is among these {len(records)} records")
    usual = choices(Config.profile("full").as_dict())

    def rank(record: Mapping[str, Any]) -> tuple[int, int, bool, int]:
        chosen = choices(record["config"])
        departing = sum(value != usual.get(name) for name, value in chosen.items())
        return -pictures_seen(record), departing, chosen["precision"] != "fp32", record["config"]["seed"]

    return min(ours, key=rank)


def choices(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a configuration that make its training another one, seeds and tests left out.

    A rival's usual loss is that of its kind of output, so it is no choice.
    """
    left_out = NO_CHOICE if config["network"] == OURS else NO_CHOICE + OURS_ALONE
    if config["network"] != OURS and config["loss"] == "default":
        left_out += ("loss",)
    return {name: value for name, value in config.items() if name not in left_out}


@dataclass(frozen=True)
class StoredRuns:
    """Stored runs by what a page asks them; what answers nothing is in none.

    All but ``large`` and ``hands`` are of one size, the small training, and empty where no rival has it.
    """

    large: Records  # those of the reference's size; all, where there is no small training
    usual: Mapping[str, Any] | None  # the thesis's network, trained small, as the large one is
    networks: Records  # it and rivals; a row tells where a rival learns in another way than most
    changes: Records  # it, and runs that differ from it in one choice
    hands: Records  # it, and runs that have seen as many pictures of fewer or of more hands


def by_question(records: Records) -> StoredRuns:
    """Return stored runs sorted by their question; some answer more than one.

    The small training is that number of hands and epochs which most networks have, and among them the thesis's,
    trained as in `reference` but for these two numbers.
    """
    usual = _small_training(records)
    if usual is None:
        return StoredRuns(records, None, [], [], [])
    large = _size(reference(records))
    equal = [record for record in records if _size(record) == _size(usual)]
    rivals = [record for record in equal if record["config"]["network"] != OURS]
    rival = usual_rival(rivals)
    changes = [
        record
        for record in equal
        if record["config"]["network"] == OURS and _is_one_choice(departures(record, usual))
    ]
    as_rivals = [
        record
        for record in changes
        if (changed := set(departures(record, usual)))
        and changed <= set(OPTIMISER)
        and learns_alike(record, rival)
    ]
    hands = [
        record
        for record in records
        if set(departures(record, usual)) <= set(SIZE) and pictures_seen(record) == pictures_seen(usual)
    ]
    return StoredRuns(
        large=[record for record in records if _size(record) == large],
        usual=usual,
        networks=[*seeds_of(usual, equal), *as_rivals, *rivals],
        changes=changes,
        hands=hands if len(by_seed(hands)) > 1 else [],
    )


def usual_rival(records: Records) -> Mapping[str, Any] | None:
    """Return the first rival that learns as most rivals among the records do, None where there is none."""
    rivals = [record for record in records if record["config"]["network"] != OURS]
    recipes = [_how_it_learns(record) for record in rivals]
    return max(rivals, key=lambda record: recipes.count(_how_it_learns(record)), default=None)


def learns_alike(record: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether two trainings differ in nothing but network, its kind of output, and precision."""
    return _how_it_learns(record) == _how_it_learns(other)


def pictures_seen(record: Mapping[str, Any]) -> int:
    """Return how many pictures, changed at random each time, a training has looked at in all its epochs."""
    return record["config"]["train_hands"] * record["config"]["epochs"]


def departures(record: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """Return each choice, "network" among them, in which a training differs from the usual one, and its value."""
    fields = ("network", *choices(record["config"]))
    return {name: value for name in fields if (value := record["config"][name]) != usual["config"].get(name)}


def _small_training(records: Records) -> Mapping[str, Any] | None:
    networks: dict[tuple[int, ...], set[str]] = {}
    for record in records:
        networks.setdefault(_size(record), set()).add(record["config"]["network"])
    if not any(record["config"]["network"] == OURS for record in records):
        return None
    large = reference(records)
    usual = [
        record
        for record in records
        if set(departures(record, large)) <= set(SIZE)
        and pictures_seen(record) < pictures_seen(large)
        and len(networks[_size(record)]) > 1
    ]
    return min(usual, key=lambda r: (-len(networks[_size(r)]), r["config"]["seed"]), default=None)


def _size(record: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(record["config"][name] for name in SIZE)


def _is_one_choice(changed: Mapping[str, Any]) -> bool:
    return len(changed) <= 1 or any(set(changed) <= set(together) for together in ONE_CHOICE)


def _how_it_learns(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the choices of a training that have nothing to do with the network, its output or its precision."""
    kept_out = (*OURS_ALONE, "loss", "radius", "last_radius", "precision")
    return {name: value for name, value in choices(record["config"]).items() if name not in kept_out}


def label(
    record: Mapping[str, Any], against: Mapping[str, Any], *, rival: Mapping[str, Any] | None = None
) -> str:
    """Return a system's name and every choice in which its training differs from that of ``against``.

    What makes the thesis's network another one (its width, its stem) is told against the thesis's own, so that a
    narrower network is never called the thesis's alone. Where a page says how rivals usually learn, ``rival`` is
    one that does, and rivals tell what differs from it; the size and the precision of their training are told
    against ``against``.
    """
    if rival is not None and record["config"]["network"] != OURS:
        same = {name: against["config"][name] for name in (*SIZE, "precision")}
        usual = rival["config"] | {"loss": "default"} | same
    else:
        full = Config.profile("full").as_dict()
        usual = against["config"] | {name: full[name] for name in OURS_ALONE}
    chosen = choices(record["config"])
    changed = {name: value for name, value in chosen.items() if name not in usual or value != usual[name]}
    recipes = [
        name
        for name, recipe in RECIPES.items()
        if recipe.items() <= chosen.items() and recipe.keys() & changed.keys()
    ]
    in_recipes = set().union(*(RECIPES[name] for name in recipes))
    told = [_told(name, value) for name, value in changed.items() if name not in in_recipes]
    if record["config"]["network"] == OURS and against["config"]["width"] != chosen["width"] == 1:
        told = ["whole width", *told]  # its usual one, and not that of the page's other rows
    return ", ".join([NAMES[record["config"]["network"]], *told, *recipes])


def by_seed(records: Records) -> list[Records]:
    """Return records that differ in nothing but the seed together, in the order of their first.

    Of two runs of one seed, which differ in the real hands they were tested on, the one with more of them stays.
    """
    groups: dict[str, dict[int, Mapping[str, Any]]] = {}
    for record in records:
        config = record["config"]
        group = groups.setdefault(_training(config), {})
        known = group.get(config["seed"])
        if known is None or len(config["real_sets"]) > len(known["config"]["real_sets"]):
            group[config["seed"]] = record
    return [[group[seed] for seed in sorted(group)] for group in groups.values()]


def seeds_of(record: Mapping[str, Any], records: Records) -> Records:
    """Return those of the records that differ from one of them in nothing but the seed, by seed."""
    training = _training(record["config"])
    return by_seed([other for other in records if _training(other["config"]) == training])[0]


def named(
    records: Records, against: Mapping[str, Any], *, rival: Mapping[str, Any] | None = None
) -> dict[str, Records]:
    """Return records by `label`, seeds together; those of ``against`` first, then by their mean error.

    Raises ValueError where two different trainings have one label.
    """
    groups: dict[str, Records] = {}
    main = _training(against["config"])

    def place(group: Records) -> tuple[bool, float]:
        return _training(group[0]["config"]) != main, mean_error(group)

    for group in sorted(by_seed(records), key=place):
        name = label(group[0], against, rival=rival)
        if name in groups:
            digests = [of[0].get("config_digest", "unknown") for of in (groups[name], group)]
            raise ValueError(f"two different trainings are both called {name!r}: {' and '.join(digests)}")
        groups[name] = group
    return groups


def main_scores(record: Mapping[str, Any]) -> Mapping[str, float]:
    """Return the scores on unseen signers by the record's main decoder."""
    return record["metrics"][f"unseen_signers_{record['metrics']['decoder']}"]


def main_errors(records: Records) -> list[float]:
    """Return each record's mean error on unseen signers by its main decoder, in pixels of 256."""
    return [main_scores(record)["epe_px_at_256"] for record in records]


def mean_error(records: Records) -> float:
    """Return the mean of `main_errors`, as of a training's seeds."""
    return float(np.mean(main_errors(records)))


def _training(config: Mapping[str, Any]) -> str:
    return digest({"network": config["network"], **choices(config)})


def _told(name: str, value: Any) -> str:
    """Return a choice in a few words: `width 0.5`, `train hands 1,000`, `adamw optimizer`, `bf16`."""
    if name == "precision":
        return str(value)
    words = name.replace("_", " ")
    if value is None or isinstance(value, bool):
        return words if value else f"{'no' if value is None else 'not'} {words}"
    if isinstance(value, str):
        return f"{value.replace('_', ' ')} {words}"
    return f"{words} {value:,}" if isinstance(value, int) else f"{words} {value:g}"
