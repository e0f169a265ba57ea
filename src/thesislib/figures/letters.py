"""Letters and the hands that make them: who is taken for whom, maps by letter and by signer, gradients.

Invented hands stand for the letters, so that no person's picture is needed: ``pictures`` maps the name of a letter
to uint8 [3, S, S], `symbols`. A letter that has none, such as a word of one's own, is only named.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from thesislib.figures import style
from thesislib.figures.characters import draw_plain
from thesislib.figures.hand_portraits import portraits
from thesislib.figures.hands import described
from thesislib.figures.signer_scores import printed_confusions, printed_letters
from thesislib.synthetic.handshapes import alphabet

WRITTEN = 0.05  # shares below it are left to the colour
WARMER = 20  # red less blue, more than the wall
MOST_MARKS = 8  # shapes of signers
MOST_SHOWN = 10  # characters of a long name

Pictures = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Pair:
    """A letter, what it was taken for, how often in percent, and what the thesis prints where it is 10 or more."""

    true: str
    read_as: str
    percent: float
    printed: float | None

    @property
    def printed_text(self) -> str:
        """What the thesis's figure 3.28 says of the pair; a dash where it has no such letters."""
        if self.printed is not None:
            return f"{self.printed:.0f} %"
        return "under 10 %" if {self.true, self.read_as} <= printed_letters().keys() else "–"


def shares(counts: np.ndarray) -> np.ndarray:
    """Return a confusion [C, C] as shares of each true letter; a letter that was never asked has zeros."""
    asked = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, asked, out=np.zeros(counts.shape), where=asked > 0)


def top_pairs(counts: np.ndarray, letters: Sequence[str], count: int) -> list[Pair]:
    """Return the pairs (true letter, answer) that are confused in the largest shares of the true letter."""
    share, printed = shares(counts), printed_confusions()
    np.fill_diagonal(share, 0)
    order = np.argsort(-share, axis=None, kind="stable")[:count]
    rows, columns = np.unravel_index(order[share.flat[order] > 0], share.shape)
    return [
        Pair(letters[i], letters[j], 100 * float(share[i, j]), printed.get((letters[i], letters[j])))
        for i, j in zip(rows, columns, strict=True)
    ]


def symbols(signer: int, alphabet_name: str = "american letters", *, size: int = 96) -> dict[str, np.ndarray]:
    """Return one invented signer's hand for each letter of an alphabet, seen close up: name -> uint8 [3, S, S]."""
    drawn = portraits(signer, alphabet_name, size=size, supersample=2)
    return dict(zip(alphabet(alphabet_name), close_up(drawn), strict=True))


