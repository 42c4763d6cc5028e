"""Mean PESQ and ESTOI of many pairs, in processes of their own. Free of torch, so that those start quickly."""

from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import numpy as np

from gtcrn.errors import AudioError
from gtcrn.types import Samples
from gtcrn_recipes.evaluation import metrics

METRICS = {"pesq": metrics.wb_pesq, "estoi": metrics.estoi}
FEW = 8  # pairs that are scored sooner than processes start


def mean_scores(clean: list[Samples], enhanced: list[Samples], jobs: int) -> dict[str, float]:
    """Means over the pairs that can be scored; fresh processes, since a forked torch may hang."""
    if len(clean) <= FEW:
        return {name: _mean(map(partial(_score, name), clean, enhanced)) for name in METRICS}
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        return {name: _mean(pool.map(partial(_score, name), clean, enhanced, chunksize=4)) for name in METRICS}


def _mean(values: Iterable[float]) -> float:
    return float(np.nanmean(list(values)))


def _score(name: str, clean: Samples, enhanced: Samples) -> float:
    try:
        return METRICS[name](clean, enhanced)
    except AudioError:  # no speech is found in the output of a network that has learnt little
        return float("nan")
