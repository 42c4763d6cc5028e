// The denoiser for web pages: `loadGtcrn` fetches it, `GtcrnWorkletNode` puts it into an audio graph.

import { judge, judgeLimit, judgeSwitch } from "./stream.js";

export { GtcrnStream } from "./stream.js";

// Module for `context.audioWorklet.addModule`.
export const workletUrl = new URL("./worklet.js", import.meta.url).href;

// The binary, an ArrayBuffer. Raises Error where it cannot be had, or the browser has no WebAssembly with SIMD.
export async function loadGtcrn({ url = new URL("./gtcrn.wasm", import.meta.url) } = {}, init) {
  const wasmBinary = await bytesOf(String(url), init);
  if (!WebAssembly.validate(wasmBinary)) throw new Error(`${url} is no WebAssembly that can be run here.`);
  return wasmBinary;
}

// Node.js does not fetch files.
async function bytesOf(url, init) {
  const files = url.startsWith("file:") && globalThis.process?.getBuiltinModule?.("node:fs");
  if (files) return new Uint8Array(files.readFileSync(new URL(url))).buffer;
  const answer = await fetch(url, init);
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${answer.statusText}`);
  return answer.arrayBuffer();
}

// Outside of browsers the module can be imported, and this cannot be made.
const Base =
  globalThis.AudioWorkletNode ??
  class {
    constructor() {
      throw new Error("there is no Web Audio here; GtcrnStream works anywhere.");
    }
  };

export class GtcrnWorkletNode extends Base {
  #limit;
  #bypass;
  #keepHighs;

  constructor(context, { wasmBinary, maxChannels = 1, attenuationLimit = null, bypass = false, keepHighs = false }) {
    judge(context.sampleRate, maxChannels);
    judgeLimit(attenuationLimit);
    judgeSwitch("bypass", bypass);
    judgeSwitch("keepHighs", keepHighs);
    super(context, "gtcrn", {
      channelCount: maxChannels,
      channelCountMode: "explicit",
      outputChannelCount: [maxChannels],
      processorOptions: { wasmBinary, maxChannels, attenuationLimit, bypass, keepHighs },
    });
    this.#limit = attenuationLimit;
    this.#bypass = bypass;
    this.#keepHighs = keepHighs;
    this.ready = this.#listen();
  }

  // Resolves when the denoiser runs, to the samples that the output is later than the input.
  #listen() {
    return new Promise((resolve, reject) => {
      this.addEventListener("processorerror", () => reject(new Error("the denoiser could not be started.")));
      this.port.onmessage = ({ data: { delay, levels, destroyed } }) => {
        if (delay !== undefined) resolve(delay);
        if (levels) this.dispatchEvent(new CustomEvent("levels", { detail: levels }));
        if (destroyed) this.dispatchEvent(new Event("destroyed"));
      };
    });
  }

  get attenuationLimit() {
    return this.#limit;
  }

  set attenuationLimit(limit) {
    judgeLimit(limit);
    this.#limit = limit;
    this.port.postMessage({ attenuationLimit: limit });
  }

  get bypass() {
    return this.#bypass;
  }

  set bypass(bypass) {
    judgeSwitch("bypass", bypass);
    this.#bypass = bypass;
    this.port.postMessage({ bypass });
  }

  get keepHighs() {
    return this.#keepHighs;
  }

  set keepHighs(keep) {
    judgeSwitch("keepHighs", keep);
    this.#keepHighs = keep;
    this.port.postMessage({ keepHighs: keep });
  }

  // From now on "levels" events, `seconds` apart; 0 ends them.
  reportLevels(seconds = 0.1) {
    this.port.postMessage({ levels: seconds });
  }

  // Gives the memory back; the node is silent from then on.
  destroy() {
    this.disconnect();
    this.port.postMessage({ destroy: true });
  }
}
