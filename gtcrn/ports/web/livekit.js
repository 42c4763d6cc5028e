// The denoiser as LiveKit's browser client takes it: `track.setProcessor(new GtcrnTrackProcessor())`.

import { GtcrnWorkletNode, loadGtcrn, workletUrl } from "./gtcrn.js";

export class GtcrnTrackProcessor {
  name = "gtcrn";
  processedTrack;
  #options;
  #worklet;
  #nodes = [];

  // Options of loadGtcrn (url) and GtcrnWorkletNode, which is `node` while it runs; `worklet` where the module has moved.
  constructor({ url, worklet = workletUrl, maxChannels = 1, ...options } = {}) {
    this.#options = { url, maxChannels, ...options };
    this.#worklet = worklet;
  }

  get node() {
    return this.#nodes[1];
  }

  async init({ track, audioContext }) {
    const { url, ...options } = this.#options;
    options.wasmBinary ??= await loadGtcrn({ url });
    this.#options = { url, ...options };
    await audioContext.audioWorklet.addModule(this.#worklet);
    const source = new MediaStreamAudioSourceNode(audioContext, { mediaStream: new MediaStream([track]) });
    const node = new GtcrnWorkletNode(audioContext, options);
    const target = new MediaStreamAudioDestinationNode(audioContext, { channelCount: options.maxChannels });
    source.connect(node).connect(target);
    this.#nodes = [source, node, target];
    [this.processedTrack] = target.stream.getAudioTracks();
  }

  // With another track, as when the microphone changes; limit and switches stay as they were set.
  async restart(options) {
    const { attenuationLimit, bypass, keepHighs } = this.node ?? {};
    await this.destroy();
    if (attenuationLimit !== undefined) Object.assign(this.#options, { attenuationLimit, bypass, keepHighs });
    await this.init(options);
  }

  async destroy() {
    const [source, node] = this.#nodes;
    source?.disconnect();
    node?.destroy();
    this.processedTrack?.stop();
    this.processedTrack = undefined;
    this.#nodes = [];
  }
}
