"""What a network of signs has learned before: kept whole, read back, and told from what it is not."""

import dataclasses

import pytest
import torch

from thesislib import paths
from thesislib.chapters import sign_starts, sign_training
from thesislib.chapters.sign_training import Config, build, parts
from thesislib.config import ConfigError
from thesislib.results import RecordError

OTHERS = range(20_000_000, 20_000_005)
SMALL = dict(rung="tv_loss", width=0.125)


@pytest.fixture
def weights(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "WEIGHTS", tmp_path)
    return tmp_path


@pytest.fixture
def kept(weights):
    """A network that others start from; its batch norms have seen something."""
    network = build(Config.profile("smoke", **SMALL, seed=7))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.uniform_(-1, 1)
            module.num_batches_tracked.fill_(3)
    sign_starts.keep(network, OTHERS, "kept")
    return network


def test_a_kept_network_comes_back_as_far_as_16_bits_go(kept):
    own = kept.state_dict()
    for name, tensor in build(Config.profile("smoke", **SMALL, start="signs")).state_dict().items():
        expected = own[name].half().float() if own[name].ndim > 1 else own[name]
        assert tensor.dtype == own[name].dtype and torch.equal(tensor, expected), name


def test_a_rung_without_attention_leaves_it_and_one_with_it_keeps_its_own(kept, weights):
    plain = build(Config.profile("smoke", rung="am_softmax", width=0.125, start="signs"))
    assert torch.equal(plain.stem[0].weight, kept.stem[0].weight.half().float())
    (weights / "signs-kept.safetensors").unlink()
    sign_starts.keep(plain, OTHERS, "plain")
    own = build(Config.profile("smoke", **SMALL))
    begun = build(Config.profile("smoke", **SMALL, start="signs"))
    for name, tensor in begun.state_dict().items():
        if name.startswith("attentions."):
            assert torch.equal(tensor, own.state_dict()[name]), name
        else:
            assert torch.equal(tensor, plain.state_dict()[name]), name  # of 16 bits already


def test_whom_the_start_has_seen_is_in_no_part(kept):
    config = Config.profile("smoke", **SMALL, start="signs")
    seen = {signer for part in parts(config).values() for signer in part.signers}
    assert sign_starts.taught_by("signs") == OTHERS and not seen & set(OTHERS)
    scratch = parts(dataclasses.replace(config, start="scratch"))
    assert scratch["train"].signers.start == OTHERS.start and sign_starts.taught_by("scratch") == range(0)


def test_the_start_is_named_by_its_file(kept, weights):
    before = sign_starts.digest("signs")
    assert sign_starts.digest("scratch") == "scratch"
    sign_starts.keep(build(Config.profile("smoke", **SMALL, seed=8)), OTHERS, "kept")
    assert sign_starts.digest("signs") != before


def test_a_network_of_another_width_is_refused(kept):
    with pytest.raises(ConfigError, match="another width"):
        build(Config.profile("smoke", rung="tv_loss", width=0.25, start="signs"))


def test_a_missing_a_damaged_a_foreign_and_a_second_file_are_told_apart(weights):
    with pytest.raises(RecordError, match="holds no signs-"):
        sign_starts.stored()
    path = weights / "signs-x.safetensors"
    path.write_bytes(b"not weights")
    with pytest.raises(RecordError, match="no network of signs"):
        sign_starts.taught_by("signs")
    path.write_bytes(sign_starts.serialised({"a": torch.zeros(1)}, {"format": "another"}))
    with pytest.raises(RecordError, match="another format"):
        sign_starts.taught_by("signs")
    (weights / "signs-y.safetensors").write_bytes(b"")
    with pytest.raises(RecordError, match="move all but one away"):
        sign_starts.digest("signs")


def test_imagenets_weights_that_cannot_be_had_are_explained(monkeypatch):
    def offline(weights):
        raise OSError("no route to host")

    models = type("models", (), {"mobilenet_v3_large": staticmethod(offline)})
    monkeypatch.setattr(sign_starts.runtime, "import_torchvision", lambda: type("tv", (), {"models": models}))
    with pytest.raises(ConfigError, match="go online"):
        build(Config.profile("smoke", width=1.0, start="imagenet"))


def test_only_the_plain_network_of_the_small_vocabulary_is_kept():
    kept = Config.profile("full", rung=sign_training.LADDER[0], vocabulary="signs", words=40)
    assert kept.is_kept
    others = [{"seed": 1}, {"rung": "mixup"}, {"shown": "still"}, {"start": "imagenet"}]
    others += [{"vocabulary": "gestures"}]
    assert not any(dataclasses.replace(kept, **more).is_kept for more in others)
    assert not Config.profile("smoke", rung="am_softmax", vocabulary="signs").is_kept
