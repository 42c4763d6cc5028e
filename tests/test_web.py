"""The npm package as its users have it: built by make, packed, installed, and held against Python's stream."""

import base64
import dataclasses
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
from commands import wait_for
from ports import NO_WEB_COMPILER, PORTS, as_a_page_has_it, compiles_for_web, debian_compiles_for_web
from streams import noise

import gtcrn
from gtcrn.types import Samples

if TYPE_CHECKING:
    from browsers import Site

ROOT = Path(__file__).resolve().parent.parent
WEB = PORTS / "web"
MOST_BYTES = 110_000  # of the compressed denoiser

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not all(map(shutil.which, ("make", "node", "npm"))), reason="no make, Node.js or npm"),
    pytest.mark.skipif(not compiles_for_web(), reason=NO_WEB_COMPILER),
]


def run(*command: str | Path, folder: Path, data: bytes = b"") -> bytes:
    result = subprocess.run(list(command), cwd=folder, input=data, capture_output=True)
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's folder."""
    folder = tmp_path_factory.mktemp("package")
    settings = [f"PYTHON={sys.executable}", f"BUILD={folder.parent / 'build'}", f"OUT={folder}"]
    run("make", "-C", WEB, *settings, folder=folder)
    return folder


@pytest.fixture(scope="session")
def project(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has it installed."""
    folder = tmp_path_factory.mktemp("project")
    packed = json.loads(run("npm", "pack", "--json", "--pack-destination", folder, folder=package))[0]["filename"]
    (folder / "package.json").write_text('{"private": true}')
    run("npm", "install", "--offline", "--no-audit", "--no-fund", folder / packed, folder=folder)
    return folder


def test_the_denoiser_is_one_small_file_without_imports(package: Path) -> None:
    path = package / "gtcrn.wasm"
    assert len(gzip.compress(path.read_bytes(), 9)) <= MOST_BYTES
    asked = (
        "const { readFileSync } = require('fs'); const code = new WebAssembly.Module(readFileSync(process.argv[1]));"
    )
    say = "process.stdout.write(JSON.stringify(WebAssembly.Module.imports(code)))"
    assert json.loads(run("node", "-e", asked + say, path, folder=package)) == []


@pytest.mark.skipif(not debian_compiles_for_web(), reason="no clang with lld and wasi-libc")
def test_debian_s_compiler_makes_it_as_small(tmp_path: Path) -> None:
    """Told to link, it must not begin to run another program, wasm-opt, because that is installed."""
    (tmp_path / "wasm-opt").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "wasm-opt").chmod(0o755)
    places = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    settings = [f"PYTHON={sys.executable}", f"BUILD={tmp_path}", f"OUT={tmp_path}", "WASM_CC=$(CLANG)"]
    subprocess.run(["make", "-C", WEB, *settings], env=places, check=True, capture_output=True)
    assert len(gzip.compress((tmp_path / "gtcrn.wasm").read_bytes(), 9)) <= MOST_BYTES


def test_the_package_has_what_it_names_and_the_project_s_version(project: Path) -> None:
    installed = project / "node_modules" / "gtcrn"
    about = json.loads((installed / "package.json").read_text())
    assert about["version"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    exported = [
        place
        for entry in about["exports"].values()
        for place in (entry.values() if isinstance(entry, dict) else [entry])
    ]
    for name in [*about["files"], *exported, "README.md", "LICENSE"]:
        assert (installed / name).exists(), name


def test_types_are_declared_for_all_that_is_exported(project: Path) -> None:
    declared = re.compile(r"^export declare (?:class|const|function) (\w+)", re.MULTILINE)
    for module in ("gtcrn", "livekit"):
        path = project / "node_modules" / "gtcrn" / module
        code = "import(process.argv[1]).then((found) => console.log(Object.keys(found).join(' ')))"
        exported = run("node", "-e", code, f"{path}.js", folder=project).decode().split()
        assert exported == sorted(declared.findall(path.with_suffix(".d.ts").read_text()))


@pytest.fixture(scope="module")
def denoiser() -> gtcrn.Denoiser:
    """What Python makes of a page's weights, which have 16 bits of precision."""
    return as_a_page_has_it(gtcrn.load())


def assert_alike(found: Samples, wanted: Samples) -> None:
    assert np.abs(wanted).max() > 1e-3
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 2), (48_000, 1)])
def test_a_stream_in_node_gives_what_python_gives(
    project: Path, denoiser: gtcrn.Denoiser, rate: int, channels: int
) -> None:
    script = shutil.copy(Path(__file__).with_name("web_stream.mjs"), project)
    samples = noise(rate, channels)
    found = run("node", script, str(rate), str(channels), "30", folder=project, data=samples.tobytes())
    stream = denoiser.stream(rate, channels, attenuation_limit=30, keep_highs=True)
    ready, levels = stream.push(samples), dataclasses.astuple(stream.levels)
    wanted = np.concatenate((ready, stream.flush()), axis=-1)
    *output, speech, level, reduction = np.frombuffer(found, np.float32)
    assert_alike(np.reshape(output, samples.shape), wanted)
    np.testing.assert_allclose((speech, level, reduction), levels, rtol=0, atol=1e-2)


def test_nothing_that_is_done_to_a_stream_breaks_it_or_makes_a_quantum_allocate(project: Path) -> None:
    """Rates and channels that are not served, NaN, no samples, other types, ends without a beginning."""
    run("node", Path(__file__).with_name("web_driver.mjs"), project, folder=project)


