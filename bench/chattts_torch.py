"""The networks of ChatTTS in plain PyTorch, f32, timed on a checkpoint: what bench/chattts.py compares with.

Fused attention, one product for queries, keys and values, a cache written in place and no gradients: at least as fast as a
general-purpose implementation. Prints one line of JSON.
"""
import argparse
import json
import pathlib
import statistics
import time

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

HEADS, CODEBOOKS = 12, 4


class Llama:
    def __init__(self, asset, positions):
        w = load_file(str(asset / "gpt/model.safetensors"))
        e = load_file(str(asset / "Embed.safetensors"))
        self.count = max(int(name.split(".")[1]) for name in w if name.startswith("layers.")) + 1
        at = lambda i, part: w[f"layers.{i}.{part}.weight"]
        self.layers = [
            {
                "norm1": at(i, "input_layernorm"), "norm2": at(i, "post_attention_layernorm"),
                "qkv": torch.cat([at(i, f"self_attn.{p}_proj") for p in "qkv"]), "out": at(i, "self_attn.o_proj"),
                "gate_up": torch.cat([at(i, "mlp.gate_proj"), at(i, "mlp.up_proj")]), "down": at(i, "mlp.down_proj"),
            }
            for i in range(self.count)
        ]
        self.norm, self.width = w["norm.weight"], w["norm.weight"].shape[0]
        self.embed = [e[f"emb_code.{k}.weight"] for k in range(CODEBOOKS)]
        heads = []
        for k in range(CODEBOOKS):
            g, v = (e[f"head_code.{k}.parametrizations.weight.original{i}"] for i in (0, 1))
            heads.append(g * v / v.norm(dim=1, keepdim=True))
        self.head = torch.cat(heads)
        dim = self.width // HEADS
        self.cache = torch.zeros(self.count, 2, HEADS, positions, dim)
        angle = torch.arange(positions)[:, None] * 10000.0 ** (-torch.arange(0, dim, 2) / dim)
        self.cos, self.sin = torch.cat([angle, angle], 1).cos(), torch.cat([angle, angle], 1).sin()

    def rms(self, x, w):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * w

    def turn(self, x, at, n):
        half = x.shape[-1] // 2
        turned = torch.cat([-x[..., half:], x[..., :half]], -1)
        return x * self.cos[at : at + n] + turned * self.sin[at : at + n]

    def __call__(self, x, at):
        n = x.shape[0]
        for i, layer in enumerate(self.layers):
            qkv = F.linear(self.rms(x, layer["norm1"]), layer["qkv"]).view(n, 3, HEADS, -1).permute(1, 2, 0, 3)
            q, k = self.turn(qkv[0], at, n), self.turn(qkv[1], at, n)
            self.cache[i, 0, :, at : at + n], self.cache[i, 1, :, at : at + n] = k, qkv[2]
            keys, values = self.cache[i, 0, :, : at + n], self.cache[i, 1, :, : at + n]
            y = F.scaled_dot_product_attention(q, keys, values, is_causal=n > 1)
            x = x + F.linear(y.transpose(0, 1).reshape(n, -1), layer["out"])
            gate, up = F.linear(self.rms(x, layer["norm2"]), layer["gate_up"]).chunk(2, -1)
            x = x + F.linear(F.silu(gate) * up, layer["down"])
        return self.rms(x[-1:], self.norm)

    def step(self, state, at):
        """Scores of a state, the most likely codes, and the state after them."""
        codes = F.linear(state, self.head).view(CODEBOOKS, -1)[:, :-1].argmax(-1)
        return self(sum(self.embed[k][codes[k]] for k in range(CODEBOOKS))[None], at)


def block(x, w, name, scale, dilation):
    c = x.shape[1]
    y = F.conv1d(x, w[f"{name}.dwconv.weight"], w[f"{name}.dwconv.bias"], padding=3 * dilation, dilation=dilation, groups=c)
    y = F.layer_norm(y.transpose(1, 2), (c,), w[f"{name}.norm.weight"], w[f"{name}.norm.bias"], 1e-6)
    y = F.gelu(F.linear(y, w[f"{name}.pwconv1.weight"], w[f"{name}.pwconv1.bias"]))
    y = F.linear(y, w[f"{name}.pwconv2.weight"], w[f"{name}.pwconv2.bias"]) * w[f"{name}.{scale}"]
    return x + y.transpose(1, 2)


def count(w, prefix):
    return max(int(name[len(prefix) :].split(".")[0]) for name in w if name.startswith(prefix)) + 1


def mel(states, w):
    t, width = states.shape
    x = states.view(t, 2, width // 2).reshape(2 * t, -1).t()[None]
    x = F.gelu(F.conv1d(x, w["decoder.conv_in.0.weight"], w["decoder.conv_in.0.bias"], padding=1))
    x = F.conv1d(x, w["decoder.conv_in.2.weight"], w["decoder.conv_in.2.bias"], padding=1)
    for i in range(count(w, "decoder.decoder_block.")):
        x = block(x, w, f"decoder.decoder_block.{i}", "weight", 2)
    x = F.conv1d(x, w["decoder.conv_out.weight"])
    return F.conv1d(x, w["out_conv.weight"], padding=1) * w["coef"]


def vocos(x, w):
    x = F.conv1d(x, w["backbone.embed.weight"], w["backbone.embed.bias"], padding=3)
    norm = lambda x, name: F.layer_norm(x.transpose(1, 2), (x.shape[1],), w[f"{name}.weight"], w[f"{name}.bias"], 1e-6)
    x = norm(x, "backbone.norm").transpose(1, 2)
    for i in range(count(w, "backbone.convnext.")):
        x = block(x, w, f"backbone.convnext.{i}", "gamma", 1)
    x = F.linear(norm(x, "backbone.final_layer_norm"), w["head.out.weight"], w["head.out.bias"]).transpose(1, 2)
    magnitude, angle = x.chunk(2, 1)
    return torch.istft(torch.polar(magnitude.exp().clamp(max=100), angle), 1024, 256, window=w["head.istft.window"], center=True)


@torch.inference_mode()
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint", type=pathlib.Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=64)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    asset = args.checkpoint / "asset"
    prompt = 35
    model = Llama(asset, prompt + args.steps + 1)
    state, times = model(torch.randn(prompt, model.width), 0), []
    for i in range(args.steps):
        start = time.perf_counter()
        state = model.step(state, prompt + i)
        times.append(time.perf_counter() - start)
    decoder, voice = load_file(str(asset / "Decoder.safetensors")), load_file(str(asset / "Vocos.safetensors"))
    states = torch.randn(235, model.width)
    vocos(mel(states, decoder), voice)
    start = time.perf_counter()
    samples = vocos(mel(states, decoder), voice).shape[-1]
    sound = (time.perf_counter() - start) / (samples / 24000)
    print(json.dumps({"steps_per_s": 1 / statistics.median(times[4:]), "sound_s_per_audio_s": sound}))


if __name__ == "__main__":
    main()
