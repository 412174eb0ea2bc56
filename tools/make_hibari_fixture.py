"""Writes what onnxruntime makes of a short text with the voice of hibari-tts 0.2.1: every token's duration, every frame's
pitch, and a sample of the spectra. The tests of crates/models compare with it.

    pip install hibari-tts==0.2.1 onnx==1.23.2 onnxruntime==1.32.0
    python tools/make_hibari_fixture.py > crates/models/tests/data/hibari.json
"""

import json
import sys

import hibari
import numpy
import onnx
import onnxruntime

PHONEMES = "ðə fˈɛɹi lˈivz æt dˈɔn, wˌɛðəɹ ɔɹ nˌɑt ðə fˈɑɡ hæz lˈɪftᵻd."
FRAME_STEP, BIN_STEP = 16, 25
# The durations' place in the graph, before they are added up.
DURATIONS = "/Cast_32_output_0"

voice = hibari.Hibari()
model = onnx.load(voice.model_path)
model.graph.output.append(onnx.helper.make_tensor_value_info(DURATIONS, onnx.TensorProto.INT64, None))
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
feed = {"ids": numpy.array([voice.ids(PHONEMES)]), "speed": numpy.ones(1, numpy.float32)}
*parts, f0, durations = session.run(None, feed)
parts = numpy.stack([part[0].T for part in parts], axis=1)
json.dump(
    {
        "onnxruntime": onnxruntime.__version__,
        "phonemes": PHONEMES,
        "durations": (durations.reshape(-1) * 2).tolist(),
        "f0_hz": [round(float(v), 1) for v in f0[0]],
        "frame_step": FRAME_STEP,
        "bin_step": BIN_STEP,
        "parts": [round(float(v), 2) for v in parts[::FRAME_STEP, :, ::BIN_STEP].reshape(-1)],
    },
    sys.stdout,
    ensure_ascii=False,
    separators=(",", ":"),
)
print()
