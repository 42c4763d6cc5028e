"""The command line's entry: a command's exit code, and one sentence for whatever goes wrong."""

import os
import signal
import sys

import gtcrn
from gtcrn.cli import standard
from gtcrn.cli.signals import end_on_signals
from gtcrn.errors import AudioError, CheckpointError, ConfigError, GtcrnError


def main() -> None:
    """Entry point: run a command; whatever goes wrong becomes one line on standard error and an exit code."""
    standard.open_all()
    code = run(sys.argv[1:])
    if sys.argv[1:2] == ["denoise"]:
        standard.end(code)
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Exit code of a command: 0, 2 for data or usage at fault, 1 for anything else, 128 + the signal if interrupted."""
    end_on_signals()
    try:
        return _command(arguments)
    except KeyboardInterrupt:
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


def _command(arguments: list[str]) -> int:
    """`denoise` and the version by themselves, others through Typer, whose import takes longer than a second's file."""
    if arguments[:1] == ["denoise"]:
        from gtcrn.cli import arguments as denoise

        return denoise.main(arguments[1:])
    if arguments[:1] == ["--version"]:
        print(f"gtcrn {gtcrn.__version__}")
        return 0
    from gtcrn.cli import commands

    return commands.run(arguments)


def _fail(sentence: str, code: int) -> int:
    print(f"gtcrn: {sentence}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
