"""Write the seeds of the corpus: small files of every kind that the targets read.

    python fuzz/make_seeds.py [TARGET ...]

Needs ffmpeg for the target `audio`, and nothing else. Seeds are in fuzz/corpus/TARGET under descriptive names;
inputs found by the fuzzer are in the same folder and are not changed. All weights are zeros.
"""
import io
import json
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
CRATES = HERE.parent / "crates"


def seed(target, name, content):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def folder(files):
    """Files as one input (src/folder.rs), runs of zeros written as a number."""
    short = lambda run: b"{{zeros %d}}" % len(run[0])
    parts = []
    for name, content in files.items():
        content = content if isinstance(content, bytes) else content.encode()
        parts.append(b"=== %s ===\n%s\n" % (name.encode(), re.sub(rb"\0{64,}", short, content)))
    return b"".join(parts)


# Audio ---------------------------------------------------------------------------------------------------------------

AUDIO = {
    "s16.wav": "-c:a pcm_s16le", "u8.wav": "-c:a pcm_u8", "s24.wav": "-c:a pcm_s24le -ac 2", "f32.wav": "-c:a pcm_f32le",
    "f64.wav": "-c:a pcm_f64le", "mulaw.wav": "-c:a pcm_mulaw", "alaw.wav": "-c:a pcm_alaw",
    "ima.wav": "-c:a adpcm_ima_wav", "ms.wav": "-c:a adpcm_ms", "mp3.wav": "-c:a libmp3lame -b:a 8k -f wav",
    "rf64.wav": "-rf64 always", "s16.w64": "", "s16.aiff": "", "s24.aiff": "-c:a pcm_s24be",
    "mulaw.aifc": "-c:a pcm_mulaw -f aiff", "s16.au": "", "mulaw.au": "-c:a pcm_mulaw", "s16.caf": "-c:a pcm_s16le",
    "alac.caf": "-c:a alac", "s16.flac": "", "s24.flac": "-c:a flac -sample_fmt s32 -bits_per_raw_sample 24 -ac 2",
    "mpeg2.mp3": "-b:a 8k", "mpeg1.mp3": "-ar 44100 -b:a 32k -ac 2", "id3.mp3": "-b:a 8k -id3v2_version 4 -metadata title=x",
    "layer2.mp2": "-ar 16000 -b:a 16k", "adts.aac": "-b:a 8k", "aac.m4a": "-b:a 8k", "alac.m4a": "-c:a alac",
    "fragmented.mp4": "-b:a 8k -movflags frag_keyframe+empty_moov", "opus.mp4": "-c:a libopus -ar 48000 -b:a 8k",
    "pcm.mov": "-c:a pcm_s16le", "flac.mp4": "-c:a flac -strict -2", "vorbis.ogg": "-c:a libvorbis -q:a -1", "opus.opus": "-b:a 8k",
    "flac.ogg": "-c:a flac", "opus.webm": "-c:a libopus -b:a 8k", "vorbis.mkv": "-c:a libvorbis -q:a -1", "pcm.mkv": "-c:a pcm_s16le",
    "flac.mkv": "-c:a flac", "aac.mkv": "-c:a aac -b:a 8k", "mp3.mkv": "-c:a libmp3lame -b:a 8k",
    "live.webm": "-c:a libopus -b:a 8k -live 1", "foreign.ac3": "-ar 32000 -b:a 32k", "foreign.wma": "-c:a wmav2 -b:a 24k -f asf",
}


def audio():
    sound = ["-f", "lavfi", "-i", "sine=f=440:r=8000:d=0.12"]
    with tempfile.TemporaryDirectory() as out:
        for name, options in AUDIO.items():
            path = pathlib.Path(out) / name
            command = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-y", *sound, "-fflags", "+bitexact", *options.split(), path]
            if subprocess.run(command).returncode:
                sys.exit(f"ffmpeg cannot write {name}")
            seed("audio", name, path.read_bytes())
    for name, text in {"page.html": "<!doctype html><title>404</title>", "empty": "", "playlist.m3u8": "#EXTM3U\n#EXTINF:1,\nx.ts\n"}.items():
        seed("audio", name, text)


# Whisper checkpoints ----------------------------------------------------------------------------------------------------

SPECIALS = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|zh|>", "<|translate|>", "<|transcribe|>", "<|startoflm|>",
            "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
