// The microphone as the page's source: starts the live stream and shows its figures.

import { Live } from "./live.js";
import { Local } from "./local.js";
import * as axis from "./axis.js";
import { realTimeFactor } from "./service.js";
import { Session } from "./session.js";
import { byId, factorText, offer } from "./text.js";

const FACTOR_MS = 2000; // between two looks at the service's figures

export class Listening {
  constructor(page) {
    this.page = page;
    this.live = new (page.local ? Local : Live)(page.graph);
    this.live.addEventListener("measure", ({ detail }) => this.measure(detail));
    this.live.addEventListener("lost", () => this.page.say("Connecting again…"));
    this.live.addEventListener("resumed", () => this.greet());
    this.live.addEventListener("over", ({ detail }) => this.over(detail));
  }

  async start() {
    const { page } = this;
    page.name("Microphone", "Denoised");
    page.graph.hear(true);
    await this.live.start({ ...page.options, bypass: !page.denoised }, page.key);
    if (window.MediaRecorder) this.session = new Session(page.graph);
    axis.ofLive(page.after.seconds);
    if (!page.local) this.watchFactor();
    this.latency = this.live.description.latency_ms;
    this.greet();
  }

  greet() {
    this.page.say(`Listening at ${this.live.description.sample_rate / 1000} kHz. Switch Denoise to compare.`);
  }

  // The switch is heard when the sound that was captured then has come back.
  heardOff(now) {
    const turning = now - (this.turned ?? -Infinity) < (this.transit ?? 0);
    return this.page.denoised === turning;
  }

  setDenoised(on) {
    this.live.set({ bypass: !on });
    this.turned = performance.now();
    this.page.name("Microphone", on ? "Denoised" : "Not denoised");
  }

  setLimit(limit) {
    this.live.set({ attenuation_limit: limit });
  }

  setHighs(keep) {
    this.live.set({ keep_highs: keep });
  }

  frame(now) {
    this.page.before.follow(this.page.graph.before, now, true);
    const off = this.heardOff(now);
    this.page.after.follow(this.page.graph.after, now, true, off);
    if (off) byId("legend").hidden = false;
    return true;
  }

  // `delay` was measured in the audio thread; what the sound card adds is known to the browser only.
  measure({ delay, gaps }) {
    byId("gaps").textContent = gaps ?? "–";
    if (delay === null) return;
    const device = 1000 * this.page.graph.deviceSeconds;
    const measured = (this.transit = 1000 * delay);
    byId("delay").textContent = `${Math.round(measured + device)} ms`;
    const waiting = Math.max(0, measured - this.latency);
    byId("delay-parts").textContent =
      `${Math.round(this.latency)} algorithm + ${Math.round(waiting)} transport, buffer + ${Math.round(device)} device`;
  }

  watchFactor() {
    this.timer = setInterval(() => this.askFactor(), FACTOR_MS);
    this.askFactor();
  }

  async askFactor() {
    const factor = await realTimeFactor(this.page.key);
    if (factor) byId("factor").textContent = factorText(factor);
  }

  async stop() {
    clearInterval(this.timer);
    await this.live.stop();
    await this.offerSession();
  }

  // Also when the connection broke: what was heard until then is kept.
  async offerSession() {
    const { session } = this;
    this.session = null;
    const recorded = await session?.stop();
    if (recorded) offer(byId("session"), recorded);
  }

  over({ summary, problem }) {
    clearInterval(this.timer);
    this.offerSession();
    if (summary?.real_time_factor) byId("factor").textContent = factorText(summary.real_time_factor);
    const seconds = summary ? `${summary.seconds.toFixed(1)} s denoised. ` : "";
    this.page.ended(this, problem, `${seconds}Ready for more.`);
  }
}
