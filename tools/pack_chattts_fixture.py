#!/usr/bin/env python3
"""Packs what the tests of ChatTTS compare against into crates/models/tests/data/chattts.

    pack_chattts_fixture.py OUTPUTS

OUTPUTS is a folder of the reference implementation's outputs on a tiny random model: one safetensors file a stage, and
JSON with the texts. The reference (Python package chattts 0.2.5 with torch 2.11, vocos 0.1.0 and
vector_quantize_pytorch 1.17.3) was run as it is; nothing of it is here. The model's weights are not stored: the tests make
them again from their seed, as torch.randn does. Needs nothing but Python.
"""

import json
import struct
import sys
from pathlib import Path

# Tensors of each stage, and how many steps of the first axis where that is not all.
KEEP = {
    "code_greedy": ["prefill_emb", "prefill_layer0", "prefill_hidden", "attention_mask", "text_mask", "input_ids"]
    + ["ids.0", "ids.1", "hiddens.0", "hiddens.1", ("raw_logits", 2), ("probs", 2)],
    "code_noise": ["ids.0", "ids.1", "hiddens.1", ("raw_logits", 1), ("probs", 2), ("noise", 1)],
    "code_prompted": ["input_ids", "prompt_codes", "prefill_emb", "prefill_layer0", "ids.0", "hiddens.0"]
    + [("raw_logits", 1), ("probs", 1)],
    "refine_greedy": ["input_ids", "attention_mask", "prefill_layer0", "ids.0", "ids.1", ("raw_logits", 2), ("probs", 2)],
    "refine_noise": ["input_ids", "attention_mask", "prefill_layer0", "ids.0", "ids.1", ("raw_logits", 1), ("probs", 1)],
    "decoder": ["hidden", "conv_in", "block0", "block1", "mel"],
    "vocos": ["mel", "embed_norm", "block0", "block1", "backbone", "head_out", "wav"],
    "dvae_decode": ["codes", "gfsq", "conv_in", "block1", "mel", "wav"],
    "dvae_encode": ["wav", "log_mel", "downsampled", "encoder_out", "codes"],
    "e2e": ["plain"],
    "e2e_split": ["input_ids", "attention_mask", "prompt_codes", "wav"],
    "rng": ["exponential_1234", "randn_f16_2", "randn_f16_2222", "spk_2222", "ids.0", "ids.1"],
    "speaker": ["spk_applied_f32", "prompt_codes", "full_spk_f16", "spk_f16", "spk_mean_f16", "spk_std_f16"],
    "sampling": [f"{k}.{n}" for k in range(9) for n in ("logits", "history", "temperature", "params", "probs")],
}


def read(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    return {k: (v, data[8 + length :][slice(*v["data_offsets"])]) for k, v in header.items() if k != "__metadata__"}


def main():
    source = Path(sys.argv[1])
    target = Path(__file__).resolve().parent.parent / "crates/models/tests/data/chattts"
    target.mkdir(parents=True, exist_ok=True)
    header, body = {}, b""
    for stage, names in KEEP.items():
        tensors = read(source / f"{stage}.safetensors")
        for name in names:
            name, steps = name if isinstance(name, tuple) else (name, None)
            info, data = tensors[name]
            shape = info["shape"]
            if steps is not None:
                data = data[: len(data) // shape[0] * steps]
                shape = [steps, *shape[1:]]
            offsets = [len(body), len(body) + len(data)]
            header[f"{stage}.{name}"] = {"dtype": info["dtype"], "shape": shape, "data_offsets": offsets}
            body += data
            body += b"\0" * (-len(body) % 4)
            header[f"{stage}.{name}"]["data_offsets"][1] = offsets[0] + len(data)
    # The format allows no gaps; all stages' types but one byte ones end on four bytes.
    ends = sorted(h["data_offsets"] for h in header.values())
    assert all(a[1] == b[0] for a, b in zip(ends, ends[1:])), "gaps"
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (target / "reference.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + body)

    meta = json.loads((source / "meta.json").read_text())
    keep = ("spk_stat", "refine_greedy", "refine_noise", "code_greedy", "code_noise", "code_prompted", "rng", "e2e", "e2e_split")
    # Cases whose result depends on the reference's own map of homophones are left out.
    cases = json.loads((source / "normalizer.json").read_text())
    homophones = set(cases["homophones_used"])
    cases = [c for c in cases["cases"] if not (c["do_homophone_replacement"] and homophones & set(c["text"]))]
    texts = {k: meta[k] for k in keep}
    texts["normalise"] = cases
    texts["tokens"] = {k: v for k, v in json.loads((source / "tokenizer_cases.json").read_text()).items()}
    texts["speaker"] = json.loads((source / "speaker.json").read_text())
    (target / "reference.json").write_text(json.dumps(texts, ensure_ascii=False, indent=1) + "\n")
    (target / "tokenizer.json").write_bytes((source / "asset/tokenizer/tokenizer.json").read_bytes())


if __name__ == "__main__":
    main()