WIDTH, FFN, MELS, TEXT_POSITIONS, VOCABULARY = 2, 4, 80, 4, 256 + len(SPECIALS) + 1501


def printable():
    """The characters that stand for the 256 bytes in GPT-2's vocabularies."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    return [chr(byte) if byte in plain else chr(next(others)) for byte in range(256)]


def vocabulary(tokens=()):
    added = [{"id": 256 + len(tokens) + at, "content": name, "special": True} for at, name in enumerate(SPECIALS)]
    vocab = {token: at for at, token in enumerate([*printable(), *tokens])}
    return json.dumps({"model": {"type": "BPE", "vocab": vocab, "merges": []}, "added_tokens": added}, ensure_ascii=False)


def tensors():
    """Names and shapes of a model of width 2."""
    def linear(name, outputs, inputs, bias=True):
        yield f"{name}.weight", [outputs, inputs]
        if bias:
            yield f"{name}.bias", [outputs]

    for conv, inputs in (("conv1", MELS), ("conv2", WIDTH)):
        yield f"model.encoder.{conv}.weight", [WIDTH, inputs, 3]
        yield f"model.encoder.{conv}.bias", [WIDTH]
    yield "model.encoder.embed_positions.weight", [1500, WIDTH]
    yield "model.decoder.embed_tokens.weight", [VOCABULARY, WIDTH]
    yield "model.decoder.embed_positions.weight", [TEXT_POSITIONS, WIDTH]
    for side in ("encoder", "decoder"):
        attentions = ("self_attn", "encoder_attn") if side == "decoder" else ("self_attn",)
        layer = f"model.{side}.layers.0"
        for norm in [f"{layer}.{a}_layer_norm" for a in attentions] + [f"{layer}.final_layer_norm", f"model.{side}.layer_norm"]:
            yield f"{norm}.weight", [WIDTH]
            yield f"{norm}.bias", [WIDTH]
        for attention in attentions:
            for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
                yield from linear(f"{layer}.{attention}.{part}", WIDTH, WIDTH, part != "k_proj")
        yield from linear(f"{layer}.fc1", FFN, WIDTH)
        yield from linear(f"{layer}.fc2", WIDTH, FFN)


def count(shape):
    total = 1
    for size in shape:
        total *= size
    return total


def safetensors(table, dtype="F16"):
    width, header, at = {"F32": 4, "F16": 2, "BF16": 2}[dtype], {}, 0
    for name, shape in table:
        end = at + width * count(shape)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, end]}
        at = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + bytes(at)


OPENAI = [("model.", ""), ("embed_positions.weight", "positional_embedding"), ("embed_tokens", "token_embedding"),
          ("layers.", "blocks."), ("self_attn_layer_norm", "attn_ln"), ("encoder_attn_layer_norm", "cross_attn_ln"),
          ("final_layer_norm", "mlp_ln"), ("encoder.layer_norm", "encoder.ln_post"), ("decoder.layer_norm", "decoder.ln"),
          ("encoder_attn", "cross_attn"), ("self_attn", "attn"), ("q_proj", "query"), ("k_proj", "key"),
          ("v_proj", "value"), ("out_proj", "out"), ("fc1", "mlp.0"), ("fc2", "mlp.2")]


def openai_name(name):
    for old, new in OPENAI:
        name = name.replace(old, new)
    return name


def torch(table, openai=False, deflated=False):
    """A zip archive as PyTorch writes it: a state dict of f16 tensors."""
    text = lambda text: b"X" + struct.pack("<I", len(text.encode())) + text.encode()
    integer = lambda number: b"J" + struct.pack("<i", number)
    out = b"\x80\x02"
    if openai:
        out += b"}(" + text("dims") + b"}(" + text("n_audio_head") + b"K\x01" + text("n_text_head") + b"K\x01u" + text("model_state_dict")
    out += b"ccollections\nOrderedDict\n)R("
    for number, (name, shape) in enumerate(table):
        strides = [count(shape[axis + 1:]) for axis in range(len(shape))]
        out += text(openai_name(name) if openai else name) + b"ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage")
        out += b"ctorch\nHalfStorage\n" + text(str(number)) + text("cpu") + integer(count(shape)) + b"tQK\0("
        out += b"".join(map(integer, shape)) + b"t(" + b"".join(map(integer, strides)) + b"t\x89ccollections\nOrderedDict\n)RtR"
    out += b"uu." if openai else b"u."
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED) as file:
        entry = lambda name: zipfile.ZipInfo(f"archive/{name}")
        file.writestr(entry("data.pkl"), out)
        for number, (_, shape) in enumerate(table):
            file.writestr(entry(f"data/{number}"), bytes(2 * count(shape)), file.compression)
    return archive.getvalue()


def ggml(table, kind):
    """`kind`: 0 f32, 1 f16."""
    out = struct.pack("<14I", 0x67676D6C, VOCABULARY, 1500, WIDTH, 1, 1, TEXT_POSITIONS, WIDTH, 1, 1, MELS, kind, MELS, 201)
    out += bytes(4 * MELS * 201) + struct.pack("<I", 256 + len(SPECIALS))
    for token in [bytes([byte]) for byte in range(256)] + [name.encode() for name in SPECIALS]:
        out += struct.pack("<I", len(token)) + token
    for name, shape in table:
        shape = [*shape, 1] if "conv" in name and len(shape) == 1 else shape
        half = kind and len(shape) > 1 and "positions" not in name
        name = openai_name(name).encode()
        out += struct.pack("<3I", len(shape), len(name), half) + b"".join(struct.pack("<I", n) for n in reversed(shape))
        out += name + bytes((2 if half else 4) * count(shape))
    return out


def ctranslate2(version, kind):
    """`kind`: 0 f32, 1 int8 with scales, 4 f16."""
    linears = {"linear_0": ["q_proj", "k_proj", "v_proj"], "linear_1": ["out_proj"]}
    variables = [(f"encoder/{conv}/{part}", shape) for conv, inputs in (("conv1", MELS), ("conv2", WIDTH))
                 for part, shape in (("weight", [WIDTH, inputs, 3]), ("bias", [WIDTH]))]
    variables.append(("decoder/embeddings/weight", [VOCABULARY, WIDTH]))
    for side, positions in (("encoder", 1500), ("decoder", TEXT_POSITIONS)):
        variables.append((f"{side}/position_encodings/encodings", [positions, WIDTH]))
        blocks = ("self_attention", "ffn", "attention") if side == "decoder" else ("self_attention", "ffn")
        for norm in [f"{side}/layer_norm"] + [f"{side}/layer_0/{block}/layer_norm" for block in blocks]:
            variables += [(f"{norm}/gamma", [WIDTH]), (f"{norm}/beta", [WIDTH])]
        layers = [(f"self_attention/{name}", WIDTH * len(parts), WIDTH) for name, parts in linears.items()]
        layers += [("ffn/linear_0", FFN, WIDTH), ("ffn/linear_1", WIDTH, FFN)]
        if side == "decoder":
            layers += [("attention/linear_0", WIDTH, WIDTH), ("attention/linear_1", 2 * WIDTH, WIDTH), ("attention/linear_2", WIDTH, WIDTH)]
        for name, outputs, inputs in layers:
            variables += [(f"{side}/layer_0/{name}/weight", [outputs, inputs]), (f"{side}/layer_0/{name}/bias", [outputs])]
    text = lambda text: struct.pack("<H", len(text) + 1) + text.encode() + b"\0"

    def variable(name, shape, kind, content):
        head = text(name) + bytes([len(shape)]) + b"".join(struct.pack("<I", size) for size in shape)
        width = {0: 4, 1: 1, 2: 2, 4: 2}[kind]
        if version >= 4:
            return head + bytes([kind]) + struct.pack("<I", len(content)) + content
        return head + bytes([width]) + struct.pack("<I", len(content) // width) + content

    parts = [variable(f"{side}/num_heads", [], 2, struct.pack("<h", 1)) for side in ("encoder", "decoder")]
    for name, shape in variables:
        quantised = kind == 1 and len(shape) > 1
        stored = kind if kind == 4 or quantised else 0
        parts.append(variable(name, shape, stored, bytes({0: 4, 1: 1, 4: 2}[stored] * count(shape))))
        if quantised:
            parts.append(variable(f"{name}_scale", shape[:1], 0, struct.pack("<f", 4.0) * shape[0]))
    head = struct.pack("<I", version) + text("WhisperSpec") + struct.pack("<II", 3, len(parts))
    aliases = struct.pack("<I", 1) + text("decoder/projection/weight") + text("decoder/embeddings/weight")
    return head + b"".join(parts) + aliases


def checkpoint():
    table = list(tensors())
    words = {"tokenizer.json": vocabulary()}
    lines = "\n".join([*printable(), *SPECIALS]) + "\n"
    config = {"model_type": "whisper", "activation_function": "gelu", "d_model": WIDTH, "vocab_size": VOCABULARY,
              "num_mel_bins": MELS, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 1, "decoder_attention_heads": 1}
    generation = {"suppress_tokens": [1, 2], "begin_suppress_tokens": [220], "alignment_heads": [[0, 0]]}
    settings = {"config.json": json.dumps(config), "generation_config.json": json.dumps(generation)}
    for dtype in ("F32", "F16", "BF16"):
        seed("checkpoint", f"safetensors-{dtype}", folder({"model.safetensors": safetensors(table, dtype), **settings, **words}))
    half = len(table) // 2
    for name, index, write in (("safetensors", "model.safetensors.index.json", safetensors), ("bin", "pytorch_model.bin.index.json", torch)):
        place = {tensor: f"{int(at >= half)}.{name}" for at, (tensor, _) in enumerate(table)}
        shards = {f"0.{name}": write(table[:half]), f"1.{name}": write(table[half:])}
        seed("checkpoint", f"sharded-{name}", folder({index: json.dumps({"metadata": {}, "weight_map": place}), **shards, **words}))
    seed("checkpoint", "pytorch-bin", folder({"pytorch_model.bin": torch(table), **settings, **words}))
    seed("checkpoint", "pytorch-deflated", folder({"pytorch_model.bin": torch(table[:4], deflated=True), **words}))
    # Beside such a file no vocabulary is looked for.
    english = [(name, [51864, WIDTH] if "embed_tokens" in name else shape) for name, shape in table]
    seed("checkpoint", "openai-pt", folder({"tiny.pt": torch(english, openai=True)}))
    for kind in (0, 1):
        seed("checkpoint", f"ggml-{kind}", folder({"ggml-tiny.bin": ggml(table, kind)}))
    for version, kind in ((6, 0), (6, 4), (6, 1), (3, 1)):
        files = {"model.bin": ctranslate2(version, kind), "vocabulary.txt": lines, "config.json": json.dumps({"suppress_ids": [1], "alignment_heads": [[0, 0]]})}
        seed("checkpoint", f"ctranslate2-v{version}-{kind}", folder(files))
    for path in sorted((CRATES / "weights/tests/data/torch").glob("*.pt")):
        seed("checkpoint", f"sample-{path.name}", folder({"x.pt": path.read_bytes()}))
    seed("checkpoint", "empty", "")


# Vocabularies -------------------------------------------------------------------------------------------------------------

def tokenizer():
    words = ["th", "the", "Ġa", "Ġthe"]
    seed("tokenizer", "tokenizer.json", "tokenizer.json\n" + vocabulary(words))
    specials = {name: 260 + at for at, name in enumerate(SPECIALS)}
    vocab = {token: at for at, token in enumerate([*printable(), *words])}
    seed("tokenizer", "vocab.json", "vocab.json\n" + json.dumps(vocab | specials, ensure_ascii=False))
    seed("tokenizer", "vocabulary.txt", "vocabulary.txt\n" + "\n".join([*printable(), *words, *SPECIALS]))
    seed("tokenizer", "tokens", b"tokens\n" + b"\n".join([bytes([b]) for b in range(256)] + [name.encode() for name in SPECIALS]))
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "##b", "it", "##s", "你", "好", "♪", "[laugh]"]
    word_piece = {"added_tokens": [{"id": 11, "content": "[laugh]"}], "normalizer": {"type": "BertNormalizer", "lowercase": True, "strip_accents": None},
                  "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
                            "vocab": {piece: at for at, piece in enumerate(pieces)}}}
    seed("tokenizer", "word-piece", "word piece\n" + json.dumps(word_piece, ensure_ascii=False))


# ChatTTS ------------------------------------------------------------------------------------------------------------------

def chattts():
    """Checkpoints that stop being one somewhere: whole ones are too large for a fuzzer's input."""
    vocabulary = (CRATES / "models/tests/data/chattts/tokenizer.json").read_bytes()
    config = {"hidden_size": 16, "num_attention_heads": 1, "num_hidden_layers": 1, "num_key_value_heads": 1, "rms_norm_eps": 1e-6, "rope_theta": 10000.0}
    layer = [("norm.weight", [16])]
    layer += [(f"layers.0.self_attn.{p}_proj.weight", [16, 16]) for p in "qkvo"]
    layer += [("layers.0.mlp.gate_proj.weight", [8, 16]), ("layers.0.mlp.up_proj.weight", [8, 16]), ("layers.0.mlp.down_proj.weight", [16, 8])]
    layer += [("layers.0.input_layernorm.weight", [16]), ("layers.0.post_attention_layernorm.weight", [16])]
    embed = [("emb_text.weight", [562, 16])] + [(f"emb_code.{k}.weight", [626, 16]) for k in range(4)]
    for head, rows in [(f"head_code.{k}", 626) for k in range(4)] + [("head_text", 562)]:
        embed += [(f"{head}.parametrizations.weight.original0", [rows, 1]), (f"{head}.parametrizations.weight.original1", [rows, 16])]

    def block(name, scale, width, hidden):
        parts = {scale: [width], "dwconv.weight": [width, 1, 7], "dwconv.bias": [width], "norm.weight": [width], "norm.bias": [width],
                 "pwconv1.weight": [hidden, width], "pwconv1.bias": [hidden], "pwconv2.weight": [width, hidden], "pwconv2.bias": [width]}
        return [(f"{name}.{part}", shape) for part, shape in parts.items()]

    decoder = [("coef", [1, 100, 1]), ("decoder.conv_in.0.weight", [2, 8, 3]), ("decoder.conv_in.0.bias", [2]), ("decoder.conv_in.2.weight", [4, 2, 3]),
               ("decoder.conv_in.2.bias", [4]), ("decoder.conv_out.weight", [2, 4, 1]), *block("decoder.decoder_block.0", "weight", 4, 16),
               ("out_conv.weight", [100, 2, 3])]
    vocos = [("feature_extractor.mel_spec.spectrogram.window", [1024]), ("feature_extractor.mel_spec.mel_scale.fb", [513, 100]),
             ("backbone.embed.weight", [4, 100, 7]), ("backbone.embed.bias", [4])]
    vocos += [(f"backbone.{norm}.{part}", [4]) for norm in ("norm", "final_layer_norm") for part in ("weight", "bias")]
    vocos += [*block("backbone.convnext.0", "gamma", 4, 8), ("head.out.weight", [1026, 4]), ("head.out.bias", [1026]), ("head.istft.window", [1024])]
    files = {"asset/gpt/config.json": json.dumps(config), "asset/gpt/model.safetensors": safetensors(layer, "F32"),
             "asset/Embed.safetensors": safetensors(embed, "F32"), "asset/Decoder.safetensors": safetensors(decoder, "F32"),
             "asset/Vocos.safetensors": safetensors(vocos, "F32"), "asset/tokenizer/tokenizer.json": vocabulary}
    seed("chattts", "published", folder(files))
    voices = {"voices/ann.json": json.dumps({"speaker": "seed:3"}), "voices/bob.json": json.dumps({"sample": "一一一一", "sample_text": "x"})}
    side = {"asset/homophones_map.json": json.dumps({"妳": "你"}, ensure_ascii=False), "asset/spk_stat.txt": base16384(bytes(64))}
    seed("chattts", "with-side-files", folder({**files, **side, **voices}))
    older = {"asset/GPT.pt": torch([(f"gpt.{name}", shape) for name, shape in layer] + embed), "asset/Decoder.pt": torch(decoder), "asset/Vocos.pt": torch(vocos),
             "asset/tokenizer.pt": b"\x80\x02X\x10\0\0\0" + vocabulary + b"."}
    seed("chattts", "older", folder(older))


