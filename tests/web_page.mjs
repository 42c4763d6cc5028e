// What test_web.py does in a browser, served beside the installed package.

import { GtcrnWorkletNode, loadGtcrn, workletUrl } from "./node_modules/gtcrn/gtcrn.js";
import { GtcrnTrackProcessor } from "./node_modules/gtcrn/livekit.js";

const binary = loadGtcrn();

async function inText(rows) {
  const reader = new FileReader();
  const read = new Promise((done) => (reader.onload = done));
  reader.readAsDataURL(new Blob(rows));
  await read;
  return reader.result.split(",")[1];
}

const refusal = (work) => {
  try {
    work();
  } catch (error) {
    return `${error.name}: ${error.message}`;
  }
};

async function denoiserIn(context, options) {
  await context.audioWorklet.addModule(workletUrl);
  return new GtcrnWorkletNode(context, { wasmBinary: await binary, ...options });
}

// The samples in the file `name`, channel after channel, through a denoiser.
export async function offline(name, rate, channels, options) {
  const samples = new Float32Array(await (await fetch(name)).arrayBuffer());
  const length = samples.length / channels;
  const context = new OfflineAudioContext(channels, length + Math.ceil(rate / 16), rate);
  const buffer = new AudioBuffer({ length, sampleRate: rate, numberOfChannels: channels });
  for (let c = 0; c < channels; c++) buffer.copyToChannel(samples.subarray(c * length, (c + 1) * length), c);
  const source = new AudioBufferSourceNode(context, { buffer });
  const node = await denoiserIn(context, { maxChannels: channels, ...options });
  source.connect(node).connect(context.destination);
  source.start();
  const rendered = await context.startRendering();
  const rows = Array.from({ length: channels }, (_, c) => rendered.getChannelData(c));
  return { delay: await node.ready, samples: await inText(rows) };
}

// What goes into a denoiser and what comes out, quantum by quantum.
const recorder = `
  registerProcessor("recorder", class extends AudioWorkletProcessor {
    process([[before], [after]]) {
      if (before && after) this.port.postMessage([currentFrame, before.slice(), after.slice()]);
      return true;
    }
  })`;
const moduleOf = (script) => URL.createObjectURL(new Blob([script], { type: "text/javascript" }));

const microphone = () =>
  navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } });

// So many seconds of the microphone; all nodes begin at the same moment, as the context rests until then.
export async function live(seconds, options) {
  const context = new AudioContext();
  await context.suspend();
  await context.audioWorklet.addModule(moduleOf(recorder));
  const stream = await microphone();
  const source = new MediaStreamAudioSourceNode(context, { mediaStream: stream });
  const mono = new GainNode(context, { channelCount: 1, channelCountMode: "explicit" });
  const node = await denoiserIn(context, options);
  const tape = new AudioWorkletNode(context, "recorder", { numberOfInputs: 2, channelCount: 1, channelCountMode: "explicit" });
  source.connect(mono).connect(node).connect(tape, 0, 1);
  mono.connect(tape, 0, 0);
  tape.connect(context.destination);
  const quanta = [];
  const levels = [];
  node.addEventListener("levels", ({ detail }) => levels.push(detail));
  node.reportLevels(0.25);
  const heard = new Promise((done) => {
    tape.port.onmessage = ({ data }) => quanta.push(data) * 128 >= seconds * context.sampleRate && done();
  });
  const delay = await node.ready;
  await context.resume();
  await heard;
  await context.close();
  stream.getTracks().forEach((track) => track.stop());
  const missing = quanta.filter(([frame], i) => i && frame !== quanta[i - 1][0] + 128).length;
  const rows = [1, 2].map((kind) => new Blob(quanta.map((quantum) => quantum[kind])));
  return { rate: context.sampleRate, delay, missing, levels, before: await inText([rows[0]]), after: await inText([rows[1]]) };
}

// Bytes of the denoisers' memory after each of `rounds` rounds of eight nodes that are made and destroyed.
export async function destroyed(rounds) {
  const spy = `
    const { Instance } = WebAssembly;
    WebAssembly.Instance = class { constructor(...given) { return (globalThis.made = new Instance(...given)); } };
    registerProcessor("spy", class extends AudioWorkletProcessor {
      constructor() {
        super();
        this.port.onmessage = () => this.port.postMessage(made.exports.memory.buffer.byteLength);
      }
      process() { return true; }
    })`;
  const context = new AudioContext();
  await context.audioWorklet.addModule(moduleOf(spy));
  const { port } = new AudioWorkletNode(context, "spy");
  const sizes = [];
  for (let i = 0; i < rounds; i++) {
    const nodes = await Promise.all(Array.from({ length: 8 }, () => denoiserIn(context, { maxChannels: 2 })));
    await Promise.all(nodes.map((node) => node.ready));
    const ends = nodes.map((node) => new Promise((done) => node.addEventListener("destroyed", done)));
    nodes.forEach((node) => node.destroy());
    await Promise.all(ends);
    const answer = new Promise((done) => (port.onmessage = ({ data }) => done(data)));
    port.postMessage("size");
    sizes.push(await answer);
  }
  await context.close();
  return sizes;
}

export async function refusals() {
  const context = (rate) => new OfflineAudioContext(1, 128, rate);
  const wasmBinary = await binary;
  const missing = await loadGtcrn({ url: "nothing.wasm" }).catch((error) => error.message);
  const foreign = await loadGtcrn({ url: "package.json" }).catch((error) => error.message);
  const make = (rate, options) => refusal(() => new GtcrnWorkletNode(context(rate), { wasmBinary, ...options }));
  return [make(4000), make(16000, { maxChannels: 0 }), make(16000, { attenuationLimit: -1 }), make(16000, { bypass: 1 }), make(16000, { keepHighs: 0 }), missing, foreign];
}

// As LiveKit's client does: the track before, the processor's, then one of another microphone; root mean squares of both.
export async function livekit() {
  const audioContext = new AudioContext();
  const processor = new GtcrnTrackProcessor({ attenuationLimit: 12 });
  const seen = [];
  for (const act of ["init", "restart"]) {
    const [track] = (await microphone()).getAudioTracks();
    await processor[act]({ kind: "audio", track, audioContext });
    processor.node.attenuationLimit = 6;
    seen.push({ state: processor.processedTrack.readyState, level: await loudness(audioContext, processor.processedTrack) });
    seen.at(-1).limit = processor.node.attenuationLimit;
  }
  const { processedTrack } = processor;
  await processor.destroy();
  await audioContext.close();
  return { name: processor.name, seen, ended: processedTrack.readyState, left: processor.processedTrack ?? null };
}

// Half a second after it began to sound.
async function loudness(context, track) {
  const source = new MediaStreamAudioSourceNode(context, { mediaStream: new MediaStream([track]) });
  const analyser = new AnalyserNode(context, { fftSize: 8192 });
  source.connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const level = () => {
    analyser.getFloatTimeDomainData(samples);
    return Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / samples.length);
  };
  while (!level()) await new Promise((done) => setTimeout(done, 50));
  await new Promise((done) => setTimeout(done, 500));
  return level();
}
