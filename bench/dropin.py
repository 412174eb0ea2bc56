"""What a user of Xinference's server notices first: start, launch, memory, one request, four at once.

    python3 bench/dropin.py RECORDING [--rounds 5] [--quantization f32] [--model-path CHECKPOINT] [--json FILE]

RECORDING is 11 s of speech. Prints the figures beside those that Xinference 4.1.0 had on two cores of another virtual machine
of this size (AVX2), with the same weights in float32 and 5 beams; ratios over 1 are how many times better. Before each start
the program's and the weights' pages leave the disk cache, as they did there; libraries of the system stay in it.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import statistics
import subprocess
import time
import urllib.request
import uuid

from common import WORK, mynah

# Xinference 4.1.0, transformers in float32, PyTorch 2.11 on the CPU: what was measured where its exchanges were recorded.
XINFERENCE = {
    "cold start to ready, s": 42.6,
    "launch of whisper-base, s": 21.9,
    "memory before a launch, MB": 1432,
    "memory after the launch, MB": 2684,
    "first request of 11 s, s": 7.8,
    "later request of 11 s, s": 6.8,
    "four at once, s": 33.0,
    "memory after ten requests, MB": 3186,
}
CLIENTS = 4


def forget(*paths):
    """Takes files out of the disk cache."""
    for path in paths:
        for file in [path, *path.rglob("*")]:
            if file.is_file():
                with open(file, "rb") as opened:
                    os.fsync(opened.fileno())
                    os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class Server:
    def __init__(self, program):
        begin = time.perf_counter()
        self.process = subprocess.Popen([program, "--quiet", "serve", "--port", "0"], stdout=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().split()[-1]
        with urllib.request.urlopen(self.address + "/v1/cluster/auth") as answer:
            assert json.load(answer) == {"auth": False}
        self.start_s = time.perf_counter() - begin

    def memory_mb(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def launch(self, path, quantization):
        body = {"model_name": "whisper-base", "model_type": "audio", "model_path": str(path), "quantization": quantization}
        request = urllib.request.Request(self.address + "/v1/models", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        begin = time.perf_counter()
        with urllib.request.urlopen(request) as answer:
            assert json.load(answer) == {"model_uid": "whisper-base"}
        return time.perf_counter() - begin

    def transcribe(self, recording):
        """Seconds that a request takes; 5 beams are the default of both servers."""
        boundary = uuid.uuid4().hex
        part = f'--{boundary}\r\nContent-Disposition: form-data; name='
        body = (f'{part}"model"\r\n\r\nwhisper-base\r\n'
                f'{part}"file"; filename="file"\r\n\r\n').encode() + recording + f"\r\n--{boundary}--\r\n".encode()
        request = urllib.request.Request(self.address + "/v1/audio/transcriptions", body,
                                         {"Content-Type": f"multipart/form-data; boundary={boundary}"})
        begin = time.perf_counter()
        with urllib.request.urlopen(request) as answer:
            text = json.load(answer)["text"]
        assert len(text) > 40, text
        return time.perf_counter() - begin

    def at_once(self, recording):
        begin = time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(lambda _: self.transcribe(recording), range(CLIENTS)))
        return time.perf_counter() - begin

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quantization", default="none", help="none: int8, the program's default")
    parser.add_argument("--model-path", type=pathlib.Path, help="another checkpoint of whisper-base")
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args()
    program = mynah("whisper-base")
    path = arguments.model_path or WORK / "home" / "models" / "whisper-base"
    recording = arguments.recording.read_bytes()
    rounds = {name: [] for name in XINFERENCE}
    for _ in range(arguments.rounds):
        forget(pathlib.Path(program), path)
        with Server(program) as server:
            figures = [server.start_s]
            before = server.memory_mb()
            figures += [server.launch(path, arguments.quantization), before, server.memory_mb()]
            first = server.transcribe(recording)
            later = statistics.median(server.transcribe(recording) for _ in range(5))
            figures += [first, later, server.at_once(recording), server.memory_mb()]
            for name, figure in zip(XINFERENCE, figures, strict=True):
                rounds[name].append(figure)
    medians = {name: statistics.median(values) for name, values in rounds.items()}
    print(f"| {'':28} | {'mynah':>8} | {'Xinference 4.1.0':>16} | {'ratio':>6} |")
    print("| --- | --- | --- | --- |")
    for name, theirs in XINFERENCE.items():
        print(f"| {name:28} | {medians[name]:8.3f} | {theirs:16.1f} | {theirs / medians[name]:6.1f} |")
    if arguments.json:
        arguments.json.write_text(json.dumps({"rounds": rounds, "medians": medians, "xinference": XINFERENCE}, indent=1))


if __name__ == "__main__":
    main()
