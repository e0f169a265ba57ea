"""The letter network: who teaches it, what its files are worth, and that a kill on the way changes nothing."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from thesislib import book, paths, results
from thesislib.chapters import hand_sets, letter_network
from thesislib.chapters.letter_heads import LetterAugmentation
from thesislib.chapters.letter_network import STATIC, Config, letter_places, stored
from thesislib.results import RecordError
from thesislib.training import TrainingDiverged


@pytest.fixture(scope="module")
def network(letters_taught):
    """The network that the smoke run has taught."""
    return letter_network.load(letters_taught)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty build folder for one test."""
    monkeypatch.setattr(paths, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(paths, "QUICK_RESULTS", tmp_path / "results")
    return tmp_path


@pytest.fixture
def weights_file(letters_taught):
    """The taught network's file of weights, put back as it was after the test."""
    path = letter_network.weights_path(letters_taught)
    content = path.read_bytes()
    yield path
    path.write_bytes(content)


# The record -------------------------------------------------------------------------------------------


def test_the_record_tells_how_well_strangers_letters_are_read(letters_taught, network):
    record = letter_network.run(letters_taught)
    assert results.read_record(letter_network.record_path(letters_taught)) == json.loads(json.dumps(record))
    assert results.state(record) == "fresh" and record["published"] == {}
    metrics = record["metrics"]
    assert len(metrics["history"]["loss"]) == letters_taught.epochs and metrics["chance"] == 1 / 24
    test = letter_network.hands(letters_taught, "test")
    read = letter_network.logits(network, test.image).argmax(axis=1)
    right = [STATIC[place] == chr(ord("a") + letter) for place, letter in zip(read, test.letter, strict=True)]
    assert metrics["unseen_invented_signers"]["top1_micro"] == pytest.approx(np.mean(right))
    assert metrics["parameters"] == sum(p.numel() for p in network.parameters())
    assert "24 hands by 4 signers" in book.provenance(record, 1).data


def test_nobody_teaches_and_is_asked():
    for profile in ("smoke", "quick", "full"):
        config = Config.profile(profile)
        train, test = (set(letter_network.signer_range(config, part)) for part in ("train", "test"))
        assert len(train) == config.signers and len(test) == config.test_signers and not train & test


def test_each_part_is_drawn_by_its_own_signers_and_its_own_seed(monkeypatch):
    asked = {}

    def rendered(kind, seed, count, *, signers, **settings):
        asked[seed] = (kind, count, set(signers))

    monkeypatch.setattr(letter_network, "rendered", rendered)
    config = Config.profile("smoke")
    for part in ("train", "test"):
        letter_network.hands(config, part)
    (first, second) = asked.values()  # of two seeds: the same one would give both parts the same scenes
    assert first[:2] == ("letters", config.hands) and second[:2] == ("letters", config.test_hands)
    assert not first[2] & second[2]


def test_places_of_letters_skip_j_and_z():
    latin = np.array([ord(name) - ord("a") for name in "abijkyz"])
    expected = [STATIC.index(name) if name in STATIC else -1 for name in "abijkyz"]
    assert letter_places(latin).tolist() == expected


def test_left_hands_are_turned_into_right_ones_before_they_teach(letters_taught, network, elsewhere):
    """With every picture mirrored and said to be of a left hand, the same network comes out."""
    right = letter_network.rendered

    def mirrored(*arguments, **settings):
        hands = right(*arguments, **settings)
        flipped = np.ascontiguousarray(hands.image[..., ::-1])
        return type(hands)(**vars(hands) | {"image": flipped, "left": np.ones(len(hands.image), bool)})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(letter_network, "rendered", mirrored)
        found = letter_network.load(letters_taught)
    assert letter_network.weights_path(letters_taught).is_relative_to(elsewhere)
    for name, tensor in found.state_dict().items():
        torch.testing.assert_close(tensor, network.state_dict()[name], msg=name)


def test_what_is_learned_from_is_named_by_the_table_the_numbers_and_the_network_it_starts_from(
    letters_taught, monkeypatch, tmp_path
):
    sha256 = letter_network.data_sha256(letters_taught)
    assert letter_network.run(letters_taught)["data"]["sha256"] == sha256
    other = Config(**letters_taught.as_dict() | {"hands": 72})
    assert letter_network.data_sha256(other) != sha256
    with monkeypatch.context() as patch:
        patch.setattr(results, "source_hash", lambda module: "0" * 16)
        assert letter_network.data_sha256(letters_taught) == sha256
    with monkeypatch.context() as patch:
        patch.setattr(hand_sets, "_table", lambda: b"another table")
        assert letter_network.data_sha256(letters_taught) != sha256
    pose = tmp_path / "pose-other.safetensors"
    pose.write_bytes(b"another network")
    monkeypatch.setattr(letter_network.pose_model, "default_model", lambda: pose)
    assert letter_network.data_sha256(letters_taught) != sha256
    with pytest.raises(RecordError, match="measured on other data"):
        letter_network.load(letters_taught)


# Files ------------------------------------------------------------------------------------------------


def test_a_kill_on_the_way_changes_nothing(letters_taught, network, elsewhere, monkeypatch):
    calls, augmented = [], LetterAugmentation.__call__

    def dies(self, images):
        calls.append(len(images))
        if len(calls) == 4:  # the second batch of the second epoch
            raise KeyboardInterrupt
        return augmented(self, images)

    monkeypatch.setattr(LetterAugmentation, "__call__", dies)
    with pytest.raises(KeyboardInterrupt):
        letter_network.run(letters_taught)
    assert not list(elsewhere.rglob("*.safetensors")) and not list(elsewhere.rglob("*.json"))
    metrics = letter_network.run(letters_taught)["metrics"]
    assert len(calls) == 4 + 2  # the first epoch is not gone through again
    letter_network.record_path(letters_taught).unlink()  # lost, but what was trained is there
    assert letter_network.run(letters_taught)["metrics"] == metrics and len(calls) == 6
    monkeypatch.setattr(letter_network, "_measure", lambda config: pytest.fail("measured again"))
    found = letter_network.load(letters_taught)
    assert not found.training and not any(p.requires_grad for p in found.parameters())
    for name, tensor in found.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name]), name


