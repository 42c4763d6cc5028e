"""The files for deployment agree with the service they deploy: names of settings and metrics, paths, times."""

import re
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import httpx
import pytest
from packaging.requirements import Requirement

yaml = pytest.importorskip("yaml")
pytest.importorskip("torch")
pytest.importorskip("fastapi")

from served import free_port, nginx  # noqa: E402
from serving import END, START, offline, pcm, running, say, settings, speech, wait_for  # noqa: E402 (only where the service is installed)
from streams import random_denoiser  # noqa: E402

from gtcrn_server.app import create_app  # noqa: E402
from gtcrn_server.service import FAREWELL_SECONDS  # noqa: E402
from gtcrn_server.settings import Settings  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "server" / "deploy"
NAMES = {f"GTCRN_{name.upper()}" for name in Settings.model_fields}
LONGEST_END = Settings.model_fields["drain_seconds"].default + FAREWELL_SECONDS + 1  # seconds after SIGTERM


@pytest.fixture(scope="module")
def manifests() -> dict[str, Any]:
    return {each["kind"]: each for each in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())}


@pytest.fixture(scope="module")
def pod(manifests: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = manifests["Deployment"]["spec"]["template"]["spec"]
    return spec


def test_every_setting_named_in_them_exists() -> None:
    for path in DEPLOY.iterdir():
        assert set(re.findall(r"GTCRN_[A-Z][A-Z_]*[A-Z]", path.read_text())) <= NAMES, path.name


def test_the_values_in_the_manifest_are_accepted(pod: dict[str, Any]) -> None:
    given = {e["name"].removeprefix("GTCRN_").lower(): e["value"] for e in pod["containers"][0]["env"] if "value" in e}
    chosen = Settings(**given)
    assert chosen.max_streams == 120


def test_probes_and_metric_are_what_the_app_has(manifests: dict[str, Any], pod: dict[str, Any]) -> None:
    app = create_app(settings(), random_denoiser())
    paths = set(app.openapi()["paths"])
    probes = ("startupProbe", "readinessProbe")
    assert {pod["containers"][0][name]["httpGet"]["path"] for name in probes} <= paths
    app.state.service.telemetry.active["websocket"] = 3
    metric = manifests["HorizontalPodAutoscaler"]["spec"]["metrics"][0]["pods"]
    exposition = app.state.service.telemetry.exposition().decode()
    assert re.search(rf"^{metric['metric']['name']}{{.*}} 3\.0$", exposition, re.MULTILINE)
    assert int(metric["target"]["averageValue"]) < settings().max_streams


def test_a_pod_whose_connections_are_all_taken_lives_and_one_that_hangs_does_not(pod: dict[str, Any]) -> None:
    _, *command = pod["containers"][0]["livenessProbe"]["exec"]["command"]
    assert any("timeout=4" in part for part in command)

    def lives(port: int, patience: str = "4") -> bool:
        text = [part.replace("8000", str(port)).replace("timeout=4", f"timeout={patience}") for part in command]
        return subprocess.run([sys.executable, *text], capture_output=True).returncode == 0

    with running(random_denoiser(), max_connections=1) as service:
        assert lives(service.port)
        with socket.create_connection(("127.0.0.1", service.port)):
            wait_for(lambda: service.service.connections.taken == 1)
            assert lives(service.port)
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        assert not lives(hanging.getsockname()[1], "0.5")


def test_every_way_of_stopping_waits_for_the_drain(pod: dict[str, Any]) -> None:
    container = pod["containers"][0]
    before = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] > before + LONGEST_END
    unit = (DEPLOY / "gtcrn.service").read_text()
    assert int(re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)[0]) > LONGEST_END


