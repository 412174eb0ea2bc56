"""Error rates and times of words and segments beside faster-whisper's on the same weights; see README.md beside this file."""
import argparse
import collections
import difflib
import json
import os
import pathlib
import statistics
import subprocess

from common import ROOT, WORK, faster_whisper_python, mynah, whisper_base

# Tags of clips that no error rate should count: other formats of a clip, synthetic speech, digits of which the reference
# is one spelling of many.
LEFT_OUT = {"not-for-wer", "format", "probably-tts", "concatenated-single-digits"}
UNSPACED = {"zh", "ja", "yue", "th", "lo", "my"}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", help="JSON lines with file, language, text, translation_en, tags, seconds")
    parser.add_argument("--tasks", nargs="*", default=["transcribe", "translate", "nospeech", "times"])
    parser.add_argument("--programs", nargs="*", default=["faster-whisper float32", "mynah f32", "mynah auto"])
    parser.add_argument("--languages", nargs="*", help="only these")
    parser.add_argument("--model-path", help="CTranslate2 folder that both read (default: whisper-base, fetched)")
    parser.add_argument("--options", nargs="*", default=[], help="more options for mynah, without their dashes")
    parser.add_argument("--label", default="", help="keep mynah's answers under this name, and use them again")
    parser.add_argument("--delays-ms", type=int, nargs="*", default=[0],
                        help="transcribe each recording with so much silence before it, once for each: as many samples more")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--again", action="store_true", help="use no kept answers")
    args = parser.parse_args()
    args.model_path = args.model_path or whisper_base()
    rows = [json.loads(line) for line in open(args.manifest, encoding="utf-8")]
    root = pathlib.Path(args.manifest).parent
    for row in rows:
        row["language"] = (row["language"] or "").split("-")[0] or None
    if args.languages:
        rows = [row for row in rows if row["language"] in args.languages]
    rows = [delayed(row, root, delay_ms) for delay_ms in args.delays_ms for row in rows]
    for task in args.tasks:
        wanted = [row for row in rows if belongs(row, task)]
        if not wanted:
            continue
        answers = {program: answer(program, task, wanted, root, args) for program in args.programs}
        print(f"\n{task}: {len(wanted)} recordings, {sum(row['seconds'] for row in wanted) / 60:.1f} minutes")
        {"nospeech": report_empty, "times": report_times}.get(task, report_rates)(task, wanted, answers)


def delayed(row, root, delay_ms):
    """The row of the recording with silence before it. Decoding hard speech is chaotic: small changes of the input draw
    another sample of its errors, and the mean over several says more than one."""
    if not delay_ms or not row["text"]:
        return row
    name = f"{delay_ms}ms/{row['file']}.wav"
    to = WORK / "delayed" / name
    if not to.exists():
        to.parent.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", root / row["file"], "-ac", "1", "-ar", "16000",
                               "-af", f"adelay={delay_ms}:all=1", to])
        if done.returncode:
            return {**row, "text": ""}
    return {**row, "file": str(to.resolve())}


def belongs(row, task):
    if task == "nospeech":
        return not row["text"] and row["file"].startswith("nospeech/")
    if not row["text"] or LEFT_OUT & set(row.get("tags") or ()):
        return False
    if task == "translate":
        return bool(row["translation_en"]) and row["language"] not in (None, "en")
    return row["language"] == "en" if task == "times" else row["language"] is not None


def answer(program, task, rows, root, args):
    """File -> transcript. Kept in target/bench, so that another contestant can be added later."""
    name = "-".join([program.replace(" ", "-"), task, pathlib.Path(args.model_path).parent.name,
                     *([args.label] if args.label and program.startswith("mynah") else [])])
    kept = WORK / "accuracy" / f"{name}.jsonl"
    kept.parent.mkdir(parents=True, exist_ok=True)
    known = {}
    if kept.exists() and not args.again and (program.startswith("faster-whisper") or args.label):
        known = {r["file"]: r for r in map(json.loads, open(kept, encoding="utf-8"))}
    missing = collections.defaultdict(list)
    for row in rows:
        if row["file"] not in known:
            missing[row["language"] or ""].append(row["file"])
    for language, files in missing.items():
        for file, line in zip(files, run(program, task, language, [str(root / file) for file in files], args)):
            known[file] = {**json.loads(line), "file": file}
        # Written after each language: an interrupted run goes on from there.
        with open(kept, "w", encoding="utf-8") as out:
            out.writelines(json.dumps(r, ensure_ascii=False) + "\n" for r in known.values())
    return known


