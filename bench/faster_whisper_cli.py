"""Transcribes files with faster-whisper as `mynah transcribe --format json` would: one JSON object a line."""
import argparse
import json

from faster_whisper import WhisperModel

args = argparse.ArgumentParser()
args.add_argument("files", nargs="+")
args.add_argument("--model-path", required=True)
args.add_argument("--compute", default="int8")
args.add_argument("--language")
args.add_argument("--threads", type=int, default=0)
args.add_argument("--beam-size", type=int, default=5)
args = args.parse_args()

model = WhisperModel(args.model_path, compute_type=args.compute, cpu_threads=args.threads)
for file in args.files:
    segments, info = model.transcribe(file, beam_size=args.beam_size, language=args.language)
    text = "".join(segment.text for segment in segments).strip()
    print(json.dumps({"file": file, "text": text}), flush=True)