def test_selectors_find_the_pods(manifests: dict[str, Any], pod: dict[str, Any]) -> None:
    labels = manifests["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert manifests["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert manifests["Service"]["spec"]["selector"] == labels
    assert manifests["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert manifests["Service"]["spec"]["ports"][0]["targetPort"] == pod["containers"][0]["ports"][0]["name"]
    target = manifests["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", manifests["Deployment"]["metadata"]["name"])


def test_strangers_stay_out(manifests: dict[str, Any], pod: dict[str, Any]) -> None:
    keys = next(each for each in pod["containers"][0]["env"] if each["name"] == "GTCRN_API_KEYS")
    assert "optional" not in keys["valueFrom"]["secretKeyRef"]
    assert pod["enableServiceLinks"] is False  # GTCRN_PORT would be tcp://...
    assert pod["containers"][0]["resources"]["limits"]["ephemeral-storage"]
    policy = manifests["NetworkPolicy"]["spec"]
    assert policy["podSelector"]["matchLabels"] == manifests["Deployment"]["spec"]["selector"]["matchLabels"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert all(each["to"] for each in policy["egress"])
    assert {port["port"] for each in policy["egress"] for port in each["ports"]} == {6379, 53}  # Redis and names


@pytest.mark.skipif(not shutil.which("nginx") or not shutil.which("openssl"), reason="needs nginx and openssl")
def test_a_stream_through_nginx(tmp_path: Path) -> None:
    """The example as it stands, but for places: its syntax, and a stream, a file and a page's request through it."""
    denoiser, data, port = random_denoiser(), pcm(speech(1)), free_port()
    certificate = (
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=gtcrn.example -keyout {tmp_path}/gtcrn.key"
    )
    subprocess.run([*shlex.split(certificate), "-out", f"{tmp_path}/gtcrn.crt"], check=True, capture_output=True)
    with running(denoiser, allowed_hosts="gtcrn.example") as service:
        text = (DEPLOY / "nginx.conf").read_text().replace("127.0.0.1:8000", f"127.0.0.1:{service.port}")
        text = text.replace("listen 443", f"listen 127.0.0.1:{port}").replace("/etc/nginx", str(tmp_path))
        with nginx(tmp_path, text, port):
            trust = ssl._create_unverified_context()
            answer = say(
                f"wss://gtcrn.example:{port}/v1/stream",
                START,
                data,
                END,
                ssl=trust,
                host="127.0.0.1",
                additional_headers={"Origin": "https://gtcrn.example"},
            )
            assert (answer.code, answer.audio) == (1000, offline(denoiser, data))
            url = f"https://127.0.0.1:{port}"
            headers = {"Host": "gtcrn.example", "Origin": "https://gtcrn.example"}
            told = httpx.post(f"{url}/v1/denoise/pcm", content=data, headers=headers, verify=False)
            assert told.content == offline(denoiser, data)
            assert httpx.get(f"{url}/metrics", headers=headers, verify=False).status_code == 403


def test_the_manifests_are_what_kubernetes_takes(manifests: dict[str, Any]) -> None:
    """Against its own schemas, in which unknown fields are faults: of the first version with all this, and later."""
    kubernetes = pytest.importorskip("kubernetes_validate", reason="needs the package kubernetes-validate")
    for version in ("1.30", "1.34"):
        for each in manifests.values():
            kubernetes.validate(each, version, strict=True)
    changes: dict[str, dict[str, Any]] = {
        "Deployment": {"replicas": "two"},
        "HorizontalPodAutoscaler": {"maxReplica": 3},
        "PodDisruptionBudget": {"maxUnavailable": []},
        "NetworkPolicy": {"egres": []},
    }
    for kind, change in changes.items():
        wrong = {**manifests[kind], "spec": {**manifests[kind]["spec"], **change}}
        with pytest.raises(kubernetes.ValidationError):
            kubernetes.validate(wrong, "1.30", strict=True)


def test_pods_that_share_streams_have_what_that_takes(manifests: dict[str, Any], pod: dict[str, Any]) -> None:
    given = {each["name"]: each for each in pod["containers"][0]["env"]}
    for name in ("GTCRN_REDIS_URL", "GTCRN_STATE_KEYS"):
        assert given[name]["valueFrom"]["secretKeyRef"]["name"] == "gtcrn"
    assert "sessionAffinity" not in manifests["Service"]["spec"]


def last_stage() -> str:
    return (DEPLOY / "Dockerfile").read_text().split("\nFROM ")[-1]


def test_the_image_runs_without_compiler_as_somebody_else() -> None:
    stage = last_stage()
    assert not re.search(r"gcc|apt-get|torch", stage)
    user = re.findall(r"^USER (\d+):(\d+)$", stage, re.MULTILINE)
    assert user
    assert min(map(int, user[-1])) > 0


def test_every_stage_of_the_image_stands_on_the_one_base_that_a_build_may_name() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${BASE}"}
    assert re.search(r"^ARG BASE=\S+\nFROM", text, re.MULTILINE)


def test_what_the_image_is_built_from_exists_or_is_optional() -> None:
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    kept = {line[1:] for line in lines if line.startswith("!")} - {"README.md", "LICENSE"}
    assert [name for name in kept if not (ROOT / name).exists()] == []
    packages = re.findall(r'"(\w+)" = "(\w+)"', (ROOT / "pyproject.toml").read_text())
    assert {folder for _, folder in packages} <= kept


def test_the_lock_file_has_what_the_service_needs_each_with_hashes_and_from_nowhere_in_particular() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = (DEPLOY / "requirements.txt").read_text()
    locked = dict(re.findall(r"^([\w.-]+)==(\S+) \\\n    --hash=sha256:", text, re.MULTILINE))
    assert len(locked) == text.count("==")
    extras = project["optional-dependencies"]
    for each in map(Requirement, project["dependencies"] + extras["serve"] + extras["redis"]):
        assert locked[each.name] in each.specifier
    assert "://" not in text
    assert "torch" not in locked


def test_the_health_check_of_the_image_is_python_that_compiles() -> None:
    command = re.findall(r"CMD (\[.*-c.*\])$", last_stage(), re.MULTILINE)
    assert len(command) == 1
    program, flag, source = yaml.safe_load(command[0])
    assert (program, flag) == ("python", "-c")
    compile(source, "health check", "exec")


needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")


@needs_systemd
def test_systemd_finds_no_fault_with_the_unit() -> None:
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(DEPLOY / "gtcrn.service")]
    done = subprocess.run(command, capture_output=True, text=True)
    said = [line for line in (done.stdout + done.stderr).splitlines() if "not executable" not in line]
    assert [line for line in said if "gtcrn.service" in line] == []


@needs_systemd
def test_the_unit_is_exposed_to_nothing_that_it_can_do_without() -> None:
    """The threshold is in tenths of systemd's scale of 10; what is left is the network itself."""
    command = [
        "systemd-analyze",
        "security",
        "--offline=true",
        "--no-pager",
        "--threshold=15",
        str(DEPLOY / "gtcrn.service"),
    ]
    assert subprocess.run(command, capture_output=True, timeout=60).returncode == 0