def close_up(pictures: np.ndarray) -> np.ndarray:
    """Return pictures [C, 3, S, S] cut to the square about each hand: skin is redder than the wall behind it.

    For symbols: sizes of hands no longer compare. A picture in which nothing is redder stays whole.
    """
    size = pictures.shape[-1]
    warmth = pictures[:, 0].astype(int) - pictures[:, 2]
    skin = warmth > warmth[:, :1, :1] + WARMER
    cut = np.empty_like(pictures)
    for index, mask in enumerate(skin):
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            cut[index] = pictures[index]
            continue
        side = min(size, int(1.08 * max(np.ptp(rows), np.ptp(columns))) + 1)
        y, x = (
            int(np.clip((line[0] + line[-1] + 1 - side) // 2, 0, size - side)) for line in (rows, columns)
        )
        place = np.arange(size) * side // size  # nearest pixels: back to one size
        cut[index] = pictures[index][:, y + place][:, :, x + place]
    return cut


def confusion(counts: np.ndarray, letters: Sequence[str], pictures: Pictures) -> Figure:
    """Draw a confusion [C, C] as shares of each true letter, with hands and letters along both sides."""
    share, n = shares(counts), len(letters)
    figure, axes = style.figure(min(style.WIDTH * 0.97, 0.5 * (n + 3)))
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(share >= WRITTEN):
        colour = "white" if share[row, column] > 0.55 else "#333333"
        text = f"{100 * share[row, column]:.0f}"
        axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
    _name_sides(axes, letters, pictures)
    axes.set(xlim=(-2.6, n - 0.5), ylim=(n - 0.5, -2.6), xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="taken for", ylabel="is")
    axes.xaxis.set_label_position("top")
    right = np.trace(counts) / counts.sum()
    return described(
        figure, f"Confusions among {n} letters; {100 * right:.0f} % of the pictures are read right."
    )


def confused_pairs(counts: np.ndarray, letters: Sequence[str], pictures: Pictures, count: int = 8) -> Figure:
    """Draw the most confused pairs as two hands each, with their share here and in the thesis's figure 3.28."""
    pairs = top_pairs(counts, letters, count)
    half = max(1, -(-len(pairs) // 2))
    figure, axes = style.figure(0.66 * half + 0.5, columns=2, squeeze=False)
    longest = max((max(pair.percent, pair.printed or 0) for pair in pairs), default=100.0)
    for axis, some in zip(axes[0], (pairs[:half], pairs[half:]), strict=True):
        _draw_pairs(axis, some, pictures, longest, half)
    keys = [Patch(color=style.BLUE, label="share of the letter's pictures here")]
    if any(pair.printed for pair in pairs):
        look = dict(color=style.ORANGE, marker="D", linestyle="none")
        keys.append(Line2D([], [], label="in the thesis, where 10 % or more", **look))
    figure.legend(handles=keys, loc="outside lower center", ncols=2, fontsize=9)
    if not pairs:
        axes[0, 0].text(0, 0, "no letter was taken for another", va="center")
    told = ", ".join(f"{pair.true} read as {pair.read_as} {pair.percent:.0f} %" for pair in pairs)
    told = told or "none is confused"
    return described(figure, f"The most confused pairs of letters: {told}.")


def maps(
    point: np.ndarray, letter: np.ndarray, signer: np.ndarray, letters: Sequence[str], signers: Sequence[str]
) -> Figure:
    """Draw one map [N, 2] twice: each picture as its letter, and as the mark of its signer."""
    figure, (left, right) = style.figure(4.1, columns=2, sharex=True, sharey=True)
    for index, name in enumerate(letters):
        colour = style.CYCLE[index % len(style.CYCLE)]
        for x, y in point[letter == index]:
            left.text(x, y, name, color=colour, fontsize=7.5, ha="center", va="center", clip_on=True)
    for index, name in enumerate(signers):
        marker = style.MARKERS[index % MOST_MARKS]
        colour = style.CYCLE[(index + index // MOST_MARKS) % len(style.CYCLE)]
        right.plot(
            *point[signer == index].T,
            marker,
            color=colour,
            markersize=4,
            alpha=0.8,
            linestyle="none",
            label=name,
        )
    for axis, title in ((left, "by letter"), (right, "by signer")):
        axis.set(title=title, xticks=[], yticks=[], xlabel="component 1")
    left.set_ylabel("component 2")
    figure.legend(
        *right.get_legend_handles_labels(), loc="outside lower center", ncols=min(len(signers), 8), fontsize=9
    )
    return described(
        figure, f"A map of {len(point)} pictures, once by {len(letters)} letters, once by signer."
    )


def gradients(image: np.ndarray, gradient: np.ndarray) -> Figure:
    """Draw pairwise similarity gradients of hands: pictures uint8 [n, 3, S, S], gradients [n, n, S, S].

    Row a shows picture a; the column is the picture it is compared with. Brighter red pixels would raise the
    similarity, blue ones lower it (equation 3.38); each cell is scaled by its own largest gradient.
    """
    n = len(image)
    figure, axes = style.figure(style.WIDTH, rows=n + 1, columns=n + 1)
    for axis in axes.flat:
        axis.set_axis_off()
    for a in range(n):
        draw_plain(axes[0, a + 1], image[a].transpose(1, 2, 0))
        draw_plain(axes[a + 1, 0], image[a].transpose(1, 2, 0))
        grey = image[a].mean(axis=0)
        faint = 1 - 0.35 * (grey.max() - grey) / max(np.ptp(grey), 1e-12)
        for b in range(n):
            draw_plain(axes[a + 1, b + 1], faint)
            signal = gradient[a, b] / (np.abs(gradient[a, b]).max() + 1e-12)
            axes[a + 1, b + 1].imshow(
                signal, cmap="RdBu_r", vmin=-1, vmax=1, alpha=np.abs(signal) ** 0.7, interpolation="nearest"
            )
    axes[0, 0].text(0.5, 0.5, "a \\ b", ha="center", va="center", transform=axes[0, 0].transAxes)
    return described(
        figure, f"Gradients of the similarity of each two of {n} hands by the pixels of the first."
    )


def _name_sides(axes: Axes, letters: Sequence[str], pictures: Pictures) -> None:
    """Write each letter along both sides of a matrix, with its picture beyond; long names run away from it."""
    long = max(map(len, letters)) > 2
    look = dict(fontsize=7.5 if long else 9, weight="bold", clip_on=True)
    beside, above = (dict(ha="right"), dict(rotation=90, va="bottom")) if long else (dict(ha="center"), {})
    edge = -0.7 if long else -1.0
    for place, name in enumerate(letters):
        if name in pictures:
            _picture(axes, pictures[name], (-2.05, place), 0.94)
            _picture(axes, pictures[name], (place, -2.05), 0.94)
        axes.text(edge, place, name[:MOST_SHOWN], **{"va": "center"} | beside | look)
        axes.text(place, edge, name[:MOST_SHOWN], **{"va": "center", "ha": "center"} | above | look)


def _draw_pairs(axes: Axes, pairs: Sequence[Pair], pictures: Pictures, longest: float, rows: int) -> None:
    """Draw pairs below each other: hand, letters, hand, then a bar; a unit is a picture's side."""
    start, length = 3.0, 2.4  # where bars begin, and how long the longest is
    for y, pair in enumerate(pairs):
        for name, x in ((pair.true, 0.45), (pair.read_as, 2.25)):
            if name in pictures:
                _picture(axes, pictures[name], (x, y), 0.9)
        long = max(len(pair.true), len(pair.read_as)) > 2
        arrow = "\n→" if long else " →"
        names = f"{pair.true[:MOST_SHOWN]}{arrow} {pair.read_as[:MOST_SHOWN]}"
        size = 8 if long else 11
        axes.text(1.35, y, names, ha="center", va="center", fontsize=size, weight="bold")
        here = length * pair.percent / longest
        axes.barh(y, here, left=start, height=0.34, color=style.BLUE)
        axes.text(start, y - 0.22, f"{pair.percent:.0f} %", va="bottom", fontsize=9, color=style.BLUE)
        if pair.printed is not None:
            there = start + length * pair.printed / longest
            axes.plot(there, y, "D", color=style.ORANGE, markersize=7, markeredgecolor="white", zorder=3)
            axes.text(
                there, y + 0.22, f"{pair.printed:.0f}", ha="center", va="top", fontsize=9, color=style.ORANGE
            )
    axes.set(xlim=(-0.05, start + length + 0.2), ylim=(rows - 0.45, -0.55), aspect="equal")
    axes.set_axis_off()


def _picture(axes: Axes, picture: np.ndarray, middle: tuple[float, float], side: float) -> None:
    """Draw a picture uint8 [3, S, S] around a place of axes whose y points down."""
    (x, y), half = middle, side / 2
    extent = (x - half, x + half, y + half, y - half)
    axes.imshow(picture.transpose(1, 2, 0), extent=extent, interpolation="antialiased")
