"""A network in eight bits: an ONNX file whose weights and activations are integers, their ranges from pictures."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from thesislib.evaluation.speed import import_onnxruntime
from thesislib.files import write_whole


def quantise(onnx_file: Path, inputs: np.ndarray, path: Path) -> None:
    """Write an ONNX file again with weights and activations of eight bits, ranges from float32 inputs [N, 3, S, S].

    Weights have a scale a channel, and use seven of their eight bits: processors without integer dot products
    add pairs in 16 bits, which eight would overflow. What ONNX Runtime has no integer sums for, as transposed
    convolutions, is rounded likewise and summed as floats. Raises RuntimeError where ONNX Runtime is missing,
    ValueError without an input.
    """
    import_onnxruntime()
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    if not len(inputs):
        raise ValueError("ranges of activations come from inputs, and there is none")

    class Inputs(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(inputs)

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self.left, None)
            return None if image is None else {"image": image[None]}

    with TemporaryDirectory() as folder, _without_advice():
        merged = Path(folder) / "merged.onnx"  # batch norms are part of the convolutions before them
        quant_pre_process(str(onnx_file), str(merged), skip_symbolic_shape=True)
        write_whole(
            path,
            lambda temporary: quantize_static(
                str(merged),
                str(temporary),
                Inputs(),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            ),
        )


@contextmanager
def _without_advice() -> Iterator[None]:
    """Keep the quantiser's advice on what was done already, which it logs as warnings, from the reader."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(before)
