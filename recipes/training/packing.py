"""From a run to weights that can be shipped: one file and a model card in words."""

import json
import tomllib
from pathlib import Path
from typing import Any

from gtcrn import checkpoint
from gtcrn.checkpoint import Checkpoint
from gtcrn.errors import CheckpointError

CARD = """# Model card: {name}

{description}

| | |
|---|---|
| network | GTCRN (Rong et al., ICASSP 2024), {parameters} learned parameters, input exponent {exponent} |
| recipe | `{recipe}`, seed {seed}, {step} steps, {hours:.0f} hours of mixed audio |
| training data | {data} |
| licence | {licence} |
| selected by | {select} |

| score on the validation pairs | mean |
|---|---|
{scores}

"""

KEPT = ("recipe", "seed", "step", "hours", "scores")  # of what the run wrote


def pack(run: Path, out: Path, licence: str, data: str, notes: str = "", last: bool = False) -> Checkpoint:
    """Write the best weights of a run to `out` and the card beside it (same name, .md), which ends with `notes`.

    `last`: those of its last checkpoint instead. Raises CheckpointError where the run has no such weights yet.
    """
    source = run / f"{'last' if last else 'best'}.safetensors"
    if not source.is_file():
        raise CheckpointError(
            f"{run} has no {source.name} yet: the first {'checkpoint' if last else 'score'} writes it."
        )
    found = checkpoint.read(source)
    described = _settings(run / "config.toml")
    kept = {name: found.card[name] for name in KEPT}
    card = {**kept, "name": out.stem, "licence": licence, "data": data, "description": described["description"]}
    packed = Checkpoint(found.config, found.weights, card)
    checkpoint.write(out, packed)
    by = "none: the last step" if last else f"{described['train']['select']} on the validation pairs"
    out.with_suffix(".md").write_text(_in_words(packed, by) + notes)
    return packed


def _settings(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text())


def _in_words(packed: Checkpoint, selected_by: str) -> str:
    card = packed.card
    learned = sum(v.size for k, v in packed.weights.items() if "running" not in k)
    scores = "\n".join(f"| {name} | {value:.3f} |" for name, value in card["scores"].items())
    values = {**card, "scores": scores, "parameters": learned, "exponent": packed.config.input_exponent}
    return CARD.format(**values, select=selected_by)


def history(run: Path) -> list[dict[str, Any]]:
    """The lines of history.jsonl."""
    return [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
