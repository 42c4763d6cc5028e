// node web_stream.mjs RATE CHANNELS LIMIT, in a project that has the package: floats from standard input, the channels
// one after the other, through a stream in chunks of many lengths, to standard output; then its levels before the end.

import { readFileSync, writeFileSync } from "node:fs";
import { GtcrnStream, loadGtcrn } from "gtcrn";

const [sampleRate, channels, attenuationLimit] = process.argv.slice(2).map(Number);
const stream = new GtcrnStream(await loadGtcrn(), { sampleRate, channels, attenuationLimit, keepHighs: true });
const all = new Float32Array(new Uint8Array(readFileSync(0)).buffer);
const length = all.length / channels;
const rows = Array.from({ length: channels }, (_, c) => all.subarray(c * length, (c + 1) * length));
const out = rows.map(() => []);
for (let at = 0, count = 1; at < length; at += count, count = (3 * count + 1) % 5000)
  stream.push(rows.map((row) => row.slice(at, at + count))).forEach((row, c) => out[c].push(...row));
const levels = Object.values(stream.levels);
const rest = stream.flush();
rest.forEach((row, c) => out[c].push(...row));
writeFileSync(1, new Uint8Array(Float32Array.from([...out.flat(), ...levels]).buffer));
