import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thesislib.transforms.clips import (
    ClipAugmentation,
    erased,
    jittered_start,
    mixed_with_pictures,
    to_input,
    window,
)
from thesislib.transforms.hands import MEAN, STD
from thesislib.transforms.hands import to_input as pictures_to_input

SIZE, FRAMES = 32, 12
PAPER = ClipAugmentation()
REPOSITORY = ClipAugmentation(rotation=10.0, mirror=True)
SEEDS = st.integers(0, 2**31)
STEADY = {"crop": 1.0, "brightness": 0, "contrast": 0, "saturation": 0, "hue": 0, "erasing": 0}
QUIET = ClipAugmentation(length=FRAMES, **STEADY)  # does nothing
quick = settings(max_examples=8, deadline=None)


def clips(count: int, seed: int = 0, size: int = SIZE) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, FRAMES, 3, size, size), dtype=torch.uint8, generator=random)


def stills(count: int, seed: int = 0) -> torch.Tensor:
    """Clips in which nothing moves."""
    return clips(count, seed)[:, :1].expand(-1, FRAMES, -1, -1, -1)


def targets(count: int, begin: int = 0, end: int = FRAMES) -> torch.Tensor:
    return torch.stack([torch.arange(count), torch.full((count,), begin), torch.full((count,), end)], dim=1)


def pictures(count: int, seed: int = 1, size: int = SIZE) -> torch.Tensor:
    return clips(count, seed, size)[:, 0]


def every(**changes: object) -> list[ClipAugmentation]:
    """Both presets, with pictures and without, over all frames of a clip unless said otherwise."""
    kinds = [PAPER, REPOSITORY, dataclasses.replace(PAPER, pictures=pictures(3))]
    return [dataclasses.replace(kind, **{"length": FRAMES, **changes}) for kind in kinds]


def intensity(x: torch.Tensor) -> torch.Tensor:
    """A network's input [B, 3, T, S, S] as intensities again."""
    return x * torch.tensor(STD)[:, None, None, None] + torch.tensor(MEAN)[:, None, None, None]


# Input ----------------------------------------------------------------------------------------------


def test_input_of_a_clip_is_that_of_its_frames():
    frames = clips(2)
    x = to_input(frames)
    assert x.dtype == torch.float32 and x.shape == (2, 3, FRAMES, SIZE, SIZE)
    for t in range(FRAMES):
        torch.testing.assert_close(x[:, :, t], pictures_to_input(frames[:, t]))


# Windows --------------------------------------------------------------------------------------------


@st.composite
def signs(draw: st.DrawFn) -> tuple[int, int, int, int]:
    """Frames of a clip, begin and end of its sign, length of the window."""
    frames = draw(st.integers(1, 40))
    begin = draw(st.integers(0, frames - 1))
    return frames, begin, draw(st.integers(begin + 1, frames)), draw(st.integers(1, 24))


def shared(start: int, length: int, begin: int, end: int) -> int:
    return len(set(range(start, start + length)) & set(range(begin, end)))


@settings(max_examples=100, deadline=None)
@given(signs(), st.sampled_from([0.1, 0.5, 0.6, 0.75, 1.0]), SEEDS)
def test_windows_are_exactly_those_that_share_enough(sign, min_intersection, seed):
    frames, begin, end, length = sign
    enough = min_intersection * min(end - begin, length) - 1e-9
    possible = range(min(0, frames - length), max(0, frames - length) + 1)  # by trying every place there is
    wanted = {start for start in possible if shared(start, length, begin, end) >= enough}
    torch.manual_seed(seed)
    many = torch.full((60,), begin), torch.full((60,), end)
    drawn = jittered_start(*many, frames=frames, length=length, min_intersection=min_intersection)
    assert wanted and set(drawn.tolist()) <= wanted
    torch.manual_seed(seed)
    lots = torch.full((1000,), begin), torch.full((1000,), end)
    if len(wanted) <= 20:  # each place is as likely: none is missing among 1,000
        lots = jittered_start(*lots, frames=frames, length=length, min_intersection=min_intersection)
        assert set(lots.tolist()) == wanted


def test_every_place_is_as_likely():
    torch.manual_seed(0)
    begin, end = torch.full((20_000,), 10), torch.full((20_000,), 20)
    start = jittered_start(begin, end, frames=40, length=16, min_intersection=0.6)
    share = torch.bincount(start - start.min()) / len(start)
    assert int(start.min()) == 0 and int(start.max()) == 14  # six frames of the sign at least
    assert (share - 1 / 15).abs().max() < 0.01


