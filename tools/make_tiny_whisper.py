"""Write what Hugging Face transformers computes for tiny random Whisper models, as a fixture for our forward pass.

    python make_tiny_whisper.py ../crates/models/tests/data/tiny_whisper.json

Weights, input and tokens come from formulas (make_random_whisper.py), which the tests compute as well; only samples of
the results are stored. The reference computes in f64. Needs numpy, torch and transformers.
"""
import importlib.metadata
import json
import pathlib
import sys
import zlib

import numpy as np
import torch
from transformers import WhisperConfig, WhisperForConditionalGeneration

from make_random_whisper import config, noise, plan, tensor

# n_mels, vocabulary, width, feed-forward width, encoder layers, decoder layers, and whether the file stores the
# encoder's positions (older ones do not: they are sinusoids).
VARIANTS = {
    "multilingual": ((80, 51865, 128, 512, 2, 2), True),
    "large_v3": ((128, 51866, 128, 256, 3, 1), True),
    "english": ((80, 51864, 192, 384, 1, 3), False),
}
FRAMES = 3000
# Encoder states are sampled at these positions, logits at every VOCABULARY_STEP-th token.
POSITIONS = [0, 1, 2, 3, 500, 749, 750, 1200, 1497, 1498, 1499]
STATE_STEP = 4
VOCABULARY_STEP = 997
ALIGNMENT_FRAMES = 400
ALIGNMENT_STEP = 57


def rounded(values):
    return [float(f"{v:.7g}") for v in np.asarray(values, np.float64).ravel()]


def reference(name, size, positions):
    items = {item[0]: item for item in plan(*size, positions=positions)}
    weights = {key: tensor(*item) for key, item in items.items()}
    model = WhisperForConditionalGeneration(WhisperConfig(**config(*size), attn_implementation="eager"))
    state = {key: torch.from_numpy(value.astype(np.float64)) for key, value in weights.items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected, unexpected
    assert set(missing) <= {"proj_out.weight", "model.encoder.embed_positions.weight"}, missing
    model.tie_weights()
    model = model.eval().double()

    n_mels, vocabulary = size[0], size[1]
    mel = torch.from_numpy(noise("mel", 0, n_mels * FRAMES).astype(np.float64).reshape(1, n_mels, FRAMES))
    # Special tokens a transcript starts with, then text tokens.
    tokens = [config(*size)["decoder_start_token_id"]]
    tokens += [50259, 50359 if vocabulary == 51865 else 50360] if vocabulary > 51864 else []
    tokens += [(7919 * i + 13) % 50000 for i in range(9)]
    with torch.no_grad():
        states = model.model.encoder(mel).last_hidden_state
        out = model(encoder_outputs=(states,), decoder_input_ids=torch.tensor([tokens]), output_attentions=True)
    logits = out.logits[0].numpy()
    log_sum_exp = np.log(np.exp(logits - logits.max(-1, keepdims=True)).sum(-1)) + logits.max(-1)
    # [layers, heads, tokens, 1500], renormalised as a softmax over the first frames only.
    attention = np.stack([layer[0].numpy() for layer in out.cross_attentions])[..., :ALIGNMENT_FRAMES]
    attention /= attention.sum(-1, keepdims=True)
    heads = [(layer, head) for layer in range(attention.shape[0] // 2, attention.shape[0]) for head in range(attention.shape[1])]
    checksum = 0
    for key in sorted(weights):
        checksum = zlib.crc32(weights[key].tobytes(), checksum)
    return {
        "name": name,
        "n_mels": n_mels, "vocab_size": vocabulary, "width": size[2], "ffn_width": size[3],
        "encoder_layers": size[4], "decoder_layers": size[5], "stores_encoder_positions": positions,
        "weights_crc32": checksum,
        "tokens": tokens,
        # [positions, width / STATE_STEP]
        "encoder_states": rounded(states[0].numpy()[POSITIONS][:, ::STATE_STEP]),
        # [tokens, ceil(vocabulary / VOCABULARY_STEP)]
        "logits": rounded(logits[:, ::VOCABULARY_STEP]),
        "log_sum_exp": rounded(log_sum_exp),
        "best_tokens": [int(i) for i in logits.argmax(-1)],
        "next_logprobs": rounded(logits[np.arange(len(tokens) - 1), tokens[1:]] - log_sum_exp[:-1]),
        # [heads, tokens, ceil(ALIGNMENT_FRAMES / ALIGNMENT_STEP)] of the upper half of the layers
        "alignment_heads": len(heads),
        "alignment_weights": rounded(np.stack([attention[layer, head] for layer, head in heads])[..., ::ALIGNMENT_STEP]),
    }


def main():
    torch.manual_seed(0)
    fixture = {
        "made_by": "tools/make_tiny_whisper.py",
        "versions": {name: importlib.metadata.version(name) for name in ("numpy", "torch", "transformers")},
        "frames": FRAMES, "positions": POSITIONS, "state_step": STATE_STEP, "vocabulary_step": VOCABULARY_STEP,
        "alignment_frames": ALIGNMENT_FRAMES, "alignment_step": ALIGNMENT_STEP,
        "variants": [reference(name, *variant) for name, variant in VARIANTS.items()],
    }
    pathlib.Path(sys.argv[1]).write_text(json.dumps(fixture) + "\n")


if __name__ == "__main__":
    main()