@pytest.fixture(scope="module")
def site(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Site"]:
    pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    from browsers import Site, chromium, served

    shutil.copy(Path(__file__).with_name("web_page.mjs"), project)
    (project / "index.html").write_text("<!doctype html><title>test</title>")
    recording = tmp_path_factory.mktemp("site") / "noisy.wav"
    soundfile.write(recording, noise(5 * 48_000), 48_000, subtype="PCM_16")
    with chromium(recording) as browser, served(project) as address:
        yield Site(project, browser, address)


def floats(text: str) -> Samples:
    return np.frombuffer(base64.b64decode(text), np.float32)


def offline(site: "Site", samples: Samples, rate: int, **options: Any) -> Samples:
    """The samples through a node in an OfflineAudioContext, without its delay."""
    samples.tofile(site.folder / "samples")
    result = site.call("offline", "samples", rate, len(samples), options)
    delay, found = result["delay"], floats(result["samples"]).reshape(len(samples), -1)
    assert not found[:, : delay - rate // 50].any()
    return found[:, delay : delay + samples.shape[1]]


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 2), (48_000, 1)])
def test_an_offline_context_gives_what_python_gives(
    site: "Site", denoiser: gtcrn.Denoiser, rate: int, channels: int
) -> None:
    samples = noise(rate, channels)
    samples[:, 1000:1010] = np.nan
    found = offline(site, samples, rate, attenuationLimit=30, keepHighs=True)
    wanted = denoiser(samples, rate, attenuation_limit=30, keep_highs=True)
    assert_alike(found, wanted)


def test_bypass_passes_the_delayed_input(site: "Site") -> None:
    samples = noise(48_000, 2)
    np.testing.assert_array_equal(offline(site, samples, 48_000, bypass=True), samples)


@pytest.mark.parametrize("seconds", [2, pytest.param(60, marks=pytest.mark.hosts)])
def test_a_microphone_is_denoised_without_a_gap(site: "Site", denoiser: gtcrn.Denoiser, seconds: int) -> None:
    result = site.call("live", seconds, {"attenuationLimit": 30})
    before, after, rate = floats(result["before"]), floats(result["after"]), int(result["rate"])
    assert result["missing"] == 0
    assert before.std() > 0.01
    stream = denoiser.stream(rate, attenuation_limit=30)
    ready = stream.push(before)[: len(after) - result["delay"]]
    # where the recording was when the microphone began is chance, and so is what rounding makes of it
    assert_alike(after[result["delay"] :][: len(ready)], ready)
    heard = 20 * np.log10(before[-rate:].std())
    assert result["levels"][-1]["before"] == pytest.approx(heard, abs=1)
    assert result["levels"][-1]["after"] < result["levels"][-1]["before"] - 6
    for told in result["levels"]:
        assert 0 <= told["speech"] < 0.5  # the microphone hears noise only
        assert told["noise"] < -10
        assert -1 < told["reduction"] < 90


def test_destroyed_nodes_give_their_memory_back(site: "Site") -> None:
    sizes = site.call("destroyed", 6)
    assert sizes == sizes[:1] * 6


def test_a_page_hears_what_is_wrong(site: "Site") -> None:
    *refused, missing, foreign = site.call("refusals")
    assert refused == [
        "RangeError: sample rate must be 8000 to 192000 Hz, not 4000.",
        "RangeError: audio must have 1 to 64 channels, not 0.",
        "RangeError: attenuation limit must be 0 dB or more, not -1.",
        "TypeError: bypass must be true or false, not 1.",
        "TypeError: keepHighs must be true or false, not 0.",
    ]
    assert missing.startswith("nothing.wasm: 404")
    assert foreign == "package.json is no WebAssembly that can be run here."


def test_a_livekit_track_is_denoised_again_after_the_microphone_changed(site: "Site") -> None:
    result = site.call("livekit")
    assert result["name"] == "gtcrn"
    assert [one["state"] for one in result["seen"]] == ["live", "live"]
    assert [one["limit"] for one in result["seen"]] == [6, 6]
    assert all(0.001 < one["level"] < 0.1 for one in result["seen"])
    assert (result["ended"], result["left"]) == ("ended", None)


def test_the_demo_page_denoises_a_microphone_and_a_file(site: "Site", tmp_path: Path) -> None:
    from browsers import until_quieter

    meters = "id => document.getElementById(id).value"
    with site.page("node_modules/gtcrn/demo/index.html") as page:
        page.click("#microphone")
        until_quieter(page, meters, 6, 80)
        page.click("#denoise")
        until_quieter(page, meters, -1, 1)
        page.click("#denoise")
        page.click("#highs")
        page.fill("#limit", "3")
        until_quieter(page, meters, 1.5, 3.5)
        page.click("#microphone")
        wait_for(lambda: page.evaluate("() => document.getElementById('before').value") == -80)
        soundfile.write(tmp_path / "noisy.wav", noise(48_000), 48_000)
        page.set_input_files("#file", tmp_path / "noisy.wav")
        until_quieter(page, meters, 1.5, 3.5)
        wait_for(lambda: 0 < page.evaluate("() => document.getElementById('speech').value") < 0.5)  # it is noise
        assert page.inner_text("#status").startswith("Denoising at ")
