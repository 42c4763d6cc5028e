"""The command line: parse, call, report. Heavy imports wait until a command needs them."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, cast

import typer

from gtcrn.cli import standard
from gtcrn.cli.export import export
from gtcrn.errors import AudioError, CheckpointError, ConfigError, GtcrnError


def main() -> None:
    """Entry point: run a command; whatever goes wrong becomes one line on standard error and an exit code."""
    standard.open_all()
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Exit code of a command: 0, 2 for data or usage at fault, 1 for anything else, 128 + the signal if interrupted."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        return int(application()(arguments or ["--help"], prog_name="gtcrn", standalone_mode=False) or 0)
    except (KeyboardInterrupt, typer.Abort):
        return 128 + signal.SIGINT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains as it ends
        return 128 + signal.SIGPIPE
    except (AudioError, CheckpointError, ConfigError) as error:
        return _fail(str(error), 2)
    except GtcrnError as error:
        return _fail(str(error), 1)
    except OSError as error:
        return _fail(f"{error.filename or 'output'}: {error.strerror or error}.", 1)
    except Exception as error:
        if not isinstance(error, typer.BadParameter.__bases__):  # the base of usage errors, which typer does not export
            raise
        return _fail(f"{cast(typer.BadParameter, error).format_message()} See gtcrn --help.", 2)


def application() -> typer.Typer:
    """All commands, with those of the recipes and of the service, the two that stand on top of this package."""
    import gtcrn_recipes.commands
    import gtcrn_server.commands

    app = typer.Typer(
        name="gtcrn",
        help="Real-time speech denoiser.",
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_root)
    for command in (denoise, info, bench, export):
        app.command()(command)
    gtcrn_recipes.commands.register(app)
    gtcrn_server.commands.register(app)
    return app


def _fail(sentence: str, code: int) -> int:
    print(f"gtcrn: {sentence}", file=sys.stderr)
    return code


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"gtcrn {version('gtcrn')}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Real-time speech denoiser."""


def denoise(
    inputs: Annotated[list[str], typer.Argument(help="Files, folders, patterns, or - for standard input.")],
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="A file, a folder for many, or -. Default: NAME.denoised.EXT.")
    ] = None,
    attenuation_limit: Annotated[
        float | None, typer.Option(help="Pull noise down by at most so many dB.", metavar="DB")
    ] = None,
    weights: Annotated[str | None, typer.Option(help="A weights file instead of the shipped weights.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes for many files. Default: one a CPU.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Let an output replace an input.")] = False,
    skip_existing: Annotated[bool, typer.Option("--skip-existing", help="Leave outputs that are there.")] = False,
    container: Annotated[str | None, typer.Option("--format", help="WAV, FLAC, ... Default: as the input.")] = None,
    subtype: Annotated[str | None, typer.Option(help="PCM_16, FLOAT, ... Default: as the input.")] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Pipes carry headerless PCM.")] = False,
    rate: Annotated[int | None, typer.Option(help="Hz of raw PCM. Default: 16000.")] = None,
    channels: Annotated[int | None, typer.Option(min=1, help="Channels of raw PCM. Default: 1.")] = None,
    encoding: Annotated[str | None, typer.Option(help="s16le, f32le, ulaw, ... of raw PCM. Default: s16le.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no remarks; errors only.")] = False,
) -> int:
    """Denoise speech. Rate, channels and format stay; output is as long as the input and aligned with it."""
    from gtcrn.cli import denoise as commands
    from gtcrn.cli.batch import Options

    options = Options(weights, attenuation_limit, container, subtype)
    if not raw and (rate or channels or encoding):
        raise ConfigError("--rate, --channels and --encoding describe --raw PCM; other audio keeps its own.")
    if "-" in (*inputs, output):
        pcm = commands.raw_format(rate, channels, encoding) if raw else None
        return commands.denoise_pipe(inputs, output, options, pcm, quiet)
    if raw:
        raise ConfigError("--raw is for pipes: give - as input or output.")
    return commands.denoise_files(inputs, output, options, jobs, overwrite, skip_existing, quiet)


def info(
    source: Annotated[
        Path | None, typer.Argument(help="An audio file or weights; default: the shipped weights.")
    ] = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="Parameters and MAC/s of every layer (needs torch).")
    ] = False,
) -> None:
    """Say what is in an audio file or in weights, or what each layer costs."""
    from gtcrn.cli import info

    if layers:
        info.print_layers(source)
    else:
        info.print_info(source)


def bench(
    weights: Annotated[str | None, typer.Option(help="A weights file instead of the shipped weights.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Shorter runs, rougher figures.")] = False,
) -> None:
    """Measure this machine: time of a frame, files, start and memory, beside the torch model and ONNX Runtime."""
    from gtcrn.cli.bench import measure, print_table

    rows = measure(weights, quick)
    if as_json:
        print(json.dumps(rows, indent=2))
    else:
        print_table(rows)


if __name__ == "__main__":
    main()
