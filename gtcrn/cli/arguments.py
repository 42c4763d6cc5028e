"""The options of `gtcrn denoise`. By argparse: importing Typer takes longer than denoising a second of speech."""

import argparse
import gc
import os
import re
from collections.abc import Sequence
from typing import NoReturn

from gtcrn.errors import ConfigError

RAY = "--ray"
ADDRESS = r"auto|(ray://)?([\w.-]+|\[[\da-f:]+\]):\d+"
SUMMARY = "Denoise speech. Rate, channels and format stay; output is as long as the input and aligned with it."


class Parser(argparse.ArgumentParser):
    """Says what is wrong in our one sentence instead of printing the usage."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message.replace('unrecognized arguments', 'No such option')}. See {self.prog} --help.")


def parser() -> argparse.ArgumentParser:
    """Everything that can be asked of the command."""
    made = Parser(prog="gtcrn denoise", description=SUMMARY, allow_abbrev=False)
    made.add_argument("inputs", nargs="+", metavar="INPUTS", help="Files, folders, patterns, or - for standard input.")
    _add_targets(made)
    _add_processing(made)
    _add_raw(made)
    _add_cluster(made)
    return made


def _add_targets(made: argparse.ArgumentParser) -> None:
    add = made.add_argument
    add("-o", "--output", metavar="PATH", help="A file, a folder for many, or -. Default: NAME.denoised.EXT.")
    add("--format", dest="container", metavar="NAME", help="WAV, FLAC, ... Default: as the input.")
    add("--subtype", metavar="NAME", help="PCM_16, FLOAT, ... Default: as the input.")
    add("--bitrate", type=_bits, metavar="RATE", help="Of MP3, Ogg, M4A, ...: 96k. Default: as the input.")
    add("--overwrite", action="store_true", help="Let an output replace an input.")
    add("--skip-existing", action="store_true", help="Leave outputs that are there.")


def _add_processing(made: argparse.ArgumentParser) -> None:
    add = made.add_argument
    add("--attenuation-limit", type=float, metavar="DB", help="Pull noise down by at most so many dB.")
    add("--keep-highs", action="store_true", help="Keep what lies above 8 kHz, with a gain by what lies below.")
    add("--strict", action="store_true", help="Refuse files that break off instead of reading what is there.")
    add("--weights", metavar="WEIGHTS", help="Shipped weights by name (gtcrn, large), or a file.")
    add("--jobs", type=_positive, metavar="N", help="Processes for many files. Default: one a CPU.")
    add("-q", "--quiet", action="store_true", help="No progress, no remarks; errors only.")
    add("--json", action="store_true", help="Print a record of each file instead, one JSON object a line.")


def _add_raw(made: argparse.ArgumentParser) -> None:
    add = made.add_argument
    add("--raw", action="store_true", help="Pipes carry headerless PCM.")
    add("--rate", type=_positive, metavar="HZ", help="Of raw PCM. Default: 16000.")
    add("--channels", type=_positive, metavar="N", help="Of raw PCM. Default: 1.")
    add("--encoding", metavar="NAME", help="s16le, f32le, ulaw, ... of raw PCM. Default: s16le.")


def _add_cluster(made: argparse.ArgumentParser) -> None:
    add = made.add_argument
    add(RAY, metavar="ADDRESS", help="On Ray: HOST:PORT, ray://HOST:PORT, auto or, without one, on this machine.")
    add("--score", action="store_true", help="With --ray: DNSMOS before and after in the manifest (extra: eval).")
    add("--manifest", metavar="PATH", help="With --ray: what became of each file. Default: manifest.parquet in -o.")


def with_address(arguments: Sequence[str]) -> list[str]:
    """Arguments in which `--ray` has a value: an address if one follows, else none; an input never is one."""
    told = list(arguments)
    for place in (place for place, argument in enumerate(arguments) if argument == RAY):
        if not re.fullmatch(ADDRESS, next(iter(arguments[place + 1 :]), "")):
            told[place] = f"{RAY}="
    return told


def with_names(arguments: Sequence[str]) -> list[str]:
    """Arguments of which those after `--`, which argparse loses, are no options: -x.wav there becomes ./-x.wav."""
    told = list(arguments)
    if "--" in told:
        at = told.index("--")
        told[at:] = [f"./{name}" if name[:1] == "-" != name else name for name in told[at + 1 :]]
    return told


def _bits(text: str) -> int:
    """96k or 96000, bits a second."""
    return _positive(text[:-1]) * 1000 if text[-1:] in ("k", "K") else _positive(text)


def _positive(text: str) -> int:
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1")
    return int(text)


def main(arguments: Sequence[str]) -> int:
    """Parse, denoise, report; the exit code."""
    asked = parser().parse_intermixed_args(with_address(with_names(arguments)))
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads cost more than such small matrices gain
    gc.disable()  # imports leave nothing to collect
    from gtcrn.cli import denoise
    from gtcrn.cli.report import Report
    from gtcrn.outcome import DenoiseOptions

    gc.freeze()
    gc.enable()
    kept = asked.container, asked.subtype, asked.bitrate, asked.strict, asked.keep_highs
    options = DenoiseOptions(asked.weights, asked.attenuation_limit, *kept)
    report = Report(asked.quiet, asked.json, asked.output)
    if not asked.raw and (asked.rate or asked.channels or asked.encoding):
        raise ConfigError("--rate, --channels and --encoding describe --raw PCM; other audio keeps its own.")
    if asked.ray is not None:
        if asked.raw or "-" in (*asked.inputs, asked.output):
            raise ConfigError("--ray is for files; pipes are denoised where they are.")
        from gtcrn.cli import cluster

        return cluster.denoise_corpus(asked, options)
    if asked.manifest:
        raise ConfigError("--manifest goes with --ray; --json tells the same of each file.")
    if asked.score:
        raise ConfigError("--score goes with --ray; gtcrn evaluate scores files of one machine.")
    if "-" in (*asked.inputs, asked.output):
        if asked.json and (asked.output or "-") == "-":
            raise ConfigError("--json prints on standard output, which carries the audio here.")
        pcm = denoise.raw_format(asked.rate, asked.channels, asked.encoding) if asked.raw else None
        return denoise.denoise_pipe(asked.inputs, asked.output, options, pcm, report)
    if asked.raw:
        raise ConfigError("--raw is for pipes: give - as input or output.")
    targets = asked.inputs, asked.output, options, asked.jobs, asked.overwrite, asked.skip_existing
    return denoise.denoise_files(*targets, report)
