"""Learning curves of one or more runs as a picture.

python -m gtcrn_recipes.training.curves runs/A runs/B -o curves.png
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from gtcrn_recipes.training.packing import history

PANELS = (("train", "loss"), ("validation", "si_sdr"), ("validation", "pesq"), ("validation", "estoi"))
TITLES = {"loss": "training loss", "si_sdr": "SI-SDR in dB", "pesq": "WB-PESQ", "estoi": "ESTOI"}


def curve(lines: list[dict[str, Any]], kind: str, name: str) -> tuple[list[float], list[float]]:
    """Hours of audio trained on, and a value over them."""
    chosen = [line for line in lines if line["kind"] == kind and name in line]
    return [line["hours"] for line in chosen], [line[name] for line in chosen]


def main(runs: list[Path], out: Annotated[Path, typer.Option("--output", "-o")] = Path("curves.png")) -> None:
    """Draw loss and validation scores against the hours of audio trained on."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(PANELS), figsize=(14, 3.4), layout="constrained")
    for axis, (kind, name) in zip(axes, PANELS, strict=True):
        for run in runs:
            axis.plot(*curve(history(run), kind, name), label=run.name, marker="." if kind == "validation" else "")
        axis.set(title=TITLES[name], xlabel="hours of audio")
        axis.grid(alpha=0.3)
    axes[0].set_yscale("symlog")
    axes[0].legend()
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    typer.run(main)
