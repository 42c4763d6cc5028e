"""What containers hold is what libsndfile does: every combination is written and read, in child processes."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from gtcrn import AudioError
from gtcrn.audio import formats
from gtcrn.audio.capacity import CAPACITIES
from gtcrn.audio.formats import AudioFormat, target_format
from gtcrn.audio.writer import Writer

RATES = (8_000, 11_025, 44_100, 65_535, 65_537, 131_072, 191_999, 192_000)
CHANNELS = (1, 2, 3, 8, 9, 64)
LEFT_OUT = {  # what works here and there, and is not offered: it pads, rounds rates, or lacks a header
    ("WAV", "MS_ADPCM"),
    ("W64", "MS_ADPCM"),
    ("PAF", "PCM_24"),
    ("VOC", "PCM_U8"),
    ("VOC", "ULAW"),
    ("VOC", "ALAW"),
    *((container, None) for container in ("RAW", "SD2", "SDS", "HTK", "XI", "WVE")),
}
CHILD = """
import io, sys, numpy as np, soundfile
container, subtype, rates, channels = sys.argv[1], sys.argv[2], eval(sys.argv[3]), eval(sys.argv[4])
for rate in rates:
    for count in channels:
        print(rate, count, end=" ", flush=True)
        file = io.BytesIO()
        try:
            with soundfile.SoundFile(file, "w", rate, count, format=container, subtype=subtype) as sound:
                sound.write(np.random.default_rng(0).uniform(-0.5, 0.5, (2000, count)).astype("f4"))
            file.seek(0)
            with soundfile.SoundFile(file) as sound:
                found = sound.samplerate, sound.channels, sound.subtype, len(sound.read())
            print(found == (rate, count, subtype, 2000), flush=True)
        except Exception:
            print(False, flush=True)
"""


def works(container: str, subtype: str) -> set[tuple[int, int]]:
    """The rates and channels at which libsndfile gives back what it was given."""
    command = [sys.executable, "-c", CHILD, container, subtype, repr(RATES), repr(CHANNELS)]
    child = subprocess.run(command, capture_output=True, text=True)
    assert child.returncode == 0, f"it ended at {child.stdout.splitlines()[-1]}"
    rows = [line.split() for line in child.stdout.splitlines()]
    return {(int(rate), int(channels)) for rate, channels, good in rows if good == "True"}


@pytest.mark.slow
@pytest.mark.parametrize("container", soundfile.available_formats())
def test_the_table_is_what_libsndfile_does(container: str) -> None:
    for subtype in soundfile.available_subtypes(container):
        capacity = CAPACITIES.get(container, {}).get(subtype)
        held = {(rate, count) for rate in RATES for count in CHANNELS if capacity and capacity.holds(rate, count)}
        if capacity is None and {(container, subtype), (container, None)} & LEFT_OUT:
            continue
        assert held == works(container, subtype), f"{container} {subtype}"


def test_the_table_names_only_what_libsndfile_knows() -> None:
    for container, held in CAPACITIES.items():
        assert set(held) <= set(soundfile.available_subtypes(container))
        assert soundfile.default_subtype(container) in held


@pytest.mark.parametrize(
    ("form", "wanted", "sentence"),
    [
        ((65_537, 1), {"container": "FLAC"}, "FLAC PCM_16 cannot hold 65537 Hz, only 8000 to 65535 and 65540 to 192000 "
         "in steps of 10 Hz; these can: WAV, "),
        ((191_999, 1), {"container": "flac"}, "FLAC PCM_16 cannot hold 191999 Hz"),
        ((48_000, 64), {"container": "FLAC"}, "FLAC PCM_16 cannot hold 64 channels, at most 8; these can: WAV, "),
        ((11_025, 1), {"container": "opus"}, "OGG OPUS cannot hold 11025 Hz, only 8000, 12000, 16000, 24000, 48000 Hz"),
        ((48_000, 6), {"container": "mp3"}, "MP3 MPEG_LAYER_III cannot hold 6 channels, at most 2"),
        ((48_000, 256), {"container": "OGG"}, "1 to 64 channels, not 256"),
        ((250_000, 1), {"container": "OGG"}, "8000 to 192000 Hz, not 250000"),
        ((2**31 - 1, 1), {}, "8000 to 192000 Hz, not 2147483647"),
        ((8_000, 1), {"subtype": "GSM610"}, "WAV cannot hold GSM610; it holds PCM_U8, "),
        ((8_000, 1), {"subtype": "IMA_ADPCM"}, "WAV cannot hold IMA_ADPCM"),
        ((8_000, 1), {"container": "FLAC", "subtype": "ALAW"}, "FLAC cannot hold ALAW; it holds PCM_S8, PCM_16, "),
        ((8_000, 1), {"container": "AIFF", "frames": 3_000_000_000}, "AIFF PCM_16 holds at most 4 GB"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_before_it_is_asked(
    form: tuple[int, int], wanted: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(AudioError) as caught:
        target_format(AudioFormat(*form, "WAV", "PCM_16"), "", **wanted)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("container", ["WAV", "AIFF", "RF64"])
def test_what_grows_too_long_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, container: str) -> None:
    monkeypatch.setattr(formats, "LARGEST_32", 4_000)
    with Writer(tmp_path / "a", AudioFormat(16_000, 1, container, "PCM_16")) as writer:
        writer.write(np.zeros((1, 2_000), np.float32))
        if container == "RF64":
            writer.write(np.zeros((1, 1), np.float32))
            return
        with pytest.raises(AudioError, match=f"{container} PCM_16 holds at most 4 GB; these hold more: RF64, "):
            writer.write(np.zeros((1, 1), np.float32))


@pytest.mark.parametrize("container", CAPACITIES)
@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT", "IMA_ADPCM", "GSM610", "ULAW", "VORBIS"])
def test_every_source_has_a_place_in_every_container(container: str, subtype: str) -> None:
    rate = 16_000
    form = target_format(AudioFormat(rate, 1, "WAV", subtype), "", container)
    assert CAPACITIES[form.container][form.subtype].holds(rate, 1)
