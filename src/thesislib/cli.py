"""The command `thesis`: fetch data, run a chapter, make the book, check the records, use the pose network."""

import argparse
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

from thesislib.config import PROFILES, ConfigError, ExperimentConfig, unknown

Config = TypeVar("Config", bound=ExperimentConfig)

CHARACTERS = ("kmnist", "k49", "kkanji", "omniglot")
HANDS = (
    *("ganerated", "rhd", "freihand", "onehand10k", "cmu_hands", "keypoint_samples", "asl7"),
    *("asl_fingerspelling_a", "massey", "lsa16", "rwth_fingerspelling"),
)

# Of the numbers that lie deeper in a record, those that `thesis run` prints: mean and median errors of joints,
# errors on real hands with their n, letters, characters and signs read, those of strangers too, pictures a second.
MAIN_NUMBERS = (
    "unseen_signers_*.epe_px_at_256",
    "unseen_signers_*.epe_median_px_at_256",
    "real.*.error_over_box",
    "real.*.network.n_images",
    "knobs.usual.*_accuracy_*",
    "images_per_second.*",
    "embeddings.*.unseen_balanced_accuracy_*_max_rule.mean",
    "embeddings.*.unseen_balanced_accuracy_*_max_rule.sd",
    "systems.*.top1_macro.mean",
    "curves.*.mean",
    "accuracy.*.*.mean",
    "strangers.top1",
    "strangers.map",
    "streams.f1",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 for a failure, 2 for a request that cannot be met."""
    options = _parser().parse_args(arguments)
    try:
        return options.command(options) or 0
    except KeyboardInterrupt:
        resumed = "; a run goes on from its last checkpoint when started again"
        print(f"thesis: stopped{resumed * (options.command in (_run, _execute, _book))}", file=sys.stderr)
        return 130
    except Exception as error:
        status = _expected(error)
        if status is None or options.traceback:
            raise
        print(f"thesis: {error}", file=sys.stderr)
        return status


def _expected(error: Exception) -> int | None:
    """Return the exit status for an error that its message explains, or None for one that is our mistake."""
    if isinstance(error, ConfigError):
        return 2
    from thesislib.book import BookError
    from thesislib.datasets.sources import DataError
    from thesislib.pose_model import ModelError
    from thesislib.results import RecordError
    from thesislib.training import TrainingDiverged

    if isinstance(error, BookError | DataError | ModelError | RecordError | TrainingDiverged | OSError):
        return 1
    return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="thesis", description=__doc__)
    parser.add_argument("--traceback", action="store_true", help="show where in the code an error arose")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: Any, description: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=description, description=description)
        added.set_defaults(command=function)
        return added

    def profile(added: argparse.ArgumentParser) -> None:
        added.add_argument("--profile", choices=PROFILES, default="quick", help="size of the run")

    def parameters(added: argparse.ArgumentParser) -> None:
        text = "set a parameter; VALUE is JSON, or else text. May be repeated; of one NAME the last counts"
        added.add_argument("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), help=text)

    added = command(
        "fetch", _fetch, "download a data set, verify it, and store it in data/raw or THESIS_DATA"
    )
    listed = f"characters: {', '.join(CHARACTERS)}; hands, with how to get them: {', '.join(HANDS)}"
    added.add_argument("name", metavar="NAME", help=listed)

    added = command("run", _run, "run a chapter's experiment, or show its record where there is one")
    added.add_argument("chapter", metavar="CHAPTER", help="a module of thesislib.chapters")
    profile(added)
    parameters(added)

    added = command("execute", _execute, "run one notebook into book/executed")
    added.add_argument("notebook", metavar="NOTEBOOK", help="name or path of a notebook")
    profile(added)
    parameters(added)

    command("build", _build, "build the book from the executed notebooks, and check its pages")
    profile(command("book", _book, "run the notebooks that changed, then build and check the book"))
    command("check", _check, "list the committed records and say which no longer belong to the code")

    added = command(
        "benchmark", _benchmark, "measure how fast pose networks and the generator of hands are here"
    )
    profile(added)
    parameters(added)

    def weights(added: argparse.ArgumentParser) -> None:
        text = "a model file, or, of the joints, a run's folder; if not given, that in data/weights (whole width)"
        added.add_argument("--weights", type=Path, metavar="FILE", help=text)

    added = command("export", _export, "write a trained network as ONNX and safetensors, with a model card")
    text = "pose: 21 joints; mesh: the hand model's parameters, of the stored run with all repairs"
    added.add_argument("network", choices=("pose", "mesh"), help=text)
    weights(added)
    text = "of the joints: also write pose_int8.onnx, in eight bits, its ranges from invented hands"
    added.add_argument("--int8", action="store_true", help=text)
    added.add_argument(
        "--out", type=Path, metavar="FOLDER", default=Path("build/export"), help="default: build/export"
    )

    added = command("predict", _predict, "draw the 21 joints of a hand on pictures, and write them as JSON")
    added.add_argument(
        "pictures", nargs="+", type=Path, metavar="PICTURE", help="a JPEG, PNG, WebP or BMP file"
    )
    text = "the hand's tight box in pixels, left top right bottom; the whole picture if not given"
    added.add_argument("--box", nargs=4, type=float, metavar=("L", "T", "R", "B"), help=text)
    added.add_argument(
        "--out", type=Path, metavar="FOLDER", help="where to write; beside the picture if not given"
    )
    text = "give a hand model's parameters and its mesh (OBJ) instead of the joints alone"
    added.add_argument("--mesh", action="store_true", help=text)
    added.add_argument("--left", action="store_true", help="with --mesh: it is a left hand")
    weights(added)

    added = command(
        "supervise",
        _supervise,
        "accept or reject detected joints of 11k Hands with one key each, in two passes",
    )
    text = "the folder with HandInfo.csv and Hands/; the folder of OpenPose's JSON files"
    added.add_argument("folders", nargs=2, type=Path, metavar="FOLDER", help=text)
    text = "where decisions are kept, and gone on with; decisions.jsonl in the second folder if not given"
    added.add_argument("--decisions", type=Path, metavar="FILE", help=text)
    return parser


def values(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return parameters as typed values: JSON where it reads as JSON, else the text itself; the last of a name.

    Raises ConfigError for a number that is not finite, and for the profile, which has an option of its own.
    """
    values = {}
    for name, text in pairs:
        try:
            values[name] = json.loads(text)
        except json.JSONDecodeError:
            values[name] = text
        parts = values[name] if isinstance(values[name], list) else [values[name]]
        if any(isinstance(part, float) and not math.isfinite(part) for part in parts):
            raise ConfigError(f"{name} must be a finite number, got {text}")
    if "profile" in values:
        raise ConfigError(f"choose the profile with --profile {values['profile']}, not with -p")
    return values


def configured(kind: type[Config], options: argparse.Namespace) -> Config:
    """Return the configuration that was asked for; raises ConfigError for an unknown parameter or a bad value."""
    chosen = values(options.p)
    known = [field.name for field in fields(kind) if field.name != "profile_name"]
    for name in chosen:  # profile() refuses it, too, but cannot even be called with a parameter `name`
        if name not in known:
            raise ConfigError(unknown("parameter", name, known))
    try:
        return kind.profile(options.profile, **chosen)
    except ConfigError as error:
        hints = {"must be tuple,": """a list is '["one", "two"]'""", "must be bool,": "write true or false"}
        told = "".join(f"; {hint}" for part, hint in hints.items() if part in str(error))
        raise ConfigError(f"{error}{told}") from None


def _fetch(options: argparse.Namespace) -> None:
    from thesislib import paths
    from thesislib.datasets.fetch import fetch
    from thesislib.datasets.hand_sources import find_hand_source
    from thesislib.datasets.sources import DataError, find_source

    if options.name in HANDS:
        source = find_hand_source(options.name)
        addresses = "".join(f" {file.url}" for file in source.files)
        raise DataError(
            f"{source.title} is not fetched for you: its terms are yours to accept ({source.licence}), and no "
            f"checksum is published. By hand, into {paths.raw_data()}: {source.when_gone} "
            f"Homepage: {source.homepage}{' Files:' * bool(addresses)}{addresses}"
        )
    if options.name not in CHARACTERS:
        raise ConfigError(unknown("data set", options.name, CHARACTERS + HANDS))
    fetch(find_source(options.name), paths.raw_data())
    print(f"{options.name} is in {paths.raw_data()}")


def _run(options: argparse.Namespace) -> None:
    import importlib

    from thesislib import chapters
    from thesislib.results import state

    files = sorted(Path(chapters.__path__[0]).glob("*.py"))
    runs = "\ndef run("  # what has none is a part of a chapter
    names = [file.stem for file in files if runs in file.read_text(encoding="utf8")]
    if options.chapter not in names:
        raise ConfigError(unknown("chapter", options.chapter, names))
    chapter = importlib.import_module(f"thesislib.chapters.{options.chapter}")
    config = configured(chapter.Config, options)
    record = chapter.run(config)
    for name, value in main_numbers(record["metrics"]):
        print(f"{name}  {value:.6g}")
    print(f"measured in {record['wall_seconds']:.0f} s at commit {record['environment']['commit']}")
    print(f"record: {os.path.relpath(chapter.record_path(config))} ({state(record)})")


def main_numbers(metrics: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the numbers of a record worth a line: all at its top, and inside it those of MAIN_NUMBERS."""
    from thesislib.results import leaves

    for name, value in leaves(metrics):
        known = "." not in name or any(fnmatchcase(name, pattern) for pattern in MAIN_NUMBERS)
        if known and isinstance(value, int | float) and "[" not in name:
            yield name, value


def _execute(options: argparse.Namespace) -> None:
    from thesislib import book, paths

    notebook = book.find_notebook(options.notebook)
    print(f"running {notebook.name}, profile {options.profile}", flush=True)
    parameters = {"profile": options.profile, **values(options.p)}
    book.execute(notebook, parameters, paths.EXECUTED / notebook.name)


def _build(options: argparse.Namespace) -> None:
    from thesislib import book

    print("building the book", flush=True)
    book.write_pages()
    print(f"built and checked: {book.build()}")


def _book(options: argparse.Namespace) -> None:
    from thesislib import book

    print(f"The book: {book.make(options.profile).as_uri()}")


def _check(options: argparse.Namespace) -> int:
    from thesislib import paths
    from thesislib.results import RecordError, read_record, state

    refused = 0
    records = sorted(paths.RESULTS.rglob("*.json"))
    for path in records:
        try:
            found = state(read_record(path))
        except RecordError as error:
            found = f"unreadable: {error}"
        except KeyError as error:
            found = f"unreadable: it has no {error}"
        refused += found not in ("fresh", "code changed")
        print(f"{os.path.relpath(path, paths.ROOT)}  {found}")
    print(f"{len(records)} records, {refused} refused")
    return 1 if refused else 0


def _benchmark(options: argparse.Namespace) -> None:
    from thesislib import benchmark
    from thesislib.chapters import pose_speed

    config = configured(pose_speed.Config, options)
    full = options.profile == "full"  # its record is kept; the others measure anew each time
    record = pose_speed.run(config) if full else pose_speed.measure(config)
    print(benchmark.network_table(record))
    print(f"\nmeasured in {record['wall_seconds']:.0f} s on {record['environment']['device']}")
    if full:
        print(f"record: {os.path.relpath(pose_speed.record_path(config))}")
    print("\nsynthetic hands, without supersampling:")
    for size in (64, 128, 256):
        print(f"  {size} px  {benchmark.generated_per_second(size):.0f} images/s", flush=True)


def _export(options: argparse.Namespace) -> None:
    from thesislib import hand_reader, pose_model
    from thesislib.chapters import stored_pose

    if options.network == "mesh":
        if options.weights or options.int8:
            raise ConfigError("export mesh takes the stored run's weights; leave out --weights and --int8")
        print(hand_reader.export(options.out))
        return
    model = pose_model.load(options.weights or stored_pose.largest())
    for written in pose_model.export(model, options.out):
        print(written)
    path = options.out / "pose_int8.onnx"
    path.unlink(missing_ok=True)  # an earlier export's may be of another network
    if options.int8:
        from thesislib.chapters import eight_bits

        usual = eight_bits.Config.profile("full").calibration_hands
        eight_bits.in_eight_bits(model.network, eight_bits.calibration_images(model.config, usual), path)
        print(path)


def _predict(options: argparse.Namespace) -> int:
    from thesislib import hand_reader, pose_model
    from thesislib.chapters import stored_pose
    from thesislib.picture_checks import check_picture

    places = {path: (options.out or path.parent) / path.stem for path in options.pictures}
    if len(set(places.values())) < len(places):
        raise ConfigError("two pictures have one name, and one's joints would replace the other's")
    if options.left and not options.mesh:
        raise ConfigError("--left goes with --mesh: the joints of left and right hands are found alike")
    kind = hand_reader if options.mesh else pose_model
    stored = hand_reader.default_model if options.mesh else stored_pose.largest
    model = kind.load(options.weights or stored())
    side, failed = {"left": True} if options.left else {}, 0
    for path, place in places.items():
        try:
            check_picture(path, boxed=options.box is not None)
            for written in kind.predict_file(model, path, place.parent, options.box, **side):
                print(written)
        except pose_model.ModelError as error:  # the other pictures still get their joints
            failed += 1
            whose = "" if str(path) in str(error) else f"{path}: "
            print(f"thesis: {whose}{error}", file=sys.stderr)
    return 1 if failed else 0


def _supervise(options: argparse.Namespace) -> None:
    from thesislib.supervision_terminal import supervise_folder

    folder, detections = options.folders
    for stage in supervise_folder(folder, detections, options.decisions or detections / "decisions.jsonl"):
        print(f"{stage.name}: {stage.images:,} pictures")


if __name__ == "__main__":
    sys.exit(main())
