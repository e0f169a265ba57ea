"""Signing and spelling: who does what, what counts as an answer while somebody spells, and one small run."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from thesislib import paths, results
from thesislib.chapters import sign_sets, sign_starts, sign_training, signs_and_spelling
from thesislib.chapters.signs_and_spelling import ASKED, ROWS, SHOWN, TEXTS, Config, sequence_of
from thesislib.config import ConfigError
from thesislib.datasets.sign_clips import SignClips
from thesislib.evaluation import streams
from thesislib.evaluation.streams import Events
from thesislib.synthetic import spelling

WIDTH = 0.125
FRAMES = 24


def shade(item: int | str) -> int:
    """Words are bright and texts are dark: what a network can tell without having learned."""
    return 120 + 30 * item if isinstance(item, int) else 5 + TEXTS.index(item)


def drawn(name, seed, signer, sequence, *, frames, size) -> dict[str, torch.Tensor]:
    """In place of spelling.stream: pauses of eight frames, signs of 16, texts of 20, all of one brightness."""
    place = [-1] * 8
    for number, item in enumerate(sequence):
        place += [number] * (20 if isinstance(item, str) else 16) + [-1] * 8
    light = torch.tensor([60 if n < 0 else shade(sequence[n]) for n in place], dtype=torch.uint8)
    return {"image": light[:, None, None, None].repeat(1, 3, size, size), "place": torch.tensor(place)}


def loaded(asked: sign_sets.InventedSigns) -> SignClips:
    """In place of InventedSigns.load: clips of one brightness a word."""
    rows = [(s, w) for s in asked.signers for w in range(asked.words) for _ in range(asked.takes)]
    signer, word = np.array(rows, np.int64).T
    light = np.array([shade(int(w)) for w in word], np.uint8)[:, None, None, None, None]
    frame = np.broadcast_to(light, (len(rows), FRAMES, 3, asked.size, asked.size)).copy()
    names = tuple(f"word {n}" for n in range(asked.words))
    return SignClips(frame, word, signer, np.full(len(rows), 4), np.full(len(rows), 20), names, "shades")


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A small run on shades: its configuration and its record."""
    folder = tmp_path_factory.mktemp("spelling")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "WEIGHTS", folder)
        patch.setattr(paths, "QUICK_RESULTS", folder / "results")
        patch.setattr(spelling, "stream", drawn)
        patch.setattr(sign_sets.InventedSigns, "load", loaded)
        plain = sign_training.Config.profile("smoke", rung="am_softmax", width=WIDTH, vocabulary="signs")
        sign_starts.keep(sign_training.build(plain).eval(), range(20_000_000, 20_000_003), "shades")
        config = Config.profile("smoke", width=WIDTH, stream_step=1)
        yield config, signs_and_spelling.run(config)


def test_a_sequence_spells_between_signs_and_never_twice_in_a_row():
    config = Config.profile("full")
    for signer in range(40):
        items = sequence_of(config, signer, ASKED)
        signs = [item for item in items if isinstance(item, int)]
        texts = [item for item in items if isinstance(item, str)]
        assert len(signs) == len(set(signs)) == config.signs and sorted(texts) == sorted(ASKED)
        assert isinstance(items[0], int) and isinstance(items[-1], int)
        assert not any(
            isinstance(a, str) and isinstance(b, str) for a, b in zip(items, items[1:], strict=False)
        )
        assert sequence_of(config, signer, ()) == signs  # the same signs in the same order


def test_texts_that_are_asked_were_never_shown_and_can_be_spelled():
    assert not set(SHOWN) & set(ASKED) and len(SHOWN) == len(ASKED)
    assert set("".join(TEXTS)) <= set(spelling.LETTERS)


def test_a_window_belongs_to_the_text_that_its_middle_lies_in():
    texts = Events(np.zeros(2, np.int64), np.array([20, 60]), np.array([40, 70]), np.ones(2))
    middle = np.array([0, 19, 20, 39, 40, 60, 69, 70])
    assert signs_and_spelling._inside(middle, texts).tolist() == [
        False,
        False,
        True,
        True,
        False,
        True,
        True,
        False,
    ]
    nothing = Events(*(np.zeros(0, np.int64) for _ in range(4)))
    assert not signs_and_spelling._inside(middle, nothing).any()


