"""CTranslate2 and a Whisper checkpoint of Hugging Face's format: writes its format, and times its network alone.

    python ct2_whisper.py convert FOLDER OUT
    python ct2_whisper.py time OUT [--compute int8] [--threads 2] [--tokens 200]

Converted without transformers, so that checkpoints of random weights need no vocabulary: its entries are numbers. `time` prints
one JSON object: seconds to encode a window and seconds for a token of 5 beams."""
import argparse
import json
import pathlib
import statistics
import time

import ctranslate2
import numpy as np
from ctranslate2.specs import WhisperSpec
from safetensors import safe_open

END_OF_TEXT, START_OF_TRANSCRIPT = 50257, 50258
# The last tokens before 1501 timestamps.
NO_SPEECH, NO_TIMESTAMPS = -1503, -1502


class Tensors:
    """All shards of a folder."""

    def __init__(self, folder):
        self.files = [safe_open(file, "np") for file in sorted(pathlib.Path(folder).glob("*.safetensors"))]
        self.of = {name: file for file in self.files for name in file.keys()}

    def __call__(self, name):
        name = name if name in self.of else name.removeprefix("model.")
        return self.of[name].get_tensor(name)


def convert(folder, out):
    config = json.loads((pathlib.Path(folder) / "config.json").read_text())
    tensor = Tensors(folder)
    heads = config["encoder_attention_heads"], config["decoder_attention_heads"]
    spec = WhisperSpec(config["encoder_layers"], heads[0], config["decoder_layers"], heads[1])
    vocabulary = [str(i) for i in range(config["vocab_size"])]
    vocabulary[START_OF_TRANSCRIPT], vocabulary[END_OF_TEXT] = "<|startoftranscript|>", "<|endoftext|>"
    vocabulary[NO_SPEECH], vocabulary[NO_TIMESTAMPS] = "<|nospeech|>", "<|notimestamps|>"
    spec.register_vocabulary(vocabulary)

    def norm(to, name):
        to.gamma, to.beta = tensor(f"{name}.weight"), tensor(f"{name}.bias")

    def linear(to, *names):
        """Several layers with the same input become one; keys have no bias."""
        to.weight = np.concatenate([tensor(f"{name}.weight") for name in names])
        width = to.weight.shape[0] // len(names)
        to.bias = np.concatenate([np.zeros(width, to.weight.dtype) if name.endswith("k_proj") else tensor(f"{name}.bias")
                                  for name in names])

    def layers(to, side):
        for number, layer in enumerate(to.layer):
            name = f"model.{side}.layers.{number}"
            own, audio = f"{name}.self_attn", f"{name}.encoder_attn"
            norm(layer.self_attention.layer_norm, f"{name}.self_attn_layer_norm")
            linear(layer.self_attention.linear[0], *(f"{own}.{part}_proj" for part in "qkv"))
            linear(layer.self_attention.linear[1], f"{own}.out_proj")
            if side == "decoder":
                norm(layer.attention.layer_norm, f"{name}.encoder_attn_layer_norm")
                linear(layer.attention.linear[0], f"{audio}.q_proj")
                linear(layer.attention.linear[1], f"{audio}.k_proj", f"{audio}.v_proj")
                linear(layer.attention.linear[2], f"{audio}.out_proj")
            norm(layer.ffn.layer_norm, f"{name}.final_layer_norm")
            linear(layer.ffn.linear_0, f"{name}.fc1")
            linear(layer.ffn.linear_1, f"{name}.fc2")
        norm(to.layer_norm, f"model.{side}.layer_norm")
        to.position_encodings.encodings = tensor(f"model.{side}.embed_positions.weight")

    for conv in ("conv1", "conv2"):
        to = getattr(spec.encoder, conv)
        to.weight, to.bias = tensor(f"model.encoder.{conv}.weight"), tensor(f"model.encoder.{conv}.bias")
    layers(spec.encoder, "encoder")
    layers(spec.decoder, "decoder")
    spec.decoder.embeddings.weight = tensor("model.decoder.embed_tokens.weight")
    spec.decoder.projection.weight = spec.decoder.embeddings.weight
    spec.decoder.scale_embeddings = False
    spec.config.suppress_ids, spec.config.suppress_ids_begin, spec.config.lang_ids = [], [], []
    spec.config.alignment_heads = []
    spec.validate()
    spec.optimize()
    pathlib.Path(out).mkdir(parents=True, exist_ok=True)
    spec.save(str(out))


def measure(folder, compute, threads, tokens):
    model = ctranslate2.models.Whisper(str(folder), compute_type=compute, intra_threads=threads)
    mel = np.random.default_rng(1).uniform(-1, 1, (1, model.n_mels, 3000)).astype(np.float32)
    features = ctranslate2.StorageView.from_array(mel)

    def seconds(run, times):
        runs = []
        for _ in range(times):
            begun = time.perf_counter()
            run()
            runs.append(time.perf_counter() - begun)
        return statistics.median(runs)

    encoded = model.encode(features)
    # The end is forbidden: random weights would choose it at any time.
    write = lambda count: model.generate(encoded, [["<|startoftranscript|>", "<|notimestamps|>"]], beam_size=5, max_length=count,
                                         suppress_tokens=[END_OF_TEXT], suppress_blank=False)
    write(4)
    short, long = seconds(lambda: write(20), 3), seconds(lambda: write(20 + tokens), 3)
    print(json.dumps({"window_s": seconds(lambda: model.encode(features), 3), "token_s": (long - short) / tokens}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["convert", "time"])
    parser.add_argument("folder")
    parser.add_argument("out", nargs="?")
    parser.add_argument("--compute", default="int8")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=200)
    args = parser.parse_args()
    if args.what == "convert":
        convert(args.folder, args.out)
    else:
        measure(args.folder, args.compute, args.threads, args.tokens)


if __name__ == "__main__":
    main()