def test_without_jitter_a_window_holds_its_sign_whole_or_nothing_else():
    torch.manual_seed(0)
    begin, end = torch.full((500,), 8), torch.full((500,), 20)
    longer = jittered_start(begin, end, frames=40, length=16, min_intersection=1)
    assert set(longer.tolist()) == set(range(4, 9))
    shorter = jittered_start(begin, end, frames=40, length=10, min_intersection=1)
    assert set(shorter.tolist()) == {8, 9, 10}


def test_each_sign_has_its_own_window():
    torch.manual_seed(0)
    begin, end = torch.tensor([0, 30]), torch.tensor([4, 34])
    start = jittered_start(begin, end, frames=40, length=6)
    assert start[0] <= 4 < 20 < start[1] and start.dtype == torch.int64


def test_a_window_is_the_frames_from_its_start_on():
    frames = torch.arange(2 * 5).view(2, 5, 1)
    cut = window(frames, torch.tensor([1, 0]), 3)
    assert cut[..., 0].tolist() == [[1, 2, 3], [5, 6, 7]]
    beyond = window(frames, torch.tensor([-2, 3]), 4)  # the first frame before, the last one after
    assert beyond[..., 0].tolist() == [[0, 0, 0, 1], [8, 9, 9, 9]]


@pytest.mark.parametrize(
    ("begin", "end", "settings", "message"),
    [
        (3, 3, {}, "begins before it ends"),
        (-1, 3, {}, "begins before it ends, within the 8 frames"),
        (2, 9, {}, "within the 8 frames"),
        (2, 5, {"min_intersection": 0}, r"intersection in \(0, 1\]"),
        (2, 5, {"min_intersection": 1.1}, r"intersection in \(0, 1\]"),
        (2, 5, {"length": 0}, "and a frame"),
    ],
)
def test_a_sign_outside_its_clip_is_refused(begin, end, settings, message):
    with pytest.raises(ValueError, match=message):
        jittered_start(torch.tensor([begin]), torch.tensor([end]), **{"frames": 8, "length": 4, **settings})


# One draw for all frames of a clip ------------------------------------------------------------------


@quick
@given(SEEDS)
def test_nothing_flickers(seed):
    for augmentation in every(erasing=1.0):
        torch.manual_seed(seed)
        x, _ = augmentation(stills(3, seed), targets(3))
        torch.testing.assert_close(x, x[:, :, :1].expand_as(x), rtol=0, atol=1e-5)


@quick
@given(SEEDS)
def test_clips_of_a_batch_are_drawn_apart(seed):
    for augmentation in every(erasing=1.0):
        torch.manual_seed(seed)
        x, _ = augmentation(stills(1, seed).expand(2, -1, -1, -1, -1), targets(2))
        assert not torch.allclose(x[0], x[1], atol=0.01)


@quick
@given(SEEDS)
def test_a_clip_is_augmented_alike_whatever_its_batch_mates_show(seed):
    mine, yours, theirs = clips(1, 1), clips(2, 2), clips(2, 3)
    for augmentation in every(length=8):
        results = []
        for others in (yours, theirs):
            torch.manual_seed(seed)
            x, word = augmentation(torch.cat([others[:1], mine, others[1:]]), targets(3, 2, 9))
            assert word.tolist() == [0, 1, 2]
            results.append(x[1])
        torch.testing.assert_close(results[0], results[1], rtol=0, atol=1e-5)


@quick
@given(SEEDS)
def test_the_same_seed_gives_the_same_clips_and_another_seed_others(seed):
    for augmentation in every(length=8):
        results = []
        for start in (seed, seed, seed + 1):
            torch.manual_seed(start)
            results.append(augmentation(clips(2), targets(2, 2, 9))[0])
        assert torch.equal(results[0], results[1]) and not torch.equal(results[0], results[2])


@quick
@given(SEEDS, st.sampled_from([16, 32, 48]), st.integers(1, 20))
def test_kind_shape_and_range(seed, size, length):
    for augmentation in every(length=length):
        if augmentation.pictures is not None:
            augmentation = dataclasses.replace(augmentation, pictures=pictures(2, size=size))
        torch.manual_seed(seed)
        frames = clips(2, seed, size)
        before = frames.clone()
        x, word = augmentation(frames, targets(2, 3, 9))
        assert x.dtype == torch.float32 and x.shape == (2, 3, length, size, size)
        assert word.dtype == torch.int64 and word.tolist() == [0, 1]
        assert intensity(x).min() > -1e-5 and intensity(x).max() < 1 + 1e-5
        assert torch.equal(frames, before)


# One by one -----------------------------------------------------------------------------------------


def test_with_nothing_to_do_it_is_the_plain_input():
    frames = clips(2)
    x, _ = QUIET(frames, targets(2))
    torch.testing.assert_close(x, to_input(frames), rtol=0, atol=1e-3)