def test_examples_are_the_windows_whose_answers_would_fall_into_a_text():
    """Windows of `_spelled` and answers of `streams.decide` are told by the same middle."""
    config = Config.profile("smoke", stream_step=4)
    texts = Events(np.zeros(1, np.int64), np.array([30]), np.array([50]), np.ones(1))
    vectors = torch.arange(25.0)[:, None]  # of the windows that end at frames 0, 4, 8, ...
    heard = signs_and_spelling.Heard(vectors, texts, texts)
    found = signs_and_spelling._spelled(config, heard)[:, 0].tolist()
    inside = []
    for row in range(25):
        score = np.zeros((25, 1))
        score[row] = 1
        (said,) = [streams.decide(score, threshold=0.5, every=4)]
        if 30 <= int(said.begin[0] + said.end[0]) // 2 < 50 and said.begin[0] > 0:
            inside.append(row)
    assert found == inside and len(found) == 5


def test_where_an_example_is_nearer_nothing_may_be_said():
    windows = torch.eye(3)[[0, 1, 2]]
    words = torch.eye(3)[:2]
    free = signs_and_spelling._scores(windows, words, torch.zeros(0, 3))
    np.testing.assert_allclose(free, [[1, 0], [0, 1], [0, 0]])
    example = torch.tensor([[0.0, 0.0, 1.0], [0.8, 0.6, 0.0]])
    told = signs_and_spelling._scores(windows, words, example)
    np.testing.assert_allclose(told, [[1, 0], [0, 1], [-1, -1]])
    closer = signs_and_spelling._scores(torch.tensor([[0.6, 0.8, 0.0]]), words, example)
    np.testing.assert_allclose(closer, [[-1, -1]])  # 0.96 to the example, 0.8 to the second word


def test_the_record_tells_what_its_arrays_say(measured):
    config, record = measured
    assert results.read_record(signs_and_spelling.record_path(config)) == json.loads(json.dumps(record))
    metrics, arrays = record["metrics"], results.read_arrays(signs_and_spelling.arrays_path(config))
    assert tuple(metrics) == ("n_examples", *ROWS) and metrics["n_examples"] > 0
    assert [metrics[row]["n_texts"] for row in ROWS] == [0, 4, 4, 4]
    for row in ROWS:
        told = metrics[row]
        assert told["n_signed"] == 2 * config.signs and told["n_streams"] == 2
        assert len(told["f1_by_signer"]["by_signer"]) == 2 and told["said_while_spelling"] <= told["n_said"]
    assert metrics["signs_alone"]["said_while_spelling"] == 0
    assert metrics["signs_alone"]["threshold"] == metrics["spelling_unknown"]["threshold"]
    assert len(arrays["signs_word"]) == config.signs and len(arrays["spelled_word"]) == config.texts
    assert {str(arrays["texts"][n]) for n in arrays["spelled_word"]} == set(ASKED[: config.texts])
    assert arrays["scores"].shape[1] == config.words


def test_shades_that_differ_are_passed_over_once_shown(measured):
    """Texts are of a brightness that no word has: with examples of it nothing is said while they are spelled."""
    assert measured[1]["metrics"]["spelling_shown"]["said_while_spelling"] == 0


def test_nobody_is_in_two_parts_and_the_teachers_are_the_networks_own(measured):
    parts = [set(range(*told["signers"])) for told in measured[1]["split"].values()]
    assert parts[0] == set(range(20_000_000, 20_000_003)) and len(set.union(*parts)) == sum(map(len, parts))


def test_what_is_asked_is_named(measured):
    config, record = measured
    assert record["data"]["sha256"] == signs_and_spelling.data_sha256(config)
    for more in ({"words": 5}, {"signs": 4}, {"texts": 1}, {"test_signers": 3}, {"size": 64}):
        assert signs_and_spelling.data_sha256(dataclasses.replace(config, **more)) != record["data"]["sha256"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"words": 1}, "words must be from 2 to 40"),
        ({"words": 41}, "words must be from 2 to 40"),
        ({"size": 48}, "multiple of 32"),
        ({"frames": 15}, "frames at least 16"),
        ({"texts": 0}, "texts must be positive"),
        ({"stream_step": 0}, "stream_step must be positive"),
    ],
)
def test_what_cannot_be_asked_is_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        Config.profile("smoke", **wrong)
