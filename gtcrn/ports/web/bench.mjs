// Processor time of 16 ms of audio in the worklets of this package and, where it is installed beside it, of
// @sapphi-red/web-noise-suppressor: node bench.mjs [project with node_modules]. In turn, medians of many rounds.

import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const QUANTUM = 128; // samples
const FRAME_SECONDS = 0.016;
const FRAMES = 100; // of a round
const ROUNDS = 21;

const OTHER = "@sapphi-red/web-noise-suppressor/dist";
const PACKAGES = [
  { name: "gtcrn", worklet: "gtcrn/worklet.js", binary: "gtcrn/gtcrn.wasm", rates: [16000, 44100, 48000] },
  { name: "web-noise-suppressor", worklet: `${OTHER}/gtcrn/workletProcessor.js`, binary: `${OTHER}/gtcrn.wasm`, rates: [16000, 48000] },
];

// An audio thread as far as these worklets look at it.
let registered;
globalThis.registerProcessor = (_, Processor) => (registered = Processor);
globalThis.AudioWorkletProcessor = class {
  port = { postMessage() {}, addEventListener() {}, start() {} };
};

async function candidates(modules) {
  const found = [];
  for (const { name, worklet, binary, rates } of PACKAGES.filter((one) => existsSync(resolve(modules, one.worklet)))) {
    await import(pathToFileURL(resolve(modules, worklet)));
    for (const rate of rates) found.push(await ready(name, rate, registered, readFileSync(resolve(modules, binary))));
  }
  return found;
}

// The other package makes its denoiser later than its processor, and passes silence until then.
async function ready(name, rate, Processor, wasmBinary) {
  globalThis.sampleRate = rate;
  const processor = new Processor({ processorOptions: { wasmBinary, maxChannels: 1 } });
  await new Promise((done) => setTimeout(done, 500));
  return { name, rate, processor, times: [] };
}

const noise = Array.from({ length: 64 }, () => Float32Array.from({ length: QUANTUM }, () => 0.2 * (Math.random() - 0.5)));
const output = [[new Float32Array(QUANTUM)]];
const inputs = noise.map((samples) => [[samples]]);

function round({ rate, processor, times }) {
  const quanta = Math.round((FRAMES * FRAME_SECONDS * rate) / QUANTUM);
  output[0][0].fill(0);
  const before = process.cpuUsage();
  for (let i = 0; i < quanta; i++) processor.process(inputs[i % inputs.length], output, {});
  const { user, system } = process.cpuUsage(before);
  if (!output[0][0].some((sample) => sample)) throw new Error("nothing came out");
  times.push((user + system) / FRAMES);
}

const all = await candidates(resolve(process.argv[2] ?? ".", "node_modules"));
for (let i = 0; i < ROUNDS + 3; i++) all.forEach(round);
console.log("| worklet | rate | us of a core for 16 ms |\n|---|---|---|");
for (const { name, rate, times } of all) {
  const median = times.slice(3).sort((a, b) => a - b)[ROUNDS >> 1]; // without the rounds before the code was optimised
  console.log(`| ${name} | ${rate / 1000} kHz | ${median.toFixed(0)} |`);
}