def test_the_window_is_cut_out_in_order():
    frames = (
        torch.arange(FRAMES, dtype=torch.uint8).mul(20)[None, :, None, None, None].expand(1, -1, 3, 16, 16)
    )
    torch.manual_seed(0)
    x, _ = dataclasses.replace(QUIET, length=5)(frames, targets(1, 3, 8))
    level = (intensity(x)[0, 0, :, 8, 8] * 255 / 20).round().int()
    assert (level.diff() == 1).all() and shared(int(level[0]), 5, 3, 8) >= 3


@quick
@given(SEEDS, st.sampled_from([0.6, 0.875]))
def test_a_crop_is_a_square_inside_the_frame_brought_to_full_size(seed, crop):
    line = torch.linspace(20, 235, SIZE)
    across = line.round().byte()[None, :].expand(SIZE, SIZE)
    frames = torch.stack([across, across.T, across])[None, None].expand(4, FRAMES, -1, -1, -1)
    torch.manual_seed(seed)
    x, _ = dataclasses.replace(QUIET, crop=crop)(frames, targets(4))
    value = intensity(x) * 255
    step = float(line[1] - line[0])
    across, down = value[:, 0, 0].diff(dim=-1) / step, value[:, 1, 0].diff(dim=-2) / step
    zoom = across[:, 4:-4, 4:-4].mean(dim=(1, 2))  # old pixels to a new one
    assert (zoom > crop - 0.02).all() and (zoom < 1.02).all()
    torch.testing.assert_close(down[:, 4:-4, 4:-4].mean(dim=(1, 2)), zoom, rtol=0, atol=0.02)  # square
    # The edge's own values appear only where the crop reaches the edge: nothing from beyond it is repeated
    assert (across[:, :, 2:-2] > 0.3).all() and (down[:, 2:-2] > 0.3).all()


def test_a_mirrored_clip_is_mirrored_whole_and_as_often_as_not():
    frames = clips(200, size=8)
    torch.manual_seed(0)
    x, _ = dataclasses.replace(QUIET, mirror=True)(frames, targets(200))
    plain = to_input(frames)
    kept = (x - plain).abs().amax(dim=(1, 2, 3, 4)) < 1e-3
    mirrored = (x - plain.flip(-1)).abs().amax(dim=(1, 2, 3, 4)) < 1e-3
    assert (kept ^ mirrored).all() and 70 < int(mirrored.sum()) < 130
    for augmentation in (QUIET, PAPER):
        assert not augmentation.mirror and augmentation.rotation == 0


@quick
@given(SEEDS)
def test_a_turned_clip_keeps_its_middle_and_its_distances(seed):
    at = torch.arange(SIZE) + 0.5
    dot = torch.exp(-((at[:, None] - 16) ** 2 + (at - 26) ** 2) / 8)  # ten pixels to the right of the middle
    frames = (200 * dot).byte()[None, None, None].expand(2, FRAMES, 3, -1, -1)
    torch.manual_seed(seed)
    x, _ = dataclasses.replace(QUIET, rotation=30.0)(frames, targets(2))
    weight = intensity(x)[:, 0, 0].clamp_min(0)
    total = weight.sum(dim=(1, 2))
    place = (
        torch.stack([(weight.sum(1) * at).sum(1) / total, (weight.sum(2) * at).sum(1) / total], dim=1) - 16
    )
    assert (place.norm(dim=1) - 10).abs().max() < 0.3
    assert torch.atan2(place[:, 1], place[:, 0]).rad2deg().abs().max() < 31


