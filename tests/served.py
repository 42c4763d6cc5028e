"""`gtcrn serve` as a process, nginx before several of them, and Redis behind."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
from networks import random_network
from serving import wait_for

from gtcrn import checkpoint


def random_weights(folder: Path) -> Path:
    """A file of random weights, those of the fixture `denoiser`."""
    path = folder / "random.safetensors"
    checkpoint.write(path, checkpoint.from_model(random_network()))
    return path


@dataclass
class Serving:
    """`gtcrn serve` with its address."""

    process: subprocess.Popen[str]
    http: str

    @property
    def socket(self) -> str:
        return self.http.replace("http", "ws") + "/v1/stream"

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(20)


@contextlib.contextmanager
def serving(weights: Path | None, /, *arguments: str, **settings: object) -> Iterator[Serving]:
    """The command with these weights, arguments and GTCRN_ settings; ended with SIGTERM."""
    chosen = ["--weights", str(weights)] if weights else []
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GTCRN_")}
    environment |= {f"GTCRN_{name.upper()}": str(value) for name, value in settings.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", "gtcrn", "serve", "--port", "0", *chosen, *arguments],
        env={"GTCRN_MAX_QUEUE_MS": "60000", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found, "the service does not say where it is"
        yield Serving(process, found[0])
    finally:
        process.terminate()
        process.communicate(timeout=20)


def ready(url: str) -> int | None:
    """The status of /readyz, if there is any."""
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"{url}/readyz").status_code
    return None


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def nginx(folder: Path, text: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """nginx in the foreground with this configuration, which listens on `port`."""
    (folder / "nginx.conf").write_text(f"pid {folder}/pid;\nerror_log stderr;\n{text}")
    command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    subprocess.run([*command, "-t"], check=True, capture_output=True)
    process = subprocess.Popen([*command, "-g", "daemon off;"], stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: answers(port))
        yield process
    finally:
        process.terminate()
        process.wait(10)


def upstream(text: str, hosts: Sequence[Serving]) -> str:
    """The configuration with these hosts in place of the one on port 8000."""
    (line,) = re.findall(r"^ *server 127.0.0.1:8000.*$", text, flags=re.MULTILINE)
    lines = [line.replace("127.0.0.1:8000", host.http.removeprefix("http://")) for host in hosts]
    return text.replace(line, "\n".join(lines))


@dataclass
class RedisServer:
    """redis-server on a port of its own; `folder` to remember things in, where it is to survive a restart."""

    port: int
    folder: Path | None
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        keeping = ["--appendonly", "yes", "--dir", str(self.folder)] if self.folder else ["--save", ""]
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", *keeping]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_for(lambda: answers(self.port))

    def settle(self) -> None:
        """Wait until it has run so long that what it does not know is not there."""
        from redis import from_url

        from gtcrn_server.streams.leases import SETTLE_SECONDS  # not without redis

        with from_url(self.url) as client:
            wait_for(lambda: client.info("server")["uptime_in_seconds"] >= SETTLE_SECONDS)

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait(10)
        self.process = None


@contextlib.contextmanager
def redis_server(folder: Path | None = None) -> Iterator[RedisServer]:
    server = RedisServer(free_port(), folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()
