"""The compiled way of a live message: what it takes, what it leaves to others, what it counts, and what it survives."""

import shutil
import subprocess
import sys
import sysconfig
import weakref
from pathlib import Path

import lane_fuzz
import pytest

from gtcrn_server import native
from gtcrn_server.load.client import frame
from gtcrn_server.native import Lane, Meter, Pace, _lane

SOURCES = sorted(Path(native.__file__).parent.glob("*.c"))
ASAN = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O1", "-g", "-Wall", "-Wextra", "-Werror"]
FORM = (2, 2_048, 256, 1, 16_000)  # width and longest in bytes, frame in samples, channels, Hz


class Clock:
    """A clock that goes on by a millisecond whenever somebody looks."""

    now = 100.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


class Echo:
    """A stream that gives what it takes."""

    def process(self, data: bytes) -> bytes:
        return data


def lane_of(process: object, meter: Meter | None = None, clock: object = None, pace: Pace | None = None) -> Lane:
    pace = pace or Pace(1e9, 1.0, 0.0)
    return Lane(process, clock or Clock(), pace, meter or Meter(1.0), *FORM)  # type: ignore[arg-type]


def test_hostile_frames_are_left_to_the_parser_and_good_ones_answered() -> None:
    lane_fuzz.fuzz(_lane, 3_000)


@pytest.mark.slow
def test_hostile_frames_are_clean_under_sanitizers(tmp_path: Path) -> None:
    """The interpreter's own memory too: its objects come from malloc, which the sanitizer watches."""
    if not shutil.which("cc"):
        pytest.skip("no C compiler")
    library, include = tmp_path / "_lane.abi3.so", sysconfig.get_paths()["include"]
    flags = ["-std=c11", "-shared", "-fPIC", "-DPy_LIMITED_API=0x030B0000", f"-I{include}"]
    if subprocess.run(["cc", *ASAN, *flags, *SOURCES, "-o", library], capture_output=True).returncode:
        pytest.skip("the C compiler has no sanitizers")
    runtime = subprocess.run(
        ["cc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    environment = {"LD_PRELOAD": runtime, "PYTHONMALLOC": "malloc", "ASAN_OPTIONS": "detect_leaks=0"}
    command = [sys.executable, "-I", lane_fuzz.__file__, str(library)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


def test_what_is_not_due_is_left_untouched_until_it_is() -> None:
    clock, meter = Clock(), Meter(1.0)
    lane = lane_of(Echo().process, meter, clock, Pace(0.03, 1.0, 0.005))
    assert lane.answer(frame(bytes(640)))
    heard = lane.heard
    assert lane.answer(frame(bytes(640))) is None
    assert (lane.received, meter.bytes_in, lane.heard) == (320, 640, heard)
    clock.now += 0.02
    assert lane.answer(frame(bytes(640)))
    assert lane.heard == clock.now - 0.001


def test_a_lane_that_is_not_free_leaves_everything() -> None:
    lane = lane_of(Echo().process)
    lane.free = False
    assert lane.answer(frame(bytes(640))) is None
    lane.free = True
    assert lane.answer(bytearray(frame(bytes(640))))


def test_it_counts_for_the_stream_and_for_all() -> None:
    """Frames by the time that one took: one of 16 ms for 1 ms, then three for a third each."""
    meter = Meter(0.0005, 0.01)
    lane, other = lane_of(Echo().process, meter), lane_of(Echo().process, meter)
    lane.answer(frame(bytes(640)))
    other.push(bytes(2 * 768))
    lane.answer(frame(bytes(2)))
    lane.gave(bytes(100))
    assert (lane.received, lane.sent, other.sent) == (321, 371, 768)
    assert (meter.frames, meter.counts) == (4, [3, 1, 0])
    assert (meter.bytes_in, meter.bytes_out) == (640 + 1536 + 2, 640 + 1536 + 2 + 100)
    assert meter.seconds == pytest.approx((320 + 768 + 1) / 16_000)
    assert (meter.busy, meter.frame_seconds, lane.busy) == pytest.approx((0.003, 0.002, 0.002))


@pytest.mark.parametrize(
    ("process", "error"),
    [(lambda data: 1 / 0, ZeroDivisionError), (lambda data: None, TypeError)],
    ids=["fails", "no bytes"],
)
def test_what_a_stream_raises_is_raised_and_not_counted(process: object, error: type[Exception]) -> None:
    meter = Meter(1.0)
    lane = lane_of(process, meter)
    with pytest.raises(error):
        lane.answer(frame(bytes(640)))
    with pytest.raises(error):
        lane.push(bytes(640))
    assert (lane.received, meter.bytes_in) == (0, 0)


@pytest.mark.parametrize("clock", [lambda: 1 / 0, lambda: "late"], ids=["fails", "no number"])
def test_a_clock_that_fails_is_told(clock: object) -> None:
    lane = lane_of(Echo().process, clock=clock)
    with pytest.raises((ZeroDivisionError, TypeError)):
        lane.answer(frame(bytes(640)))
    with pytest.raises((ZeroDivisionError, TypeError)):
        lane.push(bytes(640))


def test_arguments_of_other_kinds_are_refused() -> None:
    lane = lane_of(Echo().process)
    for wrong in ("text", 5, None):
        with pytest.raises(TypeError):
            lane.answer(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        lane.push(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        lane.gave("text")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Lane(Echo().process, Clock(), object(), Meter(), *FORM)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Lane(Echo().process, Clock(), Pace(1, 1, 1), object(), *FORM)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Meter("1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="bounds"):
        Meter(*[1.0] * 100)


@pytest.mark.parametrize("place", range(len(FORM)))
def test_sizes_that_would_divide_by_nothing_are_refused(place: int) -> None:
    form = [*FORM]
    form[place] = 0
    with pytest.raises(ValueError, match="positive"):
        Lane(Echo().process, Clock(), Pace(1, 1, 1), Meter(), *form)


def test_a_lane_lets_its_stream_go() -> None:
    echo = Echo()
    gone, lane = weakref.ref(echo), lane_of(echo.process)
    lane.answer(frame(bytes(640)))
    del echo
    assert gone()
    del lane
    assert gone() is None
