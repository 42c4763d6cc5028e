"""Is speech kept? Clean, quiet and loud input.

python -m gtcrn_recipes.evaluation.checks --pairs data/corpus [--weights W]
"""

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Annotated

import numpy as np
import typer

from gtcrn import load
from gtcrn_recipes.data.dataset import PairSet, ReadyPair
from gtcrn_recipes.evaluation import metrics

LEVELS_DBFS = (-45.0, -25.0, -3.0)  # root mean square of the clean speech, but for the last: its peak
EVERY = 4  # pairs; not a multiple of the SNRs, which take turns


def main(
    pairs: Annotated[str, typer.Option(help="Data set with pairs/valid.")] = "data/corpus",
    name: Annotated[str, typer.Option(help="Name of the pairs.")] = "valid",
    weights: Annotated[str | None, typer.Option(help="Weights; the shipped ones unless given.")] = None,
    jobs: int = 2,
) -> None:
    """Print mean WB-PESQ of clean files fed in, and of noisy files brought to several levels."""
    chosen = list(PairSet.open(pairs, name))[::EVERY]
    with ProcessPoolExecutor(jobs) as pool:
        clean = list(pool.map(partial(score_clean, weights), chosen))
        typer.echo(f"clean files in ({len(clean)}): WB-PESQ {np.mean(clean):.3f}")
        for level in LEVELS_DBFS:
            scores = list(pool.map(partial(score_at, weights, level), chosen))
            typer.echo(f"noisy files with speech at {level:.0f} dBFS: WB-PESQ {np.mean(scores):.3f}")


def score_clean(weights: str | None, pair: ReadyPair) -> float:
    """WB-PESQ of a clean file that was denoised."""
    return metrics.wb_pesq(pair.clean, load(weights)(pair.clean))


def score_at(weights: str | None, level_dbfs: float, pair: ReadyPair) -> float:
    """WB-PESQ of a noisy file denoised at another level, against the clean file."""
    gain = gain_to(pair, level_dbfs)
    return metrics.wb_pesq(pair.clean, load(weights)(gain * pair.noisy) / gain)


def gain_to(pair: ReadyPair, level_dbfs: float) -> np.float32:
    """Factor that brings the speech to a level; near full scale the mixture's peak is what counts."""
    now = np.abs(pair.noisy).max() if level_dbfs > -10 else np.sqrt(np.mean(np.square(pair.clean)))
    return np.float32(10 ** (level_dbfs / 20) / now)


if __name__ == "__main__":
    typer.run(main)
