"""`gtcrn live`: on a stand-in for PortAudio, always, and on PulseAudio's null sinks where that is installed."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from audio_devices import RATE, Device, portaudio
from commands import wait_for
from numpy.typing import NDArray
from streams import noise, random_denoiser, write_weights

from gtcrn.cli.app import run
from gtcrn.cli.live import Passage, meter


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    made = Device(noise(RATE))
    monkeypatch.setitem(sys.modules, "sounddevice", portaudio(made))
    monkeypatch.setattr(time, "sleep", lambda _: None)
    return made


def live(tmp_path: Path, *options: str) -> int:
    return run(["live", "--weights", str(write_weights(tmp_path)), *options])


def test_what_is_heard_is_played_denoised_later_by_the_latency(
    tmp_path: Path, device: Device, capfd: pytest.CaptureFixture[str]
) -> None:
    assert live(tmp_path) == 0
    played = np.concatenate(device.played)
    stream = random_denoiser().stream(RATE)
    np.testing.assert_array_equal(played[:, 0], played[:, 1])
    assert not played[: stream.latency].any()
    heard = noise(RATE)[: len(played)]
    expected = stream.push(heard)[: len(played) - stream.latency]
    np.testing.assert_array_equal(played[stream.latency :, 0], expected)
    said = capfd.readouterr().err.splitlines()
    assert said == [
        "gtcrn: Desk mic to Phones, 48000 Hz; Ctrl-C ends.",
        "gtcrn: 1.0 s denoised, delay 63 ms (devices 25, denoiser 38), 1 xruns.",
    ]
    assert device.closed


def test_devices_rate_and_options_are_chosen(tmp_path: Path, device: Device, capfd: pytest.CaptureFixture[str]) -> None:
    options = ["--input", "cable", "--output", "1", "--rate", "16000", "--attenuation-limit", "0", "--quiet"]
    assert live(tmp_path, *options) == 0
    assert capfd.readouterr() == ("", "")
    assert (device.settings["device"], device.settings["samplerate"]) == ((2, 1), 16_000)
    played = np.concatenate(device.played)[:, 0]
    np.testing.assert_allclose(played[512:], noise(RATE)[: len(played) - 512], atol=1e-6)


def test_devices_are_listed(device: Device, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["live", "--list-devices"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == "*  0  Desk mic  (1 in, 0 out, 48000 Hz)"
    assert lines[2] == "   2  Cable  (2 in, 2 out, 48000 Hz)"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--input", "none such"], "there is no input device 'none such', or more than one; see gtcrn live --list-de"),
        (["--input", "Phones"], "Phones is no input device; see gtcrn live --list-devices."),
        (["--output", "0"], "Desk mic is no output device; see gtcrn live --list-devices."),
        (
            ["--rate", "8000"],
            "Desk mic to Phones cannot be opened at 8000 Hz: Invalid sample rate [PaErrorCode -9997].",
        ),
        (["--rate", "4000"], "sample rate must be 8000 to 192000 Hz, not 4000."),
        (["--attenuation-limit", "-3"], "attenuation limit must be 0 dB or more, not -3.0."),
    ],
)
def test_what_cannot_be_is_a_sentence(
    tmp_path: Path, device: Device, capfd: pytest.CaptureFixture[str], options: list[str], sentence: str
) -> None:
    assert live(tmp_path, *options) == 2
    said = capfd.readouterr().err
    assert said.startswith(f"gtcrn: {sentence}")
    assert said.count("\n") == 1


def test_a_pulled_plug_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", portaudio(Device(noise(RATE), taken_away=True)))
    assert live(tmp_path) == 1
    assert capfd.readouterr().err.endswith("gtcrn: the devices stopped: one of them may have been taken away.\n")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        ("ModuleNotFoundError(\"No module named 'sounddevice'\", name='sounddevice')", "pip install 'gtcrn[live]'"),
        ("OSError('PortAudio library not found')", "there is no PortAudio: install it"),
    ],
)
def test_what_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], error: str, sentence: str
) -> None:
    (tmp_path / "sounddevice.py").write_text(f"raise {error}")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    for options in ([], ["--list-devices"]):
        assert run(["live", *options]) == 2
        assert sentence in capfd.readouterr().err


def test_the_meter_shows_levels_delay_and_xruns() -> None:
    passage = Passage(random_denoiser().stream(16_000, attenuation_limit=0))
    tone = np.sin(2 * np.pi * 440 * np.arange(256) / 16_000).astype(np.float32)[:, None] / 10
    good = SimpleNamespace(input_overflow=False, input_underflow=False, output_underflow=False)
    times = SimpleNamespace(inputBufferAdcTime=0, outputBufferDacTime=0.01)
    for _ in range(200):
        passage(tone, np.empty((256, 2), np.float32), 256, times, good)
    shown = meter(passage)
    assert "in  -23.0 dBFS #########" in shown
    assert "out  -23.0 dBFS #########" in shown
    assert shown.endswith("delay 42 ms (devices 10, denoiser 32)  0 xruns")


SOUND_SERVER = ("pulseaudio", "paplay", "parec")


@pytest.fixture
def pulseaudio(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A sound server of its own with two null sinks: what is played to `mic` is heard, `out` is the loudspeaker."""
    if not all(map(shutil.which, SOUND_SERVER)):
        pytest.skip("no PulseAudio")
    (tmp_path / "run").mkdir(mode=0o700)
    socket = tmp_path / "run" / "native"
    modules = [f"module-native-protocol-unix socket={socket}", "module-null-sink sink_name=out rate=48000"]
    loads = [part for each in (*modules, "module-null-sink sink_name=mic rate=48000") for part in ("-L", each)]
    names = {"XDG_RUNTIME_DIR": tmp_path / "run", "PULSE_RUNTIME_PATH": tmp_path / "run", "HOME": tmp_path}
    there = {"PULSE_SERVER": f"unix:{socket}", "PULSE_SINK": "out", "PULSE_SOURCE": "mic.monitor"}
    environment = {**os.environ, **{name: str(path) for name, path in names.items()}, **there}
    command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", *loads]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(100):
        if socket.exists():
            break
        time.sleep(0.1)
    yield environment
    server.terminate()
    server.wait()


