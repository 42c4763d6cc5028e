"""The plugins in other people's programs: each gives what Python gives for the same samples."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from ports import PORTS, make
from streams import noise

import gtcrn
from gtcrn.types import Samples

LIMIT = 30  # dB, in place of the default: options reach the plugin
ROUNDED = 2**-15  # what 16-bit files add
FLOAT = 1e-6
SAMPLES = Path(__file__).parent.parent / "samples"

pytestmark = [pytest.mark.hosts, pytest.mark.skipif(not shutil.which("make"), reason="no make")]


def needs(*commands: str) -> pytest.MarkDecorator:
    missing = [command for command in commands if not shutil.which(command)]
    return pytest.mark.skipif(bool(missing), reason=f"no {', '.join(missing)}")


@pytest.fixture(scope="module")
def ladspa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not Path("/usr/include/ladspa.h").exists():
        pytest.skip("no ladspa.h")
    return make("ladspa", tmp_path_factory.mktemp("ladspa"))


@pytest.fixture(scope="module")
def lv2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of bundles that `make install` fills."""
    if not Path("/usr/include/lv2/core/lv2.h").exists():
        pytest.skip("no lv2.h")
    folder = tmp_path_factory.mktemp("lv2")
    return make("lv2", folder, "install", f"PREFIX={folder}") / "lib" / "lv2"


def run(command: list[str], folder: Path, **environment: str) -> str:
    return subprocess.run(
        command, cwd=folder, env=os.environ | environment, check=True, capture_output=True, text=True, timeout=60
    ).stdout


def check(folder: Path, late: bool, subtype: str, tolerance: float) -> None:
    """out.wav is in.wav denoised; `late` where the host does not take the plugin's delay away."""
    samples, rate = soundfile.read(folder / "in.wav", dtype="float32", always_2d=True)
    found, found_rate = soundfile.read(folder / "out.wav", dtype="float32", always_2d=True)
    wanted = gtcrn.load()(np.ascontiguousarray(samples.T), rate, attenuation_limit=LIMIT, keep_highs=True).T
    delay = gtcrn.load().stream(rate).latency - 1 if late else 0
    assert (found_rate, found.shape, soundfile.info(folder / "out.wav").subtype) == (rate, samples.shape, subtype)
    assert not found[:delay].any()
    np.testing.assert_allclose(found[delay:], wanted[: len(found) - delay], rtol=0, atol=tolerance)


FORMS = pytest.mark.parametrize(("rate", "channels", "label"), [(16_000, 1, "mono"), (44_100, 2, "stereo")])


def write(folder: Path, rate: int, channels: int, subtype: str) -> None:
    soundfile.write(folder / "in.wav", noise(rate, channels).T, rate, subtype=subtype)


@needs("applyplugin")
@FORMS
def test_applyplugin(ladspa: Path, tmp_path: Path, rate: int, channels: int, label: str) -> None:
    write(tmp_path, rate, channels, "PCM_16")
    run(
        ["applyplugin", "in.wav", "out.wav", str(ladspa / "gtcrn_ladspa.so"), f"gtcrn_{label}", f"{LIMIT}", "0", "1"],
        tmp_path,
    )
    check(tmp_path, True, "PCM_16", ROUNDED)


@needs("sox")
@FORMS
def test_sox_takes_the_delay_away(ladspa: Path, tmp_path: Path, rate: int, channels: int, label: str) -> None:
    write(tmp_path, rate, channels, "PCM_24")
    effect = ["ladspa", "-l", "gtcrn_ladspa", f"gtcrn_{label}", f"{LIMIT}", "0", "1"]
    run(["sox", "in.wav", "-e", "float", "-b", "32", "out.wav", *effect], tmp_path, LADSPA_PATH=str(ladspa))
    check(tmp_path, False, "FLOAT", FLOAT)


