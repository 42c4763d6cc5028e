"""What `gtcrn denoise` does once its options are parsed: files or pipes, and the report afterwards."""

import contextlib
import os
import sys
from collections.abc import Sequence

from gtcrn.audio.encode import RawEncoder, encoder
from gtcrn.audio.files import Reader, Source
from gtcrn.audio.formats import file_suffix, target_format
from gtcrn.audio.pcm import ENCODINGS, PcmFormat
from gtcrn.audio.pipe import PipeWriter, read_pipe
from gtcrn.audio.writer import Writer
from gtcrn.cli import standard
from gtcrn.cli.batch import Options, Outcome, denoise_blocks, run
from gtcrn.cli.plan import plan
from gtcrn.denoiser import load
from gtcrn.errors import ConfigError


def raw_format(rate: int | None, channels: int | None, encoding: str | None) -> PcmFormat:
    """The format of headerless PCM; None: 16 kHz, one channel, s16le. Raises ConfigError for an unknown encoding."""
    encoding = encoding or "s16le"
    if encoding not in ENCODINGS:
        raise ConfigError(f"there is no encoding {encoding!r}; there are {', '.join(ENCODINGS)}.")
    return PcmFormat(rate or 16_000, channels or 1, encoding)


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
    suffix = file_suffix(options.container) if options.container else None
    jobs = plan(inputs, output, suffix, overwrite)
    jobs = [job for job in jobs if not (skip_existing and os.path.exists(job.target))]
    with contextlib.ExitStack() as stack:
        stack.enter_context(standard.without_words_of_libraries())
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
        stack.enter_context(standard.without_words_of_libraries())
        source = _source(inputs[0], raw, stack)
        if output not in (None, "-"):
            form = target_format(
                source.format, os.path.splitext(output)[1], options.container, options.subtype, source.frames
            )
            with Writer(output, form) as writer:
                outcome = denoise_blocks(denoiser, source, writer, options.attenuation_limit, lambda _: None)
        else:
            sink = _pipe_out(source, options, raw)
            with standard.until_nobody_reads():
                outcome = denoise_blocks(denoiser, source, sink, options.attenuation_limit, lambda _: None)
                sink.finish()
    return _report([outcome], quiet)


def _source(name: str, raw: PcmFormat | None, stack: contextlib.ExitStack) -> Source:
    if name == "-":
        return read_pipe(standard.input_pipe(), raw, stack)
    return stack.enter_context(Reader(name))


def _pipe_out(source: Source, options: Options, raw: PcmFormat | None) -> PipeWriter:
    pipe = standard.output_pipe()
    if raw is None:
        form = target_format(source.format, "", options.container or "WAV", options.subtype, source.frames)
        return PipeWriter(pipe, encoder(form, source.frames))
    if options.container or options.subtype:
        raise ConfigError("--raw has no --format and no --subtype; --encoding says how its samples are kept.")
    found = source.format
    return PipeWriter(pipe, RawEncoder(PcmFormat(found.sample_rate, found.channels, raw.encoding)))


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
