"""The command `thesis`: what it prints and how it exits, for good requests and for bad ones."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from thesislib import cli, paths, pose_model, results
from thesislib.config import ExperimentConfig, digest

CHAPTER = '''
"""A chapter that measures nothing, for the test of the command."""
import dataclasses, errno, pathlib
from typing import ClassVar
from thesislib.config import ExperimentConfig
from thesislib.training import TrainingDiverged

@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    profiles: ClassVar = {"smoke": {}, "quick": {}, "full": {"epochs": 9}}
    epochs: int = 1
    sets: tuple[str, ...] = ()
    literal: bool = False
    dataset: str = "invented"

def record_path(config):
    return pathlib.Path("build", "tiny.json")

def run(config):
    if config.dataset == "explosive":
        raise TrainingDiverged("the loss is nan")
    if config.dataset == "huge":
        raise OSError(errno.ENOSPC, "No space left on device", "/somewhere")
    if config.dataset == "wrong":
        raise KeyError("a mistake of ours")
    return {
        "experiment": "tiny", "module": "thesislib.config", "source_hash": "", "wall_seconds": 2.4,
        "config": config.as_dict(), "config_digest": config.digest(), "environment": {"commit": "abc"},
        "metrics": {
            "epochs_squared": config.epochs**2, "by_seed": [1, 2], "unseen_signers_dark": {"epe_px_at_256": 7.5}
        },
    }
'''


@pytest.fixture
def chapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    from thesislib import chapters

    (tmp_path / "tiny.py").write_text(CHAPTER)
    (tmp_path / "tiny_parts.py").write_text("")
    monkeypatch.setattr(chapters, "__path__", [str(tmp_path)])
    for name in ("tiny", "tiny_parts"):
        monkeypatch.delitem(sys.modules, f"thesislib.chapters.{name}", raising=False)
    return "tiny"


def test_help_is_quick_because_it_imports_nothing_heavy():
    code = (
        "import sys, thesislib.cli\n"
        "try: thesislib.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('torch', 'numpy', 'pandas', 'papermill', 'IPython') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=paths.ROOT / "src")
    assert done.stdout.splitlines()[-1] == "[]", done.stdout + done.stderr


def test_run_passes_the_profile_and_typed_parameters(chapter, capsys):
    assert cli.main(["run", chapter, "--profile", "full", "-p", "dataset", "k49"]) == 0
    assert "epochs_squared  81" in capsys.readouterr().out
    assert cli.main(["run", chapter, "-p", "epochs", "4", "-p", "seed", "2"]) == 0
    out = capsys.readouterr().out
    assert "epochs_squared  16" in out and "measured in 2 s" in out
    assert "unseen_signers_dark.epe_px_at_256  7.5" in out
    assert "record: build/tiny.json (code changed)" in out


def test_of_the_numbers_inside_a_record_the_main_ones_are_printed():
    read = {"new_signers_letter_accuracy_1nn_joints": 0.5, "visible_share": 0.7}
    box = {"error_over_box": 0.1, "error_over_box_low": 0.05, "n_images": 8, "by_joint": [0.1] * 21}
    metrics = {
        "parameters": 9,
        "output": "heatmaps",
        "history": {"loss": [3.0, 2.0]},
        "unseen_signers_dark": {"n_images": 4, "epe_px_at_256": 7.0, "epe_median_px_at_256": 6.0},
        "unseen_signers_mean_pose": {"epe_px_at_256": 50.0},
        "real": {"asl7_given_box": {"network": box, "mean_pose": box}},
        "knobs": {"usual": read, "blur=0": read},
        "images_per_second": {"64 px": {"one_cpu_thread": 99.0}},
        "embeddings": {
            "best_head": {"unseen_balanced_accuracy_s10_max_rule": {"mean": 0.8, "sd": 0.1, "n": 5}}
        },
    }
    assert dict(cli.main_numbers(metrics)) == {
        "parameters": 9,
        "unseen_signers_dark.epe_px_at_256": 7,
        "unseen_signers_dark.epe_median_px_at_256": 6,
        "unseen_signers_mean_pose.epe_px_at_256": 50,
        "real.asl7_given_box.network.error_over_box": 0.1,
        "real.asl7_given_box.network.n_images": 8,
        "real.asl7_given_box.mean_pose.error_over_box": 0.1,
        "knobs.usual.new_signers_letter_accuracy_1nn_joints": 0.5,
        "images_per_second.64 px.one_cpu_thread": 99,
        "embeddings.best_head.unseen_balanced_accuracy_s10_max_rule.mean": 0.8,
        "embeddings.best_head.unseen_balanced_accuracy_s10_max_rule.sd": 0.1,
    }


def test_parameters_are_json_or_else_text():
    pairs = [
        ("a", "3"),
        ("b", "0.5"),
        ("c", "[1, 2]"),
        ("d", "null"),
        ("e", "k49"),
        ("f", "true"),
        ("a", "4"),
    ]
    assert cli.values(pairs) == {"a": 4, "b": 0.5, "c": [1, 2], "d": None, "e": "k49", "f": True}


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["run", "nowhere"], 2, "tiny"),
        (["run", "tiny_parts"], 2, "unknown chapter"),
        (["run", "tiny", "-p", "epoch", "3"], 2, "'epochs'"),
        (["run", "tiny", "-p", "name", "3"], 2, "unknown parameter 'name'"),
        (["run", "tiny", "-p", "epochs", "many"], 2, "epochs must be int"),
        (["run", "tiny", "-p", "sets", "asl7"], 2, """a list is '["one", "two"]'"""),
        (["run", "tiny", "-p", "literal", "True"], 2, "write true or false"),
        (["run", "tiny", "-p", "epochs", "NaN"], 2, "epochs must be a finite number, got NaN"),
        (["run", "tiny", "-p", "epochs", "1e999"], 2, "must be a finite number, got 1e999"),
        (["run", "tiny", "-p", "epochs", "[1, NaN]"], 2, "must be a finite number, got [1, NaN]"),
        (["execute", "03_learning_to_compare", "-p", "profile", "full"], 2, "with --profile full"),
        (["run", "tiny", "-p", "dataset", "explosive"], 1, "the loss is nan"),
        (["run", "tiny", "-p", "dataset", "huge"], 1, "No space left on device"),
        (["execute", "99_nothing"], 2, "99_nothing"),
        (["fetch", "freihnd"], 2, "Did you mean 'freihand'?"),
    ],
)
def test_an_expected_error_is_one_clear_line(chapter, capsys, arguments, status, says):
    assert cli.main(arguments) == status
    error = capsys.readouterr().err.strip()
    assert error.startswith("thesis: ") and says in error and "\n" not in error


def test_traceback_can_be_asked_for_and_a_mistake_of_ours_always_shows_one(chapter):
    with pytest.raises(OSError, match="No space left"):
        cli.main(["--traceback", "run", chapter, "-p", "dataset", "huge"])
    with pytest.raises(KeyError):
        cli.main(["run", chapter, "-p", "dataset", "wrong"])


def test_an_unknown_profile_is_refused_by_name(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["run", "tiny", "--profile", "huge"])
    assert stopped.value.code == 2
    assert "smoke" in capsys.readouterr().err


def write_record(path: Path, **changes: object) -> None:
    config = ExperimentConfig(profile_name="full").as_dict()
    module = "thesislib.config"
    record = {
        "format": results.FORMAT,
        "module": module,
        "config": config,
        "config_digest": digest({k: v for k, v in config.items() if k != "profile_name"}),
        "source_hash": results.source_hash(module),
        "experiment": "chapter",
        "data": {},
        "metrics": {},
        "published": {},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record | changes))


def test_check_accepts_changed_code_and_refuses_an_edited_or_broken_record(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(paths, "RESULTS", tmp_path)
    assert cli.main(["check"]) == 0  # nothing committed yet
    write_record(tmp_path / "chapter" / "a.json")
    write_record(tmp_path / "chapter" / "b.json", source_hash="0" * 16)
    assert cli.main(["check"]) == 0
    out = capsys.readouterr().out
    assert "a.json  fresh" in out and "b.json  code changed" in out

    write_record(tmp_path / "chapter" / "c.json", config_digest="00000000")
    (tmp_path / "chapter" / "d.json").write_text("{")
    write_record(tmp_path / "chapter" / "e.json", module="thesislib.gone")
    assert cli.main(["check"]) == 1
    out = capsys.readouterr().out
    assert "c.json  edited" in out and "d.json  unreadable" in out and "e.json  unreadable" in out
    assert "5 records, 3 refused" in out

    (tmp_path / "chapter" / "e.json").write_text(json.dumps({"format": results.FORMAT}))
    assert cli.main(["check"]) == 1
    assert "e.json is not a record" in capsys.readouterr().out


def test_fetch_names_the_registered_sets_and_says_how_to_get_hands(capsys):
    from thesislib.datasets.hand_sources import HAND_SOURCES
    from thesislib.datasets.sources import SOURCES

    assert cli.CHARACTERS == tuple(source.name for source in SOURCES)
    assert cli.HANDS == tuple(source.name for source in HAND_SOURCES)
    for source in HAND_SOURCES:
        assert cli.main(["fetch", source.name]) == 1
        error = capsys.readouterr().err
        for text in (source.when_gone, source.homepage, source.licence, *(f.url for f in source.files)):
            assert text in error


@pytest.fixture
def no_model(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "WEIGHTS", tmp_path / "weights")
    monkeypatch.setattr(paths, "RUNS", tmp_path / "runs")


def test_predict_and_export_say_how_to_get_a_model(no_model, tmp_path, capsys):
    for arguments in (["predict", "hand.png"], ["export", "pose", "--out", str(tmp_path / "out")]):
        assert cli.main(arguments) == 1
        assert (
            "name with --weights the folder of a run of `thesis run finding_joints`"
            in capsys.readouterr().err
        )
    assert not (tmp_path / "out").exists()


def test_predict_writes_beside_the_picture_or_into_a_folder(no_model, tmp_path, monkeypatch, capsys):
    asked, joints = [], np.full((21, 2), 30.0)
    monkeypatch.setattr(pose_model, "predict", lambda model, picture, box: joints)
    model = type("Model", (), {"record": "r"})()
    monkeypatch.setattr(pose_model, "load", lambda place: asked.append(place) or model)
    for name in ("a.png", "b.png"):
        Image.fromarray(np.zeros((60, 60, 3), np.uint8)).save(tmp_path / name)
    pictures = [str(tmp_path / name) for name in ("a.png", "b.png")]
    out = tmp_path / "out"
    box = ["--box", "5", "6", "40", "50.5"]
    assert cli.main(["predict", *pictures, *box, "--out", str(out), "--weights", "some.safetensors"]) == 0
    assert asked == [Path("some.safetensors")]
    names = ["a.joints.json", "a.joints.png", "b.joints.json", "b.joints.png"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert json.loads((out / "a.joints.json").read_text())["box"] == [5, 6, 40, 50.5]
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert cli.main(["predict", pictures[0], "--weights", "some.safetensors"]) == 0
    assert (tmp_path / "a.joints.png").exists() and (tmp_path / "a.joints.json").exists()
    assert cli.main(["predict", str(tmp_path / "gone.png"), "--weights", "some.safetensors"]) == 1
    assert "there is no file" in capsys.readouterr().err


def test_a_bad_picture_is_named_and_the_others_are_read(tmp_path, capsys):
    shapes = {"good.png": (60, 60), "tiny.png": (3, 3), "strip.png": (20, 900), "last.png": (40, 60)}
    for name, shape in shapes.items():
        Image.fromarray(np.zeros((*shape, 3), np.uint8)).save(tmp_path / name)
    Image.fromarray(np.full((60, 60), 30_000, np.uint16)).save(tmp_path / "deep.png")
    places = [str(tmp_path / name) for name in ("good.png", "tiny.png", "deep.png", "strip.png", "last.png")]
    assert cli.main(["predict", *places]) == 1
    out, err = capsys.readouterr()
    read = [Path(line).name for line in out.splitlines() if line.endswith("json")]
    assert read == ["good.joints.json", "last.joints.json"]
    told = dict(zip(("tiny", "deep", "strip"), err.splitlines(), strict=True))
    assert "tiny.png: a picture of 3 x 3 pixels is too small" in told["tiny"]
    assert "deep.png has more than 8 bits a channel" in told["deep"]
    assert "strip.png is a strip of 900 x 20 pixels: name the hand's --box" in told["strip"]
    assert cli.main(["predict", places[3], "--box", "10", "1", "28", "19"]) == 0


def test_damaged_notes_of_a_camera_are_said_to_be_damaged(tmp_path, capsys):
    turned, text = b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0", b"\x01\x22\0\x02\0\0\0\x04abc\0"  # not a number
    notes = b"Exif\0\0MM\0*\0\0\0\x08\0\x02" + turned + text + b"\0\0\0\0"
    Image.fromarray(np.zeros((60, 60, 3), np.uint8)).save(tmp_path / "hand.jpg", exif=notes)
    assert cli.main(["predict", str(tmp_path / "hand.jpg")]) == 1
    assert "hand.jpg are damaged" in capsys.readouterr().err


def test_two_pictures_of_one_name_are_refused_before_anything_is_written(no_model, tmp_path, capsys):
    for name in ("hand.png", "hand.jpg"):
        Image.fromarray(np.zeros((60, 60, 3), np.uint8)).save(tmp_path / name)
    assert cli.main(["predict", str(tmp_path / "hand.png"), str(tmp_path / "hand.jpg")]) == 2
    assert "one name" in capsys.readouterr().err


def test_benchmark_measures_anew_and_keeps_the_full_record(monkeypatch, capsys, tmp_path):
    from thesislib import benchmark
    from thesislib.chapters import pose_speed

    record = {"wall_seconds": 3.4, "environment": {"device": "a CPU"}}
    called = []
    monkeypatch.setattr(pose_speed, "measure", lambda config: called.append("measure") or record)
    monkeypatch.setattr(pose_speed, "run", lambda config: called.append("run") or record)
    monkeypatch.setattr(benchmark, "network_table", lambda record: "THE TABLE")
    monkeypatch.setattr(benchmark, "generated_per_second", lambda size: 10.0 * size)
    assert cli.main(["benchmark"]) == 0
    out = capsys.readouterr().out
    assert "THE TABLE" in out and "measured in 3 s on a CPU" in out and "64 px  640 images/s" in out
    assert "record" not in out
    assert cli.main(["benchmark", "--profile", "full", "-p", "mediapipe", "false"]) == 0
    assert "record: " in capsys.readouterr().out
    assert called == ["measure", "run"]


def test_export_in_eight_bits_is_of_the_joints_alone(tmp_path, monkeypatch, capsys):
    from thesislib.chapters import eight_bits

    def images(config, number):
        assert number == eight_bits.Config.profile("full").calibration_hands
        return torch.randint(0, 256, (4, 3, config.size, config.size), dtype=torch.uint8)

    monkeypatch.setattr(eight_bits, "calibration_images", images)
    assert cli.main(["export", "pose", "--int8", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.split()[-1] == str(tmp_path / "pose_int8.onnx")
    small, whole = (tmp_path / name for name in ("pose_int8.onnx", "pose.onnx"))
    assert small.stat().st_size < 0.5 * whole.stat().st_size
    assert cli.main(["export", "mesh", "--int8", "--out", str(tmp_path)]) == 2
    assert "leave out --weights and --int8" in capsys.readouterr().err
