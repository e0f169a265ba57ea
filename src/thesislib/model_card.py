"""The page that goes with an exported pose network: what it is, how well it does, how to use it, its limits."""

from collections.abc import Mapping
from typing import Any

from thesislib.chapters.joint_choices import OURS, Config
from thesislib.datasets.hands import MARGIN
from thesislib.synthetic.hand import JOINTS
from thesislib.transforms.hands import MEAN, STD

OUTPUTS = {
    "heatmaps": "one map a joint, as logits: `[batch, 21, s, s]`. {density} gives a map that peaks at the joint. "
    "Take the highest pixel's centre, (column + 0.5, row + 0.5) times {size} / s, or, a fraction of a pixel "
    "better, the top of the parabola through the logarithm around it (`thesislib.heatmaps.dark`).",
    "stages": "the maps of each stage: `[batch, stages, channels, s, s]`. Each of the first 21 maps of the last "
    "stage peaks at a joint. Take the top of the parabola through the logarithm around the highest pixel, its "
    "column and row plus 0.5, times {size} / s (`thesislib.heatmaps.decode_stages`).",
    "coordinates": "`[batch, 21, 2]`: x and y as shares of the picture's side; times {size} they are pixels.",
    "bins": "`[batch, 21, 2, bins]`: logits of the bins of x and of y. The centre of the likeliest bin, "
    "(index + 0.5) times {size} / bins, is the coordinate in pixels.",
}


def model_card(config: Config, record: str, facts: Mapping[str, Any]) -> str:
    """Return the card as Markdown; `facts` are `pose_model.facts_of` the record."""
    size, data = config.size, facts["data"]
    density = (
        "A softmax over each map" if config.loss == "spatial_cross_entropy" else "A sigmoid of each pixel"
    )
    joints = ", ".join(f"{i} {name}" for i, name in enumerate(JOINTS))
    mean, deviation = (", ".join(f"{value:g}" for value in values) for values in (MEAN, STD))
    return f"""# 21 joints of a hand

{_network(config)}: {facts["parameters"]:,} parameters, {facts["multiply_adds"]:,} \
multiply-adds a picture. It reads a picture of one hand and says where its 21 joints are. Made by hand2vec, a \
thesis you can rerun.

## What it learned from

{config.train_hands:,} pictures of {config.train_signers:,} invented people's hands ({data["title"]}, version \
{data["version"]}: {data["note"]}), seen {config.epochs} times, augmentation "{config.augmentation}", loss \
"{config.loss}". It never saw a photograph. Record `{record}`, code at commit {facts["commit"]}.

## How far off it is

{_errors(facts)}

## Input

`image`, float32 `[batch, 3, {size}, {size}]`: red, green and blue, each from 0 to 1, minus ({mean}), \
over ({deviation}).

Cut the hand out as a square: the middle of its tight box, {MARGIN["given"]:g} times the longer side, edge pixels \
repeated where the square reaches over the picture. Resize with antialiasing. Left and right hands are both \
welcome.

## Output

`output`, {OUTPUTS[facts["output"]].format(density=density, size=size)} Pixel i covers i to i + 1.

The joints: {joints}.

## Files

`pose.onnx` for ONNX Runtime and others; `pose.safetensors` for PyTorch (`thesislib.pose_model.load`), with the \
configuration in its metadata. ONNX Runtime's answers equal PyTorch's within 0.001 of the largest output.

## Licence

MIT, as the code. The hands it learned from are this project's own, made of numbers.

## Limits

It always answers, also where there is no hand, and says nothing of how sure it is. It does not find the hand: \
give it a square around one. Hidden joints are guesses. Hands that hold things, gloves, hands that touch each \
other and poses unlike those above were not in its training. Errors on real people, where the table has them, are \
of small sets in which skin tones, ages and cameras are not balanced. Do not use it to judge, identify or watch \
over people.
"""


def _network(config: Config) -> str:
    if config.network != OURS:
        return f"`{config.network}`, a rival of the thesis's network, built as `thesislib.networks` has it"
    drawn = [f"width {config.width:g} of figure 3.1's channels", f"stem of stride {config.stem_stride}"]
    if config.decoder_width is not None:
        drawn.append(f"decoder of width {config.decoder_width:g}")
    if config.depth != 3:
        drawn.append(f"depth {config.depth}")
    if config.literal:
        drawn.append("the decoder taken literally, without activations")
    return f"The thesis's network for hand joints (Ignatiev 2019, section 3.1), {', '.join(drawn)}"


def _errors(facts: Mapping[str, Any]) -> str:
    found, mean = facts["unseen_signers"], facts["unseen_signers_mean_pose"]
    rows = [
        "| tested on | n | mean error | always the mean pose |",
        "|---|---|---|---|",
        f"| invented people it never saw | {found['n_images']:,} | {found['epe_px_at_256']:.1f} px of 256 "
        f"| {mean['epe_px_at_256']:.1f} px of 256 |",
    ]
    for name, kinds in facts["real"].items():
        real, mean = kinds["network"], kinds["mean_pose"]
        rows.append(
            f"| real hands: {name.replace('_', ' ')} | {real['n_images']:,} "
            f"| {real['error_over_box']:.3f} of the hand's box | {mean['error_over_box']:.3f} of the hand's box |"
        )
    if not facts["real"]:
        rows.append("\nThis run was not tested on real hands.")
    return "\n".join(rows)
