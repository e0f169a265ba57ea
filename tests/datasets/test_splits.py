import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thesislib.datasets import splits
from thesislib.datasets.glyphs import GlyphImages
from thesislib.datasets.sources import DataError
from thesislib.datasets.splits import ClassSplit, cap_per_class, class_split, select_classes

labels = st.lists(st.integers(0, 7), max_size=60)


def numbered_images(label: list[int]) -> GlyphImages:
    """Images that carry their own place: pixel values are the digits of the index."""
    index = np.arange(len(label))
    image = np.stack([index // 16, index % 16, index * 0, index * 0], axis=1).reshape(-1, 2, 2)
    return GlyphImages(image.astype(np.uint8), np.array(label, dtype=np.int64))


def places(images: GlyphImages) -> list[int]:
    return [int(image[0, 0]) * 16 + int(image[0, 1]) for image in images.image]


@given(st.integers(2, 80), st.data())
def test_drawn_splits_are_disjoint_and_complete(num_classes, data):
    num_unseen = data.draw(st.integers(1, num_classes - 1))
    split = class_split(num_classes, num_unseen, data.draw(st.integers(0, 10)))
    assert len(split.unseen) == num_unseen
    assert sorted(split.seen + split.unseen) == list(range(num_classes))


def test_draws_differ_and_repeat():
    assert len({class_split(30, 6, draw).unseen for draw in range(20)}) == 20
    assert class_split(30, 6, 3) == class_split(30, 6, 3)
    assert class_split(10, 3, 0).unseen == (2, 4, 8)  # RandomState(0).permutation(10) starts 2, 8, 4


def test_the_committed_draws_of_49_classes_are_the_ones_the_seed_gives():
    assert json.loads(splits.CLASSES_49.read_text()) == splits.draw_classes_49()


def test_the_committed_draws_leave_each_class_out_once_or_twice():
    draws = [class_split(49, 9, draw) for draw in range(11)]
    assert len({draw.unseen for draw in draws}) == 11
    times_unseen = Counter(index for draw in draws[1:] for index in draw.unseen)
    assert set(times_unseen) == set(range(49)) and set(times_unseen.values()) == {1, 2}
    with pytest.raises(ValueError, match="between 0 and 10"):
        class_split(49, 9, 11)


@pytest.mark.parametrize("num_unseen", [0, -1, 10, 11])
def test_a_side_without_classes_is_refused(num_unseen):
    with pytest.raises(ValueError, match="between 1 and 9"):
        class_split(10, num_unseen, 0)


@pytest.mark.parametrize(
    ("seen", "unseen", "message"),
    [
        ((0, 1), (1, 2), r"\[1\] are both"),
        ((0, 1, 1), (2,), "seen classes must be different"),
        ((0,), (2, 2), "unseen classes must be different"),
        ((), (1,), "at least one"),
        ((0,), (), "at least one"),
        ((-1,), (1,), "from 0"),
    ],
)
def test_a_split_that_is_none_is_refused(seen, unseen, message):
    with pytest.raises(ValueError, match=message):
        ClassSplit(seen, unseen)


def test_the_proof_names_the_unseen_and_counts_the_intersection():
    proof = ClassSplit(seen=(0, 2), unseen=(1, 3)).proof(["a", "i", "u", "e"])
    assert "2 seen and 2 unseen" in proof and "0 classes are in both" in proof and "4 of 4" in proof
    assert proof.endswith("Unseen: i (1), e (3).")
    with pytest.raises(ValueError, match="3 classes"):
        ClassSplit(seen=(0, 2), unseen=(1, 3)).proof(["a", "i", "u"])


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"fixed": [1]}', '{"fixed": [0, 1, 2], "drawn": []}', '{"fixed": 3, "drawn": [1]}']
    + ['{"fixed": [0, 1, 2, 3, 4, 5, 6, 7, 49], "drawn": []}'],
)
def test_a_broken_split_file_is_refused(tmp_path, content):
    path = tmp_path / "classes_49.json"
    path.write_text(content)
    with pytest.raises(DataError, match="classes_49.json"):
        splits.read_classes_49(path)


@given(labels, st.permutations(range(8)), st.integers(0, 8))
def test_selection_keeps_images_and_the_identity_of_their_class(label, order, how_many):
    classes = order[:how_many]
    chosen = select_classes(numbered_images(label), classes)
    assert places(chosen) == [place for place, index in enumerate(label) if index in classes]
    assert [classes[new] for new in chosen.label] == [index for index in label if index in classes]


@given(labels)
def test_seen_and_unseen_selections_share_no_image_and_lose_none(label):
    images, split = numbered_images(label), class_split(8, 3, 1)
    seen, unseen = (places(select_classes(images, part)) for part in (split.seen, split.unseen))
    assert sorted(seen + unseen) == list(range(len(label)))


def test_selection_refuses_a_class_named_twice():
    with pytest.raises(ValueError, match="different"):
        select_classes(numbered_images([0, 1]), [1, 1])


@given(labels, st.integers(1, 20), st.integers(0, 5))
def test_a_cap_keeps_min_of_n_and_all_in_stored_order(label, n, seed):
    images = numbered_images(label)
    capped, larger = cap_per_class(images, n, seed), cap_per_class(images, n + 1, seed)
    assert Counter(capped.label.tolist()) == {index: min(n, c) for index, c in Counter(label).items()}
    assert places(capped) == sorted(places(capped)) and set(places(capped)) <= set(places(larger))
    assert [label[place] for place in places(capped)] == capped.label.tolist()


@given(labels, st.lists(st.integers(0, 5), min_size=8, max_size=8))
def test_a_cap_can_differ_from_class_to_class(label, most):
    capped = cap_per_class(numbered_images(label), np.array(most), seed=0)
    expected = {index: min(most[index], count) for index, count in Counter(label).items() if most[index]}
    assert Counter(capped.label.tolist()) == expected


def test_a_cap_draws_by_lot_and_the_seed_decides():
    images = numbered_images([0] * 60)
    assert places(cap_per_class(images, 10, 0)) != places(cap_per_class(images, 10, 1))
    assert places(cap_per_class(images, 10, 0)) != list(range(10))
    for n in (0, -1, np.array([-1])):
        with pytest.raises(ValueError, match="must stay"):
            cap_per_class(images, n, 0)
