"""Runs all benchmarks, one after the other, and writes the tables.

    python -m benchmarks.run [--quick] [NAME ...]

Each is a process of its own, so that none leaves memory or threads to the next. The results
go to benchmarks/results; those of --quick, which are nothing to quote, to results/quick.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmarks import tables
from benchmarks.report import RESULTS

#: About how many seconds each takes: all of it, and quick.
BENCHMARKS = {
    "startup": (30, 8),
    "backbone_throughput": (30, 10),
    "training_loop": (25, 8),
    "local_training": (90, 14),
    "bytes_per_round": (25, 18),
    "round_overhead": (140, 12),
    "aggregation_speed": (30, 3),
    "robust_speed": (180, 15),
    "prediction_latency": (60, 35),
    "upload_speed": (15, 4),
    "server_memory": (42, 6),
    "flower_memory": (90, 17),
    "growth": (80, 8),
    "pages": (60, 15),
    "async": (950, 35),
    "backbone_quality": (60, 0),
    "federation_gain": (90, 0),
    "compression": (280, 25),
    # What was run before is in NAME.runs.jsonl, and is not run again.
    "heterogeneity": (3600, 0),
    "robustness": (3600, 0),
}
_LAST_LINES = 30


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.run", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    results = RESULTS / "quick" if arguments.quick else RESULTS
    chosen = [
        name
        for name, (_, quick) in BENCHMARKS.items()
        if name in (arguments.names or BENCHMARKS) and (quick or not arguments.quick)
    ]
    failed = run_all(chosen, arguments.quick, results)
    print(tables.write(results))
    if failed:
        sys.exit(f"These failed: {', '.join(failed)}.")


def run_all(names: list[str], quick: bool, results: Path) -> list[str]:
    """Run them; the names of those that failed."""
    failed = []
    console = Console()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        seconds = {name: BENCHMARKS[name][quick] for name in names}
        bar = progress.add_task("starting", total=sum(seconds.values()))
        for name in names:
            started = time.monotonic()
            code, lines = run_one(name, quick, results, progress)
            if code:
                failed.append(name)
                console.print(f"[red]{name} failed[/red] with code {code}:")
                console.print("\n".join(lines[-_LAST_LINES:]), markup=False, highlight=False)
            else:
                console.print(f"{name}: {time.monotonic() - started:.0f} s", highlight=False)
                for line in lines:
                    if "left out" in line.lower():
                        console.print(f"  {line}", markup=False, highlight=False)
            progress.advance(bar, seconds[name])
    return failed


def run_one(name: str, quick: bool, results: Path, progress: Progress) -> tuple[int, list[str]]:
    """Run one benchmark: its exit code and what it said."""
    (results / f"{name}.json").unlink(missing_ok=True)  # it would pass for one of this run
    command = [sys.executable, "-m", f"benchmarks.{name}", "--results", str(results)]
    lines: list[str] = []
    with subprocess.Popen(
        command + ["--quick"] * quick,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            said = lines[-1][:50] if len(lines[-1]) < 200 else ""
            for task in progress.task_ids:
                progress.update(task, description=f"{name}: {said}".replace("[", "("))
    return process.returncode, lines


if __name__ == "__main__":
    main()
