"""Write a Whisper checkpoint of any size with random but reproducible weights, shard by shard.

    python make_random_whisper.py SIZE OUT [--shard-mb 512]

SIZE is one of the names in SIZES. OUT becomes a Hugging Face folder: config.json, generation_config.json,
preprocessor_config.json and f16 safetensors in shards, of which one at a time is in memory. Such checkpoints prove
shapes, load time and memory of models whose real weights are not at hand. Needs numpy and safetensors.

Weights are a hash of the tensor's name and the element's index, so that another program can compute the same ones
(crates/models/src/whisper/reference_tests/tiny_whisper.rs does).
"""
import argparse
import json
import pathlib
import zlib

import numpy as np
from safetensors.numpy import save_file

# n_mels, vocabulary, width, feed-forward width, encoder layers, decoder layers; heads are 64 wide.
SIZES = {
    "tiny": (80, 51865, 384, 1536, 4, 4),
    "tiny.en": (80, 51864, 384, 1536, 4, 4),
    "base": (80, 51865, 512, 2048, 6, 6),
    "base.en": (80, 51864, 512, 2048, 6, 6),
    "small": (80, 51865, 768, 3072, 12, 12),
    "small.en": (80, 51864, 768, 3072, 12, 12),
    "medium": (80, 51865, 1024, 4096, 24, 24),
    "medium.en": (80, 51864, 1024, 4096, 24, 24),
    "large-v2": (80, 51865, 1280, 5120, 32, 32),
    "large-v3": (128, 51866, 1280, 5120, 32, 32),
    "large-v3-turbo": (128, 51866, 1280, 5120, 32, 4),
    "distil-small.en": (80, 51864, 768, 3072, 12, 4),
    "distil-medium.en": (80, 51864, 1024, 4096, 24, 2),
    "distil-large-v2": (80, 51865, 1280, 5120, 32, 2),
    "distil-large-v3": (128, 51866, 1280, 5120, 32, 2),
    "belle-large-v2-zh": (80, 51865, 1280, 5120, 32, 32),
    "belle-large-v3-zh": (128, 51866, 1280, 5120, 32, 32),
    "belle-large-v3-turbo-zh": (128, 51866, 1280, 5120, 32, 4),
}
AUDIO_POSITIONS, TEXT_POSITIONS = 1500, 448


def noise(name, start, count):
    """Elements start..start + count of the sequence `name`: uniform in [-1, 1), exact in f32.

    The index times the golden ratio's 32 bits, plus the name's CRC, through a 32-bit avalanche ("lowbias32")."""
    x = np.arange(start, start + count, dtype=np.uint32)
    x *= np.uint32(0x9E3779B9)
    x += np.uint32(zlib.crc32(name.encode()))
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, None)):
        x ^= x >> np.uint32(shift)
        if factor:
            x *= np.uint32(factor)
    return (x >> np.uint32(8)).astype(np.float32) * np.float32(2**-23) - np.float32(1)


def tensor(name, shape, center, amplitude):
    """f16 tensor of noise around `center`, made in pieces."""
    out = np.empty(int(np.prod(shape)), np.float16)
    for start in range(0, out.size, 1 << 22):
        part = out[start : start + (1 << 22)]
        part[:] = np.float32(center) + np.float32(amplitude) * noise(name, start, part.size)
    return out.reshape(shape)


