"""A file that appears at its place complete, or not at all: written beside it under a name of its own, then renamed."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from gtcrn.errors import AudioError, GtcrnError

NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
MODE = 0o666  # of a new file, less the umask


class Place:
    """A path to be written, as a context manager; `file` is open for writing and reading meanwhile.

    Raises AudioError for a path that is no ordinary file, GtcrnError when there is no place to write it, or another
    process has written it in the meantime: then what that one wrote stays.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if not self.path.name:  # nothing, `.` or `/`
            raise AudioError(f"{self.path} is no ordinary file and cannot be written.")
        self.partial = self.path.with_name(f".{os.urandom(8).hex()}.partial")  # short: the name may be at its limit
        self.file = -1

    def __enter__(self) -> Self:
        before = _look(self.path)
        if before is not None and not stat.S_ISREG(before.st_mode):
            raise AudioError(f"{self.path} is no ordinary file and cannot be written.")
        self._before = before
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.file = os.open(self.partial, NEW_FILE, MODE)
            if before is not None:
                self._keep_mode(before)
        except OSError as error:
            self._drop()
            reason = "not a directory." if isinstance(error, FileExistsError | NotADirectoryError) else reason_of(error)
            raise GtcrnError(f"{self.path} cannot be written: {reason}") from error
        except BaseException:
            self._drop()
            raise
        return self

    def _keep_mode(self, before: os.stat_result) -> None:
        with contextlib.suppress(OSError, AttributeError):  # the owner may be another; systems without modes
            os.fchmod(self.file, stat.S_IMODE(before.st_mode))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            if kind is None:
                os.close(self.file)
                self.file = -1
                self._appear()
        except OSError as failure:
            raise GtcrnError(f"{self.path} cannot be written: {reason_of(failure)}") from failure
        finally:
            self._drop()

    def _appear(self) -> None:
        with _alone_in(self.path.parent):
            if _identity(_look(self.path)) != _identity(self._before):
                raise GtcrnError(f"{self.path} was written by another process in the meantime; its file stays.")
            self.partial.replace(self.path)

    def _drop(self) -> None:
        if self.file >= 0:
            os.close(self.file)
            self.file = -1
        with contextlib.suppress(OSError):
            self.partial.unlink()


@contextlib.contextmanager
def whole(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A binary file that appears at `path` when the block ends without an error; raises as `Place` does."""
    with Place(path) as place, open(place.file, "wb", closefd=False) as file:
        try:
            yield file
            file.flush()
        except OSError as error:
            raise GtcrnError(f"{path} cannot be written: {reason_of(error)}") from error


def reason_of(error: OSError) -> str:
    """The system's words as the end of our sentence."""
    return f"{(error.strerror or str(error)).strip().rstrip('.').lower()}."


def _look(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:  # not there, or not to be seen: opening it says why
        return None


def _identity(found: os.stat_result | None) -> tuple[int, int, int] | None:
    return found and (found.st_dev, found.st_ino, found.st_mtime_ns)


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Between processes of this program, where the system has locks: so short that nobody waits."""
    try:
        import fcntl

        handle = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        yield
        return
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
