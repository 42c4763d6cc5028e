// A microphone or a file through the denoiser to the ear.

import { GtcrnWorkletNode, loadGtcrn, workletUrl } from "../gtcrn.js";

const byId = (id) => document.getElementById(id);
const PLAIN = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };

let made; // at the first use: browsers want a gesture before there may be sound
let microphone; // its node while it is open

const denoiser = () => (made ??= make());

async function make() {
  const context = new AudioContext();
  await context.audioWorklet.addModule(workletUrl);
  const node = new GtcrnWorkletNode(context, { wasmBinary: await loadGtcrn(), maxChannels: 2 });
  node.connect(context.destination);
  node.addEventListener("levels", ({ detail }) => show(detail));
  node.reportLevels();
  const delay = await node.ready;
  const late = Math.round((1000 * delay) / context.sampleRate);
  byId("status").textContent = `Denoising at ${context.sampleRate / 1000} kHz, ${late} ms late.`;
  new MediaElementAudioSourceNode(context, { mediaElement: byId("player") }).connect(node);
  return node;
}

function show({ before, after, speech }) {
  for (const [name, level] of Object.entries({ before, after })) {
    byId(name).value = level;
    byId(`${name}-text`).textContent = `${Math.round(level)} dBFS`;
  }
  byId("speech").value = speech;
}

async function settings() {
  const { value, max } = byId("limit");
  byId("limit-text").textContent = value === max ? "no limit" : `${value} dB`;
  const node = await denoiser();
  node.attenuationLimit = value === max ? null : Number(value);
  node.bypass = !byId("denoise").checked;
  node.keepHighs = byId("highs").checked;
}

async function startMicrophone() {
  const mediaStream = await navigator.mediaDevices.getUserMedia({ audio: PLAIN });
  const node = await denoiser();
  await node.context.resume();
  microphone = new MediaStreamAudioSourceNode(node.context, { mediaStream });
  microphone.connect(node);
  byId("microphone").textContent = "Stop microphone";
}

function stopMicrophone() {
  microphone.disconnect();
  microphone.mediaStream.getTracks().forEach((track) => track.stop());
  microphone = null;
  byId("microphone").textContent = "Start microphone";
}

async function play([file]) {
  const player = byId("player");
  player.src = URL.createObjectURL(file);
  player.hidden = false;
  const node = await denoiser();
  await node.context.resume();
  await player.play();
}

const attempt = (work) => async (event) => {
  try {
    await work(event);
  } catch (error) {
    byId("status").textContent = error.message;
  }
};

byId("microphone").onclick = attempt(() => (microphone ? stopMicrophone() : startMicrophone()));
byId("file").onchange = attempt(({ target }) => play(target.files));
byId("denoise").onchange = byId("highs").onchange = byId("limit").oninput = attempt(settings);
