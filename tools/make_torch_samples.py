"""Write small files with PyTorch for the tests of our reader.

    python make_torch_samples.py ../crates/weights/tests/data/torch

zip.pt and legacy.pt hold the same state dict in PyTorch's two formats, with tied weights, a parameter, a view into a
storage and three float types; openai.pt is laid out as openai-whisper's files are; transposed.pt has a tensor that is
not row-major; lone.pt is a tensor without a name; object.pt pickles a function call that a careless reader would execute.
"""
import collections
import os
import pathlib
import sys

import torch


class Call:
    def __reduce__(self):
        return os.getcwd, ()


def main():
    out = pathlib.Path(sys.argv[1])
    tokens = torch.arange(8, dtype=torch.float16).reshape(4, 2) / 8
    state = collections.OrderedDict(
        {
            "model.decoder.embed_tokens.weight": tokens,
            "proj_out.weight": tokens,
            "model.encoder.conv1.bias": torch.nn.Parameter(torch.tensor([1.5, -2.5])),
            "model.encoder.conv2.bias": torch.tensor([3.0, -0.25], dtype=torch.bfloat16),
            "model.decoder.layer_norm.bias": tokens.flatten()[5:7],
            "step": torch.tensor(7),
        }
    )
    torch.save(state, out / "zip.pt")
    torch.save(state, out / "legacy.pt", _use_new_zipfile_serialization=False)
    dims = {"n_mels": 80, "n_audio_head": 6, "n_text_head": 8}
    names = {"decoder.token_embedding.weight": tokens, "encoder.blocks.0.attn.query.bias": torch.tensor([0.5])}
    torch.save({"dims": dims, "model_state_dict": names}, out / "openai.pt")
    torch.save({"model.encoder.conv1.weight": tokens.T}, out / "transposed.pt")
    torch.save((torch.arange(128) + 1) / 64, out / "lone.pt")
    torch.save({"model.encoder.conv1.weight": Call()}, out / "object.pt")


if __name__ == "__main__":
    main()
