import type { DenoiserOptions, GtcrnWorkletNode, LoadOptions } from "./gtcrn.js";

export interface ProcessorOptions extends LoadOptions, DenoiserOptions {
  /** What `loadGtcrn` gave, where it is there already. */
  wasmBinary?: ArrayBuffer;
  /** Where worklet.js is; beside this module, unless it is told. */
  worklet?: string;
  maxChannels?: number;
}

/** A TrackProcessor of LiveKit's browser client for microphone tracks. */
export declare class GtcrnTrackProcessor {
  readonly name: "gtcrn";
  processedTrack?: MediaStreamTrack;
  constructor(options?: ProcessorOptions);
  /** The node while it runs: its limit, bypass and levels. */
  readonly node: GtcrnWorkletNode | undefined;
  init(options: { track: MediaStreamTrack; audioContext: AudioContext }): Promise<void>;
  /** With another track, as when the microphone changes; limit and switches stay as they were set. */
  restart(options: { track: MediaStreamTrack; audioContext: AudioContext }): Promise<void>;
  destroy(): Promise<void>;
}
