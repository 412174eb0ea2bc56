"""A server under mixed load for a long time: nothing grows, and no error is undeserved.

    python3 bench/soak.py [--minutes 30] [--clients 16] [--bad 0.25] [--models whisper-base whisper-tiny.en] [--growth 1.05]
                           [--json FILE] [--options ...]

Clients send requests that are good (transcripts whole and streamed, translations, speech in several formats, lists) and bad
(no audio, no such model, missing or wrong parameters, too much, text that the voice cannot read, no HTTP), and leave at
random: before, within and after the head, within the body, before the answer and within it. Each kind has the statuses that
it deserves. Memory, threads and handles are sampled every 10 s, and once more when all have left, beside the same after a
warm-up. Ends with 1 if memory at the end is over `growth` times that of the fifth minute (of the first third of a shorter run),
if threads or handles have grown, or if there was an undeserved answer.
"""
import argparse
import collections
import http.client
import json
import os
import pathlib
import random
import socket
import statistics
import sys
import threading
import time

from common import WORK, mynah
from serving import Server, form, percentile, program, wav

SAMPLE_S = 10
# Threads for blocking work go after 10 s without any.
REST_S = 13
MOST_UPLOAD_BYTES = 4 << 20
ANSWER_S = 300
TRANSCRIPTIONS, TRANSLATIONS, SPEECH = "/v1/audio/transcriptions", "/v1/audio/translations", "/v1/audio/speech"
SENTENCES = ["The bird listens, and then it speaks.", "It cost $3.50 at 5:30pm on 3/4/2024.", "Where did you read that? I read it yesterday.",
             "A long sentence, which goes on for a while, gives the voice more to say than the others do, and takes longer to say."]


class Wrong(Exception):
    """An answer that was not deserved."""


