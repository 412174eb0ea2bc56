"""What the benchmarks share: programs and weights, fetched or built at first use."""
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = ROOT / "target" / "bench"
PINNED = ["faster-whisper==1.2.1", "jiwer==4.0.0", "whisper-normalizer==0.1.15"]


def run(command, **options):
    """Runs a command, its output among the progress messages."""
    print("$", " ".join(map(str, command)), file=sys.stderr)
    subprocess.run(list(map(str, command)), check=True, stdout=sys.stderr, **options)


def mynah_program():
    """Path of the program: MYNAH_PROGRAM, or what is built from this checkout."""
    if "MYNAH_PROGRAM" in os.environ:
        return pathlib.Path(os.environ["MYNAH_PROGRAM"]).resolve()
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    program = target / "release" / "mynah"
    if program not in _built:
        run(["cargo", "build", "--release", "--quiet", "--bin", "mynah"], cwd=ROOT)
        _built.add(program)
    return program


_built = set()


def faster_whisper_python():
    """Python with faster-whisper and what scoring needs, in an environment of its own."""
    environment = WORK / "venv"
    if not environment.exists():
        run([sys.executable, "-m", "venv", environment])
        run([environment / "bin" / "pip", "install", "-q", *PINNED])
    return environment / "bin" / "python"


def whisper_base():
    """CTranslate2 folder of whisper-base, which every program but whisper.cpp reads."""
    home = WORK / "home"
    run([mynah_program(), "pull", "whisper-base"], env={**os.environ, "MYNAH_HOME": str(home)})
    return str(home / "models" / "whisper-base")