def base16384(data):
    """Fourteen bits per character from U+4E00 on; the last character encodes the number of bytes modulo 7."""
    bits = "".join(f"{byte:08b}" for byte in data)
    text = "".join(chr(0x4E00 + int(bits[at:at + 14].ljust(14, "0"), 2)) for at in range(0, len(bits), 14))
    return text + (chr(0x3D00 + len(data) % 7) if len(data) % 7 else "")


def lzma2(data, chunk):
    """A raw stream of chunks as they are."""
    pieces = [data[at:at + chunk] for at in range(0, len(data), chunk)]
    return b"".join(bytes([2 if at else 1]) + struct.pack(">H", len(piece) - 1) + piece for at, piece in enumerate(pieces)) + b"\0"


def voice():
    import base64
    lone = (CRATES / "weights/tests/data/torch/lone.pt").read_bytes()
    strings = {"name": "Ann", "seed": "seed:42", "tags": "Hello [laugh] [uv_break]3 times, 你好[break_3] 50%。",
               # 64 numbers, in chunks of one byte: only text longer than a name is an encoded speaker.
               "speaker": base16384(lzma2(bytes(range(128)), 1) + bytes(300)), "zeros": "一" * 404,
               "sample": base16384(struct.pack("<HH", 4, 3) + lzma2(bytes(24), 24)),
               "tensor": base64.b64encode(lone).decode(), "base64": base64.b64encode(bytes(400)).decode()}
    for name, text in strings.items():
        seed("voice", name, text)


