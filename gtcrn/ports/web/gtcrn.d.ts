export interface LoadOptions {
  /** Where gtcrn.wasm is; beside this module, unless it is told. */
  url?: string | URL;
}

/** Fetches the compiled denoiser. Raises Error where it cannot be had, or the browser has no WebAssembly with SIMD. */
export declare function loadGtcrn(options?: LoadOptions, init?: RequestInit): Promise<ArrayBuffer>;

/** The module for `context.audioWorklet.addModule`. */
export declare const workletUrl: string;

export interface DenoiserOptions {
  /** dB by which noise may be pulled down, 0 or more; null, as at first: as far as it goes. */
  attenuationLimit?: number | null;
  /** Whether the delayed input passes unchanged. */
  bypass?: boolean;
  /** Whether what lies above 8 kHz is kept, with a gain by what lies below; at rates up to 16 kHz it changes nothing. */
  keepHighs?: boolean;
}

export interface NodeOptions extends DenoiserOptions {
  /** What `loadGtcrn` gave. */
  wasmBinary: ArrayBuffer;
  /** 1, as at first, to 32, to which other numbers are mixed; each is denoised by itself and costs as much. */
  maxChannels?: number;
}

/** What the network makes of the last 32 ms that it heard, all channels together; limit and bypass change nothing. */
export interface NetworkLevels {
  /** The probability that someone speaks, 0 to 1. */
  speech: number;
  /** The level of what is taken away as noise, dBFS, -90 at least. */
  noise: number;
  /** By how many dB the sound becomes quieter. */
  reduction: number;
}

export interface Levels extends NetworkLevels {
  /** dBFS, root mean square since the last report, -120 at least. */
  before: number;
  after: number;
}

/**
 * The denoiser in an audio graph, at the context's rate of 8 to 192 kHz; `workletUrl` must have been added to the context.
 * Raises RangeError and TypeError for options that are out of range.
 */
export declare class GtcrnWorkletNode extends AudioWorkletNode {
  constructor(context: BaseAudioContext, options: NodeOptions);
  /** Resolves when the denoiser runs, to the samples that the output is later than the input. */
  readonly ready: Promise<number>;
  /** Can be set at any time; the change fades in over 16 ms. */
  attenuationLimit: number | null;
  bypass: boolean;
  keepHighs: boolean;
  /** From now on "levels" events (CustomEvent<Levels>), `seconds` apart (0.1); 0 ends them. */
  reportLevels(seconds?: number): void;
  /** Gives the memory back, after which there is a "destroyed" event; the node is silent from then on. */
  destroy(): void;
}

export interface StreamOptions extends DenoiserOptions {
  /** Hz, 8,000 to 192,000; 16,000 unless it is told. */
  sampleRate?: number;
  /** 1, as at first, to 64; each is denoised by itself. */
  channels?: number;
}

/**
 * A recording or call, anywhere (Node.js, workers): samples of any number in, what is ready out, as many in the end as
 * went in, each in its place. Raises RangeError and TypeError for options that are out of range.
 */
export declare class GtcrnStream {
  constructor(wasmBinary: ArrayBuffer, options?: StreamOptions);
  readonly sampleRate: number;
  readonly channels: number;
  /** Samples at most that have to be pushed, itself included, until a sample comes out. */
  readonly latency: number;
  /** Samples so far that were NaN, infinite or beyond 1e6 and have become silence. */
  readonly nonfinite: number;
  attenuationLimit: number | null;
  bypass: boolean;
  keepHighs: boolean;
  readonly levels: NetworkLevels;
  /** Full scale is 1. Raises Error after `flush`, and RangeError for another number of channels. */
  push(samples: Float32Array): Float32Array;
  push(samples: Float32Array[]): Float32Array[];
  /** What is still inside, in the form of the last push; then the stream is at its end, until `reset`. */
  flush(): Float32Array | Float32Array[];
  /** Forget everything heard; the options stay. */
  reset(): void;
  /** Gives the memory back to other streams of the same binary. */
  destroy(): void;
}
