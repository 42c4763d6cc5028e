"""`gtcrn denoise --ray`: progress, failures and what was done, of any number of files."""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout

from gtcrn.cli.progress import files_bar
from gtcrn.cli.report import clock, say
from gtcrn.cluster import Summary, denoise_files
from gtcrn.denoiser import load
from gtcrn.errors import needs
from gtcrn.outcome import DenoiseOptions, Outcome, Scoring, record

NAMED = 20  # failures that are printed; the manifest has all


def denoise_corpus(asked: argparse.Namespace, options: DenoiseOptions) -> int:
    """All of it; exit code 0 when every file went well, 2 when data were at fault, 1 when something else was."""
    started = time.monotonic()
    with _told(asked.json, asked.quiet) as told:
        summary = denoise_files(
            asked.inputs,
            asked.output,
            load(options.weights),
            address=asked.ray or None,
            manifest=asked.manifest,
            attenuation_limit=options.attenuation_limit,
            container=options.container,
            subtype=options.subtype,
            bit_rate=options.bit_rate,
            overwrite=asked.overwrite,
            skip_existing=asked.skip_existing,
            strict=options.strict,
            keep_highs=options.keep_highs,
            cpus=asked.jobs,
            scoring=_scoring() if asked.score else None,
            told=told,
        )
    if not (asked.quiet or asked.json):
        _report(summary, time.monotonic() - started)
    return 0 if not summary.failed else 2 if summary.failed == summary.refused else 1


def _scoring() -> Scoring:
    """Of the recipes, which stand on top of this package. Raises ConfigError where their packages are missing."""
    with needs("eval"):
        from gtcrn_recipes.evaluation.before_after import scoring

    return scoring()


@contextmanager
def _told(records: bool, quiet: bool) -> Iterator[Callable[[Outcome, Summary], None]]:
    """Says what becomes of each file: a record, or failures and a bar where a terminal shows it."""
    with ExitStack() as stack:
        out = sys.stdout
        stack.enter_context(redirect_stdout(stack.enter_context(open(os.devnull, "w"))))  # Ray tells there who died
        show = None if records or quiet or not sys.stderr.isatty() else stack.enter_context(files_bar())

        def told(outcome: Outcome, summary: Summary) -> None:
            if records:
                print(json.dumps(record(outcome)), file=out, flush=True)
            if outcome.error and summary.failed <= NAMED:
                say(outcome.error)
            if show:
                show(summary.done, summary.planned, summary.seconds)

        yield told


def _report(summary: Summary, took: float) -> None:
    if summary.failed:
        say(f"{summary.failed} of {summary.failed + summary.written + summary.skipped} recordings failed.")
    for target, rows in summary.left_out.items():
        say(f"wrote {target}" + (f", without {rows} rows that have no output." if rows else "."))
    if not (summary.written or summary.failed or summary.skipped):
        say(f"nothing to do: all is done by {summary.manifest}.")
        return
    rest = f"; {summary.skipped} left as they were" if summary.skipped else ""
    audio = f"{clock(summary.seconds)} of audio, {summary.seconds / took:.0f} times real time"
    what = f"{summary.written} recordings, {audio}"
    say(f"wrote {what}{rest}; manifest: {summary.manifest}.")
