"""Every benchmark against every peer that is here, in one go, and its results in docs/internals/measurements.md with plots.

    python3 bench/all.py FOLDER --long RECORDING [--language en] [--whisper-cpp PATH --ggml FILE...] [--only transcribe load]

FOLDER holds recordings of one language. What was measured before and is not measured now keeps its place in the report; with
another model (--model-path, --ggml, --label) and --only transcribe its table comes beside those of the others."""
import argparse
import pathlib
import subprocess
import sys

from common import ROOT, WORK, python, whisper_base

PLOTTING = ["matplotlib==3.10.6"]
RESULTS = WORK / "results"


def benchmarks(args):
    """Name -> script with its arguments."""
    language = ["--language", args.language] if args.language else []
    threads = ["--threads", args.threads]
    peers = [*(["--whisper-cpp", args.whisper_cpp] if args.whisper_cpp else []), *(["--ggml", *args.ggml] if args.ggml else [])]
    if args.openai_whisper:
        peers += ["--openai-whisper", args.openai_whisper, "--pt", args.pt]
    model = ["--model-path", args.model_path] if args.model_path else []
    return {
        f"transcribe-{args.label}": ["transcribe.py", args.folder, args.long, *language, *threads, *model, *peers,
                                     "--rounds", args.rounds],
        "load": ["load.py", args.folder, "--long", args.long, *language, *threads, *model, "--seconds", args.seconds],
        "large": ["large.py", *threads, "--rounds", args.rounds],
        "speak": ["speak.py", "--rounds", args.rounds],
        "chattts": ["chattts.py", "--rounds", args.rounds, *threads,
                    *(["--torch-python", args.torch_python] if args.torch_python else [])],
        "dropin": ["dropin.py", args.recording, "--rounds", args.rounds, *model],
    }


def throughput(args):
    """What the machine can do, and what of it kernels and whole windows reach, measured by the project's own examples."""
    model, threads = args.model_path or whisper_base(), str(args.threads)
    stages = lambda compute: ["stages", "-p", "mynah-models", "--", model, "--compute", compute, "--threads", threads,
                              "--frames", "3000", "--rows", "1,5"]
    examples = {"": ["throughput", "-p", "mynah-kernels", "--", threads], "whole model, f32": stages("f32"),
                "whole model, int8": stages("int8")}
    texts = []
    for title, (example, *arguments) in examples.items():
        command = ["cargo", "run", "--release", "--quiet", "--example", example, *arguments]
        said = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
        texts.append(said if not title else f"{title}:\n{said}")
    (RESULTS / "throughput.txt").write_text("".join(texts))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="recordings, short and longer ones")
    parser.add_argument("--long", required=True, help="a recording of several minutes")
    parser.add_argument("--recording", help="about eleven seconds, for the comparison with Xinference (default: --long)")
    parser.add_argument("--language")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60, help="of each measurement under load")
    parser.add_argument("--label", default="whisper-base", help="the model's name, for the table of transcribe")
    parser.add_argument("--model-path", help="CTranslate2 folder that all but whisper.cpp read (default: whisper-base, fetched)")
    parser.add_argument("--whisper-cpp", help="path of whisper-cli")
    parser.add_argument("--ggml", nargs="*", default=[], help="ggml files for whisper-cli")
    parser.add_argument("--openai-whisper", help="a Python that has openai-whisper; with --pt")
    parser.add_argument("--pt", help="its checkpoint")
    parser.add_argument("--torch-python", help="a Python that has torch (default: an environment is made)")
    parser.add_argument("--only", nargs="*", help="only these: throughput, transcribe, load, large, speak, chattts, dropin")
    args = parser.parse_args()
    args.recording = args.recording or args.long
    RESULTS.mkdir(parents=True, exist_ok=True)
    if not args.only or "throughput" in args.only:
        throughput(args)
    for name, (script, *arguments) in benchmarks(args).items():
        if args.only and name.split("-")[0] not in args.only:
            continue
        print(f"== {name}", flush=True)
        command = [sys.executable, ROOT / "bench" / script, *arguments, "--json", RESULTS / f"{name}.json"]
        subprocess.run(list(map(str, command)), check=True)
    subprocess.run([python("plotting", PLOTTING), ROOT / "bench" / "report.py", str(RESULTS)], check=True)


if __name__ == "__main__":
    main()
