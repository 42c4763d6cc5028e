// Samples to one column of a spectrogram.

const WINDOW_SECONDS = 0.03; // at least
const LOWEST = -95; // dB re a full-scale sine: black
const HIGHEST = -20; // dB: white
export const TOP = 8000; // Hz, the upper edge

export class Spectrum {
  constructor(rate, rows) {
    this.size = 1 << Math.ceil(Math.log2(WINDOW_SECONDS * rate));
    this.rows = rows;
    this.perRow = (TOP / rows) * (this.size / rate); // bins
    const turn = (2 * Math.PI) / this.size;
    this.window = Float32Array.from({ length: this.size }, (_, i) => 0.5 - 0.5 * Math.cos(turn * i));
    this.cosine = Float32Array.from({ length: this.size / 2 }, (_, i) => Math.cos(turn * i));
    this.sine = Float32Array.from({ length: this.size / 2 }, (_, i) => -Math.sin(turn * i));
    this.order = Uint16Array.from({ length: this.size }, (_, i) => this.reversed(i));
    this.re = new Float32Array(this.size);
    this.im = new Float32Array(this.size);
  }

  // `rows` values 0 to 255, the highest frequency first, of the `size` samples from `start`.
  column(samples, start = 0) {
    for (let i = 0; i < this.size; i++) {
      this.re[this.order[i]] = (samples[start + i] ?? 0) * this.window[i];
    }
    this.im.fill(0);
    this.transform();
    return Uint8ClampedArray.from({ length: this.rows }, (_, row) => this.shade(this.rows - 1 - row));
  }

  reversed(i) {
    let out = 0;
    for (let bit = 1; bit < this.size; bit <<= 1) out = (out << 1) | (i & bit ? 1 : 0);
    return out;
  }

  // Radix 2, decimation in time, on bit-reversed input.
  transform() {
    for (let half = 1; half < this.size; half <<= 1) {
      const stride = this.size / (2 * half);
      for (let block = 0; block < this.size; block += 2 * half) {
        for (let k = 0; k < half; k++) this.butterfly(block + k, block + k + half, k * stride);
      }
    }
  }

  butterfly(a, b, turn) {
    const re = this.re[b] * this.cosine[turn] - this.im[b] * this.sine[turn];
    const im = this.re[b] * this.sine[turn] + this.im[b] * this.cosine[turn];
    this.re[b] = this.re[a] - re;
    this.im[b] = this.im[a] - im;
    this.re[a] += re;
    this.im[a] += im;
  }

  // The strongest bin of a row.
  shade(row) {
    const from = Math.floor(row * this.perRow);
    const to = Math.max(from + 1, Math.floor((row + 1) * this.perRow));
    let power = 0;
    for (let bin = from; bin < to && bin < this.size / 2; bin++) {
      power = Math.max(power, this.re[bin] ** 2 + this.im[bin] ** 2);
    }
    const level = 10 * Math.log10(power * (4 / this.size) ** 2 + 1e-20);
    return (255 * (level - LOWEST)) / (HIGHEST - LOWEST);
  }
}
