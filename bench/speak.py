"""Paired benchmark of speech against the Python package hibari-tts on onnxruntime; see README.md beside this file."""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request

from common import SENTENCES, WORK, hibari_python, mynah

HERE = os.path.dirname(os.path.abspath(__file__))


def texts(long_chars):
    """A text of 2 000 characters and a longer one, as files."""
    sentences = SENTENCES.read_text().splitlines()
    files = {}
    for name, limit in [("short", 2000), ("long", long_chars)]:
        text = ""
        number = 0
        while len(text) < limit:
            text += sentences[number % len(sentences)] + " "
            number += 1
        files[name] = WORK / f"speak-{name}.txt"
        files[name].write_text(text[:limit].rsplit(" ", 1)[0])
    return files


class Server:
    """`mynah serve` without its cache, on a free port."""

    def __init__(self, program, threads):
        command = [program, "--quiet", "serve", "--port", "0", "--threads", threads, "--speech-cache-bytes", "0"]
        self.process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().split()[-1]
        self.speak("Warm up.")

    def speak(self, text):
        """Seconds to the first bytes of audio, to the last, and seconds of audio."""
        body = json.dumps({"model": "hibari", "input": text, "response_format": "pcm"}).encode()
        request = urllib.request.Request(
            f"{self.address}/v1/audio/speech", data=body, headers={"content-type": "application/json"})
        begun, first, size = time.perf_counter(), None, 0
        with urllib.request.urlopen(request) as answer:
            while piece := answer.read1(1 << 16):
                first = first or time.perf_counter() - begun
                size += len(piece)
        return {"first": first, "seconds": time.perf_counter() - begun, "audio": size / 2 / 24_000}

    def close(self):
        self.process.terminate()
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        return usage.ru_maxrss / 1024


def ours_warm(program, threads, files):
    server = Server(program, threads)
    measured = {name: server.speak(file.read_text()) for name, file in files.items()}
    return measured, server.close()


def theirs_warm(interpreter, threads, files):
    command = [interpreter, f"{HERE}/hibari_cli.py", "--threads", threads, "--text", *files.values()]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True)
    lines = [json.loads(line) for line in process.stdout]
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or len(lines) != len(files):
        raise SystemExit("the package failed")
    return dict(zip(files, lines)), usage.ru_maxrss / 1024


def whole(command):
    """Seconds of a whole process, and its peak memory."""
    begun = time.perf_counter()
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command[0]} failed")
    return {"seconds": time.perf_counter() - begun, "peak_mib": usage.ru_maxrss / 1024}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--characters", type=int, default=8000, help="of the longer text")
    parser.add_argument("--json", help="write all figures here")
    args = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    program, interpreter = mynah("hibari"), hibari_python()
    files = texts(args.characters)
    results = {}
    for threads in args.threads:
        contestants = {
            "mynah": lambda: ours_warm(program, threads, files),
            "hibari-tts": lambda: theirs_warm(interpreter, threads, files),
        }
        processes = {
            "mynah": [program, "--quiet", "speak", "--threads", threads, "--input-file", files["long"],
                      "-o", WORK / "speak.wav"],
            "hibari-tts": [interpreter, "-m", "hibari.cli", "--threads", threads, "--out", WORK / "peer.wav",
                           files["long"].read_text()],
        }
        runs = {name: [] for name in contestants}
        for number in range(args.rounds):
            order = list(contestants)
            for name in order if number % 2 == 0 else reversed(order):
                measured, peak = contestants[name]()
                process = whole(processes[name])
                runs[name].append({**measured, "peak_mib": peak, "process": process})
                print(f"{threads} threads, round {number + 1}: {name}", file=sys.stderr)
        results[threads] = runs
        report(threads, runs)
    if args.json:
        with open(args.json, "w") as file:
            json.dump(results, file, indent=1)


def report(threads, runs):
    print(f"\n{threads} thread{'s' if threads > 1 else ''}: medians of {len(runs['mynah'])} alternating rounds")
    rows = [
        ("audio s per s, loaded", lambda r: r["long"]["audio"] / r["long"]["seconds"], "more"),
        ("first audio of 2 000 characters, s", lambda r: r["short"]["first"], "less"),
        ("peak memory, loaded, MiB", lambda r: r["peak_mib"], "less"),
        ("whole process, long text, s", lambda r: r["process"]["seconds"], "less"),
        ("peak memory, whole process, MiB", lambda r: r["process"]["peak_mib"], "less"),
    ]
    print(f"  {'':36} {'mynah':>10} {'hibari-tts':>10}  ratio")
    for title, figure, better in rows:
        ours, theirs = (statistics.median(figure(r) for r in runs[name]) for name in ["mynah", "hibari-tts"])
        ratio = ours / theirs
        print(f"  {title:36} {ours:10.3f} {theirs:10.3f}  x{ratio:.2f} ({better} is better)")


if __name__ == "__main__":
    main()
