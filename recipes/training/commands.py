"""The commands `gtcrn train` and `gtcrn weights pack`; torch is imported when one of them runs."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from gtcrn.cli.export import export
from gtcrn.errors import ConfigError, needs


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("train")(train)
    weights = typer.Typer(help="Shippable weights.", no_args_is_help=True)
    weights.command("pack")(pack)
    weights.command("export")(export)
    app.add_typer(weights, name="weights")


def train(
    recipe: Annotated[Path, typer.Argument(help="A recipe, or the name of one that is included (quick, corpus, ...).")],
    change: Annotated[list[str] | None, typer.Option("--set", help="A single change: train.lr=5e-4.")] = None,
    data: Annotated[Path | None, typer.Option(help="The data set, as `prepare` made it; else the recipe's.")] = None,
    name: Annotated[str, typer.Option(help="Name of the run; the recipe's unless given.")] = "",
    runs: Annotated[Path, typer.Option(help="Where runs are kept.")] = Path("runs"),
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run from its last checkpoint.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int, typer.Option(min=0, help="CPU threads of torch; 0: its own choice.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Train a network by a recipe.

    Under torchrun in several processes.
    """
    with needs("train"):
        import torch

        from gtcrn_recipes import settings
        from gtcrn_recipes.training import trainer, validation

    if threads:
        torch.set_num_threads(threads)
    changes = [*(change or ()), *([f"data.root={json.dumps(str(data), ensure_ascii=False)}"] if data else ())]
    resolved = settings.load(find_recipe(recipe), changes)
    folder = runs / (name or resolved.name)
    run = trainer.train(resolved, folder, resume, quiet, device)
    if int(os.environ.get("RANK", 0)):  # one of several processes tells
        return
    typer.echo(f"{run.progress.step} steps, {run.progress.hours:.2f} h of audio, weights in {run.outcome}")
    lowest, highest = resolved.train.expected_gain_db
    if lowest < highest and resolved.data.validation and resolved.train.select == "si_sdr":
        typer.echo(validation.verdict(resolved, run.progress.best))


def pack(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    out: Annotated[Path, typer.Option("--output", "-o", help="The weights to write; a model card goes beside them.")],
    licence: Annotated[str, typer.Option(help="Licence of the weights.")] = "MIT",
    data: Annotated[str, typer.Option(help="What they were trained on, for the card.")] = "not stated",
    notes: Annotated[Path | None, typer.Option(help="Markdown to end the card with: sources, tables.")] = None,
    last: Annotated[bool, typer.Option("--last", help="The last checkpoint, whatever its scores.")] = False,
) -> None:
    """Turn the best checkpoint of a run into weights to ship, with a model card."""
    with needs("train"):
        from gtcrn_recipes.training import packing

    text = notes.read_text() if notes else ""
    packed = packing.pack(run, out, licence, data, text, last)
    typer.echo(f"wrote {out} and {out.with_suffix('.md').name}: step {packed.card['step']}, {packed.card['scores']}")


def find_recipe(recipe: Path) -> Path:
    """The file itself, or an included recipe of that name."""
    if recipe.is_file():
        return recipe
    included = {path.stem: path for path in Path(__file__).parent.parent.glob("*.toml")}
    if recipe.stem in included:
        return included[recipe.stem]
    raise ConfigError(f"no recipe at {recipe}; included are {', '.join(sorted(included))}.")
