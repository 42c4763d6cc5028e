// The page: its controls, and the one source of sound that is open, a microphone or a file.

import * as axis from "./axis.js";
import { Graph } from "./graph.js";
import { Listening } from "./listening.js";
import { INSECURE, Problem } from "./problems.js";
import { Recording } from "./recording.js";
import { Screen } from "./screen.js";
import { info, sample } from "./service.js";
import { byId, limitText } from "./text.js";

class Page {
  constructor() {
    this.before = new Screen("before");
    this.after = new Screen("after");
    this.source = null;
    this.key = "";
    this.queue = Promise.resolve();
    this.wireControls();
    this.wireFiles();
    this.greet();
  }

  // Made at the first use: browsers want a gesture before there may be sound.
  get graph() {
    this.made ??= new Graph();
    return this.made;
  }

  get denoised() {
    return byId("denoise").ariaChecked === "true";
  }

  // Whether a microphone is denoised in this browser.
  get local() {
    return byId("place").ariaChecked === "true";
  }

  // Whether what lies above 8 kHz is kept.
  get highs() {
    return byId("highs").ariaChecked === "true";
  }

  // As the service names them.
  get options() {
    return { attenuation_limit: this.limit, keep_highs: this.highs };
  }

  get limit() {
    const { value, max } = byId("limit");
    return value === max ? null : Number(value);
  }

  wireControls() {
    byId("start").onclick = () => this.startOrStop();
    byId("sample").onclick = () => this.open(() => new Recording(this, sample));
    byId("denoise").onclick = () => this.switchDenoise();
    byId("highs").onclick = () => this.switchHighs();
    byId("place").onclick = () => this.switchPlace();
    byId("limit").oninput = () => this.limitMoved();
    byId("limit").onchange = () => this.denoiseAnew(); // once the slider rests
    byId("volume").oninput = () => this.volumeMoved();
    byId("key-form").onsubmit = (event) => this.keyGiven(event);
    this.limitMoved();
    this.volumeMoved();
  }

  wireFiles() {
    byId("file").onchange = ({ target }) => this.take(target.files);
    const drag = (shown) => (event) => {
      event.preventDefault();
      byId("drop").hidden = !shown;
    };
    document.addEventListener("dragover", drag(true));
    document.addEventListener("dragleave", (event) => event.relatedTarget || drag(false)(event));
    document.addEventListener("drop", (event) => {
      drag(false)(event);
      this.take(event.dataTransfer.files);
    });
  }

  async greet() {
    if (!isSecureContext) this.complain(new Problem(INSECURE));
    const about = await info();
    byId("place-control").hidden = !about?.in_browser;
    byId("service").className = `service ${about ? "up" : "down"}`;
    byId("service").textContent = about ? `${about.model}, version ${about.version}` : "service not reachable";
  }

  startOrStop() {
    if (this.source instanceof Listening) this.attempt(() => this.stop());
    else this.open(() => new Listening(this));
  }

  take([file]) {
    if (file) this.open(() => new Recording(this, file));
    byId("file").value = ""; // the same file may be chosen again
  }

  // Close what is open, then start another source; kept, so that it can be tried again with a key.
  open(make) {
    return this.attempt(async () => {
      await this.stop();
      this.before.clear();
      this.after.clear();
      this.forgetFigures();
      this.source = make();
      this.show("Connecting…");
      await this.source.start();
      this.run();
    });
  }

  // One thing after another: a file dropped while the microphone starts waits for it.
  attempt(work) {
    this.queue = this.queue.then(() => this.undertake(work));
    return this.queue;
  }

  async undertake(work) {
    this.again = () => this.attempt(work);
    byId("problem").hidden = byId("key-form").hidden = true;
    byId("start").disabled = true;
    try {
      await work();
    } catch (error) {
      await this.stop();
      this.empty();
      this.complain(error);
    }
    byId("start").disabled = false;
    this.show();
  }

  async stop() {
    const { source } = this;
    this.source = null;
    await source?.stop();
    this.show();
  }

  // A source ended by itself or was stopped.
  ended(source, problem, sentence) {
    if (problem) this.complain(problem);
    else if (sentence) this.say(sentence);
    if (this.source === source) this.source = null;
    this.before.rest();
    this.after.rest();
    this.show();
  }

  // One loop while there is something to draw.
  run() {
    if (this.running) return;
    this.running = true;
    const frame = (now) => {
      this.running = Boolean(this.source?.frame(now));
      if (this.running) requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  switchDenoise() {
    byId("denoise").ariaChecked = String(!this.denoised);
    this.source?.setDenoised(this.denoised);
  }

  switchHighs() {
    byId("highs").ariaChecked = String(!this.highs);
    if (this.source instanceof Listening) this.source.setHighs(this.highs);
    this.denoiseAnew();
  }

  // A microphone that is open goes on in the other place.
  switchPlace() {
    byId("place").ariaChecked = String(!this.local);
    if (this.source instanceof Listening) this.open(() => new Listening(this));
  }

  limitMoved() {
    const text = limitText(this.limit);
    byId("limit-text").textContent = text;
    byId("limit").setAttribute("aria-valuetext", text);
    if (this.source instanceof Listening) this.source.setLimit(this.limit);
  }

  // A file, with the options as they are now.
  denoiseAnew() {
    const again = () => this.source instanceof Recording && this.source.denoiseAnew(); // it may be another by then
    if (this.source instanceof Recording) this.attempt(again);
  }

  volumeMoved() {
    const percent = byId("volume").value;
    byId("volume-text").textContent = `${percent} %`;
    byId("volume").setAttribute("aria-valuetext", `${percent} %`);
    this.made?.setVolume(percent / 100);
  }

  keyGiven(event) {
    event.preventDefault();
    this.key = byId("key").value.trim();
    this.again();
  }

  // As the page was when it was opened: nothing is left of a source that failed to start.
  empty() {
    this.before.vacate();
    this.after.vacate();
    this.name("Before", "After");
    this.forgetFigures();
  }

  complain(error) {
    const known = error instanceof Problem;
    byId("problem").textContent = known ? error.message : `Something unforeseen happened: ${error.message}`;
    byId("problem").hidden = false;
    byId("problem").classList.toggle("calm", Boolean(error.needsKey));
    byId("key-form").hidden = !error.needsKey;
    if (error.needsKey) byId("key").focus();
    this.say("");
  }

  say(sentence) {
    byId("status").textContent = sentence;
  }

  name(before, after) {
    byId("before-name").textContent = before;
    byId("after-name").textContent = after;
  }

  forgetFigures() {
    for (const id of ["delay", "factor", "gaps"]) byId(id).textContent = "–";
    byId("delay-parts").textContent = "measured while the microphone runs";
    byId("speed").textContent = "–";
    byId("player").hidden = byId("legend").hidden = byId("session").hidden = true;
    axis.none();
  }

  show(waiting) {
    const live = this.source instanceof Listening;
    byId("figures").classList.toggle("of-file", this.source instanceof Recording);
    byId("start").classList.toggle("live", live);
    byId("start-text").textContent = live ? waiting ?? "Stop" : "Start microphone";
  }
}

new Page();
