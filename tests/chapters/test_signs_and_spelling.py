"""Signing and spelling: who does what, what counts as an answer while somebody spells, and one small run."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from thesislib import paths, results
from thesislib.chapters import sign_sets, sign_starts, sign_training, signs_and_spelling
from thesislib.chapters.signs_and_spelling import ASKED, SHOWN, TEXTS, WATCHED, Config, Stream, sequence_of
from thesislib.config import ConfigError
from thesislib.datasets.sign_clips import SignClips
from thesislib.evaluation import streams
from thesislib.evaluation.streams import Events
from thesislib.figures.sign_streams import NOTHING
from thesislib.synthetic import spelling

WIDTH = 0.125
ROWS = ("signs_alone", "spelling_unknown", "spelling_in_threshold", "examples_same_threshold", "examples")
FRAMES = 24
COMMITTED, EMBEDDED = paths.WEIGHTS, signs_and_spelling._embedded  # which the small run replaces


def shade(item: int | str, signer: int) -> int:
    """Words differ in brightness, texts are a little darker than the first of them, and people differ less."""
    return (120 + 30 * item if isinstance(item, int) else 110) + signer % 3


def as_brightness(network, frame: np.ndarray) -> np.ndarray:
    """In place of a network: the brightness of windows as an angle, unit vectors [N, 2]."""
    angle = frame.reshape(len(frame), -1).mean(axis=1) / 255 * np.pi / 2
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def drawn(name, seed, signer, sequence, *, frames, size) -> dict[str, torch.Tensor]:
    """In place of spelling.stream: pauses of eight frames, signs of 16, texts of 20, all of one brightness."""
    place = [-1] * 8
    for number, item in enumerate(sequence):
        place += [number] * (20 if isinstance(item, str) else 16) + [-1] * 8
    left = signer >= 20_000_004  # the strangers
    light = torch.tensor([20 if n < 0 else shade(sequence[n], signer) for n in place], dtype=torch.uint8)
    return {
        "image": light[:, None, None, None].repeat(1, 3, size, size),
        "place": torch.tensor(place),
        "left": torch.full((len(place),), left),
    }


def loaded(asked: sign_sets.InventedSigns) -> SignClips:
    """In place of InventedSigns.load: clips of one brightness a word."""
    rows = [(s, w) for s in asked.signers for w in range(asked.words) for _ in range(asked.takes)]
    signer, word = np.array(rows, np.int64).T
    light = np.array([shade(int(w), int(s)) for s, w in rows], np.uint8)[:, None, None, None, None]
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
        patch.setattr(signs_and_spelling, "_embedded", as_brightness)
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
    assert len(set(TEXTS)) == len(TEXTS) == len(SHOWN) + len(WATCHED) + len(ASKED)
    for text in TEXTS:
        spelling._check("signs", [text])


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
    assert not signs_and_spelling._inside(middle, NOTHING).any()


def test_windows_and_answers_are_placed_by_the_same_middle():
    config = Config.profile("smoke", stream_step=4)
    middles = signs_and_spelling._middles(config, Stream(np.zeros((25, 2)), NOTHING, NOTHING, False))
    for row in range(4, 25):  # earlier windows begin before the stream
        score = np.zeros((25, 1))
        score[row] = 1
        said = streams.decide(score, threshold=0.5, every=4)
        assert (said.begin[0] + said.end[0]) // 2 == middles[row]


def test_where_an_example_is_nearer_nothing_may_be_said():
    windows, words = np.eye(3), np.eye(3)[:2]
    free = signs_and_spelling._scores(windows, words, words[:0])
    np.testing.assert_allclose(free, [[1, 0], [0, 1], [0, 0]])
    example = np.array([[0.0, 0.0, 1.0], [0.8, 0.6, 0.0]])
    told = signs_and_spelling._scores(windows, words, example)
    np.testing.assert_allclose(told, [[1, 0], [0, 1], [-1, -1]])
    closer = signs_and_spelling._scores(np.array([[0.6, 0.8, 0.0]]), words, example)
    np.testing.assert_allclose(closer, [[-1, -1]])  # 0.96 to the example, 0.8 to the second word


def test_the_record_tells_what_its_arrays_say(measured):
    config, record = measured
    assert results.read_record(signs_and_spelling.record_path(config)) == json.loads(json.dumps(record))
    metrics, arrays = record["metrics"], results.read_arrays(signs_and_spelling.arrays_path(config))
    assert [metrics[row]["n_texts"] for row in ROWS] == [0, 4, 4, 4, 4]
    for row in ROWS:
        told = metrics[row]
        assert told["n_signed"] == 2 * config.signs and told["n_streams"] == 2
        assert len(told["f1_by_signer"]["by_signer"]) == 2
        wrong = told["wrong_while_spelling"] + told["wrong_otherwise"]
        assert wrong == told["n_said"] - round(told["precision"] * told["n_said"])
    assert metrics["signs_alone"]["wrong_while_spelling"] == 0
    assert metrics["signs_alone"]["threshold"] == metrics["spelling_unknown"]["threshold"]
    assert metrics["spelling_in_threshold"]["threshold"] == metrics["examples_same_threshold"]["threshold"]
    assert metrics["spelling_unknown"]["passed_over_in_texts"] == 0
    assert metrics["left_handed"] == {"teachers": [False] * 3, "validation": [False], "test": [True] * 2}
    assert len(arrays["signs_word"]) == config.signs and len(arrays["spelled_word"]) == config.texts
    assert {str(arrays["texts"][n]) for n in arrays["spelled_word"]} == set(ASKED[: config.texts])
    assert arrays["scores"].shape[1] == config.words


def test_spelling_like_a_word_is_taken_for_it_until_examples_are_shown(measured):
    """Texts are a little darker than the first word: whoever knows words alone hears it, examples lie nearer."""
    metrics = measured[1]["metrics"]
    assert metrics["spelling_unknown"]["wrong_while_spelling"] > 0
    assert metrics["examples"]["wrong_while_spelling"] < metrics["spelling_unknown"]["wrong_while_spelling"]
    assert metrics["examples"]["passed_over_in_texts"] > 0.5
    assert metrics["examples"]["f1"] > metrics["spelling_unknown"]["f1"]


def test_everybody_spells_the_texts_of_their_part(monkeypatch):
    config, asked = Config.profile("smoke"), {}
    monkeypatch.setattr(sign_starts, "taught_by", lambda start: range(20_000_000, 20_000_003))
    who = signs_and_spelling.parts(config)

    def spy(config, signer, sequence):
        part = next(part for part, some in who.items() if signer in some.signers)
        asked.setdefault(part, set()).update(item for item in sequence if isinstance(item, str))
        if set(asked) == set(who) and all(len(texts) >= config.texts for texts in asked.values()):
            raise KeyboardInterrupt  # all parts have spelled: enough
        return Stream(np.zeros((2, 3, 32, 32), np.uint8), NOTHING, NOTHING, False)

    monkeypatch.setattr(signs_and_spelling, "performed", spy)
    monkeypatch.setattr(signs_and_spelling, "_network", lambda config: None)
    monkeypatch.setattr(signs_and_spelling, "_embedded", lambda network, frame: np.ones((len(frame), 2)))
    monkeypatch.setattr(sign_sets.InventedSigns, "load", loaded)
    with pytest.raises(KeyboardInterrupt):
        signs_and_spelling._measure(config)
    assert (
        asked["teachers"] <= set(SHOWN)
        and asked["validation"] <= set(WATCHED)
        and asked["test"] <= set(ASKED)
    )


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
        ({"texts": 3}, "texts must be 2 or less"),
        ({"signs": 12, "texts": 7}, "texts must be 6 or less"),
        ({"stream_step": 0}, "stream_step must be positive"),
    ],
)
def test_what_cannot_be_asked_is_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        Config.profile("smoke", **wrong)


def test_the_committed_network_says_unit_vectors(monkeypatch):
    monkeypatch.setattr(paths, "WEIGHTS", COMMITTED)
    network = signs_and_spelling._network(Config.profile("full"))
    frame = np.random.default_rng(0).integers(0, 255, (2, 16, 3, 64, 64)).astype(np.uint8)
    found = EMBEDDED(network, frame)
    assert found.shape == (2, 256) and not network.training
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
