"""Paired benchmark of transcription against faster-whisper and whisper.cpp; see README.md beside this file."""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

from common import ROOT, audio_seconds, faster_whisper_python, mynah, recordings, whisper_base

GROUPS = [("under 10 s", 0, 10), ("10 to 30 s", 10, 30), ("longer", 30, 1e9)]


def measure(command):
    """Runs a command: seconds, peak resident MiB, seconds to its first line, its output."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    first, lines = None, []
    for line in process.stdout:
        if first is None and line.strip():
            first = time.monotonic() - start
        lines.append(line)
    # wait4 gives the peak memory of this child alone.
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{command[0]} failed with {process.returncode}")
    return {"seconds": seconds, "peak_mib": usage.ru_maxrss / 1024, "first_line": first, "output": "".join(lines)}


def contestants(args):
    """Name -> function from files to the command that transcribes them."""
    program, python = mynah(), faster_whisper_python()
    model = args.model_path or whisper_base()
    options = [*(["--language", args.language] if args.language else []), "--threads", str(args.threads)]
    all_of_them = {}
    for compute in ["auto", "f32"]:
        all_of_them[f"mynah {compute}"] = lambda files, compute=compute: [
            program, "transcribe", *files, "--model-path", model, "--format", "json", "--compute", compute, *options]
    for compute in ["int8", "float32"]:
        for batched in [[], ["--batched"]]:
            all_of_them[" ".join(["faster-whisper", compute, *(["batched"] if batched else [])])] = (
                lambda files, compute=compute, batched=batched: [
                    python, ROOT / "bench" / "faster_whisper_cli.py", *files, "--model-path", model,
                    "--compute", compute, *batched, *options])
    if args.whisper_cpp:
        for ggml in args.ggml:
            all_of_them[f"whisper.cpp {pathlib.Path(ggml).stem}"] = lambda files, ggml=ggml: [
                args.whisper_cpp, "-m", ggml, "-t", str(args.threads), "-bs", "5", "-nt",
                "-l", args.language or "auto", *files]
    if args.openai_whisper:
        all_of_them["openai-whisper"] = lambda files: [
            args.openai_whisper, ROOT / "bench" / "openai_whisper_cli.py", *files, "--checkpoint", args.pt, *options]
    return {name: make for name, make in all_of_them.items() if not args.only or any(o in name for o in args.only)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("audio", nargs="+")
    parser.add_argument("--language")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clips", type=int, default=20, help="files of a group, at most")
    parser.add_argument("--model-path", help="CTranslate2 folder that all but whisper.cpp read (default: fetched)")
    parser.add_argument("--whisper-cpp", help="path of whisper-cli")
    parser.add_argument("--ggml", nargs="*", default=[], help="ggml files for whisper-cli")
    parser.add_argument("--openai-whisper", help="a Python that has openai-whisper; with --pt")
    parser.add_argument("--pt", help="its checkpoint")
    parser.add_argument("--only", nargs="*", help="run only programs whose name contains one of these")
    parser.add_argument("--groups", nargs="*", help="only groups whose name contains one of these")
    parser.add_argument("--json", help="write all figures here")
    args = parser.parse_args()
    programs = contestants(args)
    # whisper-cli passes over what it cannot read, which would make it look fast.
    unread = {".opus", ".m4a"} if args.whisper_cpp else set()
    files = [f for f in recordings(args.audio) if pathlib.Path(f).suffix not in unread]
    lengths = {f: d for f in files if (d := audio_seconds(f))}
    results = {}
    for group, low, high in GROUPS:
        if args.groups and not any(wanted in group for wanted in args.groups):
            continue
        files = [f for f, d in lengths.items() if low <= d < high]
        # Spread over the folder, so that no single speaker fills the group.
        files = files[:: max(1, len(files) // args.clips)][: args.clips]
        if not files:
            continue
        audio = sum(lengths[f] for f in files)
        runs = {name: [] for name in programs}
        for round_number in range(args.rounds):
            order = list(programs)
            order = order[round_number % len(order):] + order[: round_number % len(order)]
            for name in order:
                runs[name].append(measure(list(map(str, programs[name](files)))))
                print(f"{group}: {name}: {runs[name][-1]['seconds']:.1f} s", file=sys.stderr)
        results[group] = report(f"{group}: {len(files)} files, {audio:.0f} s of audio", audio, runs)
    shortest = min(lengths, key=lengths.get)
    runs = {name: [] for name in programs}
    for _ in range(args.rounds):
        for name, make in programs.items():
            runs[name].append(measure(list(map(str, make([shortest])))))
    print(f"\nstart of the process to its first line ({lengths[shortest]:.1f} s of audio)")
    first = {name: statistics.median(r["first_line"] or r["seconds"] for r in rs) for name, rs in runs.items()}
    best = next(iter(first.values()))
    for name, seconds in first.items():
        print(f"  {name:28} {seconds:7.2f} s   x{seconds / best:.2f}")
    results["first line"] = first
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(results, indent=1))


def report(title, audio, runs):
    print(f"\n{title}")
    median = {name: statistics.median(r["seconds"] for r in rs) for name, rs in runs.items()}
    peak = {name: max(r["peak_mib"] for r in rs) for name, rs in runs.items()}
    first = next(iter(median))
    for name in runs:
        spread = max(r["seconds"] for r in runs[name]) / min(r["seconds"] for r in runs[name])
        print(f"  {name:28} {median[name] / audio:7.4f} s/s   x{median[name] / median[first]:5.2f}   "
              f"peak {peak[name]:5.0f} MiB   slowest/fastest {spread:.2f}")
    return {name: {"seconds": [r["seconds"] for r in runs[name]], "audio": audio, "peak_mib": peak[name]} for name in runs}


if __name__ == "__main__":
    main()
