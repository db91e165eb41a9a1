"""Writes the results of all benchmarks as tables: README.md beside them.

python -m benchmarks.tables [FOLDER]
"""

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.markdown import table
from benchmarks.report import RESULTS
from benchmarks.strategy_tables import heterogeneity, robustness

_HEAD = """# What was measured

Written by `python -m benchmarks.tables` from the files beside this one, which `make bench` writes.
A ratio compares two things that ran one after the other, over and over, on the same machine: other
machines give other figures, and much the same ratios. Each file names the command, the machine and
the versions, and holds what the medians are of.
"""


def write(folder: Path) -> Path:
    """Write ``README.md`` of the results in a folder; its path."""
    results = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    parts = [_HEAD, _machine(results), _goals(results)]
    for name, section in _SECTIONS.items():
        if name in results:
            parts.append(section(results[name]))
    if {"server_memory", "flower_memory"} <= results.keys():
        parts.append(_memory(results["server_memory"], results["flower_memory"]))
    path = folder / "README.md"
    path.write_text("\n".join(parts))
    return path


def _machine(results: dict[str, Any]) -> str:
    machines = {
        f"{told['processor']}, {told['cores']} cores, {told['system']}, Python {told['python']}, "
        + ", ".join(f"{name} {number}" for name, number in told["packages"].items())
        for told in (result["machine"] for result in results.values() if "machine" in result)
    }
    return "\n".join(f"Machine: {each}.\n" for each in sorted(machines))


def _goals(results: dict[str, Any]) -> str:
    rows = [
        [
            claim["what"],
            claim["against"] or "–",
            _figure(claim["ours"], claim["unit"]),
            "–" if claim["theirs"] is None else _figure(claim["theirs"], claim["unit"]),
            "–" if claim["ratio"] is None else f"**{_number(claim['ratio'])} ×**",
            _goal(claim),
            f"[{name}]({name}.json)",
        ]
        for name, result in results.items()
        for claim in result.get("claims", [])
        if claim["against"] or claim["goal"] is not None
    ]
    head = ["what", "against", "Fedbell", "the other", "ratio", "goal", "from"]
    return f"## Goals and what came of them\n\n{table(head, rows)}"


def _goal(claim: dict[str, Any]) -> str:
    if claim["goal"] is None:
        return "–"
    sign = "≥" if claim["limit"] == "at least" else "≤"
    unit = " ×" if claim["ratio"] is not None else f" {claim['unit']}"
    return f"{sign} {_number(claim['goal'])}{unit}: {'reached' if claim['reached'] else 'missed'}"


def _memory(ours: dict[str, Any], flower: dict[str, Any]) -> str:
    model = ours["model_bytes"] / 1e6
    if any(run["megabytes_of_a_model"] != model for run in flower["runs"]):
        return "Memory: the two were measured with models of different sizes."
    rows = [
        [f"Fedbell: {name}", f"{run['idle']['rss']:.0f}", grown]
        for name, run in ours.items()
        if isinstance(run, dict) and "most_growth" in run
        for grown in [f"{run['most_growth']['rss'] / model:.2f}"]
    ]
    for run in flower["runs"]:
        grown = (run["most"]["rss"] - run["idle"]["rss"]) / run["megabytes_of_a_model"]
        name = f"Flower {flower['flower']}: {run['clients']} clients"
        rows.append([name, f"{run['idle']['rss']:.0f}", f"{grown:.1f}"])
    head = ["server side", "at rest, MB", "grows by at most, in models"]
    title = f"Memory while updates come in and are averaged, models of {model:.1f} MB"
    few, many = flower["runs"][0], flower["runs"][-1]
    theirs = (many["most"]["rss"] - few["most"]["rss"]) / (many["clients"] - few["clients"])
    fewer, more = (ours[f"several arrays, {number} updates"] for number in (10, 100))
    grown = more["most_growth"]["rss"] - fewer["most_growth"]["rss"]
    note = (
        "Four devices send at a time. Flower's figures hold its ServerApp, a process that starts "
        "with the run, and that app's check of the result, some models in all; what is "
        "comparable is what each further update adds: "
        f"{grown / (more['updates'] - fewer['updates']) / model:.3f} models here, "
        f"{theirs / model:.1f} there.\n"
    )
    return f"## {title}\n\n{table(head, rows)}\n{note}"


def _runtimes(result: dict[str, Any]) -> str:
    sizes = result["megabytes_installed"]
    rows = [
        [
            name,
            f"{speed:.0f}",
            f"{result['difference_from_keras'][name]:.0e}",
            f"{sizes[name.split()[0]]} MB" if name.split()[0] in sizes else "–",
        ]
        for name, speed in result["pictures_per_second"].items()
    ]
    head = ["runtime", "pictures/s", "differs from Keras by", "would add"]
    return f"## Runtimes of a frozen MobileNet 1.0, 224 pixels\n\n{table(head, rows)}"


def _accuracy(result: dict[str, Any]) -> str:
    names = list(result["tasks"])
    first = result["tasks"][names[0]]["accuracy"]
    rows = [
        [run, *(f"{result['tasks'][name]['accuracy'][run]['mean']:.3f}" for name in names)]
        for run in first
    ]
    return f"## What a federation gains: test accuracy\n\n{table(['trained on', *names], rows)}"


