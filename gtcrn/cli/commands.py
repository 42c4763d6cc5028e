"""The commands that Typer parses: all but `denoise`, which is listed here and parsed by `arguments`."""

import json
from argparse import ArgumentParser
from collections.abc import Callable
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from gtcrn.cli.arguments import SUMMARY, parser, with_address
from gtcrn.cli.export import export
from gtcrn.errors import ConfigError


def run(arguments: list[str]) -> int:
    """Exit code of a command. Raises ConfigError for a mistake in its options, KeyboardInterrupt if interrupted."""
    try:
        return int(application()(with_address(arguments) or ["--help"], prog_name="gtcrn", standalone_mode=False) or 0)
    except typer.Abort:
        raise KeyboardInterrupt from None
    except Exception as error:
        if not isinstance(error, typer.BadParameter.__bases__):  # the base of usage errors, which typer does not export
            raise
        sentence = cast(typer.BadParameter, error).format_message()
        end = "" if sentence.endswith((".", "?")) else "."
        raise ConfigError(f"{sentence}{end} See gtcrn --help.") from error


def application() -> typer.Typer:
    """All commands, with those of the recipes and of the service, the two that stand on top of this package."""
    import gtcrn_recipes.commands
    import gtcrn_server.commands

    app = typer.Typer(
        name="gtcrn",
        help="Real-time speech denoiser.",
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    app.command("denoise", help=SUMMARY)(_listed(parser()))
    for command in (live, info, bench, export):
        app.command()(command)
    gtcrn_recipes.commands.register(app)
    gtcrn_server.commands.register(app)
    return app


def _listed(parser: ArgumentParser) -> Callable[..., None]:
    """A function with the parser's options as Typer wants them, for the list of commands and a shell's completion."""

    def denoise(**_: Any) -> None: ...

    options = {action.dest: action for action in parser._actions if action.option_strings and action.dest != "help"}
    denoise.__annotations__ = {
        name: Annotated[bool if action.nargs == 0 else str, typer.Option(*action.option_strings, help=action.help)]
        for name, action in options.items()
    }
    denoise.__signature__ = Signature(  # type: ignore[attr-defined]
        [
            Parameter(name, Parameter.KEYWORD_ONLY, default="", annotation=annotation)
            for name, annotation in denoise.__annotations__.items()
        ]
    )
    return denoise


def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Real-time speech denoiser. `--version` is listed here and answered before."""


def live(
    source: Annotated[str | None, typer.Option("--input", help="Microphone: number or part of its name.")] = None,
    target: Annotated[str | None, typer.Option("--output", help="Loudspeaker or virtual cable, likewise.")] = None,
    list_devices: Annotated[bool, typer.Option("--list-devices", help="Print what there is.")] = False,
    rate: Annotated[int | None, typer.Option(help="Hz; default: the microphone's own.")] = None,
    attenuation_limit: Annotated[float | None, typer.Option(help="Pull noise down by at most so many dB.")] = None,
    keep_highs: Annotated[
        bool, typer.Option("--keep-highs", help="Keep what lies above 8 kHz, with a gain by what lies below.")
    ] = False,
    weights: Annotated[str | None, typer.Option(help="Shipped weights by name (gtcrn, large), or a file.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No meter, no summary; errors only.")] = False,
) -> None:
    """Denoise a microphone into a loudspeaker or virtual cable.

    One channel, with a level meter and the measured delay, until Ctrl-C. Needs the extra `live`.
    """
    from gtcrn.cli import live

    if list_devices:
        live.print_devices()
    else:
        live.run(source, target, rate, attenuation_limit, keep_highs, weights, quiet)


def info(
    source: Annotated[
        Path | None, typer.Argument(help="An audio file, or weights (a file, gtcrn, large); default: gtcrn.")
    ] = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="Parameters and MAC/s of every layer (needs torch).")
    ] = False,
) -> None:
    """Facts about an audio file or weights, or what each layer costs."""
    from gtcrn.cli import info

    if layers:
        info.print_layers(source)
    else:
        info.print_info(source)


def bench(
    weights: Annotated[str | None, typer.Option(help="Shipped weights by name (gtcrn, large), or a file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Shorter runs, rougher figures.")] = False,
    peers: Annotated[bool, typer.Option("--peers", help="Other denoisers that are installed, beside ours.")] = False,
    pairs: Annotated[Path | None, typer.Option(help="With --peers: score them on DIR/noisy, DIR/clean too.")] = None,
    plot: Annotated[Path | None, typer.Option(help="With --peers and --pairs: quality against cost.")] = None,
) -> None:
    """Measure this machine beside the torch model and ONNX Runtime.

    Time of a frame, files, start and memory, each beside what it is compared with in the same run.
    """
    from gtcrn.cli.bench import machine, measure, print_table

    if peers or pairs or plot:
        from gtcrn.cli import comparison

        if weights or as_json or quick:
            raise ConfigError("--peers goes with --pairs and --plot, not with --weights, --json and --quick.")
        comparison.report(pairs, plot, machine())
        return
    rows = measure(weights, quick)
    if as_json:
        print(json.dumps(rows, indent=2))
    else:
        print_table(rows)
