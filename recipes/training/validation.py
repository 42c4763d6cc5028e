"""Validation on fixed pairs: SI-SDR each time, PESQ and ESTOI when asked for. The pairs never train."""

import numpy as np
import torch
from torch import Tensor

from gtcrn.network.model import GTCRN
from gtcrn_recipes.data.dataset import PairSet
from gtcrn_recipes.evaluation import metrics
from gtcrn_recipes.evaluation.scores import Audio, mean_scores
from gtcrn_recipes.training.enhance import enhance


class Validation:
    """Ready pairs, held in memory, and the scores of a model on them."""

    def __init__(self, root: str, name: str, jobs: int = 2) -> None:
        self.pairs = list(PairSet.open(root, name))
        self.jobs = jobs

    def score(self, model: GTCRN, device: torch.device, full: bool) -> tuple[dict[str, float], list[Audio]]:
        """Mean scores and the enhanced audio; `full` adds PESQ and ESTOI, which take seconds a pair."""
        enhanced = [_enhance(model, torch.from_numpy(pair.noisy).to(device)) for pair in self.pairs]
        clean = [pair.clean for pair in self.pairs]
        scores = {"si_sdr": float(np.mean([metrics.si_sdr(c, e) for c, e in zip(clean, enhanced, strict=True)]))}
        if full:
            scores |= mean_scores(clean, enhanced, self.jobs)
        return scores, enhanced


@torch.no_grad()
def _enhance(model: GTCRN, noisy: Tensor) -> Audio:
    was_training = model.training
    audio: Audio = enhance(model.eval(), noisy[None]).audio[0].cpu().numpy()
    model.train(was_training)
    return audio
