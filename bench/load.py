"""Load benchmark: many clients send short clips to `mynah serve` and to a server around faster-whisper; README.md beside this
file explains it."""
import argparse
import http.client
import json
import pathlib
import random
import statistics
import subprocess
import sys
import threading
import time
import urllib.parse

from common import ROOT, audio_seconds, faster_whisper_python, mynah, recordings, whisper_base
from serving import form, percentile

# Each client calls from an address of its own, as clients of a network do.
CLIENT_ADDRESS = "127.0.{}.{}"


class Server:
    """A program that prints its address when it is ready."""

    def __init__(self, command):
        self.process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True)
        self.address = urllib.parse.urlsplit(self.process.stdout.readline().split()[-1])

    def peak_mib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    def close(self):
        self.process.kill()
        self.process.wait()


class Client:
    """A client who sends one request after the other."""

    def __init__(self, address, number):
        self.server = address
        self.source = CLIENT_ADDRESS.format(1 + number // 200, 1 + number % 200)

    def ask(self, body, content_type):
        """The status; the answer is read to its end."""
        connection = http.client.HTTPConnection(
            self.server.hostname, self.server.port, timeout=600, source_address=(self.source, 0))
        try:
            connection.request("POST", "/v1/audio/transcriptions", body, {"content-type": content_type})
            answer = connection.getresponse()
            while answer.read1(1 << 16):
                pass
            return answer.status
        finally:
            connection.close()


def load(server, clips, clients, seconds, long_form):
    """Latencies of the clips answered in `seconds`, how much audio they were, how often someone was refused; `None` if too few
    were answered to tell."""
    begin = threading.Event()
    lock = threading.Lock()
    done, refused, long_done = [], [], []
    stop = None

    def short(number):
        client, order = Client(server.address, number), random.Random(number)
        begin.wait()
        while time.monotonic() < stop:
            clip = order.choice(clips)
            sent = time.monotonic()
            status = client.ask(*clip["form"])
            now = time.monotonic()
            with lock:
                if status != 200:
                    refused.append(status)
                elif now < stop:
                    done.append((now - sent, clip["seconds"]))

    def long():
        client = Client(server.address, clients)
        begin.wait()
        while time.monotonic() < stop:
            try:
                client.ask(*long_form)
                long_done.append(1)
            except (OSError, http.client.HTTPException):
                # The server was closed at the end of the measurement.
                return

    threads = [threading.Thread(target=short, args=(n,), daemon=True) for n in range(clients)]
    background = threading.Thread(target=long, daemon=True) if long_form else None
    stop = time.monotonic() + seconds
    for thread in filter(None, [background, *threads]):
        thread.start()
    begin.set()
    for thread in threads:
        thread.join()
    if refused:
        print(f"refused: {len(refused)} times, {sorted(set(refused))}", file=sys.stderr)
    latencies = sorted(latency for latency, _ in done)
    if len(latencies) < 2:
        print(f"{len(latencies)} answers in {seconds} s tell nothing; give more --seconds", file=sys.stderr)
        return None
    return {
        "requests_per_s": len(done) / seconds,
        "audio_per_s": sum(audio for _, audio in done) / seconds,
        "p50_s": statistics.median(latencies),
        "p95_s": percentile(latencies, 0.95),
        "answers": len(done),
        "refused": len(refused),
        "long_files": len(long_done),
    }


def measure(command, clips, clients, seconds, long_form):
    """`load` of a server of its own, with its peak memory."""
    server = Server(command)
    try:
        # The model is loaded and everything that is made once is made.
        for clip in clips[:3]:
            Client(server.address, 0).ask(*clip["form"])
        figures = load(server, clips, clients, seconds, long_form)
        return figures and figures | {"peak_mib": server.peak_mib()}
    finally:
        server.close()


def contestants(args):
    """Name -> command of the server."""
    model = args.model_path or whisper_base()
    ours = lambda: [mynah(), "--quiet", "serve", "--port", 0, "--threads", args.threads, "--model-path", f"base={model}"]
    theirs = lambda: [faster_whisper_python(), ROOT / "bench" / "faster_whisper_server.py",
                      "--model-path", model, "--threads", args.threads]
    return {name: command() for name, command in [("mynah", ours), ("faster-whisper", theirs)]
            if not args.only or any(wanted in name for wanted in args.only)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("audio", nargs="+", help="recordings or folders of them")
    parser.add_argument("--shorter-than", type=float, default=10, help="seconds; longer recordings are left out")
    parser.add_argument("--long", help="a recording that one more client streams all the while, in a second run of each")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--seconds", type=float, default=60, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=1, help="of all measurements with so many clients; medians are kept")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--language")
    parser.add_argument("--model-path", help="CTranslate2 folder that both read (default: fetched)")
    parser.add_argument("--only", nargs="*", help="only servers whose name contains one of these")
    parser.add_argument("--json", help="write all figures here")
    args = parser.parse_args()

    fields = {"model": "base", **({"language": args.language} if args.language else {})}
    clips = [{"seconds": s, "form": form(fields.items(), pathlib.Path(file).read_bytes())}
             for file in recordings(args.audio) if (s := audio_seconds(file)) and s < args.shorter_than]
    lengths = sorted(clip["seconds"] for clip in clips)
    print(f"{len(clips)} clips of {lengths[0]:.1f} to {lengths[-1]:.1f} s, median {statistics.median(lengths):.1f} s")
    long_form = form({**fields, "stream": "true"}.items(), pathlib.Path(args.long).read_bytes()) if args.long else None
    results = []
    for clients in args.clients:
        rounds = {}
        for _ in range(args.rounds):
            for name, command in contestants(args).items():
                for background in [None, *([long_form] if long_form else [])]:
                    figures = measure(command, clips, clients, args.seconds, background)
                    if figures:
                        rounds.setdefault((name, background is not None), []).append(figures)
                        report(figures | {"server": name, "clients": clients, "long": background is not None})
        for (name, beside_long), of_rounds in rounds.items():
            medians = {key: statistics.median(figures[key] for figures in of_rounds) for key in of_rounds[0]}
            results.append(medians | {"server": name, "clients": clients, "long": beside_long})
            if beside_long:
                report_ratios(name, clients, rounds.get((name, False), []), of_rounds)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(results, indent=1))


def report(figures):
    beside = "beside a long file" if figures["long"] else ""
    print("{server:15} {clients:3} clients {beside:18}: {requests_per_s:6.2f} clips/s  {audio_per_s:6.1f} s of audio/s  "
          "p50 {p50_s:6.2f} s  p95 {p95_s:6.2f} s  peak {peak_mib:4.0f} MiB  refused {refused}  long files {long_files}"
          .format(beside=beside, **figures), flush=True)


def report_ratios(name, clients, alone, beside):
    """What a long file costs the others, if every round has both."""
    if len(alone) == len(beside):
        ratios = [with_long["p95_s"] / without["p95_s"] for with_long, without in zip(beside, alone)]
        print(f"{name:15} {clients:3} clients, p95 beside a long file over p95 without, round by round: "
              f"{' '.join(f'{ratio:.2f}' for ratio in ratios)}, median {statistics.median(ratios):.2f}", flush=True)


if __name__ == "__main__":
    main()
