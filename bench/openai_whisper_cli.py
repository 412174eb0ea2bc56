"""Transcribes files with openai-whisper: a line of text each, plain."""
import argparse

import torch
import whisper

args = argparse.ArgumentParser(description=__doc__)
args.add_argument("files", nargs="+")
args.add_argument("--checkpoint", required=True, help="its .pt file")
args.add_argument("--language")
args.add_argument("--threads", type=int, default=2)
args = args.parse_args()

torch.set_num_threads(args.threads)
model = whisper.load_model(args.checkpoint, device="cpu")
for file in args.files:
    print(model.transcribe(file, language=args.language, beam_size=5, fp16=False)["text"].strip(), flush=True)