# Text ---------------------------------------------------------------------------------------------------------------------

def speech_text():
    texts = {
        "numbers": "It cost $3.50 on 3/4/2024 at 5:30pm; call 555-0199, 1,000,000 times, 50% of 2½ km². IV. No. 5, 1990s, 3rd, -4°C.",
        "web": "Mail ann@example.org or see https://example.org/a?b=c#d, file.txt, v1.2.3, C++, 10.0.0.1, @ann #tag.",
        "markup": "[Mynah](/mˈInə/) said [read](/ɹˈɛd/) and [a](b) [](//) [x](/y/z/) <break time='3s'/>",
        "marks": "“Well—” he said… ‘no’, (yes) [no] {x} *a* _b_ ~c~ `d` \\e\\ a/b 1/2 ½ © ™ € £ ¥ § ¶",
        "chinese": "今天是2024年3月4日，下午3点30分，温度-4℃，价格￥3.50，占50%，共1/3，电话13800138000。",
        "mixed": "我有3个apple, and these are 3 words that follow 你好 5kg A股 CO2 U盘",
        "scripts": "Привет ありがとう 안녕 مرحبا Γειά नमस्ते é ß ﬁ Ⅷ ㊗ 👩‍👩‍👧 \u200b\u202e",
        "abbreviations": "Dr. O'Neil vs. St. John St., e.g. the U.S.A.'s Ph.D. etc. a.m. Mr. & Mrs. Smith's Jan. 5th",
        "long": "flurbington" * 8 + " " + "a " * 60,
    }
    for name, text in texts.items():
        seed("speech_text", name, text)


