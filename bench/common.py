"""What the benchmarks share: programs, environments and weights, built or fetched at first use."""
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = ROOT / "target" / "bench"
# Sentences of our own.
SENTENCES = pathlib.Path(__file__).with_name("sentences.txt")
SCORING = ["jiwer==4.0.0", "whisper-normalizer==0.1.15"]
# safetensors is for checkpoints of random weights.
LISTENING = ["faster-whisper==1.2.1", "safetensors==0.8.0", *SCORING]
# [fast] is scipy, with which the package is quicker.
SPEAKING = ["hibari-tts[fast]==0.2.1", "onnxruntime==1.32.0", *SCORING]


def run(command, **options):
    """Runs a command, its output among the progress messages."""
    print("$", " ".join(map(str, command)), file=sys.stderr)
    subprocess.run(list(map(str, command)), check=True, stdout=sys.stderr, **options)


def audio_seconds(file):
    """Length of a recording; `None` if it is none."""
    out = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", file],
        capture_output=True, text=True)
    try:
        return float(out.stdout.strip())
    except ValueError:
        return None


def recordings(paths):
    """Files, and the recordings in folders and below."""
    kinds = {".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a"}
    for path in map(pathlib.Path, paths):
        files = sorted(p for p in path.rglob("*") if p.suffix in kinds) if path.is_dir() else [path]
        yield from (str(f) for f in files)


def target():
    """Where cargo puts programs."""
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"


def mynah(*models):
    """Path of the program (MYNAH_PROGRAM, or built from this checkout), these models in a store below target/bench."""
    program = os.environ.get("MYNAH_PROGRAM")
    if not program:
        run(["cargo", "build", "--release", "--quiet", "--bin", "mynah"], cwd=ROOT)
        program = target() / "mynah"
    os.environ["MYNAH_HOME"] = str(WORK / "home")
    for model in models:
        run([program, "--quiet", "pull", model])
    return program


def whisper_base():
    """CTranslate2 folder of whisper-base, which every program but whisper.cpp reads."""
    mynah("whisper-base")
    return str(WORK / "home" / "models" / "whisper-base")


def python(name, packages):
    """Python with these packages, in an environment of its own."""
    environment = WORK / name
    stamp = environment / "installed"
    if not stamp.exists() or stamp.read_text() != "\n".join(packages):
        run([sys.executable, "-m", "venv", "--clear", environment])
        run([environment / "bin" / "pip", "install", "-q", *packages])
        stamp.write_text("\n".join(packages))
    return environment / "bin" / "python"


def faster_whisper_python():
    """Python with faster-whisper and what scoring needs."""
    return python("listening", LISTENING)


def hibari_python():
    """Python with hibari's package and what scoring needs."""
    return python("speaking", SPEAKING)