class Kinds:
    """The kinds of requests: each method sends one and says what was wrong with the answer."""

    def __init__(self, server, models, recordings):
        self.server, self.models, self.recordings = server, models, recordings

    def send(self, method, path, body=None, kind=None, deserved=(200,)):
        connection = self.server.connect(ANSWER_S)
        try:
            connection.request(method, path, body, {"Content-Type": kind} if kind else {})
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Wrong(f"{method} {path}: {error!r}") from error
        finally:
            connection.close()
        if answer.status not in deserved:
            raise Wrong(f"{method} {path}: {answer.status} {text[:200]!r}")
        return text

    def audio(self, dice):
        return dice.choice(self.recordings)

    # Good ones.

    def good_transcript(self, dice):
        format_ = dice.choice(["json", "text", "srt", "vtt", "verbose_json"])
        body, kind = form([("model", dice.choice(self.models)), ("language", "en"), ("response_format", format_)], self.audio(dice))
        self.send("POST", TRANSCRIPTIONS, body, kind)

    def good_stream(self, dice):
        body, kind = form([("model", dice.choice(self.models)), ("stream", "true")], self.audio(dice))
        if b"transcript.text.done" not in self.send("POST", TRANSCRIPTIONS, body, kind):
            raise Wrong("a stream without an end")

    def good_translation(self, dice):
        body, kind = form([("model", self.models[0])], self.audio(dice))
        self.send("POST", TRANSLATIONS, body, kind)

    def good_speech(self, dice):
        words = {"model": "tts-1", "voice": "alloy", "input": dice.choice(SENTENCES), "seed": dice.randrange(50),
                 "response_format": dice.choice(["mp3", "opus", "aac", "flac", "wav", "pcm"])}
        if dice.random() < 0.3:
            words["stream_format"] = "sse"
        if len(self.send("POST", SPEECH, json.dumps(words), "application/json")) < 1000:
            raise Wrong("speech of no length")

    def good_lists(self, dice):
        self.send("GET", dice.choice(["/v1/models", "/v1/audio/voices", "/metrics", "/health/ready", "/openapi.json", "/status"]))

    # Bad ones.

    def bad_audio(self, dice):
        content = dice.choice([b"", b"not a sound", dice.randbytes(5000), b"RIFF" + dice.randbytes(100), self.audio(dice)[:40]])
        body, kind = form([("model", dice.choice(self.models))], content)
        self.send("POST", TRANSCRIPTIONS, body, kind, (400, 415))

    def bad_model(self, dice):
        body, kind = form([("model", "no-such-model")], self.audio(dice))
        self.send("POST", TRANSCRIPTIONS, body, kind, (404,))

    def bad_parameters(self, dice):
        fields = dice.choice([[], [("model", self.models[0]), ("temperature", "hot")], [("model", self.models[0]), ("response_format", "docx")],
                              [("model", self.models[0]), ("language", "klingon")]])
        body, kind = form(fields, self.audio(dice))
        self.send("POST", TRANSCRIPTIONS, body, kind, (400,))

    def bad_size(self, dice):
        body, kind = form([("model", self.models[0])], bytes(MOST_UPLOAD_BYTES + 1))
        self.send("POST", TRANSCRIPTIONS, body, kind, (413,))

    def bad_text(self, dice):
        words = dice.choice([{"input": "Привет"}, {"input": ""}, {"input": "x", "speed": 99}, {"input": "x", "voice": "unknown"}, {}])
        self.send("POST", SPEECH, json.dumps({"model": "tts-1", **words}), "application/json", (400, 404))

    def bad_json(self, dice):
        self.send("POST", SPEECH, dice.choice(["{", "[1]", "\xff", '{"model": 5}']).encode("latin-1"), "application/json", (400,))

    def bad_route(self, dice):
        method, path, deserved = dice.choice([("GET", "/nothing/here", 404), ("DELETE", SPEECH, 405), ("POST", "/metrics", 405)])
        self.send(method, path, deserved=(deserved,))

    def bad_http(self, dice):
        junk = dice.choice([b"\x16\x03\x01\x02\0\x01\0\x01\xfc", b"GET\r\n\r\n", b"POST / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nHost: " + b"x" * 100_000])
        with socket.create_connection(self.server.address.split(":"), ANSWER_S) as stream:
            try:
                stream.sendall(junk)
                stream.shutdown(socket.SHUT_WR)
                stream.recv(1000)
            except OSError:
                pass  # Closed on us, as it should be.

    # Those that leave.

    def leaves(self, dice):
        if dice.random() < 0.5:
            body, kind = form([("model", dice.choice(self.models)), ("stream", dice.choice(["true", "false"]))], self.audio(dice))
            path = TRANSCRIPTIONS
        else:
            body, kind, path = json.dumps({"model": "tts-1", "input": " ".join(SENTENCES * 5), "seed": dice.getrandbits(30)}).encode(), "application/json", SPEECH
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        stage = dice.randrange(6)
        with socket.create_connection(self.server.address.split(":"), ANSWER_S) as stream:
            try:
                if stage == 1:
                    stream.sendall(head[:dice.randrange(len(head))])
                elif stage == 2:
                    stream.sendall(head + body[:dice.randrange(len(body))])
                elif stage >= 3:
                    stream.sendall(head + body)
                if stage == 4:
                    time.sleep(dice.random() * 0.5)
                if stage == 5:
                    stream.recv(dice.choice([1, 200, 5000]))
            except OSError as error:
                raise Wrong(f"leaving at stage {stage}: {error!r}") from error
            if dice.random() < 0.5:
                # A reset in place of an end.
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def recordings(server):
    """What the voice says, in several formats, and sounds without speech."""
    spoken = []
    for number, format_ in enumerate(["wav", "mp3", "opus", "flac"]):
        connection = server.connect(ANSWER_S)
        words = {"model": "tts-1", "input": SENTENCES[number], "response_format": format_}
        connection.request("POST", SPEECH, json.dumps(words), {"Content-Type": "application/json"})
        spoken.append(connection.getresponse().read())
        connection.close()
    return [*spoken, wav(1), wav(0.1)]


