"""Commands of the recipes: parse, call, report. Heavy imports wait until a command runs."""

from pathlib import Path
from typing import Annotated

import typer

from gtcrn.errors import needs
from gtcrn_recipes.training import commands as training

Paths = Annotated[list[Path] | None, typer.Option(help="Folder or glob; may be given several times.")]
Jobs = Annotated[int, typer.Option(min=0, help="Processes; 0: one a core.")]
Ray = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="On Ray, as `gtcrn denoise --ray`; none: a Ray of its own.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the program's."""
    app.command()(prepare)
    app.command()(evaluate)
    training.register(app)


def prepare(
    out: Annotated[Path, typer.Argument(help="Folder of the data set; what it holds already is kept.")],
    preset: Annotated[str, typer.Option(help="Layout of ROOT: dns3, dns4, dns5, vctk-demand or corpus.")] = "",
    root: Annotated[Path | None, typer.Option(help="Where the preset's folders lie.")] = None,
    speech: Paths = None,
    noise: Paths = None,
    rir: Paths = None,
    pairs: Annotated[list[Path] | None, typer.Option(help="Folder with noisy/ and clean/; its name is kept.")] = None,
    speaker_pattern: Annotated[str, typer.Option(help="Regular expression: the speaker in a path of --speech.")] = "",
    valid_share: Annotated[float, typer.Option(min=0, max=0.5, help="Share of the files to hold out.")] = 0.0,
    valid_pairs: Annotated[int, typer.Option(min=0, help="Validation pairs to mix from what is held out.")] = 120,
    fill_silence: Annotated[
        bool, typer.Option(help="Fill digital silence in speech with the noise around it.")
    ] = False,
    simulate_rooms: Annotated[int, typer.Option(min=0, help="Simulated rooms the data set shall have.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Of the simulated rooms.")] = 1,
    jobs: Jobs = 0,
    ray: Ray = None,
) -> None:
    """Turn folders of audio into a data set to train on.

    A second run adds what is missing. Speakers and noise recordings are held out as a whole, never by the file.
    """
    with needs("train"):
        from gtcrn_recipes.data import overview
        from gtcrn_recipes.data.corpora import Corpus, passed_over
        from gtcrn_recipes.data.fixed_pairs import make_pairs, nothing_held_out
        from gtcrn_recipes.data.prepare import gather
        from gtcrn_recipes.data.prepare import prepare as run
        from gtcrn_recipes.parallel import jobs_for

    summaries, found = [], Corpus()
    if not simulate_rooms or any((preset, root, speech, noise, rir, pairs)):
        found = gather(preset, root, speech or (), noise or (), rir or (), pairs or (), speaker_pattern)
    with jobs_for(jobs, ray) as workers:
        if simulate_rooms:
            from gtcrn_recipes.data.rooms import simulate

            summaries.append(simulate(out, simulate_rooms, seed, workers))
        summaries += run(out, found, workers, valid_share, fill_silence)
    for summary in summaries:
        typer.echo(summary)
    if valid_share and valid_pairs:
        if lacking := nothing_held_out(out):
            typer.echo(f"pairs/valid: none mixed, as nothing of {lacking} is held out yet", err=True)
        else:
            typer.echo(f"pairs/valid: {make_pairs(out, valid_pairs)} mixed from held-out clips")
    typer.echo(overview.table(out))
    sources = (*(speech or ()), *(noise or ()), *(rir or ()), *(pairs or ()), *([root] if root else ()))
    for note in (*passed_over(sources), *overview.notes(out)):
        typer.echo(note, err=True)


def evaluate(
    noisy: Annotated[Path, typer.Option(help="Folder of noisy files.")],
    clean: Annotated[Path | None, typer.Option(help="Clean files of the same names; without: DNSMOS only.")] = None,
    enhanced: Annotated[Path | None, typer.Option(help="Enhanced files of the same names.")] = None,
    weights: Annotated[str | None, typer.Option(help="Enhance with these; else with the shipped ones.")] = None,
    table: Annotated[Path | None, typer.Option(help="CSV with name,snr_db and kind, where names do not tell.")] = None,
    metrics: Annotated[str, typer.Option(help="Only these, such as pesq,estoi,si_sdr.")] = "",
    csv: Annotated[Path | None, typer.Option(help="Write the scores of each file here.")] = None,
    plots: Annotated[Path | None, typer.Option(help="Write pictures into this folder.")] = None,
    jobs: Jobs = 0,
    ray: Ray = None,
) -> None:
    """Score noisy and enhanced files, by SNR and kind of noise too.

    WB-PESQ, STOI, ESTOI, SI-SDR, CSIG/CBAK/COVL and DNSMOS; DistillMOS where it is named. Without --enhanced and
    --weights the shipped ones enhance.

    A set-up is right when the noisy test set of VCTK-DEMAND reads WB-PESQ 1.97 and STOI 0.921.
    """
    with needs("eval"):
        from gtcrn_recipes.evaluation import evaluate as scoring
        from gtcrn_recipes.evaluation import plots as pictures
        from gtcrn_recipes.evaluation import scoreboard
        from gtcrn_recipes.parallel import jobs_for

    weights = weights or (None if enhanced else "gtcrn")
    trials = scoring.find_trials(noisy, clean, enhanced, weights, table)
    wanted = scoring.chosen(metrics, clean is not None)
    with jobs_for(jobs, ray) as workers:
        results = scoring.evaluate(trials, wanted, weights, workers)
    typer.echo(scoreboard.report(results))
    if csv:
        scoreboard.write_csv(csv, results)
    if plots:
        pictures.draw_all(plots, results, lambda result: scoring.sounds(result.trial, weights))
    for line in (faults := scoreboard.faults(results)):
        typer.echo(f"not scored: {line}", err=True)
    if faults and not any(result.noisy or result.enhanced for result in results):
        raise typer.Exit(2)
