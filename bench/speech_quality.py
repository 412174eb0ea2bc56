"""How well speech is understood, and how near it is to the Python package's; see README.md beside this file."""
import argparse
import json
import pathlib
import subprocess
import sys

from common import ROOT, SENTENCES, WORK, hibari_python, mynah, run, target

HERE = pathlib.Path(__file__).parent


def speak_all(program, interpreter, count, seed):
    """One wave file a sentence from each; and the package's phonemes."""
    folders = {name: WORK / f"spoken-{name}-{seed}" for name in ["mynah", "hibari-tts"]}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    sentences = SENTENCES.read_text().splitlines()[:count]
    for number, sentence in enumerate(sentences):
        output = folders["mynah"] / f"{number}.wav"
        subprocess.run([program, "--quiet", "speak", sentence, "--seed", str(seed), "-o", output], check=True)
    chosen = WORK / "sentences.txt"
    chosen.write_text("\n".join(sentences) + "\n")
    command = [interpreter, HERE / "hibari_cli.py", "--text", chosen, "--seed", seed, "--wav-dir", folders["hibari-tts"]]
    reported = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout
    return folders, sentences, [json.loads(line)["phonemes"] for line in reported.splitlines()]


def understood(program, folders, sentences):
    """Word error rate in per cent of each speaker, transcribed by whisper-base."""
    import jiwer
    from whisper_normalizer.english import EnglishTextNormalizer

    plain = EnglishTextNormalizer()
    rates = {}
    for name, folder in folders.items():
        files = [folder / f"{number}.wav" for number in range(len(sentences))]
        command = [program, "--quiet", "transcribe", "--language", "en", "--format", "json", *files]
        reported = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout
        transcribed = {json.loads(line)["file"]: json.loads(line)["text"] for line in reported.splitlines()}
        pairs = [(plain(sentence), plain(transcribed[str(file)])) for sentence, file in zip(sentences, files)]
        rates[name] = 100 * jiwer.wer([said for said, _ in pairs], [got for _, got in pairs])
        print(f"\n{name}: {rates[name]:.2f} % of words wrong in {len(pairs)} sentences")
        for said, got in pairs:
            if said != got:
                print(f"  said  {said}\n  transcribed {got}")
    return rates


def log_mel(samples):
    """80 bands of 24 kHz samples, natural logarithm of the power, frames of 1024 every 256."""
    import numpy as np

    window = np.hanning(1025)[:-1]
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(samples, 512), 1024)[::256]
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2
    top = 2595 * np.log10(1 + 12_000 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, 82) / 2595) - 1)
    hz = np.fft.rfftfreq(1024, 1 / 24_000)
    rising = (hz - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - hz) / np.diff(edges)[1:, None]
    bands = np.maximum(0, np.minimum(rising, falling))
    return np.log(power @ bands.T + 1e-5)


def samples(file):
    import wave

    import numpy as np

    with wave.open(str(file)) as reader:
        return np.frombuffer(reader.readframes(reader.getnframes()), "<i2") / 32768


def alike(phonemes, ours, theirs, theirs_again):
    """The same phonemes through both: distance of log-mel spectra and difference in length, in frames of 300 samples."""
    import numpy as np

    run(["cargo", "build", "--release", "-p", "mynah-models", "--example", "hibari"], cwd=ROOT)
    voice = WORK / "home" / "models" / "hibari"
    distances, floors, lengths = [], [], []
    for number, parts in enumerate(phonemes):
        file = ours / f"phonemes-{number}.wav"
        command = [target() / "examples" / "hibari", voice, "--wav", file]
        subprocess.run(list(map(str, command)), input="\n".join(parts) + "\n", text=True, check=True, capture_output=True)
        a, b, c = samples(file), samples(theirs / f"{number}.wav"), samples(theirs_again / f"{number}.wav")
        lengths.append(abs(len(a) - len(b)) / 300)
        size = min(len(a), len(b), len(c))
        a, b, c = (log_mel(x[:size]) for x in (a, b, c))
        distances.append(np.abs(a - b).mean())
        floors.append(np.abs(b - c).mean())
    decibels = 10 / np.log(10)
    print(f"\nthe same phonemes, {len(phonemes)} sentences: mean log-mel distance {np.mean(distances):.3f} "
          f"({np.mean(distances) * decibels:.2f} dB); of the package with another seed {np.mean(floors):.3f} "
          f"({np.mean(floors) * decibels:.2f} dB)")
    print(f"largest difference in length: {max(lengths):.0f} frames of 12.5 ms")
    return {"log_mel": distances, "log_mel_other_seed": floors, "frames": lengths}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sentences", type=int, default=100)
    parser.add_argument("--alike", type=int, default=20, help="sentences whose spectra are compared")
    parser.add_argument("--json", help="write all figures here")
    args = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    interpreter = hibari_python()
    if pathlib.Path(sys.prefix) != interpreter.parent.parent:
        # The packages are in that environment.
        raise SystemExit(subprocess.run([interpreter, *sys.argv]).returncode)
    program = mynah("hibari", "whisper-base")
    again, _, _ = speak_all(program, interpreter, args.alike, 1)
    folders, sentences, phonemes = speak_all(program, interpreter, args.sentences, 0)
    results = alike(phonemes[: args.alike], folders["mynah"], folders["hibari-tts"], again["hibari-tts"])
    results["wer"] = understood(program, folders, sentences)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