def sounding(recorded: Path) -> NDArray[np.int16]:
    """The samples from the first loud one on."""
    data = recorded.read_bytes()
    heard = np.frombuffer(data[: len(data) // 2 * 2], "<i2")
    return heard[np.argmax(np.abs(heard) > 1_000) :] if np.any(np.abs(heard) > 1_000) else heard[:0]


@pytest.mark.slow
def test_a_tone_goes_through_a_real_sound_server(tmp_path: Path, pulseaudio: dict[str, str]) -> None:
    gtcrn = [sys.executable, "-m", "gtcrn", "live"]
    found = subprocess.run([*gtcrn, "--list-devices"], env=pulseaudio, capture_output=True, text=True).stdout
    if "pulse" not in found:
        pytest.skip("no PortAudio, or no plugin that shows it PulseAudio")
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(90 * RATE) / RATE)
    soundfile.write(tmp_path / "tone.wav", tone, RATE)
    play = subprocess.Popen(["paplay", "-d", "mic", str(tmp_path / "tone.wav")], env=pulseaudio)
    with open(tmp_path / "heard", "wb") as file:
        form = ["--format=s16le", f"--rate={RATE}", "--channels=1"]
        record = subprocess.Popen(["parec", "-d", "out.monitor", *form], env=pulseaudio, stdout=file)
        options = ["--attenuation-limit", "0", "--weights", str(write_weights(tmp_path)), "--rate", str(RATE)]
        with subprocess.Popen([*gtcrn, *options], env=pulseaudio, stderr=subprocess.PIPE, text=True) as process:
            wait_for(lambda: len(sounding(tmp_path / "heard")) >= RATE // 2, 80)
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=20)[1]
        for helper in (play, record):
            helper.terminate()
            helper.wait()
    assert process.returncode == 0
    assert "s denoised, delay" in said
    heard = sounding(tmp_path / "heard")[: RATE // 2] / 32_768
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    assert np.argmax(spectrum) == pytest.approx(440 * len(heard) / RATE, abs=2)
