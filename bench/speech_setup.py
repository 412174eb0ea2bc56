"""What both benchmarks of speech need: the program, its voice, and the Python package it is measured against."""
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = ROOT / "target" / "bench"
SENTENCES = pathlib.Path(__file__).with_name("sentences.txt")
# [fast] is scipy, with which the package is quicker.
PINNED = ["hibari-tts[fast]==0.2.1", "onnxruntime==1.32.0", "jiwer==4.0.0", "whisper-normalizer==0.1.15"]


def run(command, **options):
    print("$", " ".join(map(str, command)), file=sys.stderr)
    subprocess.run(list(map(str, command)), check=True, stdout=sys.stderr, **options)


def python():
    """Python with the package, in an environment of its own."""
    environment = WORK / "speech-venv"
    stamp = environment / "installed"
    if not stamp.exists() or stamp.read_text() != "\n".join(PINNED):
        run([sys.executable, "-m", "venv", "--clear", environment])
        run([environment / "bin" / "pip", "install", "-q", *PINNED])
        stamp.write_text("\n".join(PINNED))
    return environment / "bin" / "python"


def target():
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"


def mynah(*models):
    """The program with these models in a store below target/bench."""
    run(["cargo", "build", "--release", "--bin", "mynah"], cwd=ROOT)
    os.environ["MYNAH_HOME"] = str(WORK / "home")
    for model in models:
        run([target() / "mynah", "--quiet", "pull", model])
    return target() / "mynah"
