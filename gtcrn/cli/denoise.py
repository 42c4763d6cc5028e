"""What `gtcrn denoise` does once its options are parsed: files or pipes, and the report afterwards."""

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import cast

from gtcrn.audio.files import Reader, Sink, Source, Writer
from gtcrn.audio.formats import target_format
from gtcrn.audio.pcm import ENCODINGS, PcmFormat
from gtcrn.audio.pipe import Pipe, PipeReader, PipeWriter, pcm_of
from gtcrn.cli.batch import Options, Outcome, denoise_blocks, run
from gtcrn.cli.plan import plan
from gtcrn.denoiser import load
from gtcrn.errors import ConfigError


def raw_format(rate: int, channels: int, encoding: str) -> PcmFormat:
    """The format of headerless PCM. Raises ConfigError for an unknown encoding."""
    if encoding not in ENCODINGS:
        raise ConfigError(f"there is no encoding {encoding!r}; there are {', '.join(ENCODINGS)}.")
    return PcmFormat(rate, channels, encoding)


def denoise_files(
    inputs: Sequence[str],
    output: str | None,
    options: Options,
    workers: int | None,
    overwrite: bool,
    skip_existing: bool,
    quiet: bool,
) -> int:
    """All files; exit code 0 when every one went well, 2 when data were at fault, 1 when something else was."""
    suffix = f".{options.container.lower()}" if options.container else None
    jobs = plan(inputs, output, suffix, overwrite)
    jobs = [job for job in jobs if not (skip_existing and job.target.exists())]
    with contextlib.ExitStack() as stack:
        progress = None
        if jobs and sys.stderr.isatty() and not quiet:
            from gtcrn.cli.progress import progress_bar

            progress = stack.enter_context(progress_bar(jobs))
        outcomes = list(run(jobs, options, workers or _cpus(), progress))
    return _report(outcomes, quiet)


def _cpus() -> int:
    """Processors that this process may use, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def denoise_pipe(
    inputs: Sequence[str], output: str | None, options: Options, raw: PcmFormat | None, quiet: bool
) -> int:
    """Standard input, output or both: `-` to `-` live, `-` to a file, a file to `-`."""
    if len(inputs) != 1:
        raise ConfigError(f"standard input and output take one recording, not {len(inputs)} inputs.")
    denoiser = load(options.weights)
    with contextlib.ExitStack() as stack:
        source = _source(inputs[0], raw, stack)
        sink = _sink(output or "-", source, options, raw, stack)
        outcome = denoise_blocks(denoiser, source, sink, options.attenuation_limit, lambda _: None)
    return _report([outcome], quiet)


def _source(name: str, raw: PcmFormat | None, stack: contextlib.ExitStack) -> Source:
    if name == "-":
        return PipeReader(cast(Pipe, sys.stdin.buffer), raw)
    return stack.enter_context(Reader(name))


def _sink(name: str, source: Source, options: Options, raw: PcmFormat | None, stack: contextlib.ExitStack) -> Sink:
    if name == "-":
        return PipeWriter(sys.stdout.buffer, raw or pcm_of(source.format, options.subtype), source.frames, bool(raw))
    suffix = os.path.splitext(name)[1]
    form = target_format(source.format, suffix, options.container, options.subtype, source.frames)
    return stack.enter_context(Writer(name, form))


def _report(outcomes: Sequence[Outcome], quiet: bool) -> int:
    """Remarks and failures on standard error, and the exit code."""
    for outcome in outcomes if not quiet else ():
        for remark in _remarks(outcome):
            print(f"gtcrn: {outcome.name}: {remark}", file=sys.stderr)
    failed = [outcome for outcome in outcomes if outcome.error]
    for outcome in failed:
        print(f"gtcrn: {outcome.error}", file=sys.stderr)
    if failed and len(outcomes) > 1:
        print(f"gtcrn: {len(failed)} of {len(outcomes)} files failed.", file=sys.stderr)
    if not failed:
        return 0
    return 2 if all(outcome.refused for outcome in failed) else 1


def _remarks(outcome: Outcome) -> list[str]:
    remarks = []
    if outcome.nonfinite:
        remarks.append(f"{outcome.nonfinite} samples were NaN, infinite or beyond 1e6 and became silence.")
    if outcome.clipped:
        remarks.append(f"{outcome.clipped} samples were clipped at full scale; --subtype FLOAT keeps them.")
    return remarks
