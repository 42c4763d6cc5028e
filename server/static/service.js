// The service's HTTP side: what it is, what it costs, files.

import { ofAnswer, ofNetwork } from "./problems.js";

const ENDINGS = { "audio/wav": "wav", "audio/flac": "flac", "audio/ogg": "ogg" };

// What the service says of itself; no more than that it is there where it wants a key first.
export async function info() {
  const response = await fetch("/v1/info").catch(() => null);
  if (response?.status === 401) return { model: "gtcrn", version: "told with a key" };
  return response?.ok ? response.json() : null;
}

// Processor time over audio time of live streams, of the busiest worker; null where metrics are not shown.
export async function realTimeFactor(key) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  const response = await fetch("/metrics", { headers }).catch(() => null);
  if (!response?.ok) return null;
  const found = (await response.text()).matchAll(/^gtcrn_real_time_factor\{[^}]*\} (\S+)/gm);
  return Math.max(0, ...Array.from(found, ([, value]) => Number(value)));
}

// The example that comes with the page.
export async function sample() {
  const response = await fetch("sample.flac").catch(() => null);
  if (!response?.ok) throw ofNetwork();
  return new File([await response.blob()], "sample.flac");
}

// The denoised file as {blob, name, seconds it took}; raises Problem.
export async function denoise(file, { attenuation_limit: limit, keep_highs: highs }, key) {
  const begun = performance.now();
  const query = new URLSearchParams({ ...(limit !== null && { attenuation_limit: limit }), keep_highs: highs });
  const headers = { "Content-Type": "application/octet-stream", ...(key && { Authorization: `Bearer ${key}` }) };
  const response = await fetch(`/v1/denoise?${query}`, { method: "POST", body: file, headers }).catch(() => null);
  if (!response) throw ofNetwork();
  if (!response.ok) throw await ofAnswer(response, file.name, key);
  const blob = await response.blob().catch(() => null);
  if (!blob) throw ofNetwork();
  const ending = ENDINGS[blob.type] ?? "wav";
  const name = `${file.name.replace(/\.[^.]*$/, "")}.denoised.${ending}`;
  return { blob, name, seconds: (performance.now() - begun) / 1000 };
}