def run(program, task, language, files, args):
    contestant, compute = program.split()
    common = [*(["--language", language] if language else []), "--compute", compute, "--threads", str(args.threads),
              "--model-path", args.model_path]
    if contestant == "mynah":
        command = [mynah(), "translate" if task == "translate" else "transcribe", "--quiet", *common,
                   "--format", "verbose_json", *(["--word-timestamps"] if task == "times" else []),
                   *("--" + option for option in args.options)]
    else:
        command = [faster_whisper_python(), ROOT / "bench" / "faster_whisper_cli.py", *common,
                   "--task", "translate" if task == "translate" else "transcribe",
                   *(["--vad"] if task == "nospeech" else []), *(["--words"] if task == "times" else [])]
    done = subprocess.run([*map(str, command), *files], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.splitlines()


def length(seconds):
    return next((f"under {end} s" for end in (3, 5, 10, 30) if seconds < end), "longer")


def report_rates(task, rows, answers):
    import jiwer
    from whisper_normalizer.basic import BasicTextNormalizer
    from whisper_normalizer.english import EnglishTextNormalizer
    english, spaced, unspaced = EnglishTextNormalizer(), BasicTextNormalizer(), BasicTextNormalizer(split_letters=True)
    rates = collections.defaultdict(dict)
    for program, known in answers.items():
        counts = collections.defaultdict(lambda: [0, 0])
        for row in rows:
            written = row["translation_en"] if task == "translate" else row["text"]
            language = "en" if task == "translate" else row["language"]
            normal = english if language == "en" else unspaced if language in UNSPACED else spaced
            reference, transcribed = normal(written).strip(), normal(known[row["file"]]["text"]).strip()
            words = len(reference.split())
            if not words:
                continue
            measured = jiwer.process_words(reference, transcribed) if transcribed else None
            errors = measured.substitutions + measured.deletions + measured.insertions if measured else words
            which = "en" if row["language"] == "en" else "all but en"
            for group in {row["language"], "all", which, f"{which}, {length(row['seconds'])}"}:
                counts[group][0] += errors
                counts[group][1] += words
        for group, (errors, words) in counts.items():
            rates[group, words][program] = 100 * errors / words
    print(f"{'':24}{'words':>7}" + "".join(f"{program:>26}" for program in answers))
    for (group, words), by_program in sorted(rates.items(), key=lambda item: (len(item[0][0]) > 2, item[0])):
        print(f"{group:24}{words:7}" + "".join(f"{by_program[program]:24.2f} %" for program in answers))


def report_empty(_task, rows, answers):
    for program, known in answers.items():
        transcribed = {row["file"]: known[row["file"]]["text"].strip() for row in rows}
        empty = sum(not text for text in transcribed.values())
        print(f"  {program:26} empty {empty} of {len(rows)}")
        for file, text in transcribed.items():
            if text:
                print(f"      {file}: {text[:70]!r}")


def report_times(_task, rows, answers):
    """Differences to the first program: starts and ends of words that both transcribed, ends of segments with equal text."""
    (first, reference), *others = answers.items()
    for program, known in others:
        words, segments, backwards = [], [], 0
        for row in rows:
            theirs, ours = reference[row["file"]], known[row["file"]]
            words += differences(theirs.get("words") or [], ours.get("words") or [], "word")
            segments += differences(theirs["segments"], ours["segments"], "text")
            times = [t for s in ours["segments"] for t in (s["start"], s["end"])]
            backwards += sum(b < a for a, b in zip(times, times[1:]))
        print(f"  {program} against {first}: {len(words) // 2} words, median difference of their times "
              f"{1000 * statistics.median(words):.0f} ms; {len(segments) // 2} segments, median "
              f"{statistics.median(segments or [0]):.2f} s; times that go backwards: {backwards}")


def differences(theirs, ours, key):
    plain = [[item[key].strip().lower().strip(".,!?;:\"") for item in items] for items in (theirs, ours)]
    matcher = difflib.SequenceMatcher(None, *plain, autojunk=False)
    pairs = [(theirs[m.a + i], ours[m.b + i]) for m in matcher.get_matching_blocks() for i in range(m.size)]
    return [abs(a[edge] - b[edge]) for a, b in pairs for edge in ("start", "end")]


if __name__ == "__main__":
    main()
