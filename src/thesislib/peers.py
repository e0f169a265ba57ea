"""MediaPipe's hand landmark models, for comparison of speed: taken out of its wheel, run by LiteRT.

MediaPipe itself is not installed, as its wheel asks for an older NumPy: the two models are all it takes. They
are Google's, under the Apache licence 2.0, and are not passed on with this project.
"""

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from thesislib.datasets.sources import DataError
from thesislib.files import write_whole

WHEEL = "mediapipe==0.10.14"
INSIDE = "mediapipe/modules/hand_landmark/hand_landmark_{}.tflite"
# The same two files in this version's wheel for every platform. Computed from the wheel of PyPI; the publisher
# prints checksums of wheels alone.
SHA256 = {
    "mediapipe_full": "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
    "mediapipe_lite": "048edd3645c9bf7397d19a9f6e3a42957d6e414c9bea6598030a2e9b624156e6",
}
INPUT_PX = 224


def mediapipe_landmark_models(folder: Path) -> dict[str, Path]:
    """Return name -> path of the landmark models in a folder, taken out of the wheel there where they are not yet.

    Two files of the wheel are read and written under names of our own; nothing else is unpacked and nothing
    imported. Raises DataError where there is neither model nor wheel, or either is not version 0.10.14's.
    """
    paths = {name: Path(folder) / f"{name}.tflite" for name in SHA256}
    for name, path in paths.items():
        content = path.read_bytes() if path.exists() else _from_wheel(folder, name)
        if hashlib.sha256(content).hexdigest() != SHA256[name]:
            raise DataError(
                f"{path} is not the model of {WHEEL}; delete it and put that version's wheel there"
                if path.exists()
                else f"the wheel in {folder} holds another {path.name} than {WHEEL}; put that version's there"
            )
        if not path.exists():
            write_whole(path, lambda temporary, content=content: temporary.write_bytes(content))
    return paths


def tflite_call(path: Path) -> Callable[[], None]:
    """Return a call that runs a TFLite model on one random picture of 224 x 224 pixels, on one CPU thread.

    Raises RuntimeError where LiteRT is not installed, DataError for a file that is no such model.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise RuntimeError(
            "LiteRT is not installed, and MediaPipe's models need it: pip install -e '.[peers]'"
        ) from None
    try:
        interpreter = Interpreter(model_path=str(path), num_threads=1)
        interpreter.allocate_tensors()
        (image,) = interpreter.get_input_details()
    except (ValueError, RuntimeError) as error:
        raise DataError(f"{path} is no TFLite model of pictures ({error})") from None
    if tuple(image["shape"]) != (1, INPUT_PX, INPUT_PX, 3):
        raise DataError(f"{path} reads {list(image['shape'])}, not a picture of {INPUT_PX} x {INPUT_PX}")
    picture = np.random.default_rng(0).random(image["shape"], np.float32)

    def call() -> None:
        interpreter.set_tensor(image["index"], picture)
        interpreter.invoke()

    return call


def _from_wheel(folder: Path, name: str) -> bytes:
    by_hand = f"`pip download --no-deps --dest {folder} {WHEEL}`"
    wheels = sorted(Path(folder).glob(f"{WHEEL.replace('==', '-')}-*.whl"))
    if not wheels:
        raise DataError(f"MediaPipe's models are not in {folder}; put its wheel there: {by_hand}")
    try:
        with zipfile.ZipFile(wheels[0]) as wheel:
            return wheel.read(INSIDE.format(name.removeprefix("mediapipe_")))
    except (KeyError, OSError, zipfile.BadZipFile, zipfile.LargeZipFile) as error:
        raise DataError(
            f"{wheels[0]} is not a whole wheel of {WHEEL} ({error}); delete it, then {by_hand}"
        ) from error
