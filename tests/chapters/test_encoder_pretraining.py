"""Encoders that learn letters: who teaches and who asks, where the weights lie, and that a kill changes nothing.

A tiny network stands for torchvision's, and pictures in 24 shades for letters; `networks.hand_encoders` has tests
of its own.
"""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from thesislib import paths, results
from thesislib.chapters import encoder_pretraining, hand_sets, letter_network
from thesislib.chapters.encoder_pretraining import Config
from thesislib.chapters.letter_heads import LetterAugmentation
from thesislib.datasets.hand_images import HandImages
from thesislib.networks.hand_encoders import HandEncoder
from thesislib.results import RecordError
from thesislib.transforms.hands import to_input

SIZE, FEATURES = 16, 8
STATIC = [number for number in range(26) if chr(ord("a") + number) not in "jz"]


def shaded(kind, seed, count, *, signers, size, **settings) -> HandImages:
    """In place of datasets.rendered_hands.rendered: the letter is how light a picture is, its left half less."""
    random = np.random.default_rng(seed)
    letter = np.array(STATIC)[np.arange(count) % 24]
    image = np.broadcast_to(10 * letter[:, None, None, None], (count, 3, size, size)).copy()
    image[..., : size // 2] //= 2
    return HandImages(
        image=(image + random.integers(0, 5, image.shape)).astype(np.uint8),
        keypoints=random.uniform(0, size, (count, 21, 2)).astype(np.float32),
        visible=np.ones((count, 21), bool),
        left=np.zeros(count, bool),
        signer=np.array(signers)[np.arange(count) % len(signers)].astype(np.int64),
        letter=letter.astype(np.int64),
        source=f"shades, {kind}",
    )


def tiny(name: str, *, imagenet: bool = False) -> HandEncoder:
    """In place of library_encoder: 2 x 2 cells of a convolution."""
    layers = nn.Conv2d(3, FEATURES // 4, 3, stride=2), nn.BatchNorm2d(FEATURES // 4), nn.ReLU()
    return HandEncoder(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten()), FEATURES)


@pytest.fixture(autouse=True, scope="module")
def small_things(build_folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder_pretraining, "library_encoder", tiny)
        patch.setattr(letter_network, "rendered", shaded)
        yield


@pytest.fixture(scope="module")
def config(small_things) -> Config:
    """A configuration that was run."""
    config = Config.profile("smoke", size=SIZE, epochs=3, lr_max=0.02)
    encoder_pretraining.run(config)
    return config


@pytest.fixture(scope="module")
def record(config):
    return encoder_pretraining.run(config)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty build folder for one test."""
    monkeypatch.setattr(paths, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(paths, "QUICK_RESULTS", tmp_path / "results")
    return tmp_path


def weights_file(config: Config):
    """The one file of weights that runs of this encoder left."""
    (path,) = (paths.RUNS / encoder_pretraining.EXPERIMENT).glob(f"{config.encoder}-*/*.safetensors")
    return path


@pytest.fixture
def restored(config):
    """The run's file of weights, put back as it was after the test."""
    path = weights_file(config)
    content = path.read_bytes()
    yield path
    path.write_bytes(content)


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


# The record -----------------------------------------------------------------------------------------------


def test_the_record_tells_how_well_strangers_letters_are_read(config, record, monkeypatch):
    assert results.read_record(encoder_pretraining.record_path(config)) == json.loads(json.dumps(record))
    assert results.state(record) == "fresh" and record["published"] == {}
    metrics, history = record["metrics"], record["metrics"]["history"]
    assert len(history["loss"]) == 3 and history["loss"][-1] < history["loss"][0]
    encoder = encoder_pretraining.load(config).eval()
    reader = nn.Linear(FEATURES, 24)
    kept = load_file(weights_file(config))
    reader.load_state_dict({name: kept[f"network.1.{name}"] for name in ("weight", "bias")})
    test = shaded("letters", hand_sets.SEEDS["test"], 24, signers=range(2), size=SIZE)
    with torch.inference_mode():
        read = reader(encoder(to_input(torch.from_numpy(test.image)))).argmax(dim=1).numpy()
    assert metrics["unseen_invented_signers"]["top1_micro"] == np.mean(np.array(STATIC)[read] == test.letter)
    assert metrics["chance"] == 1 / 24 and metrics["parameters"] == 3 * 9 * 2 + 2 + 2 * 2
    monkeypatch.setattr(encoder_pretraining, "_measure", lambda config: pytest.fail("measured again"))
    assert encoder_pretraining.run(config) == record


def test_nobody_teaches_and_is_asked(record):
    parts = record["split"]
    assert {part: told["hands"] for part, told in parts.items()} == {"train": 64, "test": 24}
    people = [set(range(*told["signers"])) for told in parts.values()]
    assert [len(some) for some in people] == [4, 2] and not set.intersection(*people)


def test_what_is_drawn_is_what_was_asked_for(elsewhere, config, monkeypatch):
    asked = {}

    def spy(kind, seed, count, *, signers, size, **settings):
        asked[seed] = kind, count, set(signers), size
        return shaded(kind, seed, count, signers=signers, size=size)

    monkeypatch.setattr(letter_network, "rendered", spy)
    record = encoder_pretraining.run(config)
    train, test = (asked[hand_sets.SEEDS[part]] for part in ("train", "test"))
    assert (train[0], train[1], train[3]) == ("letters", 64, SIZE)
    assert (test[0], test[1], test[3]) == ("letters", 24, SIZE)
    assert [set(range(*told["signers"])) for told in record["split"].values()] == [train[2], test[2]]


def test_left_hands_are_turned_into_right_ones_before_they_teach(elsewhere, config, monkeypatch):
    """With every picture mirrored and said to be of a left hand, the same encoder comes out."""
    right = encoder_pretraining.load(config)

    def mirrored(*arguments, **settings):
        hands = shaded(*arguments, **settings)
        flipped = np.ascontiguousarray(hands.image[..., ::-1])
        return HandImages(**vars(hands) | {"image": flipped, "left": np.ones(len(flipped), bool)})

    monkeypatch.setattr(letter_network, "rendered", mirrored)
    monkeypatch.setattr(paths, "RUNS", elsewhere / "other")
    assert same(encoder_pretraining.load(config), right)


def test_what_is_learned_from_is_named_by_the_table_and_the_numbers(config, record, monkeypatch):
    sha256 = encoder_pretraining.data_sha256(config)
    assert record["data"]["sha256"] == sha256
    for name in ("hands", "signers", "test_hands", "test_signers"):
        other = Config(**config.as_dict() | {name: 7})
        assert encoder_pretraining.data_sha256(other) != sha256, name
    with monkeypatch.context() as patch:
        patch.setattr(results, "source_hash", lambda module: "0" * 16)
        assert encoder_pretraining.data_sha256(config) == sha256
    monkeypatch.setattr(hand_sets, "_table", lambda: b"another table")
    with pytest.raises(RecordError, match="measured on other data"):
        encoder_pretraining.run(config)


def test_only_full_runs_are_committed_and_each_has_a_name():
    encoders = ("resnet50", "densenet121", "inception_v3")
    full = [encoder_pretraining.record_path(Config.profile("full", encoder=name)) for name in encoders]
    for name, path in zip(encoders, full, strict=True):
        assert paths.RESULTS in path.parents and path.name.startswith(f"{name}-12000-hands-seed0-")
    quick = encoder_pretraining.record_path(Config.profile("quick"))
    assert paths.RESULTS not in quick.parents and len({*full, quick}) == 4


# The weights ----------------------------------------------------------------------------------------------


def test_the_encoder_that_learned_is_loaded_without_its_reader(config):
    kept, encoder = load_file(weights_file(config)), encoder_pretraining.load(config)
    assert isinstance(encoder, HandEncoder) and all(p.requires_grad for p in encoder.parameters())
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, kept[f"network.0.{name}"]), name
    assert not same(encoder, encoder_pretraining.build(config)[0])


