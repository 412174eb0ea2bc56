"""Transcribes files with faster-whisper as `mynah transcribe --format verbose_json` would: one JSON object a line."""
import argparse
import json

from faster_whisper import WhisperModel

args = argparse.ArgumentParser(description=__doc__)
args.add_argument("files", nargs="+")
args.add_argument("--model-path", required=True)
args.add_argument("--compute", default="int8")
args.add_argument("--language")
args.add_argument("--task", default="transcribe")
args.add_argument("--threads", type=int, default=0)
args.add_argument("--beam-size", type=int, default=5)
args.add_argument("--vad", action="store_true")
args.add_argument("--words", action="store_true")
args.add_argument("--batched", action="store_true")
args = args.parse_args()

model = WhisperModel(args.model_path, compute_type=args.compute, cpu_threads=args.threads)
options = dict(beam_size=args.beam_size, language=args.language, task=args.task, vad_filter=args.vad,
               word_timestamps=args.words)
if args.batched:
    from faster_whisper import BatchedInferencePipeline
    model = BatchedInferencePipeline(model)
    options["vad_filter"] = True
for file in args.files:
    segments, info = model.transcribe(file, **options)
    segments = list(segments)
    words = [w for s in segments for w in s.words or []]
    print(json.dumps({
        "file": file,
        "text": "".join(segment.text for segment in segments).strip(),
        "segments": [{"start": s.start, "end": s.end, "text": s.text} for s in segments],
        "words": [{"word": w.word, "start": w.start, "end": w.end} for w in words],
    }), flush=True)
