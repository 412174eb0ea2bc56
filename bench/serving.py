"""What the trials of a running server share: a model that costs next to nothing, the server as a child, requests, its size."""
import http.client
import json
import os
import pathlib
import subprocess
import tempfile
import time
import uuid
from dataclasses import dataclass
from urllib.parse import urlsplit

from common import ROOT, WORK

SAMPLE_RATE = 16_000


def silent_whisper():
    """A multilingual Whisper of one narrow layer that transcribes nothing: its decoder ends every text at once."""
    width, ffn, mels, vocabulary, end_of_text = 64, 64, 80, 51865, 50257
    folder = WORK / "silent-whisper"
    if (folder / "model.safetensors").exists():
        return folder
    half_one = b"\x00\x3c"
    tensors = {"model.encoder.embed_positions.weight": (1500, width), "model.decoder.embed_positions.weight": (448, width),
               "model.decoder.embed_tokens.weight": (vocabulary, width)}
    for conv, inputs in (("conv1", mels), ("conv2", width)):
        tensors |= {f"model.encoder.{conv}.weight": (width, inputs, 3), f"model.encoder.{conv}.bias": (width,)}
    for side, attentions in (("encoder", ["self_attn"]), ("decoder", ["self_attn", "encoder_attn"])):
        layer = f"model.{side}.layers.0"
        for norm in [f"{layer}.{name}_layer_norm" for name in attentions] + [f"{layer}.final_layer_norm", f"model.{side}.layer_norm"]:
            tensors |= {f"{norm}.weight": (width,), f"{norm}.bias": (width,)}
        for attention in attentions:
            for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
                tensors[f"{layer}.{attention}.{part}.weight"] = (width, width)
                if part != "k_proj":
                    tensors[f"{layer}.{attention}.{part}.bias"] = (width,)
        for name, outputs, inputs in (("fc1", ffn, width), ("fc2", width, ffn)):
            tensors |= {f"{layer}.{name}.weight": (outputs, inputs), f"{layer}.{name}.bias": (outputs,)}
    header, contents, at = {}, [], 0
    for name, shape in tensors.items():
        count = 1
        for size in shape:
            count *= size
        content = bytearray(2 * count)
        # The last state of every step is the bias; only the end's embedding has something in common with it.
        if name == "model.decoder.layer_norm.bias":
            content[:] = half_one * count
        elif name == "model.decoder.embed_tokens.weight":
            content[2 * width * end_of_text:2 * width * (end_of_text + 1)] = half_one * width
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [at, at + len(content)]}
        contents.append(bytes(content))
        at += len(content)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_type": "whisper", "d_model": width, "vocab_size": vocabulary, "num_mel_bins": mels, "encoder_layers": 1,
              "decoder_layers": 1, "encoder_attention_heads": 1, "decoder_attention_heads": 1}
    (folder / "config.json").write_text(json.dumps(config))
    unfinished = folder / "unfinished"
    unfinished.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(contents))
    unfinished.rename(folder / "model.safetensors")
    return folder


@dataclass
class Size:
    """What the process takes of the machine."""
    resident_bytes: int
    threads: int
    handles: int


class Server:
    """`mynah serve` on a free loopback port, in a home of its own unless one is given; it logs to target/bench/NAME.log."""

    def __init__(self, program, name, *options, home=None):
        WORK.mkdir(parents=True, exist_ok=True)
        self.home = None if home else tempfile.TemporaryDirectory()
        self.log = WORK / f"{name}.log"
        environment = os.environ | {"MYNAH_HOME": str(home or self.home.name), "HF_HUB_OFFLINE": "1"}
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([str(program), "serve", "--port", "0", *map(str, options)], env=environment,
                                            stdout=subprocess.PIPE, stderr=log, text=True)
        line = self.process.stdout.readline()
        assert "http://" in line, f"the server did not start: see {self.log}"
        self.address = urlsplit(line.split()[-1]).netloc

    def is_alive(self):
        return self.process.poll() is None

    def size(self):
        proc = pathlib.Path(f"/proc/{self.process.pid}")
        status = (proc / "status").read_text()
        figure = lambda name: int(status.split(name)[1].split()[0])
        return Size(figure("VmRSS:") * 1024, figure("Threads:"), len(os.listdir(proc / "fd")))

    def connect(self, timeout_s):
        return http.client.HTTPConnection(self.address, timeout=timeout_s)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.home:
            self.home.cleanup()


def form(fields, file=None):
    """Body and content type of a form; the file comes last."""
    boundary = uuid.uuid4().hex
    part = f'--{boundary}\r\nContent-Disposition: form-data; name='
    body = "".join(f'{part}"{name}"\r\n\r\n{value}\r\n' for name, value in fields).encode()
    if file is not None:
        body += f'{part}"file"; filename="file"\r\n\r\n'.encode() + file + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def wav(seconds, frequency_hz=220):
    """A recording of a square wave: 16 kHz, mono, 16 bits."""
    period = SAMPLE_RATE // frequency_hz
    samples = (b"\x00\x10" * (period // 2) + b"\x00\xf0" * (period - period // 2)) * (int(seconds * SAMPLE_RATE) // period)
    u32 = lambda n: n.to_bytes(4, "little")
    head = b"WAVEfmt " + u32(16) + b"\1\0\1\0" + u32(SAMPLE_RATE) + u32(2 * SAMPLE_RATE) + b"\2\0\x10\0data" + u32(len(samples))
    return b"RIFF" + u32(len(head) + len(samples)) + head + samples


def percentile(values, share):
    """The value that this share of all does not exceed."""
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


def program():
    """The program: MYNAH_PROGRAM, or built from this checkout."""
    given = os.environ.get("MYNAH_PROGRAM")
    if given:
        return given
    from common import run, target
    run(["cargo", "build", "--release", "--quiet", "--bin", "mynah"], cwd=ROOT)
    return target() / "mynah"


def now_s():
    return time.perf_counter()
