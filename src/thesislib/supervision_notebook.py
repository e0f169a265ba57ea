"""The supervision tool in a notebook: the picture, two buttons, and a field that takes single keys."""

import io
from pathlib import Path
from typing import Any

from thesislib.datasets.eleven_k_hands import read_joints, read_register
from thesislib.datasets.sources import DataError
from thesislib.supervision import PASSES, Sitting
from thesislib.supervision_terminal import overlay, prompt

LABELS = {"y": "Keep (y)", "n": "Reject (n)", "b": "Back (b)", "q": "Quit (q)"}


def supervise_in_notebook(folder: Path, json_folder: Path, decisions: Path) -> Any:
    """Return a widget that lets a person accept or reject OpenPose's joints of 11k Hands, in two passes.

    The arguments are those of `supervision_terminal.supervise_folder`, and both may go on with one file of
    decisions in turns. Click, or put the cursor into the field and press y, n, b or q. After q or the last picture
    the file is let go; so it is when the kernel ends. Raises DataError for missing and broken files, and where
    ipywidgets is not installed.
    """
    try:
        import ipywidgets as widgets
    except ImportError as error:
        raise DataError(
            "this tool needs ipywidgets: `pip install ipywidgets`, or use `thesis supervise` in a terminal"
        ) from error
    register = {photograph.name: photograph for photograph in read_register(folder)}
    sitting = Sitting(tuple(register), decisions)
    picture = widgets.Image(format="png", layout=widgets.Layout(max_width="100%"))
    heading, line = widgets.HTML(), widgets.Label()
    progress = widgets.IntProgress(layout=widgets.Layout(width="100%"))
    buttons = {
        key: widgets.Button(description=label, tooltip=f"or press {key} in the field")
        for key, label in LABELS.items()
    }
    buttons["y"].button_style, buttons["n"].button_style = "success", "danger"
    field = widgets.Text(placeholder="keys: y n b q", continuous_update=True)

    def show() -> None:
        name = sitting.picture
        if name is None:
            left = ", ".join(f"{stage.name}: {stage.images:,}" for stage in sitting.stages)
            heading.value = f"Every decision is kept in {sitting.path.name}. Pictures left: {left}."
            line.value = ""
            picture.layout.display = "none"
            for control in (*buttons.values(), field):
                control.disabled = True
            sitting.close()
            return
        heading.value = f"<b>Pass {sitting.in_pass} of {len(PASSES)}: {PASSES[sitting.in_pass - 1]}</b>"
        line.value = prompt(sitting, *read_joints(json_folder, register[name]))
        progress.max, progress.value = len(sitting.desk.pictures), len(sitting.desk.kept)
        file = io.BytesIO()
        overlay(folder, json_folder, register[name], sitting.in_pass).save(file, "PNG")
        picture.value = file.getvalue()

    def take(key: str) -> None:
        if key in LABELS and sitting.picture is not None:
            try:
                sitting.press(key)
                show()
            except DataError as error:  # a widget's callback has nobody to raise it to
                line.value = f"{error}"

    def typed(change: dict[str, Any]) -> None:
        for key in change["new"].lower():
            take(key)
        if change["new"]:
            field.value = ""

    for key, button in buttons.items():
        button.on_click(lambda _, key=key: take(key))
    field.observe(typed, names="value")
    try:
        show()
    except BaseException:
        sitting.close()
        raise
    return widgets.VBox([heading, picture, line, progress, widgets.HBox([*buttons.values(), field])])