def plan(n_mels, vocabulary, width, ffn, encoder_layers, decoder_layers, positions=True):
    """Yield (name, shape, center, amplitude) of each tensor. `positions` says whether the encoder's are stored."""

    def linear(name, outputs, inputs, gain=1.0, bias=True):
        # Uniform numbers of amplitude a have variance a^2 / 3: outputs have `gain` times the inputs' deviation.
        yield f"{name}.weight", (outputs, inputs), 0.0, gain * (3.0 / inputs) ** 0.5
        if bias:
            yield f"{name}.bias", (outputs,), 0.0, 0.1

    def norm(name):
        yield f"{name}.weight", (width,), 1.0, 0.25
        yield f"{name}.bias", (width,), 0.0, 0.1

    def attention(name):
        # Queries and keys are large enough for attention to be uneven.
        yield from linear(f"{name}.q_proj", width, width, 1.5)
        yield from linear(f"{name}.k_proj", width, width, 1.5, bias=False)
        yield from linear(f"{name}.v_proj", width, width)
        yield from linear(f"{name}.out_proj", width, width, 0.5)

    for conv, inputs in (("conv1", n_mels), ("conv2", width)):
        yield f"model.encoder.{conv}.weight", (width, inputs, 3), 0.0, 2.0 * (1.0 / inputs) ** 0.5
        yield f"model.encoder.{conv}.bias", (width,), 0.0, 0.1
    if positions:
        yield "model.encoder.embed_positions.weight", (AUDIO_POSITIONS, width), 0.0, 0.5
    yield "model.decoder.embed_tokens.weight", (vocabulary, width), 0.0, 0.25
    yield "model.decoder.embed_positions.weight", (TEXT_POSITIONS, width), 0.0, 0.25
    for side, layers in (("encoder", encoder_layers), ("decoder", decoder_layers)):
        for layer in range(layers):
            prefix = f"model.{side}.layers.{layer}"
            yield from norm(f"{prefix}.self_attn_layer_norm")
            yield from attention(f"{prefix}.self_attn")
            if side == "decoder":
                yield from norm(f"{prefix}.encoder_attn_layer_norm")
                yield from attention(f"{prefix}.encoder_attn")
            yield from norm(f"{prefix}.final_layer_norm")
            yield from linear(f"{prefix}.fc1", ffn, width)
            yield from linear(f"{prefix}.fc2", width, ffn, 0.5)
        yield from norm(f"model.{side}.layer_norm")


def config(n_mels, vocabulary, width, ffn, encoder_layers, decoder_layers):
    end = 50256 if vocabulary == 51864 else 50257
    return {
        "architectures": ["WhisperForConditionalGeneration"], "model_type": "whisper", "activation_function": "gelu",
        "vocab_size": vocabulary, "num_mel_bins": n_mels, "d_model": width, "encoder_layers": encoder_layers,
        "decoder_layers": decoder_layers, "encoder_attention_heads": width // 64,
        "decoder_attention_heads": width // 64, "encoder_ffn_dim": ffn, "decoder_ffn_dim": ffn,
        "max_source_positions": AUDIO_POSITIONS, "max_target_positions": TEXT_POSITIONS, "scale_embedding": False,
        "torch_dtype": "float16", "bos_token_id": end, "eos_token_id": end, "pad_token_id": end,
        "decoder_start_token_id": end + 1,
    }


def write(size, out, shard_bytes):
    out.mkdir(parents=True, exist_ok=True)
    shards, current, used = [], [], 0
    for item in plan(*size):
        bytes_ = 2 * int(np.prod(item[1]))
        if current and used + bytes_ > shard_bytes:
            shards.append(current)
            current, used = [], 0
        current.append(item)
        used += bytes_
    shards.append(current)
    weight_map = {}
    for number, items in enumerate(shards, 1):
        name = "model.safetensors" if len(shards) == 1 else f"model-{number:05}-of-{len(shards):05}.safetensors"
        save_file({item[0]: tensor(*item) for item in items}, out / name, metadata={"format": "pt"})
        weight_map |= {item[0]: name for item in items}
    total = sum(2 * int(np.prod(item[1])) for items in shards for item in items)
    if len(shards) > 1:
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        (out / "model.safetensors.index.json").write_text(json.dumps(index, indent=1))
    settings = config(*size)
    (out / "config.json").write_text(json.dumps(settings, indent=1))
    generation = {k: settings[k] for k in ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")}
    (out / "generation_config.json").write_text(json.dumps(generation | {"max_length": TEXT_POSITIONS}, indent=1))
    (out / "preprocessor_config.json").write_text(json.dumps({"feature_size": size[0], "sampling_rate": 16000}))
    return total, len(shards)


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("size", choices=SIZES)
    args.add_argument("out", type=pathlib.Path)
    args.add_argument("--shard-mb", type=int, default=512)
    args = args.parse_args()
    total, shards = write(SIZES[args.size], args.out, args.shard_mb << 20)
    print(f"{args.out}: {total / 1e6:.0f} MB in {shards} file(s)")


if __name__ == "__main__":
    main()
