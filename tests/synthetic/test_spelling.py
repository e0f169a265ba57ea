"""Streams that sign and spell: what is shown when, and signs that do not mind what is spelled around them."""

from functools import partial
from itertools import groupby

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thesislib.synthetic import signing, spelling
from thesislib.synthetic.handshapes import alphabet
from thesislib.synthetic.scene import Difficulty
from thesislib.synthetic.sign_parts import ALPHABET, HANDS, PLACES
from thesislib.synthetic.spelling import LETTERS, NOTHING

PLAIN = Difficulty(signer_spread=0, pose_jitter=0, rotation=0, noise=0)
stream = partial(spelling.stream, "signs", 3, frames=24, size=16)


pytestmark = pytest.mark.usefixtures("table_hands")


def runs(place: torch.Tensor) -> list[tuple[int, int, int]]:
    """Each run of one place: the place, its first frame and how many frames it lasts."""
    found, begin = [], 0
    for value, some in groupby(place.tolist()):
        length = len(list(some))
        found.append((value, begin, length))
        begin += length
    return found


def test_everything_is_shown_once_in_order_with_ways_between():
    drawn = stream(5, [7, "wolf", 3, "hof", "bad"])
    shown = [place for place, *_ in runs(drawn["place"])]
    assert shown == [NOTHING, 0, NOTHING, 1, NOTHING, 2, NOTHING, 3, NOTHING, 4, NOTHING]
    assert drawn["image"].shape == (len(drawn["place"]), 3, 16, 16) and drawn["image"].dtype == torch.uint8
    assert drawn["frame"].tolist() == list(range(len(drawn["place"])))


def test_letters_are_held_in_the_shape_of_their_hands():
    """In the plainest performance the hand passes each letter of the table exactly, and stays for some frames."""
    drawn = stream(0, ["wolf"], difficulty=PLAIN)
    hands = torch.tensor([alphabet(ALPHABET)[letter].angles for letter in "wolf"])
    near = (drawn["angles"][:, None] - hands).abs().amax(dim=-1) < 0.5  # [T, 4]
    held = [torch.nonzero(column)[:, 0] for column in near.T]
    assert all(len(frames) >= 2 and frames[-1] - frames[0] + 1 == len(frames) for frames in held)
    assert [int(frames[0]) for frames in held] == sorted(int(frames[0]) for frames in held)
    (_, begin, length) = runs(drawn["place"])[1]
    # a way ends and begins so slowly that the hand is there a frame earlier, and leaves a frame later
    assert abs(begin - int(held[0][0])) <= 1 and abs(begin + length - 1 - int(held[-1][-1])) <= 1


def test_signs_are_done_alike_whatever_is_spelled_around_them():
    alone, among = stream(5, [7, 3], difficulty=PLAIN), stream(5, ["fach", 7, "bild", 3], difficulty=PLAIN)
    lengths = [
        [length for place, _, length in runs(drawn["place"]) if place in signs]
        for drawn, signs in ((alone, {0, 1}), (among, {1, 3}))
    ]
    assert [abs(one - other) <= 1 for one, other in zip(*lengths, strict=True)] == [True, True]
    noisy = [stream(5, items) for items in ([7, 3], ["fach", 7, "bild", 3])]
    for sign, (one, other) in enumerate(((0, 1), (1, 3))):
        middles = []
        for drawn, place in zip(noisy, (one, other), strict=True):
            (_, begin, length) = next(run for run in runs(drawn["place"]) if run[0] == place)
            middles.append(drawn["joints"][begin + length // 2])
        # a frame is at most half a step off
        assert (middles[0] - middles[1]).norm(dim=-1).mean() < 0.45, sign


@settings(max_examples=12, deadline=None)
@given(
    st.lists(
        st.one_of(st.integers(0, 39), st.permutations(LETTERS).map(lambda p: "".join(p[:3]))),
        min_size=1,
        max_size=4,
    ),
    st.integers(0, 50),
)
def test_the_layout_has_no_gaps_and_no_overlaps(sequence, signer):
    stations, place, _ = spelling._lay_out("signs", 0, signer, sequence, Difficulty())
    assert (stations.end > stations.begin).all()
    between = stations.begin[1:] - stations.end[:-1]
    torch.testing.assert_close(between, torch.full_like(between, signing.PASSING), atol=1e-5, rtol=0)
    counts = [len(item) if isinstance(item, str) else 1 for item in sequence]
    assert place[1:-1].tolist() == [n for n, count in enumerate(counts) for _ in range(count)]
    assert place[0] == place[-1] == NOTHING


def test_a_letter_is_a_hand_at_the_middle_that_does_not_move():
    stations, *_ = spelling._lay_out("signs", 0, 5, ["bild"], Difficulty())
    names = [HANDS[number] for number in stations.word[1:-1, 0].tolist()]
    assert names == list("bild") and torch.equal(stations.word[:, 0], stations.word[:, 1])
    assert (stations.word[1:-1, 2] == 0).all()  # the path "still"
    assert {list(PLACES)[number] for number in stations.word[1:-1, 5].tolist()} == {"middle"}
    assert len(stations.take[1:-1].unique()) == 1  # a text is spelled where it began


@pytest.mark.parametrize(
    ("sequence", "message"),
    [
        ([], "something to be signed"),
        ([40], "numbers from 0 to 39"),
        ([-1], "numbers from 0 to 39"),
        (["ball"], "none twice in a row"),
        (["zug"], "a text is made of"),
        ([""], "a text is made of"),
    ],
)
def test_what_cannot_be_shown_is_refused(sequence, message):
    with pytest.raises(ValueError, match=message):
        stream(0, sequence)
    with pytest.raises(ValueError, match="at least 8 frames"):
        spelling.stream("signs", 0, 0, [1], frames=7)
