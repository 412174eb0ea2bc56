"""Speaks with the Python package hibari-tts and reports what it took: one JSON object a line.

Each `--text` file is spoken sentence by sentence, as the package streams; with `--wav-dir`, each line of a file becomes a
wave file of its own, and its phonemes are reported."""
import argparse
import json
import pathlib
import time

start = time.perf_counter()
from hibari import Hibari, write_wav  # noqa: E402

args = argparse.ArgumentParser()
args.add_argument("--text", nargs="+", required=True)
args.add_argument("--threads", type=int, default=1)
args.add_argument("--seed", type=int, default=0)
args.add_argument("--repeat", type=int, default=1)
args.add_argument("--wav-dir")
args = args.parse_args()

voice = Hibari(threads=args.threads)
voice("Warm up.")
loaded_s = time.perf_counter() - start

for file in args.text:
    text = pathlib.Path(file).read_text()
    if args.wav_dir:
        for number, line in enumerate(text.splitlines()):
            write_wav(f"{args.wav_dir}/{number}.wav", voice(line, seed=args.seed))
            print(json.dumps({"number": number, "phonemes": voice.phonemize(line)}), flush=True)
        continue
    for _ in range(args.repeat):
        begun, first, samples = time.perf_counter(), None, 0
        for chunk in voice.stream(text, seed=args.seed):
            first = first or time.perf_counter() - begun
            samples += len(chunk)
        took = time.perf_counter() - begun
        print(json.dumps({"loaded": loaded_s, "first": first, "seconds": took, "audio": samples / voice.sample_rate}), flush=True)
