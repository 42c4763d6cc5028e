// Two recordings played in step, so that A and B can change places without a gap.

export class Player {
  constructor(graph, before, after, ended) {
    this.graph = graph;
    this.buffers = [before, after];
    this.seconds = before.duration;
    this.ended = ended;
    this.offset = 0;
    this.sources = null;
  }

  get playing() {
    return this.sources !== null;
  }

  // Seconds from the start of the recording.
  get position() {
    const since = this.playing ? this.graph.context.currentTime - this.begun : 0;
    return Math.min(this.seconds, this.offset + since);
  }

  async play() {
    await this.graph.context.resume();
    if (this.sources) return; // asked for twice, while it was waited for
    if (this.position >= this.seconds) this.offset = 0;
    this.begun = this.graph.context.currentTime;
    this.sources = this.buffers.map((buffer) => new AudioBufferSourceNode(this.graph.context, { buffer }));
    this.sources[0].connect(this.graph.before);
    this.sources[1].connect(this.graph.after);
    for (const source of this.sources) source.start(this.begun, this.offset);
    this.sources[0].onended = () => this.finish();
  }

  pause() {
    this.offset = this.position;
    if (this.sources) this.sources[0].onended = null;
    for (const source of this.sources ?? []) source.stop();
    this.sources = null;
  }

  async seek(seconds) {
    const playing = this.playing;
    this.pause();
    this.offset = Math.min(this.seconds, Math.max(0, seconds));
    if (playing) await this.play();
  }

  // The same place in another recording: a new strength was asked for.
  async replace(after) {
    const playing = this.playing;
    this.pause();
    this.buffers[1] = after;
    if (playing) await this.play();
  }

  finish() {
    this.pause();
    this.offset = 0;
    this.ended();
  }
}
