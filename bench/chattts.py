"""ChatTTS against PyTorch on a full-size checkpoint with random weights; see README.md beside this file."""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
WORK = TARGET / "bench"
PINNED = ["torch", "safetensors", "numpy"]
TEXT = "今天我们去看看外面的天气，然后吃一点好东西，你觉得怎么样呢。"


def run(command, **options):
    print("$", " ".join(map(str, command)), file=sys.stderr)
    return subprocess.run(list(map(str, command)), check=True, text=True, **options)


def measure(command):
    out = run(command, stdout=subprocess.PIPE).stdout
    return json.loads(out.strip().splitlines()[-1])


def torch_python(given):
    if given:
        return given
    folder = WORK / "torch"
    python = folder / "bin" / "python"
    if not python.exists():
        run([sys.executable, "-m", "venv", folder], stdout=sys.stderr)
        run([python, "-m", "pip", "install", "--quiet", *PINNED], stdout=sys.stderr)
    return python


def bandwidth():
    """What one of the kernels reads a second at best: the bound of a step of the language model."""
    out = run([TARGET / "release" / "examples" / "throughput"], stdout=subprocess.PIPE).stdout
    lines = [line for line in out.splitlines() if line.startswith("logits, greedy")]
    return {line.split()[2].rstrip(":"): float(line.split(",")[-1].split()[0]) for line in lines}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--torch-python", help="a Python that has " + ", ".join(PINNED))
    parser.add_argument("--checkpoint", type=pathlib.Path, default=WORK / "chattts-random")
    parser.add_argument("--json", type=pathlib.Path, help="keep all figures in this file")
    args = parser.parse_args()

    cargo = ["cargo", "build", "--release", "--example"]
    for package, example in [("mynah-models", "chattts"), ("mynah-testkit", "random_chattts"), ("mynah-kernels", "throughput")]:
        run([*cargo, example, "-p", package], cwd=ROOT, stdout=sys.stderr)
    examples = TARGET / "release" / "examples"
    if not (args.checkpoint / "asset" / "Vocos.safetensors").exists():
        run([examples / "random_chattts", "full", args.checkpoint], stdout=sys.stderr)
    peer = [torch_python(args.torch_python), ROOT / "bench" / "chattts_torch.py", args.checkpoint]
    peer += ["--threads", args.threads, "--steps", max(16, args.steps // 4)]

    def mynah(*more):
        return measure([examples / "chattts", args.checkpoint, TEXT, "--threads", args.threads, *more])

    rounds = []
    for i in range(args.rounds):
        figures = {}
        contestants = ["int8", "f32", "torch"]
        for name in contestants if i % 2 == 0 else reversed(contestants):
            if name == "torch":
                figures["torch"] = measure(peer)
                continue
            sound = mynah("--compute", name, "--sound")["sound_s_per_audio_s"]
            one = mynah("--compute", name, "--steps", args.steps)
            two = mynah("--compute", name, "--steps", args.steps, "--requests", 2)
            steps_s = one["total_s"] - sound * one["audio_s"]
            figures[name] = {
                "steps_per_s": one["steps"] / steps_s,
                "sound_s_per_audio_s": sound,
                "real_time_factor": one["total_s"] / one["audio_s"],
                "first_audio_s": one["first_audio_s"],
                "two_requests_cost": two["total_s"] / one["total_s"],
                "peak_mb": two["peak_mb"],
            }
        rounds.append(figures)
        print(json.dumps(figures), file=sys.stderr)

    median = {
        name: {key: statistics.median(r[name][key] for r in rounds) for key in rounds[0][name]} for name in rounds[0]
    }
    median["precision"] = mynah("--compute", "int8", "--compare")
    median["read_gb_per_s"] = bandwidth()
    torch, int8 = median["torch"], median["int8"]
    print(f"{'':12}{'steps/s':>10}{'ratio':>8}{'sound s/s':>11}{'x real time':>13}{'two cost':>10}{'peak MB':>9}")
    for name in ("int8", "f32", "torch"):
        m = median[name]
        ratio = m["steps_per_s"] / torch["steps_per_s"]
        rest = "".join(f"{m[k]:>{w}.3f}" if k in m else " " * w for k, w in
                       (("sound_s_per_audio_s", 11), ("real_time_factor", 13), ("two_requests_cost", 10), ("peak_mb", 9)))
        print(f"{name:12}{m['steps_per_s']:>10.2f}{ratio:>8.2f}{rest}")
    # A step reads 20 layers of 9.4 million weights and the four code heads, a byte each.
    print(f"real time is 46.875 steps a second; int8 reads {int8['steps_per_s'] * 0.191:.1f} GB/s of weights")
    print("a matrix read once:", ", ".join(f"{k} {v} GB/s" for k, v in median["read_gb_per_s"].items()))
    print("int8 against f32 on the same codes:", json.dumps(median["precision"]))
    if args.json:
        args.json.write_text(json.dumps({"rounds": rounds, "median": median}, indent=1))


if __name__ == "__main__":
    main()
