"""Validation on fixed pairs: SI-SDR each time, PESQ and ESTOI when asked for. The pairs never train."""

import numpy as np
import torch
from torch import Tensor

from gtcrn.network.model import GTCRN
from gtcrn.types import Samples
from gtcrn_recipes.data.dataset import PairSet
from gtcrn_recipes.evaluation import metrics
from gtcrn_recipes.evaluation.scores import mean_scores
from gtcrn_recipes.settings import Recipe
from gtcrn_recipes.training.enhance import enhance


class Validation:
    """Ready pairs, held in memory, and the scores of a model on them."""

    def __init__(self, root: str, name: str, jobs: int = 2) -> None:
        self.pairs = list(PairSet.open(root, name))
        self.jobs = jobs

    def score(self, model: GTCRN, device: torch.device, full: bool) -> tuple[dict[str, float], list[Samples]]:
        """Mean scores and the enhanced audio; `full` adds PESQ and ESTOI, which take seconds a pair."""
        enhanced = [_enhance(model, torch.from_numpy(pair.noisy).to(device)) for pair in self.pairs]
        clean = [pair.clean for pair in self.pairs]
        scores = {"si_sdr": _mean_si_sdr(clean, enhanced)}
        if full:
            scores |= mean_scores(clean, enhanced, self.jobs)
        return scores, enhanced


def verdict(recipe: Recipe, si_sdr: float) -> str:
    """Whether a run's best SI-SDR in dB lies as far above the noisy pairs' as its recipe expects, in a sentence."""
    pairs = list(PairSet.open(recipe.data.root, recipe.data.validation))
    gain = si_sdr - _mean_si_sdr([pair.clean for pair in pairs], [pair.noisy for pair in pairs])
    lowest, highest = recipe.train.expected_gain_db
    told = f"SI-SDR {si_sdr:.1f} dB, {gain:+.1f} dB to the noisy pairs"
    if gain < lowest:
        return f"{told}: below the {lowest:g} to {highest:g} dB of a run that goes well; look at the data, or the loss."
    return (
        f"{told}: as expected ({lowest:g} to {highest:g} dB)." if gain <= highest else f"{told}: better than expected."
    )


def _mean_si_sdr(clean: list[Samples], other: list[Samples]) -> float:
    return float(np.mean([metrics.si_sdr(c, o) for c, o in zip(clean, other, strict=True)]))


@torch.no_grad()
def _enhance(model: GTCRN, noisy: Tensor) -> Samples:
    was_training = model.training
    audio: Samples = enhance(model.eval(), noisy[None]).audio[0].cpu().numpy()
    model.train(was_training)
    return audio