def test_weights_that_are_gone_are_made_again_and_the_same(config):
    before = encoder_pretraining.load(config)
    path = weights_file(config)
    content = path.read_bytes()
    path.unlink()
    assert same(encoder_pretraining.load(config), before) and path.read_bytes() == content


def test_a_kill_on_the_way_changes_nothing(elsewhere, config, record, monkeypatch):
    calls, augmented = [], LetterAugmentation.__call__

    def dies(self, images):
        calls.append(len(images))
        if len(calls) == 4:  # the second batch of the second epoch
            raise KeyboardInterrupt
        return augmented(self, images)

    monkeypatch.setattr(LetterAugmentation, "__call__", dies)
    with pytest.raises(KeyboardInterrupt):
        encoder_pretraining.run(config)
    assert not list(elsewhere.rglob("*.safetensors")) and not list(elsewhere.rglob("*.json"))
    assert encoder_pretraining.run(config)["metrics"] == record["metrics"]
    assert len(calls) == 4 + 4  # the first epoch is not gone through again


@pytest.mark.parametrize("damage", ["cut short", "other names", "other shapes"])
def test_damaged_and_foreign_weights_are_refused(config, restored, damage):
    path, weights = restored, load_file(restored)
    if damage == "cut short":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "other names":
        save_file({f"{name}.x": tensor for name, tensor in weights.items()}, path)
    else:
        save_file({name: tensor.flatten()[:1].clone() for name, tensor in weights.items()}, path)
    with pytest.raises(RecordError, match="delete it and run again"):
        encoder_pretraining.load(config)


def test_other_code_learns_anew(config, monkeypatch):
    before = weights_file(config)
    monkeypatch.setattr(results, "source_hash", lambda module: "0" * 16)
    encoder_pretraining.load(config)
    others = set((paths.RUNS / encoder_pretraining.EXPERIMENT).glob("*/weights.safetensors")) - {before}
    assert len(others) == 1
    for path in others:
        path.unlink()
