// What the denoiser gave during one session of the microphone, kept in this browser, to be downloaded afterwards.

const PIECE_MS = 1000; // between two pieces that the browser hands over
const ENDINGS = { "audio/webm": "webm", "audio/mp4": "m4a", "audio/ogg": "ogg" };

export class Session {
  constructor(graph) {
    this.graph = graph;
    this.tape = new MediaStreamAudioDestinationNode(graph.context, { channelCount: 1 });
    graph.after.connect(this.tape);
    this.recorder = new MediaRecorder(this.tape.stream);
    this.pieces = [];
    this.recorder.ondataavailable = ({ data }) => this.pieces.push(data);
    this.recorder.start(PIECE_MS);
  }

  // {blob, name}; null where nothing was recorded.
  async stop() {
    if (this.recorder.state === "inactive") return null;
    const last = new Promise((resolve) => (this.recorder.onstop = resolve));
    this.recorder.stop();
    await last;
    this.graph.after.disconnect(this.tape);
    const [type] = this.recorder.mimeType.split(";");
    const blob = new Blob(this.pieces, { type });
    return blob.size ? { blob, name: `session.denoised.${ENDINGS[type] ?? "webm"}` } : null;
  }
}
