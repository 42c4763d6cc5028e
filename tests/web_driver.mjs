// A user of the npm package who misbehaves: node web_driver.mjs PROJECT; every demand that is not met ends it with a line.

import { PerformanceObserver } from "node:perf_hooks";
import { pathToFileURL } from "node:url";

const place = pathToFileURL(`${process.argv[2]}/node_modules/gtcrn/`);
const { GtcrnStream, GtcrnWorkletNode, loadGtcrn } = await import(new URL("gtcrn.js", place));
const { Delayed } = await import(new URL("stream.js", place));
const wasmBinary = await loadGtcrn();
const QUANTUM = 128;

function demand(met, what) {
  if (met) return;
  console.error(what);
  process.exit(1);
}

function refused(work, sentence) {
  try {
    work();
  } catch (error) {
    return demand(error.message === sentence, `${error.message} is not ${sentence}`);
  }
  demand(false, `not refused: ${sentence}`);
}

const open = (options) => new GtcrnStream(wasmBinary, options);
const finite = (samples) => samples.every(Number.isFinite);

function wrongOptions() {
  for (const sampleRate of [0, 1, 7999, 192001, 44100.5, NaN, Infinity, -16000])
    refused(() => open({ sampleRate }), `sample rate must be 8000 to 192000 Hz, not ${sampleRate}.`);
  for (const channels of [0, -1, 65, 1.5, NaN])
    refused(() => open({ channels }), `audio must have 1 to 64 channels, not ${channels}.`);
  for (const attenuationLimit of [-1, NaN])
    refused(() => open({ attenuationLimit }), `attenuation limit must be 0 dB or more, not ${attenuationLimit}.`);
  refused(() => open({ bypass: 1 }), "bypass must be true or false, not 1.");
  refused(() => open({ keepHighs: "no" }), "keepHighs must be true or false, not no.");
}

function wrongSamples() {
  const stream = open({ channels: 2 });
  const form = "samples must be a Float32Array, or an array of one for each channel.";
  for (const samples of [null, [0, 0], new Float64Array(4), "sound"]) refused(() => stream.push(samples), form);
  refused(() => stream.push(new Float32Array(4)), "samples must be 2 of equal length, not 4.");
  refused(() => stream.push([new Float32Array(4), new Float32Array(5)]), "samples must be 2 of equal length, not 4,5.");
  stream.flush();
  refused(() => stream.flush(), "the stream has been flushed; reset it or open another.");
  refused(() => stream.push([]), "the stream has been flushed; reset it or open another.");
  stream.destroy();
  stream.destroy();
  refused(() => stream.push([]), "the stream has been destroyed; make another.");
  refused(() => new GtcrnWorkletNode({ sampleRate: 48000 }, { wasmBinary }), "there is no Web Audio here; GtcrnStream works anywhere.");
}

function oddSamples(sampleRate) {
  const odd = [NaN, Infinity, -Infinity, 3e38, 1e-42, -1e7];
  const stream = open({ sampleRate });
  const samples = Float32Array.from({ length: 30000 }, (_, i) => (i % 7 ? (i % 100) / 200 - 0.25 : odd[(i / 7) % 6]));
  let given = 0;
  for (const end of [0, 0, 1, 256, 257, 30000]) {
    const ready = stream.push(samples.subarray(0, end));
    demand(finite(ready), "what comes out is finite");
    given += ready.length;
  }
  demand(stream.nonfinite > 0, "what is not finite is counted");
  demand(given + stream.flush().length === 30514, "as many samples come out as went in");
  demand(stream.latency >= 0.032 * sampleRate, "the delay is told");
  stream.destroy();
}

function aMillionSamplesAtOnce() {
  const stream = open({ sampleRate: 48000 });
  const ready = stream.push(Float32Array.from({ length: 1e6 }, (_, i) => (i % 3 ? 0.1 : NaN)));
  demand(finite(ready) && finite(stream.flush()), "what comes out of a million is finite");
  demand(stream.nonfinite === 333334, "each that is not finite is counted");
  stream.destroy();
}

// A graph's quanta: no memory is asked for, and the script's own collector finds nothing to do.
async function quantaAllocateNothing() {
  const stream = new Delayed(wasmBinary, { sampleRate: 48000, channels: 2 });
  const input = [new Float32Array(QUANTUM).fill(0.1), new Float32Array(QUANTUM)];
  const output = [new Float32Array(QUANTUM), new Float32Array(QUANTUM)];
  let collections = 0;
  new PerformanceObserver((list) => (collections += list.getEntries().length)).observe({ entryTypes: ["gc"] });
  const memory = stream.call.memory;
  const before = memory.buffer;
  const counts = [];
  for (let round = 0; round < 3; round++) {
    collections = 0;
    for (let i = 0; i < 40000; i++) stream.run(i % 1000 ? input : [], output);
    await new Promise((resolve) => setTimeout(resolve, 50));
    counts.push(collections);
  }
  demand(memory.buffer === before, "a quantum asks for no memory");
  // what the tests before left, and the compiler, are collected in one of the rounds; what quanta leave would be in all
  demand(Math.min(...counts) <= 2, `40,000 quanta leave nothing to collect, but there were ${counts} collections`);
  stream.destroy();
}

function refusedStreamsLeaveNothing() {
  const stream = open();
  const before = stream.call.memory.buffer.byteLength;
  const wrong = [{ attenuationLimit: -1 }, { bypass: 1 }, { keepHighs: 1 }];
  for (let i = 0; i < 300; i++) {
    try {
      open({ channels: 8, ...wrong[i % 3] });
    } catch {}
  }
  demand(stream.call.memory.buffer.byteLength === before, "refused streams take no memory");
  stream.destroy();
}

function destroyedStreamsLeaveNothing() {
  const memoryAfterwards = () => {
    const streams = Array.from({ length: 8 }, (_, i) => open({ sampleRate: 44100 + 100 * i, channels: 2 }));
    for (const stream of streams) stream.destroy();
    return streams[0].call.memory.buffer.byteLength;
  };
  const before = memoryAfterwards();
  for (let i = 0; i < 10; i++) demand(memoryAfterwards() === before, "destroyed streams give their memory back");
}

wrongOptions();
wrongSamples();
for (const rate of [8000, 16000, 44100, 191999]) oddSamples(rate);
aMillionSamplesAtOnce();
await quantaAllocateNothing();
refusedStreamsLeaveNothing();
destroyedStreamsLeaveNothing();
