"""Whisper of the larger sizes with random weights: seconds for a window and for a token of 5 beams, beside CTranslate2.

    python3 bench/large.py [--sizes medium large-v3] [--compute int8 float32] [--rounds 3] [--threads 2]

Makes the checkpoints once (gigabytes, under target/bench); see README.md next to this file."""
import argparse
import json
import pathlib
import re
import statistics
import subprocess

from common import ROOT, WORK, faster_whisper_python, run, target

# Names of the precisions: theirs and ours.
PRECISIONS = {"int8": "int8", "float32": "f32"}


def checkpoints(size, interpreter, folder):
    """The checkpoint in the formats of Hugging Face and CTranslate2."""
    ours, theirs = folder / size, folder / f"ct2-{size}"
    if not (ours / "config.json").exists():
        run([interpreter, ROOT / "tools" / "make_random_whisper.py", size, ours])
    if not (theirs / "model.bin").exists():
        run([interpreter, ROOT / "bench" / "ct2_whisper.py", "convert", ours, theirs])
    return ours, theirs


def ours(checkpoint, compute, threads):
    command = [target() / "examples" / "stages", checkpoint, "--compute", compute, "--threads", threads, "--frames", 3000,
               "--rows", 5]
    out = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True).stdout
    window_ms, step_ms = (float(re.search(what, out)[1]) for what in (r"3000 frames: ([\d.]+) ms", r"5 rows: ([\d.]+) ms"))
    return {"window_s": window_ms / 1e3, "token_s": step_ms / 1e3}


def theirs(interpreter, checkpoint, compute, threads):
    command = [interpreter, ROOT / "bench" / "ct2_whisper.py", "time", checkpoint, "--compute", compute, "--threads", threads,
               "--tokens", 50]
    return json.loads(subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["medium", "large-v3"])
    parser.add_argument("--compute", nargs="+", default=list(PRECISIONS), choices=PRECISIONS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=pathlib.Path, default=WORK / "random-whisper", help="where the checkpoints are kept")
    parser.add_argument("--json", type=pathlib.Path, help="write all figures here")
    args = parser.parse_args()
    run(["cargo", "build", "--release", "--quiet", "-p", "mynah-models", "--example", "stages"], cwd=ROOT)
    interpreter = faster_whisper_python()
    results = []
    for size in args.sizes:
        mine, other = checkpoints(size, interpreter, args.folder)
        for compute in args.compute:
            runs = {"mynah": [], "CTranslate2": []}
            for number in range(args.rounds):
                for name in list(runs)[:: 1 if number % 2 == 0 else -1]:
                    runs[name].append(ours(mine, PRECISIONS[compute], args.threads) if name == "mynah"
                                      else theirs(interpreter, other, compute, args.threads))
            median = {name: {key: statistics.median(r[key] for r in rs) for key in rs[0]} for name, rs in runs.items()}
            results.append({"size": size, "compute": compute, **median})
            for name, m in median.items():
                print(f"{size:10} {compute:8} {name:12} window {m['window_s']:6.2f} s (x{m['window_s'] / median['mynah']['window_s']:.2f})"
                      f"  token {1e3 * m['token_s']:6.1f} ms (x{m['token_s'] / median['mynah']['token_s']:.2f})", flush=True)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
