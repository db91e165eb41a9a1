"""How much memory Flower's server side takes while it averages large models.

What benchmarks/server_memory.py measures of Fedbell: updates of 47.7 MB come in and are
averaged. Here a SuperLink and Flower's own FedAvg in its ServerApp get them from SuperNodes;
every 10 ms the resident memory of the SuperLink and all that it starts is added up. What a
client more costs is told in models, between few clients and many; --quick sends small models
and leaves the many out. Flower has to be installed (make compared). Run it from the
repository's root:

    python -m benchmarks.flower_memory
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.flower.federation import HOW_TO_INSTALL, Node, flower, installed, version
from benchmarks.processes import MemorySampler
from benchmarks.report import Claim, begin

#: 47.7 MB of float32.
NUMBERS, ARRAYS = 11_925_000, 16
QUICK_NUMBERS = 250_000
FEW, MANY = 2, 10


def measure(directory: Path, clients: int, numbers: int) -> dict[str, Any]:
    """Server-side memory in MB, idle and the most of one round."""
    directory.mkdir()
    # Each adds its number, from 1 up; all have as many samples, so their mean comes out.
    nodes = [Node(float(added), 100) for added in range(1, clients + 1)]
    with flower(directory, nodes) as federation:
        with MemorySampler(federation.server_processes) as held:
            idle = held.take()
            told = federation.run({"rounds": 1, "numbers": numbers, "arrays": ARRAYS})
        most = held.take()
    due = (clients + 1) / 2
    assert all(abs(added - due) < 1e-3 for added in told["added"]), told
    assert told["evaluated_rounds"] == 1, told
    return {
        "clients": clients,
        "megabytes_of_a_model": numbers * 4 / 1e6,
        "idle": idle,
        "most": most,
        "round_seconds": told["seconds"][0],
    }


def main() -> None:
    """Measure and write flower_memory.json."""
    run = begin("flower_memory", __doc__ or "")
    if not installed():
        print(HOW_TO_INSTALL)
        return
    numbers = QUICK_NUMBERS if run.quick else NUMBERS
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for clients in (FEW,) if run.quick else (FEW, MANY):
            row = measure(Path(folder) / str(clients), clients, numbers)
            rows.append(row)
            print(
                f"{clients} clients: idle {row['idle']['rss']:.0f} MB, at most "
                f"{row['most']['rss']:.0f} MB, a round of {row['round_seconds']:.1f} s",
                flush=True,
            )
    run.save({"flower": version(), "runs": rows}, claims(rows))


def claims(rows: Sequence[dict[str, Any]]) -> list[Claim]:
    """Rows of the table: no goals, they are what Fedbell's own are set beside."""
    model = rows[0]["megabytes_of_a_model"]
    table = [
        Claim(
            f"Flower's server side: growth in memory, {row['clients']} updates",
            "",
            (row["most"]["rss"] - row["idle"]["rss"]) / model,
            None,
            f"models of {model:g} MB",
            None,
        )
        for row in rows
    ]
    if len(rows) > 1:
        few, many = rows
        more = (many["most"]["rss"] - few["most"]["rss"]) / (many["clients"] - few["clients"])
        what = "Flower's server side: growth in memory with each client more"
        table.append(Claim(what, "", more / model, None, f"models of {model:g} MB", None))
    return table


if __name__ == "__main__":
    main()
