// A file as the page's source: denoised by the service, shown and played before and after.

import { Player } from "./player.js";
import { denoise } from "./service.js";
import * as axis from "./axis.js";
import { byId, clock, offer } from "./text.js";

const MOST_SHOWN_BYTES = 150e6; // decoded by the browser; larger files are only denoised

export class Recording {
  // `file`: a File, or what fetches one.
  constructor(page, file) {
    this.page = page;
    this.file = file;
    this.player = null;
  }

  async start() {
    const { page } = this;
    if (typeof this.file === "function") this.file = await this.file();
    const { file } = this;
    page.say(`Denoising ${file.name}…`);
    page.name("Before", "After");
    const result = await denoise(file, page.options, page.key);
    this.offer(result);
    const [before, after] = await Promise.all([this.decode(file), this.decode(result.blob)]);
    if (!before || !after) return page.say(`${file.name} is denoised. This browser cannot play it; download it.`);
    page.before.show(before);
    page.after.show(after);
    axis.ofFile(before.duration);
    this.player = new Player(page.graph, before, after, () => this.tick());
    this.connect();
    this.tell(result, before.duration);
    return undefined;
  }

  async decode(blob) {
    if (blob.size > MOST_SHOWN_BYTES) return null;
    return this.page.graph.context.decodeAudioData(await blob.arrayBuffer()).catch(() => null);
  }

  offer(result) {
    offer(byId("download"), result);
    byId("player").hidden = false;
    for (const id of ["play", "seek", "time"]) byId(id).hidden = true;
  }

  connect() {
    for (const id of ["play", "seek", "time"]) byId(id).hidden = false;
    byId("seek").max = this.player.seconds;
    byId("seek").oninput = ({ target }) => this.seek(Number(target.value));
    byId("play").onclick = () => this.toggle();
    this.page.graph.hear(this.page.denoised);
    this.tick();
  }

  tell(result, seconds) {
    const speed = seconds / result.seconds;
    byId("speed").textContent = `${speed < 10 ? speed.toPrecision(2) : Math.round(speed)} times`;
    const took = `${seconds.toFixed(1)} s denoised in ${result.seconds.toFixed(2)} s`;
    this.page.say(`${this.file.name}: ${took}. Press Play, switch Denoise.`);
  }

  async toggle() {
    if (this.player.playing) this.player.pause();
    else await this.player.play();
    this.tick();
    this.page.run();
  }

  // The picture may have stopped meanwhile.
  async seek(seconds) {
    await this.player.seek(seconds);
    this.tick();
    this.page.run();
  }

  setDenoised(on) {
    this.page.graph.hear(on);
  }

  // With other options; the place in the recording stays.
  async denoiseAnew() {
    const result = await denoise(this.file, this.page.options, this.page.key);
    this.offer(result);
    const after = this.player && (await this.decode(result.blob));
    if (!after) return;
    await this.player.replace(after);
    this.page.after.show(after);
    this.connect();
    this.page.run();
    this.tell(result, after.duration);
  }

  frame(now) {
    if (!this.player?.playing) return false;
    this.page.before.follow(this.page.graph.before, now, false);
    this.page.after.follow(this.page.graph.after, now, false);
    this.tick();
    return true;
  }

  tick() {
    const { position, seconds, playing } = this.player;
    byId("play").textContent = playing ? "Pause" : "Play";
    byId("seek").value = position;
    byId("seek").setAttribute("aria-valuetext", `${position.toFixed(1)} of ${seconds.toFixed(1)} seconds`);
    byId("time").textContent = `${clock(position)} / ${clock(seconds)}`;
    for (const screen of [this.page.before, this.page.after]) {
      screen.place(position / seconds);
      if (!playing) screen.rest();
    }
  }

  async stop() {
    if (this.player) this.player.pause();
    byId("player").hidden = true;
  }
}