@pytest.mark.parametrize("damage", ["cut short", "other names", "other shapes"])
def test_damaged_and_foreign_weights_are_refused(letters_taught, weights_file, damage):
    if damage == "cut short":
        weights_file.write_bytes(weights_file.read_bytes()[:-100])
    else:
        weights = load_file(weights_file)
        changed = {
            f"{name}.x" if damage == "other names" else name: tensor
            if damage == "other names"
            else tensor[:1]
            for name, tensor in weights.items()
            if tensor.ndim
        }
        save_file({name: tensor.contiguous() for name, tensor in changed.items()}, weights_file)
    with pytest.raises(RecordError, match="delete it and run again"):
        letter_network.load(letters_taught)


def test_weights_that_are_gone_are_made_again(letters_taught, weights_file):
    before = weights_file.read_bytes()
    weights_file.unlink()
    letter_network.load(letters_taught)
    assert weights_file.read_bytes() == before


def test_a_loss_that_is_no_number_leaves_no_weights_and_no_record(letters_taught, elsewhere):
    config = Config(**letters_taught.as_dict() | {"lr_max": 1e30})
    with pytest.raises(TrainingDiverged, match="lower lr_max"):
        letter_network.run(config)
    assert not list(elsewhere.rglob("*.safetensors")) and not list(elsewhere.rglob("*.json"))


def test_without_a_stored_network_it_is_said_how_to_make_one(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "RESULTS", tmp_path)
    with pytest.raises(RecordError, match="run letter_network --profile full"):
        stored()


def test_only_full_runs_are_committed():
    full, quick = Config.profile("full"), Config.profile("quick")
    assert paths.RESULTS in letter_network.record_path(full).parents
    path = letter_network.weights_path(full)
    assert path.parent == paths.WEIGHTS and not path.match("pose-*")  # which default_model() looks for
    assert paths.RESULTS not in letter_network.record_path(quick).parents
    assert paths.WEIGHTS not in letter_network.weights_path(quick).parents


def test_a_network_from_scratch_is_of_the_same_shape_with_weights_of_its_own(letters_taught):
    made = {
        start: letter_network.build(Config.profile("smoke", start=start)) for start in ("pose", "scratch")
    }
    shapes = [{n: t.shape for n, t in network.state_dict().items()} for network in made.values()]
    assert shapes[0] == shapes[1]
    first = [network.encoder.blocks[0][0].weight for network in made.values()]
    assert not torch.equal(*first)
    again = letter_network.build(Config.profile("smoke", start="scratch"))
    assert torch.equal(again.encoder.blocks[0][0].weight, first[1])
