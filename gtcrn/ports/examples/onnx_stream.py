"""Denoise 16 kHz audio hop by hop with nothing but ONNX Runtime: `gtcrn export --shape samples -o gtcrn.onnx`, then
`python onnx_stream.py gtcrn.onnx noisy.wav clean.wav`."""

import sys

import numpy as np
import onnxruntime
import soundfile

model, source, target = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1  # so small a network gains nothing from threads
session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
samples, rate = soundfile.read(source, dtype="float32")
if (rate, samples.ndim) != (16_000, 1):
    sys.exit(f"{source} must be mono at 16 kHz: ffmpeg -i {source} -ac 1 -ar 16000 mono.wav")
first, *rest = session.get_inputs()
state = {entry.name: np.zeros([1, *entry.shape[1:]], np.float32) for entry in rest}  # shape[0] is the batch
hop = first.shape[1]
padded = np.concatenate((samples, np.zeros(2 * hop - len(samples) % hop, np.float32)))
hops = []
for start in range(0, len(padded), hop):
    enhanced, *after = session.run(None, {"samples": padded[None, start : start + hop], **state})
    state = dict(zip(state, after, strict=True))
    hops.append(enhanced[0])
soundfile.write(target, np.concatenate(hops[1:])[: len(samples)], rate)  # a hop comes out one hop late
