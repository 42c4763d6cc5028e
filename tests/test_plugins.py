"""The LADSPA plugin in ffmpeg, aligned with what Python makes of the same samples; and in a host that misbehaves."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from ports import make
from streams import noise

import gtcrn

HEADER = Path("/usr/include/ladspa.h")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (shutil.which("make") and HEADER.exists()), reason="no make or LADSPA"),
]


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make("ladspa", tmp_path_factory.mktemp("ladspa")) / "gtcrn_ladspa.so"


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="no ffmpeg")
@pytest.mark.parametrize(
    ("rate", "channels", "label"), [(16_000, 1, "mono"), (44_100, 1, "mono"), (48_000, 2, "stereo")]
)
def test_ffmpeg_gives_what_python_gives(plugin: Path, tmp_path: Path, rate: int, channels: int, label: str) -> None:
    samples = noise(rate, channels)
    soundfile.write(tmp_path / "in.wav", samples.T, rate, subtype="FLOAT")
    chain = f"ladspa=file={plugin}:plugin=gtcrn_{label}:controls=c0=30|c2=1:latency=1"
    command = ["ffmpeg", "-v", "error", "-i", "in.wav", "-af", chain, "-c:a", "pcm_f32le", "out.wav"]
    subprocess.run(command, cwd=tmp_path, check=True)
    found, _ = soundfile.read(tmp_path / "out.wav", dtype="float32", always_2d=True)
    wanted = gtcrn.load()(samples, rate, attenuation_limit=30, keep_highs=True)
    np.testing.assert_allclose(found.T, wanted, rtol=0, atol=1e-5)


def test_nothing_a_host_does_crashes_it_or_makes_it_allocate(plugin: Path, tmp_path: Path) -> None:
    """NaN, no samples, a million at once, rates from 0 Hz on, knobs that stand at no number."""
    driver = Path(__file__).with_name("ladspa_driver.c")
    flags = ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-rdynamic"]
    subprocess.run(["cc", *flags, driver, "-o", tmp_path / "host", "-ldl", "-lm"], check=True)
    result = subprocess.run([tmp_path / "host", plugin], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