def test_contrast_is_about_the_mean_of_the_whole_clip():
    frames = torch.full((1, FRAMES, 3, 8, 8), 60, dtype=torch.uint8)
    frames[:, FRAMES // 2 :] = 180  # half dark, half light: about each frame's own mean nothing would change
    torch.manual_seed(3)
    x, _ = dataclasses.replace(QUIET, contrast=0.5)(frames, targets(1))
    level = intensity(x)[0, 0, :, 4, 4] * 255
    assert float(level.mean()) == pytest.approx(120, abs=0.5)
    assert abs(float(level[-1] - level[0]) - 120) > 5


@quick
@given(SEEDS, st.sampled_from([24, 64]))
def test_what_is_erased_is_one_rectangle_of_the_said_size(seed, size):
    torch.manual_seed(seed)
    x = torch.ones(30, 3, 2, size, size)
    hidden = erased(x, probability=1.0) == 0
    assert (hidden == hidden[:, :1, :1]).all() and (x == 1).all()
    for area in hidden[:, 0, 0]:
        rows, columns = area.any(1), area.any(0)
        assert torch.equal(area, rows[:, None] & columns)  # a rectangle ...
        for side in (rows, columns):  # ... without gaps
            assert int(side.int().diff().abs().sum()) <= 2
            if side.any():
                first, last = side.nonzero()[[0, -1], 0]
                assert last - first + 1 == side.sum()
        assert float(area.float().mean()) < 0.4 + 3 / size


def test_erased_shares_and_sides_are_those_of_zhong():
    torch.manual_seed(0)
    size, count = 100, 600
    hidden = (erased(torch.ones(count, 1, 1, size, size), probability=0.5) == 0)[:, 0, 0]
    some = hidden.flatten(1).any(1)
    assert 0.42 < float(some.float().mean()) < 0.58
    area = hidden[some].flatten(1).float().mean(1)
    assert 0.018 < float(area.min()) and float(area.max()) < 0.41 and float(area.max()) > 0.35
    ratio = hidden[some].any(2).sum(1) / hidden[some].any(1).sum(1)
    assert 0.28 < float(ratio.min()) < 0.4 and 2.5 < float(ratio.max()) < 3.6
    assert abs(float(ratio.log().mean())) < 0.1  # as often upright as lying


def test_nothing_is_erased_with_probability_nought():
    x = torch.ones(20, 3, 2, 16, 16)
    assert torch.equal(erased(x, probability=0.0), x)


# Mixup with pictures --------------------------------------------------------------------------------


@quick
@given(SEEDS, st.floats(0.1, 2))
def test_a_mixed_clip_is_mostly_itself(seed, alpha):
    torch.manual_seed(seed)
    dark, light = torch.zeros(40, FRAMES, 3, 4, 4, dtype=torch.uint8), torch.full((1, 3, 4, 4), 255).byte()
    share = intensity(mixed_with_pictures(to_input(dark), light, alpha))  # how much of the picture is there
    assert (share > -1e-5).all() and (share < 0.5 + 1e-5).all()
    torch.testing.assert_close(share, share[:, :1, :1, :1, :1].expand_as(share), rtol=0, atol=1e-5)
    assert float(share[:, 0, 0, 0, 0].std()) > 0  # each clip has its own


def test_each_clip_meets_one_picture_in_all_its_frames():
    torch.manual_seed(0)
    bank = pictures(5, size=8)
    x = to_input(torch.full((50, FRAMES, 3, 8, 8), 128, dtype=torch.uint8))
    mixed = mixed_with_pictures(x, bank, alpha=2.0)
    torch.testing.assert_close(mixed, mixed[:, :, :1].expand_as(mixed))
    candidates = pictures_to_input(bank) - x[0, :, 0]  # [5, 3, 8, 8]
    met = set()
    for change in (mixed - x)[:, :, 0]:
        cosine = [float(torch.cosine_similarity(change.flatten(), c.flatten(), dim=0)) for c in candidates]
        assert max(cosine) > 0.999
        met.add(cosine.index(max(cosine)))
    assert met == set(range(5))


def test_words_are_not_mixed():
    torch.manual_seed(0)
    _, word = dataclasses.replace(PAPER, pictures=pictures(2))(clips(4), targets(4))
    assert word.tolist() == [0, 1, 2, 3]


# Bad input ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (torch.zeros(2, 4, 3, 8, 8), r"uint8 \[B, T, 3, S, S\], got torch.float32"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), r"\[2, 3, 8, 8\]"),
        (torch.zeros(2, 3, 4, 8, 8, dtype=torch.uint8), r"\[2, 3, 4, 8, 8\]"),
        (torch.zeros(2, 0, 3, 8, 8, dtype=torch.uint8), r"\[2, 0, 3, 8, 8\]"),
        (torch.zeros(2, 4, 3, 8, 6, dtype=torch.uint8), "square"),
    ],
)
def test_what_is_no_clip_is_refused(frames, message):
    for call in (to_input, lambda x: PAPER(x, targets(len(x), 0, 4))):
        with pytest.raises(ValueError, match=message):
            call(frames)


def test_targets_of_another_kind_are_refused():
    for wrong in (torch.arange(2), targets(3), targets(2).float()):
        with pytest.raises(ValueError, match=r"int64 \[2, 3\]: word, first frame and one past the last"):
            PAPER(clips(2), wrong)


@pytest.mark.parametrize(
    "wrong",
    [torch.zeros(2, 3, 16, 16).byte(), torch.zeros(2, 3, SIZE, SIZE), torch.zeros(0, 3, SIZE, SIZE).byte()],
)
def test_pictures_of_another_size_or_kind_are_refused(wrong):
    with pytest.raises(ValueError, match=r"pictures to mix with are uint8 \[M, 3, 32, 32\], one at least"):
        dataclasses.replace(PAPER, pictures=wrong)(clips(2), targets(2))
