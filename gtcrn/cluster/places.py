"""Paths and addresses (s3://, gs://, hf://, ...) alike: a local file to read, a local file that becomes the output.

Addresses go through fsspec and the package that it names for each kind.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from gtcrn.audio.place import reason_of
from gtcrn.errors import AudioError, ConfigError, GtcrnError

WHOLE = {"s3", "s3a", "gs", "gcs", "abfs", "az", "adl", "hf", "memory"}  # show an object once all of it is there


def is_address(text: str) -> bool:
    """Whether this is for fsspec: everything with :// in it but file://, which is a path."""
    return "://" in text


def plain(text: str) -> str:
    """What was typed, with file:///a/b as /a/b."""
    return text.removeprefix("file://") if text.startswith("file:///") else text


def filesystem(address: str) -> tuple[Any, str]:
    """fsspec's file system for an address, and the path in it. Raises ConfigError where there is none."""
    import fsspec

    try:
        found, path = fsspec.core.url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise ConfigError(f"{address} cannot be reached: {str(error).rstrip('.')}.") from error
    return found, str(path)


@contextlib.contextmanager
def to_read(text: str) -> Iterator[Path]:
    """A file as a local one; a copy for the time of the block where it is elsewhere."""
    if not is_address(text):
        yield Path(text)
        return
    remote, path = filesystem(text)
    with tempfile.TemporaryDirectory(prefix="gtcrn-") as folder:
        local = Path(folder) / PurePosixPath(path).name
        with faults_of(text, "read"):
            remote.get_file(path, str(local))
        yield local


@contextlib.contextmanager
def to_write(text: str) -> Iterator[Path]:
    """Where to write a file that is to be at `text`: there itself or, if that is elsewhere, a local place.

    What stands there when the block ends without an error is sent; nobody sees a part of it under its name.
    """
    if not is_address(text):
        yield Path(text)
        return
    remote, path = filesystem(text)
    with tempfile.TemporaryDirectory(prefix="gtcrn-") as folder:
        local = Path(folder) / PurePosixPath(path).name
        yield local
        if local.exists():
            with faults_of(text, "written"):
                _send(remote, local, path)


def _send(remote: Any, local: Path, path: str) -> None:
    above, name = os.path.split(path)
    remote.makedirs(above, exist_ok=True)
    protocols = {remote.protocol} if isinstance(remote.protocol, str) else {*remote.protocol}
    if protocols & WHOLE:
        remote.put_file(str(local), path)
        return
    partial = f"{above}/.{os.urandom(8).hex()}-{name}.partial"
    remote.put_file(str(local), partial)
    remote.mv(partial, path)


@contextlib.contextmanager
def faults_of(text: str, doing: str) -> Iterator[None]:
    """What a file system raises, in a sentence."""
    try:
        yield
    except GtcrnError:
        raise
    except FileNotFoundError as error:
        raise AudioError(f"there is no file {text}.") from error
    except OSError as error:
        raise GtcrnError(f"{text} cannot be {doing}: {reason_of(error)}") from error
    except Exception as error:  # each kind of storage has errors of its own
        raise GtcrnError(f"{text} cannot be {doing}: {type(error).__name__}: {error}.") from error


def exists(text: str) -> bool:
    """Whether there is something at a path or address."""
    if not is_address(text):
        return os.path.exists(text)
    remote, path = filesystem(text)
    with faults_of(text, "read"):
        return bool(remote.exists(path))


def joined(folder: str, relative: str) -> str:
    """A name below a folder, which may be an address."""
    return f"{folder.rstrip('/')}/{relative}" if is_address(folder) else str(Path(folder) / relative)
