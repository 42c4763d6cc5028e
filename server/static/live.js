// Microphone -> worklet -> worker -> service and back.

import { INSECURE, Problem, ofClose, ofMicrophone, ofNetwork } from "./problems.js";

const WELCOME_MS = 10_000; // for the service to be ready
const FAREWELL_MS = 2000; // for its last word
// Nothing of the browser's own clean-up: the sound is to be as noisy as it is.
const PLAIN = { echoCancellation: false, noiseSuppression: false, autoGainControl: false, channelCount: 1 };

const MONO = { outputChannelCount: [1], channelCount: 1, channelCountMode: "explicit" };

export class Live extends EventTarget {
  // Events: "ready" (description), "measure" ({delay, gaps}), "lost", "resumed", "over" ({summary, problem}).
  constructor(graph) {
    super();
    this.graph = graph;
    this.worker = null;
    this.description = null;
    this.summary = null;
  }

  // Resolves when the service is ready; raises Problem.
  async start(options, key) {
    try {
      this.microphone = await microphone();
      await this.build();
      await this.converse(options, key);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  async build() {
    const { context } = this.graph;
    await context.resume();
    await context.audioWorklet.addModule("worklet.js");
    this.source = new MediaStreamAudioSourceNode(context, { mediaStream: this.microphone });
    this.node = new AudioWorkletNode(context, "denoised", MONO);
    this.node.port.onmessage = ({ data }) => this.tell("measure", data);
    this.source.connect(this.graph.before);
    this.source.connect(this.node).connect(this.graph.after);
  }

  converse(options, key) {
    const { port1, port2 } = new MessageChannel();
    this.node.port.postMessage("link", [port1]);
    this.worker = new Worker("link.js", { type: "module" });
    const url = new URL("/v1/stream", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const start = { sample_rate: this.graph.context.sampleRate, channels: 1, encoding: "s16le", ...options };
    this.worker.postMessage({ open: { url: url.href, key, start } }, [port2]);
    return new Promise((resolve, reject) => {
      setTimeout(() => reject(ofNetwork()), WELCOME_MS);
      this.worker.onmessage = ({ data }) => {
        if (data.event) this.heed(data.event, resolve);
        else this.end(data.closed, key, reject);
      };
    });
  }

  heed(event, resolve) {
    if (event.type === "done") this.summary = event;
    if (event.type === "lost" || event.type === "resumed") this.tell(event.type);
    if (event.type !== "ready") return;
    this.description = event;
    this.tell("ready", event);
    resolve();
  }

  // Before "ready" the promise of `start` is rejected, afterwards it is settled and the event tells.
  end({ code, fault }, key, reject) {
    const problem = code === 1000 ? null : ofClose({ code, fault, ready: this.description }, key);
    this.close();
    if (problem) reject(problem);
    if (this.description) this.tell("over", { summary: this.summary, problem });
    this.farewell?.();
  }

  set(change) {
    this.worker?.postMessage({ say: { type: "set", ...change } });
  }

  // Ends the stream politely: the service says what it did.
  async stop() {
    if (!this.worker) return;
    this.worker.postMessage({ say: { type: "end" } });
    await new Promise((resolve) => {
      this.farewell = resolve;
      setTimeout(resolve, FAREWELL_MS);
    });
    this.close();
  }

  close() {
    this.worker?.terminate();
    this.worker = null;
    this.node?.port.postMessage("stop");
    this.node?.disconnect();
    this.source?.disconnect();
    this.microphone?.getTracks().forEach((track) => track.stop());
  }

  tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

// The microphone's stream; raises Problem.
export async function microphone() {
  if (!isSecureContext || !navigator.mediaDevices) throw new Problem(INSECURE);
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: PLAIN });
  } catch (error) {
    throw ofMicrophone(error);
  }
}