def _quality(result: dict[str, Any]) -> str:
    names = list(next(iter(result["accuracy"].values())))
    rows = [
        [backbone, *(f"{scores[name]:.3f}" for name in names)]
        for backbone, scores in result["accuracy"].items()
    ]
    title = "A linear classifier on each backbone's features: test accuracy"
    return f"## {title}\n\n{table(['backbone', *names], rows)}"


def _growth(result: dict[str, Any]) -> str:
    title = "How a round and the main server's memory grow"
    parts = [f"## {title}\n\n![The tables below, drawn](growth.svg)\n"]
    for rows, head in (("by_devices", "devices"), ("by_model_size", "MB a model")):
        key = "devices" if rows == "by_devices" else "model_mb"
        steps = list(result[rows][0]["seconds"])
        cells = [
            [
                _number(row[key]),
                *(f"{row['seconds'][step]:.3f}" for step in steps),
                f"{sum(row['seconds'].values()):.2f}",
                f"{row['main_server_processor_seconds']:.2f}",
                f"{row['idle_mb']:.0f}",
                f"{row['peak_mb']:.0f}",
            ]
            for row in result[rows]
        ]
        columns = [head, *(f"{step}, s" for step in steps), "round, s", "its processor, s"]
        parts.append(table([*columns, "memory at rest, MB", "at most, MB"], cells))
    limit = result["limit"]
    parts.append(
        f"With {limit['devices']} devices {limit['updates_per_second']:.0f} updates come in a "
        f"second, and {limit['processors_busy']:.1f} of the machine's processors are busy.\n"
    )
    return "\n".join(parts)


def _async(result: dict[str, Any]) -> str:
    moments = [0.25, 0.5, 1.0]
    rows = []
    for way in result["ways"]:
        accuracy = way["accuracy"]
        rows.append(
            [
                way["name"],
                f"{way['updates']}",
                f"{way['updates_of_the_slow_one']}",
                f"{way['versions']}",
                f"{way['connections_reset']} of {way['connections']}",
                *(f"{accuracy[round(part * (len(accuracy) - 1))]:.3f}" for part in moments),
            ]
        )
    seconds = [f"accuracy after {part * result['seconds']:.0f} s" for part in moments]
    head = ["way", "updates", "of them the slow one's", "versions", "connections reset", *seconds]
    title = f"{result['clients']} clients that come by themselves, one of them 10 times slower"
    return f"## {title}\n\n![Accuracy against time](async.svg)\n\n{table(head, rows)}"


def _compression(result: dict[str, Any]) -> str:
    parts = ["## Packed updates: bytes, and test accuracy after some rounds\n"]
    early = max(1, result["rounds"] // 4)
    rounds = [f"after {early}", f"after {result['rounds']}"]
    head = ["packing", "bytes of an update", "of float32", *rounds, "±"]
    for federation in result["federations"]:
        packings = federation["packings"]
        whole = packings["float32"]["update_bytes"]
        rows = [
            [
                name,
                f"{told['update_bytes']:,.0f}",
                f"1 / {whole / told['update_bytes']:.1f}",
                f"{told['accuracy_by_round'][early - 1]:.3f}",
                f"{told['accuracy']['mean']:.3f}",
                f"{told['accuracy']['deviation']:.3f}",
            ]
            for name, told in packings.items()
        ]
        parts.append(f"{federation['name']}, {federation['devices']} devices:\n")
        parts.append(table(head, rows))
    return "\n".join(parts)


_FROM_DISK = ("combining", ""), ("reading", ", 1 thread")


def _robust(result: dict[str, Any]) -> str:
    rows = []
    for name, told in result["strategies"].items():
        seconds, processor = told["median_seconds"], told["median_processor_seconds"]
        combining = seconds.pop("combining")
        disk = [seconds.pop(f"{way} from disk{threads}") for way, threads in _FROM_DISK]
        rows.append(
            [
                name,
                f"{combining:.2f}",
                *(f"{combining / each:.1f} × {each:.2f} s" for each in seconds.values()),
                f"{disk[0]:.2f} s, {disk[0] / disk[1]:.1f} × {disk[1]:.2f} s",
                f"{processor['combining']:.2f}",
                f"{told['megabytes']:.0f}",
            ]
        )
    head = ["strategy", "combining, s", *seconds, "from disk, beside reading, 1 thread"]
    head += ["combining, processor s", "adds to memory, MB"]
    size = result["update_bytes"] / 1e6
    title = f"Combining {result['updates']} updates of {size:g} MB, beside reading the files once"
    before, after = (result[when][0] for when in ("load_before", "load_after"))
    note = (
        f"On {result['threads']} threads; the machine's load was {before:.1f} before and "
        f"{after:.1f} after.\n"
    )
    return f"## {title}\n\n{table(head, rows)}\n{note}"


_SECTIONS = {
    "growth": _growth,
    "robust_speed": _robust,
    "async": _async,
    "backbone_throughput": _runtimes,
    "federation_gain": _accuracy,
    "backbone_quality": _quality,
    "compression": _compression,
    "heterogeneity": heterogeneity,
    "robustness": robustness,
}


def _figure(number: float, unit: str) -> str:
    return f"{_number(number)} {unit}"


def _number(number: float) -> str:
    """Three digits that count."""
    if number == 0 or abs(number) >= 100:
        return f"{number:,.0f}"
    return f"{number:.3g}"


if __name__ == "__main__":
    print(write(Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS))
