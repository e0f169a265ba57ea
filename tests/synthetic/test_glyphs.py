"""Invented characters: asking for less gives part of the same, and a character stays itself in any hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thesislib.synthetic.glyphs import BATCH, IMAGE_SIZE, draw_characters


@pytest.fixture(scope="module")
def script():
    return draw_characters(30, 24, seed=5, num_writers=12)


def by_class(characters, num_classes):
    return characters.image.reshape(num_classes, -1, IMAGE_SIZE, IMAGE_SIZE)


def test_shapes_types_and_order(script):
    assert script.image.shape == (720, 28, 28) and script.image.dtype == np.uint8
    assert script.label.dtype == script.writer.dtype == np.int64
    assert np.array_equal(script.label, np.arange(720) // 24)
    assert np.array_equal(script.writer, np.arange(720) % 24 % 12)


def test_same_call_gives_same_images_and_another_seed_gives_another_script(script):
    again = draw_characters(30, 24, seed=5, num_writers=12)
    assert np.array_equal(again.image, script.image)
    other = draw_characters(30, 24, seed=6, num_writers=12)
    assert (other.image != script.image).any(axis=(1, 2)).all()


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 30), st.integers(1, 24))
def test_fewer_classes_or_images_are_part_of_more(script, num_classes, images_per_class):
    less = draw_characters(num_classes, images_per_class, seed=5, num_writers=12)
    expected = by_class(script, 30)[:num_classes, :images_per_class]
    assert np.array_equal(by_class(less, num_classes), expected)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 11), st.integers(1, 12))
def test_an_image_depends_on_its_writer_and_repetition_not_on_who_else_writes(script, first, count):
    count = min(count, 12 - first)
    few = draw_characters(4, 2 * count, seed=5, first_writer=first, num_writers=count)
    expected = by_class(script, 30)[:4].reshape(4, 2, 12, 28, 28)[:, :, first : first + count]
    assert np.array_equal(few.image.reshape(expected.shape), expected)
    assert np.array_equal(np.unique(few.writer), np.arange(first, first + count))


def test_every_image_is_another_one_across_writers_and_repetitions():
    train = draw_characters(5, 30, seed=1, num_writers=10)
    test = draw_characters(5, 30, seed=1, first_writer=10, num_writers=10)
    assert not set(train.writer) & set(test.writer)
    images = np.concatenate([train.image, test.image]).reshape(300, -1)
    assert len(np.unique(images, axis=0)) == 300


def test_writers_share_the_skeleton_of_a_character():
    # the mean picture by half of the writers is most like the mean picture of its class by the others
    images = by_class(draw_characters(30, 80, seed=5, num_writers=80), 30).astype(float)
    mean_a = images[:, :40].mean(axis=1).reshape(30, -1)
    mean_b = images[:, 40:].mean(axis=1).reshape(30, -1)
    correlation = np.corrcoef(mean_a, mean_b)[:30, 30:]
    same_class = np.diag(correlation)
    across = correlation[~np.eye(30, dtype=bool)]
    assert same_class.min() > across.mean()
    assert same_class.mean() > across.mean() + 0.15
    assert (correlation.argmax(axis=1) == np.arange(30)).mean() > 0.8


def test_a_writer_has_habits(script):
    # the pen is the writer's: the amount of ink differs more between writers than within one
    ink = (by_class(script, 30) > 100).mean(axis=(2, 3)).reshape(30, 2, 12)
    ink = np.log(ink / ink.mean(axis=(1, 2), keepdims=True))
    within = (ink[:, 0] - ink[:, 1]).var() / 2
    between = ink.mean(axis=(0, 1)).var()
    assert between > within


def test_every_image_has_ink_that_stays_on_the_paper():
    image = draw_characters(200, 5, seed=3, num_writers=5, first_writer=40).image
    ink = image > 100
    share = ink.mean(axis=(1, 2))
    assert share.min() > 0.02 and share.max() < 0.6
    assert image.max(axis=(1, 2)).min() > 130
    inner = np.zeros((IMAGE_SIZE, IMAGE_SIZE), bool)
    inner[1:-1, 1:-1] = True
    on_the_edge = (ink & ~inner).sum(axis=(1, 2)) / ink.sum(axis=(1, 2))
    assert on_the_edge.max() < 0.05


def test_neighbours_can_be_confused_and_others_are_distinct():
    # every fifth character is the one before it with one stroke exchanged
    images = by_class(draw_characters(50, 20, seed=2, num_writers=20), 50).astype(float)
    mean = np.corrcoef(images.mean(axis=1).reshape(50, -1))
    neighbours = mean[np.arange(4, 50, 5), np.arange(3, 50, 5)]
    assert neighbours.mean() > mean[~np.eye(50, dtype=bool)].mean() + 0.1
    assert mean[~np.eye(50, dtype=bool)].max() < 0.995


def test_thousands_of_classes_and_odd_batches():
    many = draw_characters(1500, 1, seed=0)
    assert len(many.image) == 1500 and 1500 % BATCH
    assert len(np.unique(many.image.reshape(1500, -1), axis=0)) == 1500


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"num_classes": 0}, "num_classes"),
        ({"num_classes": 2.0}, "num_classes"),
        ({"images_per_class": 0}, "images_per_class"),
        ({"images_per_class": True}, "images_per_class"),
        ({"num_writers": 0}, "num_writers"),
        ({"first_writer": -1}, "first_writer"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**64}, "seed"),
    ],
)
def test_bad_arguments_say_what_to_do(arguments, named):
    good = {"num_classes": 2, "images_per_class": 2, "seed": 0}
    with pytest.raises(ValueError, match=f"{named} must be a whole number"):
        draw_characters(**(good | arguments))
