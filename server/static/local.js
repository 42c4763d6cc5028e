// Microphone -> worklet with the denoiser in it: what Live is, without a service.

import { microphone } from "./live.js";

const IN_BROWSER = "./browser/gtcrn.js"; // made by gtcrn/ports/web, and not always there

export class Local extends EventTarget {
  // Events: "measure" ({delay, gaps}; gaps undefined where the browser does not tell them), "over" ({summary}).
  constructor(graph) {
    super();
    this.graph = graph;
    this.description = null;
  }

  // Resolves when the denoiser runs; raises Problem where there is no microphone.
  async start({ attenuation_limit: attenuationLimit, bypass, keep_highs: keepHighs }) {
    const { context } = this.graph;
    this.microphone = await microphone();
    try {
      const { GtcrnWorkletNode, loadGtcrn, workletUrl } = await import(IN_BROWSER);
      await context.resume();
      await context.audioWorklet.addModule(workletUrl);
      const options = { attenuationLimit, bypass, keepHighs };
      this.node = new GtcrnWorkletNode(context, { wasmBinary: await loadGtcrn(), ...options });
      this.connect(await this.node.ready);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  connect(delay) {
    const { sampleRate } = this.graph.context;
    this.source = new MediaStreamAudioSourceNode(this.graph.context, { mediaStream: this.microphone });
    this.source.connect(this.graph.before);
    this.source.connect(this.node).connect(this.graph.after);
    this.begun = this.graph.context.currentTime;
    this.gapsBefore = this.underruns;
    this.description = { sample_rate: sampleRate, latency_ms: (1000 * delay) / sampleRate };
    this.timer = setInterval(() => this.measure(delay / sampleRate), 1000);
  }

  // Buffers that the audio thread did not fill in time, since the context was made.
  get underruns() {
    return this.graph.context.playbackStats?.underrunEvents;
  }

  measure(delay) {
    const gaps = this.underruns === undefined ? undefined : this.underruns - this.gapsBefore;
    this.tell("measure", { delay, gaps });
  }

  set({ attenuation_limit: limit, bypass, keep_highs: highs }) {
    if (limit !== undefined) this.node.attenuationLimit = limit;
    if (bypass !== undefined) this.node.bypass = bypass;
    if (highs !== undefined) this.node.keepHighs = highs;
  }

  async stop() {
    this.close();
    this.tell("over", { summary: { seconds: this.graph.context.currentTime - this.begun } });
  }

  close() {
    clearInterval(this.timer);
    this.node?.destroy();
    this.source?.disconnect();
    this.microphone.getTracks().forEach((track) => track.stop());
  }

  tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
