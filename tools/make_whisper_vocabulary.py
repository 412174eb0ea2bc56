"""Write Whisper's two vocabularies as the compact tables that crates/text embeds.

    python make_whisper_vocabulary.py MULTILINGUAL/tokenizer.json ENGLISH/tokenizer.json OUT

OUT gets whisper-multilingual.vocab.z and whisper-english.vocab.z: the ordinary tokens (all ids below
`<|endoftext|>`) in the order of their ids, each a length byte and that many bytes, the whole a zlib stream.
The tokenizer files are those of any Hugging Face or CTranslate2 copy of whisper-base and whisper-tiny.en.
"""
import json
import pathlib
import sys
import zlib


def byte_of_character():
    """Character -> byte, in the printable spelling of bytes that GPT-2's vocabulary files use."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {chr(b): b for b in printable}
    others = [b for b in range(256) if b not in printable]
    return table | {chr(256 + i): b for i, b in enumerate(others)}


def pack(tokenizer):
    vocabulary = tokenizer["model"]["vocab"]
    end = next(t["id"] for t in tokenizer["added_tokens"] if t["content"] == "<|endoftext|>")
    table = byte_of_character()
    tokens = [bytes(table[c] for c in t) for t, i in sorted(vocabulary.items(), key=lambda x: x[1]) if i < end]
    assert len(tokens) == end
    return zlib.compress(b"".join(bytes([len(t)]) + t for t in tokens), 9)


def main():
    multilingual, english, out = sys.argv[1:]
    for name, source in (("multilingual", multilingual), ("english", english)):
        packed = pack(json.loads(pathlib.Path(source).read_text()))
        (pathlib.Path(out) / f"whisper-{name}.vocab.z").write_bytes(packed)


if __name__ == "__main__":
    main()