def subtitles():
    seed("subtitles", "words", "0 0.5  one\n0.5 1  two\n1.25 2  three,\n9 10  late\n")
    seed("subtitles", "odd", "0 0  a --> b\nNaN inf  x\\n\\ny\n-1 -2  <i>&\n1e300 2  z\n5 4 \u2028\n")


# Requests and descriptions ---------------------------------------------------------------------------------------------------

def registration():
    whisper = {"version": 1, "model_name": "my-whisper", "model_family": "whisper", "multilingual": True, "model_uri": "file:///weights/mine"}
    hub = {"model_name": "x", "model_family": "whisper", "multilingual": False, "language": "de", "model_id": "me/x", "model_revision": "main", "model_hub": "modelscope"}
    running = {"model_uid": "u", "model_name": "whisper-base", "model_type": "audio", "replica": 1}
    for name, value in {"whisper": whisper, "hub": hub, "running": running, "odd": {"model_name": "../x", "model_family": 5}}.items():
        seed("registration", name, json.dumps(value))


def http():
    form = lambda parts: "".join(f'--b\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{value}\r\n' for name, more, value in parts) + "--b--\r\n"
    wav = b"RIFF\x64\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\x40\0\0\0" + bytes(range(64))
    multipart = "multipart/form-data; boundary=b"
    fields = [("model", "", "m"), ("language", "", "en"), ("prompt", "", "x"), ("temperature", "", "0.2"), ("timestamp_granularities[]", "", "word"),
              ("response_format", "", "verbose_json"), ("include[]", "", "logprobs"), ("stream", "", "false")]
    head, tail = form([*fields, ("file", '; filename="a.wav"', "@")]).encode().split(b"@")
    for route in ("transcriptions", "translations"):
        seed("http", f"{route}-form", f"POST /v1/audio/{route} {multipart}\n".encode() + head + wav + tail)
    def post(name, path, body, kind="application/json"):
        seed("http", name, f"POST {path} {kind}\n" + (body if isinstance(body, str) else json.dumps(body)))
    import base64
    post("transcriptions-json", "/v1/audio/transcriptions", {"model": "m", "file": base64.b64encode(wav).decode(), "response_format": "srt", "chunking_strategy": {"type": "server_vad"}})
    post("transcriptions-data-url", "/v1/audio/transcriptions", {"model": "m", "file": "data:audio/wav;base64," + base64.b64encode(wav).decode(), "stream": True})
    post("speech", "/v1/audio/speech", {"model": "m", "input": "one two", "voice": {"id": "x"}, "speed": 1.5, "response_format": "pcm", "seed": 7, "kwargs": "{\"seed\": 1}"})
    post("speech-sse", "/v1/audio/speech", {"model": "m", "input": "one", "stream_format": "sse", "timestamp_granularities": ["word"], "sample_rate": 8000})
    post("speech-form", "/v1/audio/speech", form([("model", "", "m"), ("input", "", "x"), ("prompt_speech", '; filename="v.wav"', "RIFF"), ("prompt_text", "", "y")]), multipart)
    post("launch", "/v1/models?wait_ready=false", {"model_name": "whisper-base", "model_type": "audio", "model_uid": "u/v", "replica": 1, "quantization": "int8", "n_gpu": "auto", "model_path": "/nowhere"})
    post("register", "/v1/model_registrations/audio", {"model": json.dumps({"model_name": "r", "model_family": "whisper", "model_uri": "file:///x"}), "persist": False})
    post("token", "/token", {"username": "ann", "password": "x"})
    post("key", "/v1/admin/keys", {"name": "k", "rights": ["use"], "expires": "1d", "requests_per_minute": 5})
    for name, path in {"models": "/v1/models?all=true", "model": "/v1/models/m", "events": "/v1/models/u/events?limit=1", "voices": "/v1/audio/voices?model=hibari",
                       "cached": "/v1/cache/models?model_name=x", "engines": "/v1/engines/audio/whisper-base", "progress": "/v1/models/a%2Fb/progress"}.items():
        seed("http", f"get-{name}", f"GET {path} \n")
    seed("http", "delete", "DELETE /v1/models/u%2Fv \n")


