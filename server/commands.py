"""`gtcrn serve`. Light: what the service needs is imported when it is started, or its settings are to be shown."""

import os
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from gtcrn.errors import ConfigError, needs


class ServeCommand(TyperCommand):
    """Adds all settings to the help, read from where they are defined."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        super().format_help(ctx, formatter)
        try:
            from gtcrn_server.settings import describe
        except ImportError:
            return
        formatter.write(f"\nSettings, from the environment:\n\n{describe()}\n")


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command(cls=ServeCommand)(serve)


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on [GTCRN_HOST, else 127.0.0.1].")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0: any [GTCRN_PORT, else 8000].")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that share the port [GTCRN_WORKERS, else 1].")] = None,
    weights: Annotated[str | None, typer.Option(help="Shipped weights' name or a path [GTCRN_WEIGHTS].")] = None,
) -> None:
    """Serve over WebSocket and REST, with a demo page at /."""
    with needs("serve"):
        from pydantic import ValidationError

        from gtcrn_server.processes.serving import serve as run
        from gtcrn_server.settings import Settings, refuse_unknown
    refuse_unknown(os.environ)
    options: dict[str, Any] = {"host": host, "port": port, "workers": workers, "weights": weights}
    try:
        settings = Settings(**{name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"GTCRN_{str(name).upper()}: " for name in first["loc"][:1])
        raise ConfigError(f"{place}{first['msg'].removeprefix('Value error, ')}.") from error
    run(settings)
