// The audio graph both sources share: two taps that are drawn and measured, two gates for A and B, the volume.
//
//   before -> gate -+
//                   +-> volume -> ears
//   after  -> gate -+

const FADE_SECONDS = 0.015; // of the gates: long enough not to click, short enough to compare
const WINDOW_SECONDS = 0.03; // at least, of a spectrum

export class Graph {
  constructor() {
    this.context = new AudioContext({ latencyHint: "interactive" });
    this.volume = new GainNode(this.context);
    this.volume.connect(this.context.destination);
    this.taps = { before: this.tap(0), after: this.tap(1) };
  }

  tap(gain) {
    const fftSize = 1 << Math.ceil(Math.log2(WINDOW_SECONDS * this.context.sampleRate));
    const analyser = new AnalyserNode(this.context, { fftSize });
    const gate = new GainNode(this.context, { gain });
    analyser.connect(gate).connect(this.volume);
    return { analyser, gate };
  }

  get before() {
    return this.taps.before.analyser;
  }

  get after() {
    return this.taps.after.analyser;
  }

  // Hear what comes after the denoiser, or what goes into it.
  hear(after) {
    this.turn(this.taps.after.gate.gain, after ? 1 : 0);
    this.turn(this.taps.before.gate.gain, after ? 0 : 1);
  }

  setVolume(share) {
    this.turn(this.volume.gain, share);
  }

  turn(gain, value) {
    const now = this.context.currentTime;
    gain.cancelScheduledValues(now);
    gain.setValueAtTime(gain.value, now);
    gain.linearRampToValueAtTime(value, now + FADE_SECONDS);
  }

  // Seconds between this graph and the ear, as the browser knows them.
  get deviceSeconds() {
    return (this.context.baseLatency || 0) + (this.context.outputLatency || 0);
  }
}
