// The audio thread's side of GtcrnWorkletNode.

import { Delayed } from "./stream.js";

let binary; // each node brings a copy; the first is compiled, for all

class GtcrnProcessor extends AudioWorkletProcessor {
  constructor({ processorOptions: { wasmBinary, maxChannels, ...options } }) {
    super();
    binary ??= wasmBinary;
    this.stream = new Delayed(binary, { sampleRate, channels: maxChannels, ...options });
    this.meter = new Meter();
    this.port.onmessage = ({ data }) => this.heed(data);
    this.port.postMessage({ delay: this.stream.latency - 1 });
  }

  heed({ attenuationLimit, bypass, keepHighs, levels, destroy }) {
    if (destroy) return this.end();
    if (levels !== undefined) this.meter.every = levels * sampleRate;
    if (attenuationLimit !== undefined) this.stream.attenuationLimit = attenuationLimit;
    if (bypass !== undefined) this.stream.bypass = bypass;
    if (keepHighs !== undefined) this.stream.keepHighs = keepHighs;
  }

  end() {
    this.stream.destroy();
    this.stream = null;
    this.port.postMessage({ destroyed: true });
    this.port.close();
  }

  process([input], [output]) {
    if (!this.stream) return false;
    this.stream.run(input, output);
    if (this.meter.every) this.measure(input, output);
    return true;
  }

  measure(input, output) {
    const levels = this.meter.add(input, output);
    if (levels) this.port.postMessage({ levels: { ...levels, ...this.stream.levels } });
  }
}

// Root mean squares of what came in and went out, over all channels, in dB of full scale.
class Meter {
  every = 0; // samples between two reports, 0 for none
  before = 0;
  after = 0;
  samples = 0;

  add(input, output) {
    this.before += power(input);
    this.after += power(output);
    this.samples += output[0].length;
    if (this.samples < this.every) return null;
    const levels = { before: decibels(this.before / this.samples), after: decibels(this.after / this.samples) };
    this.before = this.after = this.samples = 0;
    return levels;
  }
}

// The sum of squares, the mean of the channels.
function power(channels) {
  let sum = 0;
  for (const samples of channels) for (let i = 0; i < samples.length; i++) sum += square(samples[i]);
  return channels.length ? sum / channels.length : 0;
}

// What is not finite becomes silence in the denoiser, too.
const square = (sample) => (Number.isFinite(sample) ? sample * sample : 0);

const decibels = (meanSquare) => Math.max(10 * Math.log10(meanSquare), -120);

registerProcessor("gtcrn", GtcrnProcessor);