@needs("gst-launch-1.0")
@FORMS
def test_gstreamer(ladspa: Path, tmp_path: Path, rate: int, channels: int, label: str) -> None:
    write(tmp_path, rate, channels, "FLOAT")
    element = f"ladspa-gtcrn-ladspa-so-gtcrn-{label} attenuation-limit={LIMIT} keep-highs=true"
    pipeline = f"filesrc location=in.wav ! wavparse ! audioconvert ! {element} ! wavenc ! filesink location=out.wav"
    places = {"LADSPA_PATH": str(ladspa), "GST_REGISTRY": str(tmp_path / "registry")}
    if subprocess.run(["gst-inspect-1.0", "ladspa"], env=os.environ | places, capture_output=True).returncode:
        pytest.skip("no LADSPA plugin of GStreamer")
    run(["gst-launch-1.0", "-q", *pipeline.split()], tmp_path, **places)
    check(tmp_path, True, "FLOAT", FLOAT)


@needs("mpv")
@FORMS
def test_mpv_takes_the_delay_away(ladspa: Path, tmp_path: Path, rate: int, channels: int, label: str) -> None:
    write(tmp_path, rate, channels, "FLOAT")
    effect = f"lavfi=[ladspa=file=gtcrn_ladspa:plugin=gtcrn_{label}:controls=c0={LIMIT}|c2=1:latency=1]"
    sound = ["--no-config", "--no-video", "--audio-format=float", "--ao=pcm", "--ao-pcm-file=out.wav"]
    run(["mpv", "--really-quiet", *sound, f"--af={effect}", "in.wav"], tmp_path, LADSPA_PATH=str(ladspa))
    check(tmp_path, False, "FLOAT", FLOAT)


@needs("lv2apply")
@FORMS
def test_lilv(lv2: Path, tmp_path: Path, rate: int, channels: int, label: str) -> None:
    write(tmp_path, rate, channels, "FLOAT")
    command = [
        "lv2apply",
        "-i",
        "in.wav",
        "-o",
        "out.wav",
        "-c",
        "limit",
        f"{LIMIT}",
        "-c",
        "keep_highs",
        "1",
        f"urn:gtcrn:{label}",
    ]
    run(command, tmp_path, LV2_PATH=f"{lv2}:/usr/lib/lv2")
    check(tmp_path, True, "FLOAT", FLOAT)


@needs("lv2_validate", "sord_validate")
def test_what_the_bundle_says_of_itself_is_valid(lv2: Path) -> None:
    found = run(["lv2_validate", *map(str, (lv2 / "gtcrn.lv2").glob("*.ttl"))], lv2)
    assert "Found 0 errors" in found


@needs("pipewire", "wireplumber", "pw-play", "pw-record", "pw-link", "dbus-run-session")
def test_the_microphone_of_pipewire(ladspa: Path, tmp_path: Path) -> None:
    """A file is played into a microphone that is not there, and what its denoised twin hears is recorded."""
    noisy, rate = soundfile.read(SAMPLES / "noisy.wav", dtype="float32")
    soundfile.write(tmp_path / "in.wav", noisy, rate, subtype="FLOAT")
    (tmp_path / "pipewire").mkdir()
    shutil.copy(PORTS / "pipewire" / "gtcrn-microphone.conf", tmp_path / "pipewire")
    homes = dict.fromkeys(("HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_STATE_HOME"), str(tmp_path))
    script = Path(__file__).with_name("pipewire_graph.sh")
    run(["dbus-run-session", "bash", str(script), f"{rate}"], tmp_path, LADSPA_PATH=str(ladspa), **homes)
    heard, _ = soundfile.read(tmp_path / "out.wav", dtype="float32")
    denoised, other = likeness(heard, gtcrn.load()(noisy, rate)), likeness(heard, noisy)
    assert denoised > 0.95  # its frames begin elsewhere, so it is not the same to the bit
    assert other < denoised - 0.05


def likeness(heard: Samples, wanted: Samples, piece: int = 4_800) -> float:
    """The usual correlation of pieces of `wanted` with the places of `heard` that are most like them, 0 to 1.

    A busy machine may lose a moment of sound here and there.
    """
    starts = range(0, len(wanted) - piece + 1, piece)
    return float(np.median([best_correlation(heard, wanted[start : start + piece]) for start in starts]))


def best_correlation(heard: Samples, wanted: Samples) -> float:
    products = np.correlate(heard, wanted)
    energies = np.convolve(heard**2, np.ones_like(wanted), "valid")
    return float((products / np.sqrt(energies * (wanted @ wanted) + 1e-9)).max())