def hibari():
    """The beginnings of a network, and front-end files with a few words."""
    varint = lambda n: bytes([n & 0x7F | 0x80]) + varint(n >> 7) if n > 0x7F else bytes([n])
    message = lambda number, content: varint(number << 3 | 2) + varint(len(content)) + content
    number = lambda field, value: varint(field << 3) + varint(value)
    def tensor(name, shape, data_type, data):
        return message(5, b"".join(number(1, size) for size in shape) + number(2, data_type) + message(8, name.encode()) + message(9, data))
    node = message(1, message(1, b"x") + message(2, b"y") + message(4, b"Conv") + message(5, message(1, b"dilations") + message(8, varint(3))))
    model = message(7, node + tensor("w.weight", [2, 1, 3], 1, bytes(24)) + tensor("q", [4], 3, bytes(4)))
    lexicon = json.dumps({"hello": "həlˈO", "read": {"DEFAULT": "ɹˈid", "VBD": "ɹˈɛd"}, "a": "ɐ"}, ensure_ascii=False)
    tagger = {"tags": ["DT", "NN", "VBD"], "tagdict": {"the": "DT"}, "vocab": ["hello"], "weights": {"bias": {"NN": 1.0}, "i suffix lo": {"VBD": -0.5}}}
    alphabet = json.dumps({"in": list("_abcdefghijklmnopqrstuvwxyz"), "out": list("_ɐbˈ"), "slots": 2, "maxlen": 4})
    files = {"hibari.onnx": model, "tokenizer_exceptions.json": json.dumps({"it's": ["it", "'s"]}), "tagger.json": json.dumps(tagger)}
    files |= {f"lexicon_{which}_{kind}.json": lexicon for which in ("us", "gb") for kind in ("gold", "silver")}
    files |= {"oov.onnx": model, "oov.json": alphabet, "oov_gb.onnx": model, "oov_gb.json": alphabet}
    seed("hibari", "voice", folder(files))


TARGETS = {name: value for name, value in list(globals().items())
           if name in ("audio", "chattts", "checkpoint", "hibari", "http", "registration", "speech_text", "subtitles", "tokenizer", "voice")}

if __name__ == "__main__":
    if not shutil.which("ffmpeg"):
        sys.exit("ffmpeg is needed")
    for name in sys.argv[1:] or TARGETS:
        TARGETS[name]()
