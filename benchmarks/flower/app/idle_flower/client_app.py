"""A device: training adds its number to every weight, evaluation reads them."""

from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """The weights that came, each with this node's ``added``."""
    added = context.node_config["added"]
    weights = {
        name: array.numpy() + array.numpy().dtype.type(added)
        for name, array in message.content["arrays"].items()
    }
    metrics = {"num-examples": context.node_config["samples"], "loss": 0.5, "accuracy": 0.5}
    content = {
        "arrays": ArrayRecord({name: Array(array) for name, array in weights.items()}),
        "metrics": MetricRecord(metrics),
    }
    return Message(content=RecordDict(content), reply_to=message)


@app.evaluate()
def evaluate(message: Message, _context: Context) -> Message:
    """Read the weights, as an evaluation does."""
    for array in message.content["arrays"].values():
        array.numpy()
    metrics = MetricRecord({"num-examples": 10, "loss": 0.5, "accuracy": 0.5})
    return Message(content=RecordDict({"metrics": metrics}), reply_to=message)
