"""Tables and plots of the results that all.py keeps, written into docs/internals/measurements.md between its two marks."""
import json
import os
import pathlib
import platform
import statistics
import sys

import matplotlib

matplotlib.use("svg")
# The same figures give the same file.
matplotlib.rcParams["svg.hashsalt"] = "mynah"
# Text as text: less than half of the size, and it can be read in a diff.
matplotlib.rcParams["svg.fonttype"] = "none"
from matplotlib import pyplot  # noqa: E402  (after the choice of the backend)

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "internals" / "measurements.md"
PLOTS = ROOT / "docs" / "plots"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
OURS = "mynah"


def machine():
    cpu = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return f"{len(cpu)} x {cpu[0]}, {memory_gb:.0f} GB, {platform.system()} {platform.release().split('-')[0]}"


def table(heads, rows):
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def save(figure, name, text):
    """Saves a plot and gives the Markdown that shows it."""
    PLOTS.mkdir(parents=True, exist_ok=True)
    figure.savefig(PLOTS / f"{name}.svg", bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)
    return f"![{text}](../plots/{name}.svg)"


def bars(groups, name, text, unit):
    """A group of horizontal bars each; `groups` is title -> label -> value, ours first and in another colour."""
    figure, axes = pyplot.subplots(1, len(groups), figsize=(4.2 * len(groups), 0.34 * max(map(len, groups.values())) + 1))
    for axis, (title, values) in zip(figure.axes if len(groups) > 1 else [axes], groups.items()):
        labels = list(values)
        axis.barh(labels, values.values(), color=["#1b7f5c" if label.startswith(OURS) else "#b8bec6" for label in labels])
        axis.bar_label(axis.containers[0], fmt="%.3g", padding=3, fontsize=8)
        axis.invert_yaxis()
        axis.margins(x=0.15)
        axis.set_title(title, fontsize=9)
        axis.set_xlabel(unit, fontsize=8)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    return save(figure, name, text)


def throughput(text):
    return f"What the machine can do and what the kernels reach of it (percentages are explained above):\n\n```text\n{text.strip()}\n```"


def transcribe(results, model):
    first = results.pop("first line")
    seconds = {group: {name: statistics.median(r["seconds"]) / r["audio"] for name, r in runs.items()}
               for group, runs in results.items()}
    groups, programs = list(seconds), list(first)
    peak = {name: max(results[group][name]["peak_mib"] for group in groups) for name in programs}
    rows = [[name, *(f"{seconds[group][name]:.4f} ({seconds[group][name] / seconds[group][programs[0]]:.2f})" for group in groups),
             f"{peak[name]:.0f} MiB", f"{first[name]:.2f} s"] for name in programs]
    audio = ", ".join(f"{group}: {next(iter(results[group].values()))['audio']:.0f} s" for group in groups)
    return "\n\n".join([
        f"Transcription with {model}: seconds of a whole process per second of audio, and the ratio to the first row ({audio}); "
        "peak memory; time from the start of the process to its first line of text, for the shortest recording:",
        table(["", *groups, "peak memory", "first line"], rows),
        bars(seconds, f"transcribe-{model}", f"Seconds of computing per second of audio with {model}, by length of the recordings",
             "seconds per second of audio"),
    ])


def load(results):
    servers = list(dict.fromkeys(r["server"] for r in results))
    rows = [[f"{r['clients']}{', with a long file' if r['long'] else ''}", r["server"], f"{r['requests_per_s']:.2f}",
             f"{r['p50_s']:.2f} s", f"{r['p95_s']:.2f} s", f"{r['peak_mib']:.0f} MiB", str(r["refused"])]
            for r in sorted(results, key=lambda r: (r["long"], r["clients"], r["server"] != OURS))]
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3))
    for axis, key, title in [(axes[0], "requests_per_s", "clips per second"), (axes[1], "p95_s", "95th percentile, seconds")]:
        for server in servers:
            for beside, style in [(False, "-o"), (True, "--o")]:
                points = sorted((r["clients"], r[key]) for r in results if r["server"] == server and r["long"] == beside)
                if points:
                    axis.plot(*zip(*points), style, label=server + (", with a long file" if beside else ""),
                              color="#1b7f5c" if server == OURS else "#7a828c", markersize=4)
        axis.set_xscale("log", base=2)
        axis.set_xticks(sorted({r["clients"] for r in results}), sorted({r["clients"] for r in results}))
        axis.set_xlabel("clients", fontsize=8)
        axis.set_title(title, fontsize=9)
        axis.tick_params(labelsize=8)
        axis.set_ylim(bottom=0)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(fontsize=7)
    figure.tight_layout()
    return "\n\n".join([
        "Many clients at once, each sending one clip under 10 s after the other:",
        table(["clients", "server", "clips per second", "median", "95th percentile", "peak memory", "refused"], rows),
        save(figure, "load", "Clips per second and 95th percentile of the response time, by number of clients"),
    ])


