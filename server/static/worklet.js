// The audio thread: microphone to PCM16 chunks, PCM16 chunks to the ear. Its port leads straight to the socket's
// worker, so nothing the page draws can interrupt the sound.

import { Playout } from "./playout.js";

const CHUNK_SECONDS = 0.01;
const REPORT_SECONDS = 0.1;

class Denoised extends AudioWorkletProcessor {
  constructor() {
    super();
    this.running = true;
    this.port.onmessage = ({ data, ports }) => {
      if (data === "stop") this.running = false;
      else this.connect(ports[0]);
    };
  }

  connect(link) {
    this.link = link;
    link.onmessage = ({ data }) => (data === "begin" ? this.begin() : this.playout?.push(floats(data)));
  }

  // From here on each input sample is sent, and output sample k is input sample k.
  begin() {
    this.playout = new Playout(sampleRate);
    this.captured = this.unreported = 0;
    this.fresh();
  }

  fresh() {
    this.chunk = new Int16Array(128 * Math.ceil((CHUNK_SECONDS * sampleRate) / 128));
    this.filled = 0;
  }

  process(inputs, outputs) {
    if (!this.playout) return this.running;
    const output = outputs[0][0];
    this.capture(inputs[0][0], output.length);
    this.playout.pull(output);
    this.report(output.length);
    return this.running;
  }

  capture(input, length) {
    for (let i = 0; i < length; i++) {
      const sample = input ? Math.max(-1, Math.min(1, input[i])) : 0;
      this.chunk[this.filled++] = Math.round(sample * 32767);
    }
    this.captured += length;
    if (this.filled < this.chunk.length) return;
    this.link.postMessage(this.chunk.buffer, [this.chunk.buffer]);
    this.fresh();
  }

  // The delay is measured, not estimated: how long ago the sample now played was captured.
  report(length) {
    this.unreported += length;
    if (this.unreported < REPORT_SECONDS * sampleRate) return;
    this.unreported = 0;
    const { playing, played, gaps } = this.playout;
    this.port.postMessage({ delay: playing ? (this.captured - played) / sampleRate : null, gaps });
  }
}

function floats(buffer) {
  return Float32Array.from(new Int16Array(buffer), (sample) => sample / 32768);
}

registerProcessor("denoised", Denoised);
