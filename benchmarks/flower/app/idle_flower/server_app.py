"""The server: Flower's own FedAvg, and when each round ended."""

import json
import time
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

app = ServerApp()


class Impatient:
    """A grid that looks for replies more often than every 3 s, as Flower's own does.

    Args:
        grid: Flower's.
        seconds: between two looks.
    """

    def __init__(self, grid: Grid, seconds: float) -> None:
        self._grid = grid
        self._seconds = seconds

    def get_node_ids(self) -> list[int]:
        """The nodes that are there."""
        return list(self._grid.get_node_ids())

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float) -> list[Message]:
        """What ``Grid.send_and_receive`` does, by the calls that Flower documents for it."""
        waiting = set(self._grid.push_messages(messages))
        deadline = time.monotonic() + timeout
        replies: list[Message] = []
        while waiting and time.monotonic() < deadline:
            come = list(self._grid.pull_messages(waiting))
            replies += come
            waiting -= {reply.metadata.reply_to_message_id for reply in come}
            if waiting:
                time.sleep(self._seconds)
        return replies


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the rounds; write when each ended, and what became of the first weight, as JSON."""
    config = context.run_config
    values = np.random.default_rng(1).integers(-100, 100, config["numbers"]).astype(np.float32)
    parts = np.array_split(values, config["arrays"])
    initial = ArrayRecord({f"layer{i:02}": Array(part) for i, part in enumerate(parts)})
    ends: list[float] = []
    strategy = FedAvg(
        min_train_nodes=config["nodes"],
        min_evaluate_nodes=config["nodes"],
        min_available_nodes=config["nodes"],
    )
    if config["pull-seconds"]:
        grid = Impatient(grid, config["pull-seconds"])
    while len(list(grid.get_node_ids())) < config["nodes"]:
        time.sleep(0.1)
    result = strategy.start(
        grid=grid,
        initial_arrays=initial,
        num_rounds=config["rounds"],
        evaluate_fn=lambda _number, _arrays: ends.append(time.monotonic()),
    )
    trained = np.concatenate([array.numpy() for array in result.arrays.values()])
    Path(config["result"]).write_text(
        json.dumps(
            {
                "seconds": [after - before for before, after in pairwise(ends)],
                "added": [float((trained - values).min()), float((trained - values).max())],
                "evaluated_rounds": len(result.evaluate_metrics_clientapp),
            }
        )
    )
