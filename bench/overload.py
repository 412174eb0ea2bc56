"""Ten times what the server can do: those it takes are served as ever, the others are refused at once.

    python3 bench/overload.py [RECORDING] [--model whisper-tiny.en] [--seconds 60] [--factor 10] [--rush 0] [--json FILE] [--options ...]

Measures requests one after the other (30 of them), then sends `factor` times as many a second as were served a second,
whether or not earlier ones are answered. Ends with 1 if the accepted requests' 95th percentile is over twice the unloaded
one (--slower), if another answer than 200, 429 or 503 came, if a refusal took over 100 ms (--refused-ms), or if a request right
after the load takes over twice the unloaded 95th percentile. Requests of the first `rush` seconds are left out of the 95th percentile: a server that
takes bursts has to take them as one. Without RECORDING the built-in voice says five seconds of speech first. What stands
after --options goes to `mynah serve`.
"""
import argparse
import asyncio
import collections
import json
import os
import pathlib
import sys
import time

from common import WORK, mynah
from serving import Server, form, percentile, program

UNLOADED = 30
GIVE_UP_S = 120
TEXT = "The bird listens, and then it speaks. No one knows what it will say next, but everybody waits for it."


async def send(server, path, body, kind):
    """Status (0: no answer), seconds until it was known or, of a transcript, whole, and the body."""
    host, port = server.address.split(":")
    begin = time.perf_counter()
    status, text, refused_s = 0, b"", None
    try:
        async with asyncio.timeout(GIVE_UP_S):
            reader, writer = await asyncio.open_connection(host, port)
            head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            status = int((await reader.readuntil(b"\r\n\r\n")).split()[1])
            # Who is refused knows it by the head.
            refused_s = time.perf_counter() - begin if status != 200 else None
            text = await reader.read()
            writer.close()
    except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
        text = repr(error).encode()
    return status, refused_s or time.perf_counter() - begin, text


async def trial(server, body, kind, arguments):
    path = "/v1/audio/transcriptions"
    for _ in range(3):
        status, _, text = await send(server, path, body, kind)
        assert status == 200, (status, text)
    alone = [(await send(server, path, body, kind))[1] for _ in range(UNLOADED)]
    rate = arguments.factor * len(alone) / sum(alone)
    print(f"alone: median {percentile(alone, 0.5) * 1e3:.0f} ms, 95 % {percentile(alone, 0.95) * 1e3:.0f} ms; "
          f"sending {rate:.0f} a second for {arguments.seconds:g} s", flush=True)
    begin, tasks = time.perf_counter(), []
    late_s = 0.0
    while (elapsed := time.perf_counter() - begin) < arguments.seconds:
        due = len(tasks) / rate
        if due > elapsed:
            await asyncio.sleep(due - elapsed)
        late_s = max(late_s, time.perf_counter() - begin - due)
        tasks.append(asyncio.create_task(send(server, path, body, kind)))
    after = asyncio.create_task(send(server, path, body, kind))
    answers = await asyncio.gather(*tasks)
    # The first one that is taken once no one sends any more.
    recovery_begin = time.perf_counter()
    first = await after
    if first[0] != 200:
        first = await send(server, path, body, kind)
    rushed = int(arguments.rush * rate)
    return alone, answers, rushed, first, time.perf_counter() - recovery_begin, late_s


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording", type=pathlib.Path, nargs="?")
    parser.add_argument("--model", default="whisper-tiny.en")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--factor", type=float, default=10)
    parser.add_argument("--slower", type=float, default=2, help="95th percentile of those taken, at most, as times the unloaded one")
    parser.add_argument("--refused-ms", type=float, default=100, help="longest time to a refusal")
    parser.add_argument("--rush", type=float, default=0, help="seconds at the beginning whose requests may wait")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--options", nargs=argparse.REMAINDER, default=[])
    arguments = parser.parse_args()
    mynah(arguments.model, *([] if arguments.recording else ["hibari"]))
    with Server(program(), "overload", "--log-level", "warn", *arguments.options, home=os.environ.get("MYNAH_HOME", WORK / "home")) as server:
        if arguments.recording:
            recording = arguments.recording.read_bytes()
        else:
            words = json.dumps({"model": "tts-1", "input": TEXT, "response_format": "opus"}).encode()
            status, _, text = asyncio.run(send(server, "/v1/audio/speech", words, "application/json"))
            assert status == 200, text
            recording = unchunked(text)
        body, kind = form([("model", arguments.model), ("language", "en")], recording)
        alone, answers, rushed, first, recovery_s, late_s = asyncio.run(trial(server, body, kind, arguments))
        size = server.size()
    statuses = collections.Counter(status for status, _, _ in answers)
    taken = [seconds for status, seconds, _ in answers[rushed:] if status == 200]
    in_rush = [seconds for status, seconds, _ in answers[:rushed] if status == 200]
    refused = [seconds for status, seconds, _ in answers if status in (429, 503)]
    bound_s, refused_s = arguments.slower * percentile(alone, 0.95), arguments.refused_ms / 1e3
    print(f"answers: {dict(sorted(statuses.items()))}; memory {size.resident_bytes / 1e6:.0f} MB; the sender was late by {late_s * 1e3:.0f} ms at most")
    if rushed:
        print(f"taken in the first {arguments.rush:g} s: {len(in_rush)}; median {percentile(in_rush, 0.5):.1f} s, 95 % {percentile(in_rush, 0.95):.1f} s")
    print(f"taken: {len(taken)}, {len(taken) / (arguments.seconds - arguments.rush):.1f} a second; median {percentile(taken, 0.5) * 1e3:.0f} ms, 95 % {percentile(taken, 0.95) * 1e3:.0f} ms (bound {bound_s * 1e3:.0f} ms)")
    print(f"refused: {len(refused)}; median {percentile(refused, 0.5) * 1e3:.1f} ms, 99 % {percentile(refused, 0.99) * 1e3:.0f} ms, slowest {max(refused, default=0) * 1e3:.0f} ms (bound {refused_s * 1e3:.0f} ms)")
    print(f"after the load: {first[0]} after {first[1] * 1e3:.0f} ms")
    wrong = [f"{status}: {text[:200]!r}" for status, _, text in answers if status not in (200, 429, 503)]
    if not taken or percentile(taken, 0.95) > bound_s:
        wrong.append("those that were taken waited too long")
    if max(refused, default=0) > refused_s:
        wrong.append(f"{sum(seconds > refused_s for seconds in refused)} refusals took too long")
    if first[0] != 200 or first[1] > bound_s:
        wrong.append("it did not recover at once")
    if arguments.json:
        arguments.json.write_text(json.dumps({"alone": alone, "answers": [(status, seconds) for status, seconds, _ in answers], "wrong": wrong}))
    print("\n".join(wrong[:20]) if wrong else "overload is borne")
    sys.exit(bool(wrong))


def unchunked(body):
    """The content of a body in chunks."""
    content = b""
    while body:
        size, body = body.split(b"\r\n", 1)
        size = int(size, 16)
        content += body[:size]
        body = body[size + 2:]
        if not size:
            break
    return content


if __name__ == "__main__":
    main()
