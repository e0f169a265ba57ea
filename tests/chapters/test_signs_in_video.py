"""Signs in video: what each rung of the ladder turns on, what is asked of a network, and one small run."""

import dataclasses
import json
import types

import numpy as np
import pytest
import torch
from torch import nn

from thesislib import paths, published, results
from thesislib.chapters import sign_sets, sign_starts, sign_streams, sign_training, signs_in_video
from thesislib.chapters.sign_answers import as_shown, scores, segments, settle
from thesislib.chapters.sign_training import LADDER, Config, augmentation, build, loss_of, parts
from thesislib.config import ConfigError
from thesislib.datasets.sign_clips import SignClips
from thesislib.evaluation import streams
from thesislib.evaluation.retrieval import word_metrics
from thesislib.networks.sign_video import TABLE_I, S3DMobileNetV3
from thesislib.networks.video_layers import GaussianDropout
from thesislib.results import RecordError
from thesislib.synthetic import signs
from thesislib.transforms.clips import ClipAugmentation, to_input

TINY = dict(signers=4, takes=2, test_signers=2, width=0.125, epochs=2, stream_step=2)
SIZE = 32


def moving_bar(word: int, signer: int, take: int, moments: np.ndarray) -> np.ndarray:
    """A bar at moments 0 to 1 of its way, uint8 [T, 3, S, S]: word 0 down, 1 up, 2 right, 3 left."""
    random = np.random.default_rng((word, signer, take))
    place = np.where(word % 2, 1 - moments, moments) * (SIZE - 8) + random.normal(0, 1, len(moments))
    ground = np.random.default_rng(signer).integers(20, 120, (3, 1, 1)) + random.normal(0, 4, (3, SIZE, SIZE))
    near = np.abs(np.arange(SIZE) - place[:, None] - 4) < 3  # [T, S]
    bar = near[:, :, None] if word < 2 else near[:, None]
    return (ground + 130 * bar[:, None]).clip(0, 255).astype(np.uint8)


def bars(asked: sign_sets.InventedSigns) -> SignClips:
    """In place of InventedSigns.load: the same signers, words and takes, as bars that move."""
    rows = [(s, w, t) for s in asked.signers for w in range(asked.words) for t in range(asked.takes)]
    signer, word, take = np.array(rows, np.int64).T
    begin, end = 2 + (signer + take) % 5, asked.frames - 1 - word % 4
    moments = (np.arange(asked.frames) - begin[:, None]) / (end - begin - 1)[:, None]
    films = [moving_bar(w, s, t, now.clip(0, 1)) for (s, w, t), now in zip(rows, moments, strict=True)]
    names = tuple(f"word {n}" for n in range(asked.words))
    return SignClips(np.stack(films), word, signer, begin, end, names, "bars")


def stream_of_bars(name, seed, signer, sequence, *, frames, size, **settings) -> dict[str, torch.Tensor]:
    """In place of synthetic.signs.stream: a pause of eight frames before and after each of the words."""
    films, label = [], []
    for take, word in enumerate(sequence):
        films += [moving_bar(word, signer, take, way) for way in (np.zeros(8), np.linspace(0, 1, 16))]
        label += [-1] * 8 + [word] * 16
    image = np.concatenate([*films, films[-1][-8:]])
    return {"image": torch.from_numpy(image), "label": torch.tensor(label + [-1] * 8)}


