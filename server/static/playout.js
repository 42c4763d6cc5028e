// The jitter buffer: samples come in bursts and go out evenly, with as little waiting as the connection allows.

const FADE = 128; // samples of a fade out before a gap, in after it, and across a skip
const WINDOW_SECONDS = 2; // between two looks at how much was never needed
const BURST_SECONDS = 0.026; // between two arrivals: a hop of the network and a chunk of the microphone
const STEP_SECONDS = 0.01; // margin at the start, and what each gap adds
const LEAST_SECONDS = 0.006;
const MOST_SECONDS = 0.25;
const DECAY = 0.9; // of the margin in a window without a gap

export class Playout {
  // Positions count samples of the stream since it began; `played` is that of the next sample to be heard.
  constructor(rate) {
    this.rate = rate;
    this.ring = new Float32Array(1 << Math.ceil(Math.log2(2 * rate)));
    this.received = this.played = this.gaps = 0;
    this.margin = STEP_SECONDS * rate; // samples that should still wait when the next ones arrive
    this.playing = false;
    this.look();
  }

  get waiting() {
    return this.received - this.played;
  }

  look() {
    this.lowest = Infinity;
    this.heard = 0;
    this.gapsBefore = this.gaps;
  }

  push(samples) {
    const mask = this.ring.length - 1;
    for (const sample of samples) this.ring[this.received++ & mask] = sample;
    if (this.waiting > this.ring.length) this.played = this.received - this.ring.length;
  }

  // Fill `output`; silence until there is enough, and after the buffer has run dry.
  pull(output) {
    if (!this.playing && this.waiting < this.margin + BURST_SECONDS * this.rate) return output.fill(0);
    const fadeIn = !this.playing;
    this.playing = true;
    this.copy(output);
    if (fadeIn) fade(output, 0, 1);
    this.lowest = Math.min(this.lowest, this.waiting);
    this.heard += output.length;
    if (this.waiting < output.length) this.runDry(output);
    else if (this.heard > WINDOW_SECONDS * this.rate) this.trim();
    return output;
  }

  copy(output) {
    const mask = this.ring.length - 1;
    for (let i = 0; i < output.length; i++) output[i] = this.ring[this.played++ & mask];
  }

  // The next quantum would not be whole: end this one in silence and ask for more margin.
  runDry(output) {
    fade(output, 1, 0);
    this.playing = false;
    this.gaps++;
    this.margin = Math.min(this.margin + STEP_SECONDS * this.rate, MOST_SECONDS * this.rate);
    this.look();
  }

  // What lay unused during the whole window, beyond the margin, is delay for nothing: skip it.
  trim() {
    if (this.gaps === this.gapsBefore) this.margin = Math.max(this.margin * DECAY, LEAST_SECONDS * this.rate);
    const spare = Math.floor(this.lowest - this.margin);
    if (spare > FADE) this.skip(spare);
    this.look();
  }

  // Go on `spare` samples later; what is jumped to begins as a fade across, written over the ring.
  skip(spare) {
    const mask = this.ring.length - 1;
    for (let i = 0; i < FADE; i++) {
      const share = (i + 1) / (FADE + 1);
      const next = (this.played + spare + i) & mask;
      this.ring[next] = share * this.ring[next] + (1 - share) * this.ring[(this.played + i) & mask];
    }
    this.played += spare;
  }
}

function fade(samples, from, to) {
  for (let i = 0; i < samples.length; i++) samples[i] *= from + ((to - from) * (i + 1)) / samples.length;
}
