"""Writing a network as an ONNX graph, for any program that runs one."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from backbones.training.errors import UserError

OPSET = 17


def write_graph(
    module: nn.Module,
    given: Mapping[str, Tensor],
    outputs: Sequence[str],
    path: Path,
    batch_axis: Mapping[str, int] | None = None,
) -> None:
    """Write a module that takes tensors, by the graph's names, and gives a tuple of `outputs`.

    Batches are of any size, along axis 0 or what `batch_axis` says. UserError without `onnx`.
    """
    axes = {name: {(batch_axis or {}).get(name, 0): "batch"} for name in (*given, *outputs)}
    try:
        with warnings.catch_warnings():
            # The tracing exporter, which is said to be superseded: the other one needs more
            # packages and gives the same graph for three convolutions.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module,
                tuple(given.values()),
                str(path),
                input_names=list(given),
                output_names=list(outputs),
                dynamic_axes=axes,
                opset_version=OPSET,
                dynamo=False,
            )
    except (ModuleNotFoundError, torch.onnx.errors.OnnxExporterError) as error:
        raise UserError(
            f"no graph could be written ({error}); `pip install onnx` brings what it needs"
        ) from None
