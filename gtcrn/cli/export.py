"""`gtcrn export`: weights for other runtimes."""

import enum
from pathlib import Path
from typing import Annotated

import typer

from gtcrn.errors import ConfigError, needs


class Format(enum.StrEnum):
    """What reads the graph: any ONNX runtime, or sherpa-onnx as a model of type gtcrn."""

    onnx = "onnx"
    sherpa = "sherpa"


class Shape(enum.StrEnum):
    """What goes in and out of an ONNX graph: one frame's spectrum, or one hop of samples."""

    spectrum = "spectrum"
    samples = "samples"


def export(
    weights: Annotated[str, typer.Argument(help="A weights file, or the name of shipped weights.")] = "gtcrn",
    out: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path("gtcrn.onnx"),
    form: Annotated[Format, typer.Option("--format", help="onnx, or sherpa for sherpa-onnx.")] = Format.onnx,
    shape: Annotated[
        Shape | None, typer.Option(help="Of onnx: spectrum, or samples with the transforms inside; default: spectrum.")
    ] = None,
) -> None:
    """Write weights as an ONNX graph for other runtimes.

    The graph takes one frame, its state as inputs and outputs. Extra: export.
    """
    from gtcrn import load

    if shape and form is Format.sherpa:
        raise ConfigError("--shape goes with --format onnx: sherpa-onnx reads one shape only.")
    with needs("export"):
        from gtcrn.network.export import export_onnx
    export_onnx(load(weights).checkpoint, out, "sherpa" if form is Format.sherpa else shape or Shape.spectrum)
    typer.echo(f"wrote {out}")
