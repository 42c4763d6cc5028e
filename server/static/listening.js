// The microphone as the page's source: starts the live stream and shows its figures.

import { Live } from "./live.js";
import { realTimeFactor } from "./service.js";
import { byId, factorText } from "./text.js";

const FACTOR_MS = 2000; // between two looks at the service's figures

export class Listening {
  constructor(page) {
    this.page = page;
    this.live = new Live(page.graph);
    this.live.addEventListener("measure", ({ detail }) => this.measure(detail));
    this.live.addEventListener("over", ({ detail }) => this.over(detail));
  }

  async start() {
    const { page } = this;
    page.name("Microphone", "Denoised");
    page.graph.hear(true);
    await this.live.start({ attenuation_limit: page.limit, bypass: !page.denoised }, page.key);
    this.timer = setInterval(() => this.askFactor(), FACTOR_MS);
    this.askFactor();
    const { sample_rate: rate, latency_ms: latency } = this.live.description;
    page.say(`Listening at ${rate / 1000} kHz. Switch Denoise to compare.`);
    this.latency = latency;
  }

  setDenoised(on) {
    this.live.set({ bypass: !on });
    this.page.name("Microphone", on ? "Denoised" : "Not denoised");
  }

  setLimit(limit) {
    this.live.set({ attenuation_limit: limit });
  }

  frame(now) {
    this.page.before.follow(this.page.graph.before, now, true);
    this.page.after.follow(this.page.graph.after, now, true);
    return true;
  }

  // `delay` was measured in the audio thread; what the sound card adds is known to the browser only.
  measure({ delay, gaps }) {
    byId("gaps").textContent = gaps;
    if (delay === null) return;
    const device = 1000 * this.page.graph.deviceSeconds;
    const measured = 1000 * delay;
    byId("delay").textContent = `${Math.round(measured + device)} ms`;
    const waiting = Math.max(0, measured - this.latency);
    byId("delay-parts").textContent =
      `${Math.round(this.latency)} algorithm + ${Math.round(waiting)} transport, buffer + ${Math.round(device)} device`;
  }

  async askFactor() {
    const factor = await realTimeFactor(this.page.key);
    if (factor) byId("factor").textContent = factorText(factor);
  }

  async stop() {
    clearInterval(this.timer);
    await this.live.stop();
  }

  over({ summary, problem }) {
    clearInterval(this.timer);
    if (summary) byId("factor").textContent = factorText(summary.real_time_factor);
    this.page.ended(this, problem, summary && `${summary.seconds.toFixed(1)} s denoised. Ready for more.`);
  }
}
