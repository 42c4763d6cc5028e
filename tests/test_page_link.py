"""What the page's worker sends and says where its connection breaks, with sockets that take nothing."""

import json
import shutil
import subprocess
from typing import Any

import pytest

pytest.importorskip("fastapi")

from gtcrn_server.page import STATIC

pytestmark = pytest.mark.skipif(not shutil.which("node"), reason="needs node")

SCENE = """
const sockets = [], said = [], port = {postMessage() {}};
globalThis.onmessage = null;
globalThis.postMessage = (message) => said.push(message);
globalThis.WebSocket = class {
  static OPEN = 1;
  constructor() { this.readyState = 1; this.bufferedAmount = 0; sockets.push(this); }
  send(data) { this.bufferedAmount += data.byteLength ?? 0; }
  close(code) { this.readyState = 3; this.onclose({code, reason: ""}); }
};
await import(process.argv[2]);
const tell = (event) => sockets.at(-1).onmessage({data: JSON.stringify(event)});
const speak = (seconds) => { for (let i = 0; i < 50 * seconds; i++) port.onmessage({data: new ArrayBuffer(640)}); };
globalThis.onmessage({data: {open: {url: "ws://x", key: "", start: {sample_rate: 16000}}}, ports: [port]});
tell({type: "ready", sent: 0, received: 0});
tell({type: "token", token: "t", received: 0});
sockets.at(-1).bufferedAmount = 0;
const broken = () => { sockets.at(-1).readyState = 3; sockets.at(-1).onclose({code: 1006, reason: ""}); };
"""
BACKLOG = """
broken();
speak(5);
setTimeout(() => {
  tell({type: "ready", sent: 0, received: 0});
  speak(0.5);
  const whole = sockets.at(-1).bufferedAmount;
  speak(1);
  console.log(JSON.stringify([whole, said.at(-1)]));
}, 400);
"""
STOP = """
broken();
globalThis.onmessage({data: {say: {type: "end"}}});
console.log(JSON.stringify(said.at(-1)));
process.exit();
"""


def played(scene: str) -> Any:
    command = ["node", "--input-type=module", "-", (STATIC / "link.js").as_uri()]
    done = subprocess.run(command, input=SCENE + scene, capture_output=True, text=True, timeout=20)
    assert not done.stderr, done.stderr
    return json.loads(done.stdout)


def test_what_was_kept_while_away_does_not_make_a_connection_too_slow() -> None:
    """But a second more that is not taken does."""
    assert played(BACKLOG) == [5.5 * 32_000, {"closed": {"code": 4000, "fault": {"code": "slow", "message": ""}}}]


def test_who_stops_while_away_is_answered() -> None:
    assert played(STOP) == {"closed": {"code": 1000}}