@pytest.fixture(scope="module")
def config(build_folder):
    """A small configuration, for which clips and streams are bars."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sign_sets.InventedSigns, "load", bars)
        patch.setattr(signs, "stream", stream_of_bars)
        patch.setattr(sign_training, "PICTURES", 4)
        yield Config.profile("smoke", **TINY)


@pytest.fixture(scope="module")
def record(config):
    return signs_in_video.run(config)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(paths, "QUICK_RESULTS", tmp_path / "results")
    return tmp_path


# The ladder -----------------------------------------------------------------------------------------------


def test_the_rungs_are_the_rows_of_table_ii_in_their_order():
    rows = [number.key for number in published.load() if "izutov2020_ablation_" in number.key]
    printed = [
        key.removeprefix("izutov2020_ablation_").removesuffix("_top1") for key in rows if "top1" in key
    ]
    assert list(LADDER) == printed


def test_each_rung_has_what_the_rungs_below_it_have_and_one_more():
    has = [Config.profile("smoke", rung=rung).mechanisms for rung in LADDER]
    assert [len(some) for some in has] == list(range(1, len(LADDER) + 1))
    assert all(low < high for low, high in zip(has, has[1:], strict=False))
    assert Config.profile("smoke", rung="repository").mechanisms == has[-1]


def turned_on(rung: str) -> set[str]:
    """What of table II the network, the loss and the augmentation of a rung really do."""
    config = Config.profile("smoke", rung=rung, width=0.125)
    network, loss, augment = build(config), loss_of(config), augmentation(config)
    found = {"am_softmax"}
    found |= {"temporal_jitter"} if augment.min_intersection == 0.6 else set()
    found |= {"mixup"} if augment.pictures is not None else set()
    kinds = {type(module) for module in network.modules()}
    found |= {"dropout"} if kinds & {nn.Dropout, GaussianDropout} else set()
    found |= {"continuous_dropout"} if GaussianDropout in kinds else set()
    found |= {"attention"} if len(network.attentions) == 2 else set()
    found |= {"push_losses"} if {"sample_push", "centre_push"} <= set(loss.weights) else set()
    found |= {"pr_product"} if loss.pr_product else set()
    return found | ({"tv_loss"} if "total_variation" in loss.weights else set())


@pytest.mark.parametrize("rung", [*LADDER, "repository"])
def test_what_a_rung_says_is_what_is_on(rung, monkeypatch):
    monkeypatch.setattr(sign_training, "PICTURES", 2)
    assert turned_on(rung) == Config.profile("smoke", rung=rung).mechanisms


def test_the_authors_code_also_turns_and_mirrors_and_lets_the_scale_fall_otherwise(monkeypatch):
    monkeypatch.setattr(sign_training, "PICTURES", 2)
    paper, code = (Config.profile("smoke", rung=rung, epochs=30) for rung in ("tv_loss", "repository"))
    assert not augmentation(paper).mirror and augmentation(paper).rotation == 0
    assert augmentation(code).mirror and augmentation(code).rotation == 10
    scales = []
    for config in (paper, code):
        loss = loss_of(config)
        loss.start_epoch(10)
        scales.append(float(loss.scale))
    assert scales[0] == pytest.approx(30 - 25 / 4) and scales[1] < scales[0] - 3


def test_rungs_start_from_the_same_weights_as_far_as_they_have_the_same_layers():
    plain, full = (
        build(Config.profile("smoke", rung=rung, width=0.125)) for rung in ("am_softmax", "pr_product")
    )
    for (_, one), (_, other) in zip(plain.state_dict().items(), full.state_dict().items(), strict=True):
        assert torch.equal(one, other)  # dropout has no weights
    other = build(Config.profile("smoke", rung="am_softmax", width=0.125, seed=1))
    assert not torch.equal(plain.stem[0].weight, other.stem[0].weight)


def test_the_whole_width_is_table_i_and_a_part_of_it_has_the_same_kernels():
    assert sign_training.rows(1.0) == TABLE_I
    half = sign_training.rows(0.5)
    assert all(row.inside % 8 == row.out % 8 == 0 for row in half)
    same = ("kernel", "time_kernel", "squeeze", "hard_swish", "stride", "time_stride")
    for thin, row in zip(half, TABLE_I, strict=True):
        assert [getattr(thin, name) for name in same] == [getattr(row, name) for name in same]
        assert thin.out == row.out / 2 or row is TABLE_I[0] or abs(thin.out - row.out / 2) <= 4


def test_imagenet_weights_are_inflated(monkeypatch):
    video = sign_starts.runtime.import_torchvision()
    flat = video.models.mobilenet_v3_large(weights=None)
    asked = []
    models = types.SimpleNamespace(mobilenet_v3_large=lambda weights: asked.append(weights) or flat)
    monkeypatch.setattr(
        sign_starts.runtime, "import_torchvision", lambda: types.SimpleNamespace(models=models)
    )
    network = build(Config.profile("smoke", width=1.0, start="imagenet"))
    assert asked == ["IMAGENET1K_V1"]
    assert torch.equal(network.stem[0].weight, flat.features[0][0].weight)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"rung": "tv-loss"}, "Did you mean 'tv_loss'"),
        ({"subset": 5}, "subset must be"),
        ({"words": 201}, "gestures has no more"),
        ({"size": 48}, "multiple of 32"),
        ({"frames": 12}, "at least 16"),
        ({"takes": 0}, "takes must be positive"),
        ({"batch_size": 1}, "batch norm"),
        ({"streams": 2}, "streams must be at most"),
        ({"start": "imagenet"}, "width 1 only"),
    ],
)
def test_a_run_that_cannot_be_is_refused(wrong, says):
    with pytest.raises(ConfigError, match=says):
        Config.profile("smoke", **wrong)


# What is seen ---------------------------------------------------------------------------------------------


def test_still_clips_show_one_frame_and_shuffled_ones_the_same_frames():
    x = torch.arange(2 * 3 * 8 * 2 * 2, dtype=torch.float32).view(2, 3, 8, 2, 2)
    assert as_shown(x, "clip") is x
    still = as_shown(x, "still")
    assert all(torch.equal(still[:, :, t], x[:, :, 4]) for t in range(8))
    torch.manual_seed(1)
    shuffled = as_shown(x, "shuffled")
    order = [[int((clip[:, t, None] == own).all(dim=(0, 2, 3)).nonzero()) for t in range(8)]
             for clip, own in zip(shuffled, x, strict=True)]  # fmt: skip
    assert all(sorted(places) == list(range(8)) != places for places in order) and order[0] != order[1]


def test_what_is_asked_about_is_the_middle_of_each_sign():
    frame = np.arange(2 * 24 * 3, dtype=np.uint8).reshape(2, 24, 3, 1, 1)
    none = np.zeros(2, np.int64)
    clips = SignClips(frame, none, none, np.array([2, 9]), np.array([22, 15]), ("a", "b"), "numbers")
    long, short = segments(clips)
    assert np.array_equal(long, frame[0, 4:20])  # two of twenty frames are left out at each end
    assert np.array_equal(short, frame[1, [9] * 10 + [9, 10, 11, 12, 13, 14]])


def test_settling_measures_batch_norm_on_the_clips_and_changes_nothing_else():
    network = build(Config.profile("smoke", rung="tv_loss", width=0.125))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    frame = np.random.default_rng(0).integers(0, 255, (4, 16, 3, SIZE, SIZE), np.uint8)
    settle(network, frame, 2)
    assert not any(module.training for module in network.modules())
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {name for name in before if "running" in name or "num_batches" in name}
    with torch.no_grad():
        first = network.stem[0](to_input(torch.from_numpy(frame)))
    norm = network.stem[1]
    torch.testing.assert_close(norm.running_mean, first.mean((0, 2, 3, 4)), atol=1e-5, rtol=1e-4)
    assert norm.momentum == 0.1  # as before


def test_confusions_count_by_the_part_that_differs():
    word = np.array([0, 1, 0, 2, 3, 1, 4, 5])
    said = np.array([0, 0, 2, 0, 0, 2, 0, 4])  # 1 for 2 differs in two parts, 0 for 4 is of another family
    found = signs_in_video.confusions(np.eye(8)[said], word)
    assert found == {"taken_backwards": 2 / 8, "taken_for_other_path": 2 / 8, "taken_for_other_hand": 1 / 8}


def test_pictures_to_mix_with_are_no_two_alike(monkeypatch):
    monkeypatch.setattr(sign_training, "PICTURES", 6)
    found = sign_training.pictures(32)
    assert found.shape == (6, 3, 32, 32) and found.dtype == torch.uint8
    assert len(found.flatten(1).unique(dim=0)) == 6


# Streams --------------------------------------------------------------------------------------------------


def test_a_stream_gives_what_its_windows_give_as_clips(config):
    network, loss = build(config).eval(), loss_of(config)
    frame = stream_of_bars("signs", 0, 1, [2, 0], frames=24, size=SIZE)["image"].numpy()
    slid = streams.slide(frame, lambda some: scores(network, loss, some), every=5, batch=3)
    for found, rows in zip(slid, streams.windows(len(frame), every=5), strict=True):
        with torch.no_grad():
            clip = to_input(torch.from_numpy(frame[rows][None]))
            alone = loss.cosine(network(clip))[0].numpy()
        np.testing.assert_allclose(found, alone, atol=1e-5)


def truthful(frame: np.ndarray) -> np.ndarray:
    """Scores of windows of `labelled`, whose pixels are words: surest where all frames agree."""
    seen = frame[:, :, 0, 0, 0].astype(int) - 1
    return np.stack([(seen == word).mean(axis=1) for word in range(4)], axis=1)


def labelled(name, seed, signer, sequence, *, frames, size) -> dict[str, torch.Tensor]:
    label = torch.tensor([-1] * 6 + [n for word in sequence for n in [word] * 16 + [-1] * 6])
    return {"image": (label + 1).to(torch.uint8)[:, None, None, None].repeat(1, 3, 4, 4), "label": label}


def test_one_who_sees_all_finds_all(monkeypatch):
    monkeypatch.setattr(signs, "stream", labelled)
    config = Config.profile("smoke", test_signers=2, streams=2, stream_signs=4, stream_step=1)
    told, arrays = sign_streams.measure(config, truthful)
    assert told["f1"] == told["windows_named_right"] == 1 and told["word_error_rate"] == 0
    assert (told["n_signed"], told["n_streams"], told["lag_frames"]) == (8, 2, 0)
    assert arrays["stream_said_word"].tolist() == streams.signed(arrays["stream_word"]).word.tolist()
    assert sorted(arrays["stream_said_word"]) == [0, 1, 2, 3]
    assert len(arrays["stream_scores"]) == len(arrays["stream_word"])

    wrong, _ = sign_streams.measure(config, lambda frame: truthful(frame)[:, [1, 2, 3, 0]])
    assert wrong["f1"] == wrong["windows_named_right"] == 0 and wrong["word_error_rate"] >= 1


def test_the_threshold_comes_from_others_than_those_asked(monkeypatch):
    """Of two streams, one by a signer whose windows are only half as sure, the one of validation decides."""
    asked = []

    def spy(name, seed, signer, *settings, **more):
        asked.append(signer)
        return labelled(name, seed, signer, *settings, **more)

    monkeypatch.setattr(signs, "stream", spy)
    config = Config.profile("smoke", stream_step=1)
    who = parts(config)
    thresholds = [
        sign_streams.measure(config, lambda frame, share=share: share * truthful(frame))[0]["threshold"]
        for share in (1.0, 0.5)
    ]
    assert thresholds == [1.0, 0.5]
    assert asked == 2 * [*who["validation"].signers, *who["test"].signers]


# The record -----------------------------------------------------------------------------------------------


def test_the_record_tells_what_its_arrays_say(config, record, monkeypatch):
    assert results.read_record(signs_in_video.record_path(config)) == json.loads(json.dumps(record))
    assert results.state(record) == "fresh" and record["published"] == {}
    metrics, arrays = record["metrics"], results.read_arrays(signs_in_video.arrays_path(config))
    assert arrays["scores"].shape == (8, 4) and abs(arrays["scores"]).max() <= 1 + 1e-5
    assert metrics["strangers"].items() >= word_metrics(arrays["scores"], arrays["word"]).items()
    people = metrics["strangers_top1"]
    own = [arrays["signer"] == who for who in np.unique(arrays["signer"])]
    right = arrays["scores"].argmax(axis=1) == arrays["word"]
    assert people["by_signer"] == [right[rows].sum() / 4 for rows in own] and people["n"] == 2
    assert people["mean"] == pytest.approx(metrics["strangers"]["top1"])
    first = arrays["word"] < 2
    alone = word_metrics(arrays["scores"][first][:, :2], arrays["word"][first])
    assert metrics["subset"]["only_among"] == alone
    assert metrics["subset"]["only_among_top1"]["mean"] == pytest.approx(alone["top1"])
    assert metrics["trivial"]["top1"] == metrics["trivial"]["map"] == 1 / 4
    assert len(metrics["history"]["loss"]) == 2 and metrics["clips_seen"] == 2 * 32
    assert [arrays[f"mask_after_bottleneck_{n}"].shape for n in (9, 12)] == [(3, 8, 2, 2), (3, 4, 1, 1)]
    assert arrays["mask_frames"].shape == (3, 8, 3, SIZE, SIZE)
    monkeypatch.setattr(signs_in_video, "_measure", lambda config: pytest.fail("measured again"))
    assert signs_in_video.run(config) == record


def test_nobody_teaches_and_is_asked(config, record):
    people = [set(range(*told["signers"])) for told in record["split"].values()]
    assert [len(some) for some in people] == [4, 1, 2]
    assert len(set.union(*people)) == 7
    asked = results.read_arrays(signs_in_video.arrays_path(config))["signer"]
    assert set(asked) == people[2]


def test_a_kill_on_the_way_changes_nothing(elsewhere, config, record, monkeypatch):
    calls, augmented = [], ClipAugmentation.__call__

    def dies(self, *batch):
        calls.append(len(batch[0]))
        if len(calls) == 6:  # the second batch of the second epoch
            raise KeyboardInterrupt
        return augmented(self, *batch)

    monkeypatch.setattr(ClipAugmentation, "__call__", dies)
    with pytest.raises(KeyboardInterrupt):
        signs_in_video.run(config)
    assert not list(elsewhere.rglob("*.safetensors")) and not list(elsewhere.rglob("*.json"))
    assert signs_in_video.run(config)["metrics"] == record["metrics"]
    assert len(calls) == 6 + 4  # the first epoch is not gone through again


def test_the_scale_falls_over_the_epochs_and_is_kept(config, record):
    clips = parts(config)["train"].load()
    _, loss, _ = sign_training.trained(config, clips, signs_in_video.record_path(config))  # stored
    assert float(loss.epoch) == config.epochs
    assert float(loss.scale) == pytest.approx(30 - 25 * 30 / 40)


def test_what_is_learned_from_is_named(config, record, monkeypatch):
    sha256 = signs_in_video.data_sha256(config)
    assert record["data"]["sha256"] == sha256
    counts = ("words", "signers", "takes", "validation_signers", "test_signers", "test_takes", "frames")
    larger = [{name: 17} for name in (*counts, "stream_signs")]
    for more in [*larger, {"streams": 2}, {"size": 64}, {"start": "imagenet", "width": 1.0}]:
        other = dataclasses.replace(config, **more)
        assert signs_in_video.data_sha256(other) != sha256, more
    for more in [{"rung": "mixup"}, {"epochs": 3}, {"seed": 1}, {"shown": "still"}]:  # the same data
        assert signs_in_video.data_sha256(dataclasses.replace(config, **more)) == sha256, more
    monkeypatch.setattr(sign_sets.hand_sets, "_table", lambda: b"another table")
    with pytest.raises(RecordError, match="measured on other data"):
        signs_in_video.run(config)


def test_only_full_runs_are_committed_and_each_has_a_name():
    asked = [
        {},
        {"rung": "am_softmax"},
        {"seed": 1},
        {"shown": "still"},
        {"start": "imagenet"},
        {"words": 30},
    ]
    full = [signs_in_video.record_path(Config.profile("full", **more)) for more in asked]
    assert len(set(full)) == len(asked) and all(paths.RESULTS in path.parents for path in full)
    assert full[0].name.startswith("tv_loss-100_gestures-224px-seed0-")
    assert paths.RESULTS not in signs_in_video.record_path(Config.profile("quick")).parents


def test_the_full_profile_is_as_large_as_promised():
    who = parts(Config.profile("full"))
    assert who["train"].words >= 20 and len(who["train"]) >= 2_000
    assert sign_sets.proof(who)["in_two_parts"] == 0


def test_without_attention_there_are_no_masks():
    network = S3DMobileNetV3(attention=False, rows=sign_training.rows(0.125)).eval()
    frame = np.zeros((2, 16, 3, SIZE, SIZE), np.uint8)
    assert signs_in_video._masks(network, frame) == ({}, {})


def test_statistics_are_measured_on_batches_of_everybody():
    """Clips lie in order of their signers: batches in that order would miss how signers differ."""
    network = build(Config.profile("smoke", rung="am_softmax", width=0.125))
    shade = np.repeat(np.array([20, 220], np.uint8), 8)  # two signers, eight clips each
    frame = np.broadcast_to(shade[:, None, None, None, None], (16, 16, 3, SIZE, SIZE)).copy()
    torch.manual_seed(3)
    settle(network, frame, 8)
    with torch.no_grad():
        first = network.stem[0](to_input(torch.from_numpy(frame)))
    apart = first[8:].mean((0, 2, 3, 4)) - first[:8].mean((0, 2, 3, 4))
    assert (network.stem[1].running_var > 0.15 * apart.square()).all()  # a quarter, were batches even


def test_a_word_that_comes_twice_is_two_signs():
    """A window that sees the first whole counts, however often the word comes."""
    label = np.array([-1] * 8 + [0] * 12 + [-1] * 20 + [0] * 12)
    words = np.where(
        np.arange(len(label)) < 30, 0, 1
    )  # said of the window that ends there: later ones are wrong
    scores = np.eye(2)[words]
    share = sign_streams._windows_named_right([scores], [(np.zeros(1), label)], 1)
    ends = [t for t in range(len(label)) if 19 <= t <= 23 or t >= 51]  # of windows that see a sign whole
    assert share == np.mean([words[t] == 0 for t in ends])
