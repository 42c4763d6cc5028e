"""What `gtcrn denoise` does once its options are parsed: files or pipes, and the report afterwards."""

import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gtcrn.audio.encode import RawEncoder, encoder
from gtcrn.audio.ending import Ends
from gtcrn.audio.files import Source
from gtcrn.audio.formats import target_format
from gtcrn.audio.media import open_audio
from gtcrn.audio.pcm import ENCODINGS, PcmFormat
from gtcrn.audio.pipe import PipeWriter, read_pipe
from gtcrn.audio.quiet import without_words_of_libraries
from gtcrn.audio.rates import refuse_bit_rate
from gtcrn.cli import standard
from gtcrn.cli.batch import run
from gtcrn.cli.report import Report
from gtcrn.denoiser import load
from gtcrn.errors import ConfigError
from gtcrn.outcome import DenoiseOptions, Outcome
from gtcrn.plan import Job, left_out, plan
from gtcrn.recording import Progress, denoise_blocks, opening, sink_of, suffix_of


def raw_format(rate: int | None, channels: int | None, encoding: str | None) -> PcmFormat:
    """The format of headerless PCM; None: 16 kHz, one channel, s16le. Raises ConfigError for an unknown encoding."""
    encoding = encoding or "s16le"
    if encoding not in ENCODINGS:
        raise ConfigError(f"there is no encoding {encoding!r}; there are {', '.join(ENCODINGS)}.")
    return PcmFormat(rate or 16_000, channels or 1, encoding)


def denoise_files(
    inputs: Sequence[str],
    output: str | None,
    options: DenoiseOptions,
    workers: int | None,
    overwrite: bool,
    skip_existing: bool,
    report: Report,
) -> int:
    """All files; exit code 0 when every one went well, 2 when data were at fault, 1 when something else was."""
    jobs = plan(inputs, output, suffix_of(options.container), overwrite)
    if others := left_out(inputs):
        report.left_out(others)
    there = {job: None for job in jobs if skip_existing and os.path.exists(job.target)}
    for job in there:
        report.add(Outcome(str(job.source), str(job.target), skipped=True))
    jobs = [job for job in jobs if job not in there]
    with contextlib.ExitStack() as stack:
        stack.enter_context(without_words_of_libraries())
        progress = _progress(jobs, report, stack)
        outcomes = stack.enter_context(contextlib.closing(run(jobs, options, workers or _cpus(), progress)))
        try:
            for outcome in outcomes:
                report.add(outcome)
        except (KeyboardInterrupt, SystemExit):
            stack.close()
            report.interrupted(len(jobs))
            raise
    return report.end()


def _progress(jobs: Sequence[Job], report: Report, stack: contextlib.ExitStack) -> Progress:
    """A bar where a terminal shows it."""
    if not jobs or report.quiet or not sys.stderr.isatty():
        return lambda seconds: None
    from gtcrn.cli.progress import progress_bar

    return stack.enter_context(progress_bar(jobs))


def _cpus() -> int:
    """Processors that this process may use, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def denoise_pipe(
    inputs: Sequence[str], output: str | None, options: DenoiseOptions, raw: PcmFormat | None, report: Report
) -> int:
    """Standard input, output or both: `-` to `-` live, `-` to a file, a file to `-`."""
    if len(inputs) != 1:
        raise ConfigError(f"standard input and output take one recording, not {len(inputs)} inputs.")
    opened = opening(load(options.weights), options.attenuation_limit, options.keep_highs)
    with contextlib.ExitStack() as stack:
        stack.enter_context(without_words_of_libraries())
        source = _source(inputs[0], raw, stack, options.strict)
        if output not in (None, "-"):
            with sink_of(Path(output), source, options.container, options.subtype, options.bit_rate) as sink:
                heard = denoise_blocks(opened, source, sink, lambda _: None)
        else:
            pipe = _pipe_out(source, options, raw)
            with standard.until_nobody_reads():
                heard = denoise_blocks(opened, source, pipe, lambda _: None)
                pipe.finish()
    seconds, clipped, nonfinite = heard
    outcome = Outcome(source.name, output or "-", seconds, clipped=clipped, nonfinite=nonfinite, remark=source.remark)
    report.add(replace(outcome, sample_rate=source.format.sample_rate, channels=source.format.channels))
    return report.end(summary=False)


def _source(name: str, raw: PcmFormat | None, stack: contextlib.ExitStack, strict: bool) -> Source:
    ends: Ends = "told" if strict else "any"
    if name == "-":
        return read_pipe(standard.input_pipe(), raw, stack, ends)
    reader: contextlib.AbstractContextManager[Source] = open_audio(name, ends=ends)
    return stack.enter_context(reader)


def _pipe_out(source: Source, options: DenoiseOptions, raw: PcmFormat | None) -> PipeWriter:
    pipe = standard.output_pipe()
    if raw is None:
        form = target_format(source.format, "", options.container or "WAV", options.subtype, source.frames)
        refuse_bit_rate(form, options.bit_rate)
        return PipeWriter(pipe, encoder(form, source.exact_frames(), options.bit_rate or source.bit_rate()))
    if options.container or options.subtype or options.bit_rate:
        raise ConfigError("--raw has no --format, --subtype and --bitrate; --encoding says how its samples are kept.")
    found = source.format
    return PipeWriter(pipe, RawEncoder(PcmFormat(found.sample_rate, found.channels, raw.encoding)))