class Load:
    """Clients at work until they are stopped."""

    def __init__(self, kinds, clients, bad_share):
        methods = {name: getattr(kinds, name) for name in dir(kinds) if name.startswith(("good_", "bad_", "leaves"))}
        self.good = [name for name in methods if name.startswith("good_")]
        self.bad = [name for name in methods if not name.startswith("good_")]
        self.methods, self.bad_share = methods, bad_share
        self.counts, self.times, self.wrong = collections.Counter(), collections.defaultdict(list), []
        self.lock, self.over = threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self.client, args=(number,)) for number in range(clients)]

    def once(self, name, dice):
        begin, wrong = time.perf_counter(), None
        try:
            self.methods[name](dice)
        except Wrong as error:
            wrong = f"{name}: {error}"
        except OSError as error:
            wrong = f"{name}: {error!r}"
        with self.lock:
            self.counts[name] += 1
            self.times[name].append(time.perf_counter() - begin)
            if wrong:
                self.wrong.append(wrong)

    def client(self, number):
        dice = random.Random(number)
        while not self.over.is_set():
            # Leaving is half of what is bad.
            names = self.good if dice.random() >= self.bad_share else dice.choice([self.bad, ["leaves"]])
            self.once(dice.choice(names), dice)
            time.sleep(dice.random() * 0.05)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--bad", type=float, default=0.25, help="share of requests that are bad or leave")
    parser.add_argument("--models", nargs=2, default=["whisper-base", "whisper-tiny.en"], help="the first must know more than English")
    parser.add_argument("--growth", type=float, default=1.05, help="memory at the end, at most, as times that at the beginning")
    parser.add_argument("--options", nargs=argparse.REMAINDER, default=[], help="for mynah serve; the last of all")
    parser.add_argument("--json", type=pathlib.Path, help="keep samples and counts in this file")
    arguments = parser.parse_args()
    mynah(*arguments.models, "hibari")
    options = ["--max-upload-bytes", MOST_UPLOAD_BYTES, "--log-level", "warn", *arguments.options]
    with Server(program(), "soak", *options, home=os.environ.get("MYNAH_HOME", WORK / "home")) as server:
        kinds = Kinds(server, arguments.models, recordings(server))
        load = Load(kinds, arguments.clients, arguments.bad)
        for name in load.methods:
            for _ in range(3):
                load.once(name, random.Random(name))
        time.sleep(REST_S)
        rested = server.size()
        begin, samples = time.monotonic(), []
        for thread in load.threads:
            thread.start()
        while time.monotonic() - begin < arguments.minutes * 60 and server.is_alive():
            time.sleep(SAMPLE_S)
            size = server.size()
            samples.append((time.monotonic() - begin, size))
            print(f"{samples[-1][0]:6.0f} s  {size.resident_bytes / 1e6:7.1f} MB  {size.threads:4} threads  {size.handles:4} handles  "
                  f"{load.counts.total():7} requests  {len(load.wrong)} wrong", flush=True)
        load.over.set()
        for thread in load.threads:
            thread.join(ANSWER_S)
        time.sleep(REST_S)
        wrong, alive = load.wrong, server.is_alive()
        if not alive:
            wrong.append(f"the server ended with {server.process.returncode}: see {server.log}")
            sys.exit("\n".join(wrong))
        end = server.size()
    # The fifth minute, or the first third's end; and as much at the end.
    early_s = min(300, arguments.minutes * 20)
    window_s = min(60, arguments.minutes * 10)
    megabytes = lambda first, last: statistics.median(size.resident_bytes / 1e6 for at, size in samples if first <= at <= last + SAMPLE_S)
    early, late = megabytes(early_s - window_s, early_s), megabytes(samples[-1][0] - window_s, samples[-1][0])
    bad = sum(count for name, count in load.counts.items() if not name.startswith("good_"))
    for name, count in sorted(load.counts.items()):
        print(f"{name:18} {count:7}  median {percentile(load.times[name], 0.5):6.2f} s  95 % {percentile(load.times[name], 0.95):6.2f} s")
    print(f"{load.counts.total()} requests, {bad / load.counts.total():.0%} bad or left; memory {early:.0f} MB early, {late:.0f} MB late ({late / early:.3f}); "
          f"at rest {rested.resident_bytes / 1e6:.0f} and {end.resident_bytes / 1e6:.0f} MB, {rested.threads} and {end.threads} threads, "
          f"{rested.handles} and {end.handles} handles")
    if late > arguments.growth * early:
        wrong.append(f"memory has grown by {late / early - 1:.1%}")
    if end.threads > rested.threads or end.handles > rested.handles:
        wrong.append("threads or handles have grown")
    if bad < 0.2 * load.counts.total():
        wrong.append("fewer than 20 % of the requests were bad")
    if arguments.json:
        figures = {"samples": [(at, vars(size)) for at, size in samples], "counts": load.counts, "wrong": wrong}
        arguments.json.write_text(json.dumps(figures, indent=1))
    print("\n".join(wrong[:40]) if wrong else "nothing grew, and no answer was undeserved")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
