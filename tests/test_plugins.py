"""The plugins: LADSPA's in ffmpeg, aligned with what Python makes of the same samples; both in hosts that misbehave."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from ports import make
from streams import noise

import gtcrn

HEADERS = {"ladspa": Path("/usr/include/ladspa.h"), "lv2": Path("/usr/include/lv2/core/lv2.h")}

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not shutil.which("make"), reason="no make")]


def build(port: str, folder: Path) -> Path:
    """The plugin."""
    if not HEADERS[port].exists():
        pytest.skip(f"no {HEADERS[port]}")
    return make(port, folder) / f"gtcrn_{port}.so"


@pytest.fixture(scope="module")
def ladspa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("ladspa", tmp_path_factory.mktemp("ladspa"))


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="no ffmpeg")
@pytest.mark.parametrize(
    ("rate", "channels", "label"), [(16_000, 1, "mono"), (44_100, 1, "mono"), (48_000, 2, "stereo")]
)
def test_ffmpeg_gives_what_python_gives(ladspa: Path, tmp_path: Path, rate: int, channels: int, label: str) -> None:
    samples = noise(rate, channels)
    soundfile.write(tmp_path / "in.wav", samples.T, rate, subtype="FLOAT")
    chain = f"ladspa=file={ladspa}:plugin=gtcrn_{label}:controls=c0=30|c2=1:latency=1"
    command = ["ffmpeg", "-v", "error", "-i", "in.wav", "-af", chain, "-c:a", "pcm_f32le", "out.wav"]
    subprocess.run(command, cwd=tmp_path, check=True)
    found, _ = soundfile.read(tmp_path / "out.wav", dtype="float32", always_2d=True)
    wanted = gtcrn.load()(samples, rate, attenuation_limit=30, keep_highs=True)
    np.testing.assert_allclose(found.T, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("port", HEADERS)
def test_nothing_a_host_does_crashes_it_or_makes_it_allocate(tmp_path: Path, port: str) -> None:
    """NaN, no samples, a million at once, rates from 0 Hz on, knobs that stand at no number; of LV2 also ports that are
    not connected, rates that are no numbers, features that are missing, and to be activated in any order."""
    plugin, driver = build(port, tmp_path), Path(__file__).with_name(f"{port}_driver.c")
    flags = ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-rdynamic"]
    subprocess.run(["cc", *flags, driver, "-o", tmp_path / "host", "-ldl", "-lm"], check=True)
    result = subprocess.run([tmp_path / "host", plugin], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
