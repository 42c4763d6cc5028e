// Streams of the compiled denoiser. All of one binary live in one memory, and only making a stream allocates in it.

export const LOWEST_RATE = 8000; // Hz
export const HIGHEST_RATE = 192000;
export const MOST_CHANNELS = 64;

const BYTES = Float32Array.BYTES_PER_ELEMENT;
const engines = new WeakMap(); // by binary

class Engine {
  constructor(wasmBinary) {
    this.call = new WebAssembly.Instance(new WebAssembly.Module(wasmBinary)).exports;
    this.call._initialize?.();
    this.block = this.call.block(); // samples of a channel at most that one call takes
  }

  // The memory as numbers; it moves when it grows.
  get floats() {
    const { buffer } = this.call.memory;
    if (this.seen?.buffer !== buffer) this.seen = new Float32Array(buffer);
    return this.seen;
  }
}

function engineOf(wasmBinary) {
  if (!engines.has(wasmBinary)) engines.set(wasmBinary, new Engine(wasmBinary));
  return engines.get(wasmBinary);
}

const isWhole = (value, lowest, highest) => Number.isInteger(value) && value >= lowest && value <= highest;

// The sentences are those of the Python package.
export function judge(sampleRate, channels) {
  if (!isWhole(sampleRate, LOWEST_RATE, HIGHEST_RATE))
    throw new RangeError(`sample rate must be ${LOWEST_RATE} to ${HIGHEST_RATE} Hz, not ${sampleRate}.`);
  if (!isWhole(channels, 1, MOST_CHANNELS))
    throw new RangeError(`audio must have 1 to ${MOST_CHANNELS} channels, not ${channels}.`);
}

export function judgeLimit(limit) {
  if (limit !== null && typeof limit !== "number")
    throw new TypeError(`attenuation limit must be a number of dB or null, not ${limit}.`);
  if (limit !== null && !(limit >= 0)) throw new RangeError(`attenuation limit must be 0 dB or more, not ${limit}.`);
}

export function judgeSwitch(name, value) {
  if (typeof value !== "boolean") throw new TypeError(`${name} must be true or false, not ${value}.`);
}

// What both kinds of streams have: options, counts, an end.
class Stream {
  #limit = null;
  #bypass = false;
  #keepHighs = false;

  constructor(wasmBinary, { sampleRate = 16000, channels = 1, attenuationLimit = null, bypass = false, keepHighs = false } = {}) {
    judge(sampleRate, channels);
    judgeLimit(attenuationLimit); // before there is a handle, which nobody could give back
    judgeSwitch("bypass", bypass);
    judgeSwitch("keepHighs", keepHighs);
    this.sampleRate = sampleRate;
    this.channels = channels;
    this.engine = engineOf(wasmBinary);
    this.call = this.engine.call;
    this.handle = this.call.create(sampleRate, channels);
    if (!this.handle) throw new RangeError("memory has run out.");
    this.latency = this.call.latency(this.handle);
    this.attenuationLimit = attenuationLimit;
    this.bypass = bypass;
    this.keepHighs = keepHighs;
  }

  get attenuationLimit() {
    return this.#limit;
  }

  set attenuationLimit(limit) {
    judgeLimit(limit);
    this.#limit = limit;
    this.call.set_limit(this.open(), limit ?? Infinity);
  }

  get bypass() {
    return this.#bypass;
  }

  set bypass(bypass) {
    judgeSwitch("bypass", bypass);
    this.#bypass = bypass;
    this.call.set_bypass(this.open(), bypass);
  }

  get keepHighs() {
    return this.#keepHighs;
  }

  set keepHighs(keep) {
    judgeSwitch("keepHighs", keep);
    this.#keepHighs = keep;
    this.call.set_keep_highs(this.open(), keep);
  }

  // What the network makes of the last 32 ms, all channels together.
  get levels() {
    const place = this.call.levels(this.open());
    const [speech, noise, reduction] = new Float64Array(this.call.memory.buffer, place, 3);
    return { speech, noise, reduction };
  }

  get nonfinite() {
    return this.call.nonfinite(this.open());
  }

  reset() {
    this.call.reset(this.open());
  }

  destroy() {
    if (this.handle) this.call.destroy(this.handle);
    this.handle = 0;
  }

  open() {
    if (!this.handle) throw new Error("the stream has been destroyed; make another.");
    return this.handle;
  }

  // Samples `at` to `at + count` of each row, silence where there is none.
  write(rows, at, count) {
    const { floats } = this.engine;
    for (let c = 0; c < this.channels; c++) {
      const place = this.call.input(this.handle, c) / BYTES;
      const row = rows[c];
      if (row) for (let i = 0; i < count; i++) floats[place + i] = row[at + i];
      else floats.fill(0, place, place + count);
    }
  }

  read(rows, at, count) {
    const { floats } = this.engine;
    for (let c = 0; c < rows.length; c++) {
      const place = this.call.output(this.handle, c) / BYTES;
      const row = rows[c];
      for (let i = 0; i < count; i++) row[at + i] = floats[place + i];
    }
  }
}

// A recording or call: samples of any number in, what is ready out, as many in the end as went in, each in its place.
export class GtcrnStream extends Stream {
  // A Float32Array, or an array of one for each channel; the answer is of the same form.
  push(samples) {
    this.refuseFlushed();
    const rows = this.rows(samples);
    const length = rows[0].length;
    const out = rows.map(() => new Float32Array(length + this.latency));
    let given = 0;
    for (let at = 0; at < length; at += this.engine.block) {
      const count = Math.min(length - at, this.engine.block);
      this.write(rows, at, count);
      const ready = this.call.push(this.handle, count);
      this.read(out, given, ready);
      given += ready;
    }
    this.flat = samples instanceof Float32Array;
    return this.formed(out, given);
  }

  // The samples that are still inside; then the stream is at its end, until `reset`.
  flush() {
    this.refuseFlushed();
    const rest = this.call.flush(this.handle);
    const out = Array.from({ length: this.channels }, () => new Float32Array(rest));
    this.read(out, 0, rest);
    return this.formed(out, rest);
  }

  reset() {
    super.reset();
    this.flat = undefined;
  }

  refuseFlushed() {
    if (this.call.flushed(this.open())) throw new Error("the stream has been flushed; reset it or open another.");
  }

  rows(samples) {
    const rows = samples instanceof Float32Array ? [samples] : samples;
    if (!Array.isArray(rows) || !rows.every((row) => row instanceof Float32Array))
      throw new TypeError("samples must be a Float32Array, or an array of one for each channel.");
    if (rows.length !== this.channels || rows.some((row) => row.length !== rows[0].length))
      throw new RangeError(`samples must be ${this.channels} of equal length, not ${rows.map((row) => row.length)}.`);
    return rows;
  }

  formed(out, length) {
    const rows = out.map((row) => row.slice(0, length));
    return (this.flat ?? this.channels === 1) ? rows[0] : rows;
  }
}

// As an audio graph needs it: as many samples out of a call as in, `latency` - 1 later.
export class Delayed extends Stream {
  // Arrays of a channel's samples each; channels that `input` lacks are silent. Nothing is allocated.
  run(input, output) {
    const { length } = output[0];
    for (let at = 0; at < length; at += this.engine.block) {
      const count = Math.min(length - at, this.engine.block);
      this.write(input, at, count);
      this.call.run(this.open(), count);
      this.read(output, at, count);
    }
  }
}
