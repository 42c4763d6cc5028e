// A worker with the WebSocket on one side and the worklet's port on the other. The page hears of everything but audio.
// A stream outlives its connection: it goes on with its last token, at whichever host answers.

const MOST_UNSENT_SECONDS = 1;
const BYTES = 2; // of a sample
const TOKEN_SECONDS = 2;
const PATIENCE_MS = 10_000; // for another connection
const PAUSE_MS = 250; // between two attempts

let link;

onmessage = ({ data, ports }) => {
  if (data.open) (link = new Link(data.open, ports[0])).connect();
  else link?.say(data.say);
};

class Link {
  constructor({ url, key, start }, worklet) {
    Object.assign(this, { url, key, worklet, token: null, over: false, lost: null });
    this.start = { type: "start", tokens: TOKEN_SECONDS, ...start };
    this.mostUnsent = start.sample_rate * BYTES * MOST_UNSENT_SECONDS;
    this.kept = []; // chunks since the token, of which the first begins at sample `base`
    this.base = this.got = this.backlog = 0;
    this.change = null; // the settings, where they were changed
    worklet.onmessage = ({ data }) => this.take(data);
  }

  connect() {
    try {
      this.socket = new WebSocket(this.url, this.key ? ["gtcrn", `key.${this.key}`] : ["gtcrn"]);
    } catch {
      return postMessage({ closed: { code: 1008, fault: { code: "unauthorized" } } }); // no key has such characters
    }
    this.fault = null;
    this.ready = false;
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => this.socket.send(JSON.stringify(this.start));
    this.socket.onmessage = ({ data }) => (typeof data === "string" ? this.heed(JSON.parse(data)) : this.hear(data));
    this.socket.onclose = (event) => this.closed(event);
  }

  heed(event) {
    if (event.type === "token") return this.keep(event);
    if (event.type === "error") this.fault = event;
    this.over ||= event.type === "done";
    if (event.type === "ready") {
      this.ready = true;
      this.lost = null;
      this.place = event.sent;
      if (this.token) return this.goOn(event);
      this.worklet.postMessage("begin");
    }
    postMessage({ event });
  }

  // From here on the stream could go on elsewhere: what the service has need not be kept.
  keep({ token, received }) {
    this.token = token;
    this.start = { type: "start", tokens: TOKEN_SECONDS, resume: token };
    while (this.kept.length && this.base + this.kept[0].byteLength / BYTES <= received)
      this.base += this.kept.shift().byteLength / BYTES;
  }

  // What was sent since the token, once more.
  goOn({ received }) {
    postMessage({ event: { type: "resumed" } });
    if (this.change) this.socket.send(JSON.stringify(this.change));
    let skip = (received - this.base) * BYTES;
    for (const chunk of this.kept) {
      if (skip < chunk.byteLength) this.socket.send(chunk.slice(Math.max(0, skip)));
      skip -= chunk.byteLength;
    }
    this.backlog = this.socket.bufferedAmount;
  }

  // Audio on its way to the ear, but for what has been heard.
  hear(data) {
    const samples = data.byteLength / BYTES;
    const old = Math.min(samples, Math.max(0, this.got - this.place));
    this.place += samples;
    this.got += samples - old;
    const fresh = old ? data.slice(old * BYTES) : data;
    if (fresh.byteLength) this.worklet.postMessage(fresh, [fresh]);
  }

  take(chunk) {
    if (this.over) return;
    this.kept.push(chunk);
    if (!this.ready || this.socket.readyState !== WebSocket.OPEN) return;
    const unsent = this.socket.bufferedAmount;
    if (unsent <= this.mostUnsent) this.backlog = 0;
    if (unsent <= this.mostUnsent + this.backlog) return this.socket.send(chunk);
    this.fault = { code: "slow", message: "" };
    this.socket.close(4000);
  }

  say(message) {
    if (message.type === "set") this.change = { ...this.change, ...message };
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
    else if (message.type === "end") postMessage({ closed: { code: 1000 } }); // nobody is there to say farewell
  }

  closed({ code, reason }) {
    this.ready = false;
    if (this.mayReturn(code)) return setTimeout(() => this.connect(), PAUSE_MS);
    return postMessage({ closed: { code, fault: this.fault ?? { message: reason } } });
  }

  // After a host that left, was lost or has no room; not for long, and not when the service refused.
  mayReturn(code) {
    const moved = [1001, 1006, 1012, 1013].includes(code) && this.fault?.code !== "slow";
    if (!this.token || this.over || !moved) return false;
    if (!this.lost) postMessage({ event: { type: "lost" } });
    this.lost ??= performance.now();
    return performance.now() - this.lost < PATIENCE_MS;
  }
}
