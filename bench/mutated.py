"""Damaged recordings through the HTTP route: no answer is the server's fault, and none takes too long.

    python3 bench/mutated.py [RECORDING ...] [--count 10000] [--connections 8] [--bound-s 10] [--seed 1]

Takes small recordings of all formats (fuzz/corpus/audio by default), damages each in a way of its own (bits, bytes, header
fields, cuts, splices of two files, pieces repeated) and sends it to a server of its own with a model that transcribes nothing.
Prints answers by status, times, and what failed; ends with 1 if something did. What breaks a rule is kept in target/bench.
"""
import argparse
import collections
import concurrent.futures
import json
import pathlib
import random
import sys
import threading

from common import ROOT, WORK
from serving import Server, form, now_s, percentile, program, silent_whisper, wav

CORPUS = ROOT / "fuzz" / "corpus" / "audio"
# Where the fields of most containers lie.
HEADER_BYTES = 200
INTERESTING = [0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF]


def flip_bits(content, dice, _):
    for _ in range(dice.choice([1, 2, 8, 64])):
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)


def set_header_field(content, dice, _):
    for _ in range(dice.randint(1, 4)):
        width = dice.choice([1, 2, 4, 8])
        at = dice.randrange(min(HEADER_BYTES, len(content)))
        value = dice.choice([*INTERESTING, dice.getrandbits(32)]) % (1 << 8 * width)
        content[at:at + width] = value.to_bytes(width, dice.choice(["little", "big"]))


def cut(content, dice, _):
    del content[dice.randrange(len(content)):]


def cut_out(content, dice, _):
    at = dice.randrange(len(content))
    del content[at:at + dice.choice([1, 2, 7, 64, 1000])]


def repeat(content, dice, _):
    at = dice.randrange(len(content))
    content[at:at] = content[at:at + dice.choice([1, 4, 64, 1000])] * dice.choice([1, 3, 200])


def splice(content, dice, other):
    content[dice.randrange(len(content)):] = other[dice.randrange(len(other)):]


def noise(content, dice, _):
    at = dice.randrange(len(content))
    content[at:at + 64] = dice.randbytes(min(64, len(content) - at))


MUTATIONS = [flip_bits, set_header_field, cut, cut_out, repeat, splice, noise]


def damaged(recordings, dice):
    content = bytearray(dice.choice(recordings))
    for mutation in dice.choices(MUTATIONS, k=dice.choice([1, 1, 2, 4])):
        if content:
            mutation(content, dice, dice.choice(recordings))
    return bytes(content)


class Sender:
    """Sends on connections that stay open, one a thread."""

    def __init__(self, server, bound_s):
        self.server, self.bound_s, self.threads = server, bound_s, threading.local()

    def send(self, recording):
        """Status (0: no answer), seconds, body."""
        body, kind = form([("model", "silent"), ("temperature", "0"), ("response_format", "json")], recording)
        begin = now_s()
        try:
            connection = getattr(self.threads, "connection", None) or self.server.connect(3 * self.bound_s)
            self.threads.connection = connection
            connection.request("POST", "/v1/audio/transcriptions", body, {"Content-Type": kind})
            answer = connection.getresponse()
            status, text = answer.status, answer.read()
        except OSError as error:
            status, text = 0, str(error).encode()
        except Exception as error:  # Whatever is no HTTP.
            status, text = 0, repr(error).encode()
        if status == 0:
            self.threads.connection = None
        return status, now_s() - begin, text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", nargs="*", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--bound-s", type=float, default=10.0, help="longest time for an answer")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    paths = arguments.recordings or [path for path in sorted(CORPUS.iterdir()) if path.stat().st_size]
    recordings = [content for path in paths if (content := path.read_bytes())]
    statuses, times, wrong = collections.Counter(), [], []

    options = ["--model-path", f"silent={silent_whisper()}", "--set", f"limits.request_timeout_s={arguments.bound_s:g}", "--log-level", "warn"]
    with Server(program(), "mutated", *options) as server:
        sender = Sender(server, arguments.bound_s)

        def one(number):
            recording = damaged(recordings, random.Random(f"{arguments.seed}/{number}"))
            return number, recording, *sender.send(recording)

        begin = now_s()
        with concurrent.futures.ThreadPoolExecutor(arguments.connections) as pool:
            for number, recording, status, seconds, text in pool.map(one, range(arguments.count)):
                statuses[status] += 1
                times.append(seconds)
                if status == 0 or status >= 500 or seconds > arguments.bound_s:
                    kept = WORK / f"mutated-{arguments.seed}-{number}"
                    kept.write_bytes(recording)
                    wrong.append(f"{kept}: {status} after {seconds:.2f} s: {text[:200]!r}")
                if number % 1000 == 999:
                    print(f"{number + 1} sent", file=sys.stderr)
        whole_s = now_s() - begin
        if not server.is_alive():
            wrong.append(f"the server ended with {server.process.returncode}: see {server.log}")
        else:
            status, _, text = sender.send(wav(1))
            if status != 200 or "text" not in json.loads(text):
                wrong.append(f"a good recording afterwards: {status} {text[:200]!r}")
            size = server.size()
            print(f"memory {size.resident_bytes / 1e6:.0f} MB, {size.threads} threads, {size.handles} handles")
    for status, count in sorted(statuses.items()):
        print(f"status {status}: {count}")
    print(f"{len(times)} requests in {whole_s:.0f} s; median {percentile(times, 0.5) * 1e3:.0f} ms, 99 % within "
          f"{percentile(times, 0.99) * 1e3:.0f} ms, slowest {max(times) * 1e3:.0f} ms (bound {arguments.bound_s:g} s)")
    print("\n".join(wrong) if wrong else "no answer was the server's fault, none took too long, and the server lives")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