def large(results):
    rows = [[r["size"], r["compute"], name, f"{r[name]['window_s']:.2f} s", f"{r[name]['window_s'] / r['mynah']['window_s']:.2f}",
             f"{1e3 * r[name]['token_s']:.1f} ms", f"{r[name]['token_s'] / r['mynah']['token_s']:.2f}"]
            for r in results for name in ("mynah", "CTranslate2")]
    return "\n\n".join([
        "Larger sizes with random weights, the network alone: encoding a window of 30 s (mynah's time includes the keys and values "
        "that the decoder attends to, which CTranslate2 computes with the first token), a token with 5 beams, and the ratios:",
        table(["size", "weights", "", "window", "ratio", "token", "ratio"], rows),
    ])


def speak(results):
    rows, groups = [], {}
    for threads, runs in results.items():
        median = {name: {
            "audio_per_s": statistics.median(r["long"]["audio"] / r["long"]["seconds"] for r in rounds),
            "first_s": statistics.median(r["short"]["first"] for r in rounds),
            "process_s": statistics.median(r["process"]["seconds"] for r in rounds),
            "peak_mib": statistics.median(r["peak_mib"] for r in rounds)} for name, rounds in runs.items()}
        groups[f"{threads} threads" if threads != "1" else "1 thread"] = {n: m["audio_per_s"] for n, m in median.items()}
        rows += [[threads, name, f"{m['audio_per_s']:.0f}", f"{1e3 * m['first_s']:.0f} ms", f"{m['process_s']:.2f} s",
                  f"{m['peak_mib']:.0f} MiB"] for name, m in median.items()]
    return "\n\n".join([
        "Speech synthesis with hibari: seconds of audio per second with the model loaded, first audio of 2 000 characters, whole "
        "process for the longer text, peak memory:",
        table(["threads", "", "audio per second", "first audio", "whole process", "peak memory"], rows),
        bars(groups, "speak", "Seconds of speech per second", "seconds of audio per second"),
    ])


def chattts(results):
    median = results["median"]
    names = {"int8": "mynah int8", "f32": "mynah f32", "torch": "PyTorch"}
    show = lambda m, key, form: format(m[key], form) if key in m else ""
    rows = [[names[n], f"{median[n]['steps_per_s']:.1f}", show(median[n], "sound_s_per_audio_s", ".3f"),
             show(median[n], "real_time_factor", ".2f"), show(median[n], "two_requests_cost", ".2f"),
             show(median[n], "peak_mb", ".0f")] for n in names]
    return "\n\n".join([
        "ChatTTS with random weights of the full size: steps per second, seconds that mel decoder and Vocos take and seconds that all "
        "takes for a second of audio, two requests at once against one, peak MB:",
        table(["", "steps per second", "mel decoder and Vocos", "all", "two at once", "peak MB"], rows),
        bars({"steps per second": {names[n]: median[n]["steps_per_s"] for n in names}}, "chattts",
             "Steps of ChatTTS's language model per second", "steps per second"),
    ])


def dropin(results):
    rows = [[name, f"{results['medians'][name]:.2f}", f"{theirs:.1f}"] for name, theirs in results["xinference"].items()]
    return "\n\n".join([
        "Against Xinference 4.1.0, whose figures are of another machine of this size:",
        table(["", "mynah", "Xinference"], rows),
    ])


def main():
    results = pathlib.Path(sys.argv[1])
    parts = [f"Machine: {machine()}."]
    if (results / "throughput.txt").exists():
        parts.append(throughput((results / "throughput.txt").read_text()))
    for file in sorted(results.glob("transcribe-*.json")):
        parts.append(transcribe(json.loads(file.read_text()), file.stem.split("-", 1)[1]))
    for part in [load, large, speak, chattts, dropin]:
        file = results / f"{part.__name__}.json"
        if file.exists():
            parts.append(part(json.loads(file.read_text())))
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n\n" + "\n\n".join(parts) + f"\n\n{END}{after}")


if __name__ == "__main__":
    main()
