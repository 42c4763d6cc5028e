// One spectrogram with its level meter: scrolling for live sound, whole for a file.

import { Spectrum } from "./spectrum.js";

const COLUMNS_PER_SECOND = 60;
const MARK = [255, 176, 0]; // where the denoiser was off
const MARK_ROWS = 8;
const MOST_COLUMNS = 30; // at once, after the page was hidden
const FLOOR = -60; // dBFS, the left end of the meter
const HOT = -1; // dBFS of a peak
const STOPS = [[10, 18, 20], [16, 58, 78], [20, 120, 122], [124, 178, 110], [244, 208, 112], [255, 250, 232]];
const COLOURS = Uint8ClampedArray.from({ length: 256 * 3 }, (_, i) => colour(Math.floor(i / 3), i % 3));

function colour(value, channel) {
  const place = (value / 255) * (STOPS.length - 1);
  const stop = Math.min(Math.floor(place), STOPS.length - 2);
  return STOPS[stop][channel] + (place - stop) * (STOPS[stop + 1][channel] - STOPS[stop][channel]);
}

export class Screen {
  constructor(name) {
    this.canvas = document.getElementById(name);
    this.pen = this.canvas.getContext("2d");
    this.head = this.canvas.parentElement.querySelector(".head");
    this.hint = this.canvas.parentElement.querySelector(".empty");
    this.meter = document.getElementById(`${name}-meter`);
    this.level = document.getElementById(`${name}-level`);
    this.rest();
  }

  clear() {
    this.pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.painted = null;
    this.head.hidden = this.hint.hidden = true;
    this.rest();
  }

  // Nothing to be seen, and the words that say what will be.
  vacate() {
    this.clear();
    this.hint.hidden = false;
  }

  // Seconds of live sound across the width.
  get seconds() {
    return this.canvas.width / COLUMNS_PER_SECOND;
  }

  // Draw and measure what the analyser hears now; `scroll` false only measures.
  follow(analyser, now, scroll, marked = false) {
    this.samples ??= new Float32Array(analyser.fftSize);
    analyser.getFloatTimeDomainData(this.samples);
    this.measure(now);
    if (!scroll) return;
    this.painted ??= now;
    const due = Math.min(MOST_COLUMNS, Math.floor(((now - this.painted) / 1000) * COLUMNS_PER_SECOND));
    if (!due) return;
    this.painted = Math.max(this.painted + (1000 * due) / COLUMNS_PER_SECOND, now - 100);
    this.scroll(due, this.spectrum(analyser.context.sampleRate).column(this.samples), marked);
  }

  spectrum(rate) {
    if (this.rate !== rate) this.kept = new Spectrum(rate, this.canvas.height);
    this.rate = rate;
    return this.kept;
  }

  scroll(columns, shades, marked) {
    const { width, height } = this.canvas;
    this.pen.globalCompositeOperation = "copy";
    this.pen.drawImage(this.canvas, -columns, 0);
    const image = this.pen.createImageData(columns, height);
    for (let x = 0; x < columns; x++) paint(image, x, shades, marked ? MARK_ROWS : 0);
    this.pen.putImageData(image, width - columns, 0);
  }

  // A whole recording across the width.
  show(buffer) {
    const { width, height } = this.canvas;
    const samples = buffer.getChannelData(0);
    const spectrum = this.spectrum(buffer.sampleRate);
    const image = this.pen.createImageData(width, height);
    for (let x = 0; x < width; x++) {
      const middle = ((x + 0.5) / width) * samples.length;
      paint(image, x, spectrum.column(samples, Math.round(middle - spectrum.size / 2)));
    }
    this.pen.putImageData(image, 0, 0);
  }

  // Where playback stands, 0 to 1.
  place(share) {
    this.head.hidden = false;
    this.head.style.transform = `translateX(${100 * share}%)`;
  }

  measure(now) {
    let sum = 0;
    let peak = 0;
    for (const sample of this.samples) {
      sum += sample * sample;
      peak = Math.max(peak, Math.abs(sample));
    }
    const decibels = Math.max(-120, 10 * Math.log10(sum / this.samples.length + 1e-12));
    this.smooth = Math.max(decibels, (this.smooth ?? FLOOR) - 1);
    this.meter.firstElementChild.style.transform = `scaleX(${Math.min(1, Math.max(0, 1 - this.smooth / FLOOR))})`;
    this.meter.classList.toggle("hot", peak > 10 ** (HOT / 20));
    if (now - (this.said ?? 0) > 200) this.say(decibels, now);
  }

  say(decibels, now) {
    this.said = now;
    this.meter.setAttribute("aria-valuenow", Math.max(FLOOR, decibels).toFixed(0));
    this.level.textContent = decibels > -100 ? `${decibels.toFixed(1)} dBFS`.replace("-", "−") : "silence";
    this.level.dataset.decibels = decibels;
  }

  rest() {
    this.meter.firstElementChild.style.transform = "scaleX(0)";
    this.meter.setAttribute("aria-valuenow", FLOOR);
    this.level.textContent = "–";
    this.smooth = FLOOR;
  }
}

// One column; its first rows carry the mark.
function paint(image, x, shades, marks = 0) {
  for (let y = 0; y < shades.length; y++) {
    const pixel = 4 * (y * image.width + x);
    for (let channel = 0; channel < 3; channel++)
      image.data[pixel + channel] = y < marks ? MARK[channel] : COLOURS[3 * shades[y] + channel];
    image.data[pixel + 3] = 255;
  }
}
