"""Steps in words: their names, what a device is at, and what came of it."""

from collections.abc import Mapping
from typing import Any

from shared.federated.activity import Activity
from shared.federated.strategy_words import title_of
from shared.web.filters import duration, kilobytes, percent

#: The steps under the names that people know them by, in order.
STEPS = {
    "modeltrain": "Model Training (Locally)",
    "sendmodel": "Send Model to Federated Server",
    "aggregate_models": "Aggregate Local Models",
    "send_model_clients": "Send Aggregated Models to Federated Clients",
}

#: What a step is in a round, in a word.
SHORT = {
    "modeltrain": "Train",
    "sendmodel": "Send",
    "aggregate_models": "Aggregate",
    "send_model_clients": "Distribute",
}

#: Every kind of job that the page shows.
JOBS = STEPS | {"run_rounds": "Whole rounds", "auto_aggregate": "Aggregating by itself"}

#: What a device calls a step that the main server asks it for.
OF_DEVICE = {"modeltrain": "modeltrain", "sendmodel": "sendmodel", "aggmodel": "send_model_clients"}

#: What a device does in a step, in a word.
DOES = {"modeltrain": "trains", "sendmodel": "sends", "aggmodel": "installs"}

#: The same of a device that nobody asked.
BY_ITSELF = {
    "modeltrain": "trains by itself, for round {round}",
    "sendmodel": "sends by itself, for round {round}",
    "aggmodel": "installs a version by itself",
}


def count(number: int, noun: str) -> str:
    """A number and what it counts: "1 picture", "2,400 pictures"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def activity_in_words(activity: Activity) -> str:
    """What a device is at: "epoch 2 of 3, loss 0.412, accuracy 87.2 %, 12 s left"."""
    if activity.phase == "features":
        return _left(f"{activity.done:,} of {count(activity.total, 'picture')} read", activity)
    if activity.phase != "training":
        return "beginning"
    told = [f"epoch {activity.done} of {activity.total}"]
    if activity.loss is not None:
        told.append(f"loss {activity.loss:.3f}")
    if activity.accuracy is not None:
        told.append(f"accuracy {percent(activity.accuracy)}")
    if activity.val_accuracy is not None:
        told.append(f"validation {percent(activity.val_accuracy)}")
    return _left(", ".join(told), activity)


def _left(words: str, activity: Activity) -> str:
    if activity.eta_seconds is None:
        return words
    return f"{words}, {duration(activity.eta_seconds)} left"


def outcome_in_words(step: str, result: Mapping[str, Any]) -> str:
    """What came of a step on a device; on the main server for ``aggregate_models``.

    Args:
        result: what is kept of its answer, see :mod:`main_server.step_results`. Another version
            of this server may have kept less: what is not there is not told.
    """
    tell = {
        "modeltrain": _trained,
        "sendmodel": _sent,
        "aggregate_models": _aggregated,
        "send_model_clients": _installed,
    }[step]
    words = ", ".join(filter(None, tell(result)))
    if skipped := result.get("skipped"):
        words += f". {count(skipped, 'picture')} could not be read: the device's page names them"
    return words


def _trained(result: Mapping[str, Any]) -> list[str | None]:
    metrics = result.get("metrics") or {}
    told = [
        _counted(result, "num_samples", "picture"),
        _counted(result, "epochs", "epoch"),
        f"loss {metrics['loss']:.3f}" if "loss" in metrics else None,
    ]
    if evaluation := result.get("evaluation"):
        return [*told, f"alone {_right(evaluation)}"]
    return [*told, f"accuracy {percent(metrics['accuracy'])}" if "accuracy" in metrics else None]


def _sent(result: Mapping[str, Any]) -> list[str | None]:
    size = f"{kilobytes(result['bytes'])} of weights" if "bytes" in result else None
    return [size, _counted(result, "num_samples", "sample")]


def _aggregated(result: Mapping[str, Any]) -> list[str | None]:
    made_of = _counted(result, "updates", "update")
    version = f"version {result['version']}" + (f" of {made_of}" if made_of else "")
    return [
        version,
        _counted(result, "num_samples", "sample"),
        f"by {title_of(result['strategy'])}",
    ]


def _installed(result: Mapping[str, Any]) -> list[str | None]:
    if evaluation := result.get("evaluation"):
        return [f"version {result['version']}: {_right(evaluation)}"]
    return [f"version {result['version']} installed", result.get("reservation")]


def _right(evaluation: Mapping[str, Any]) -> str:
    pictures = count(evaluation["num_samples"], "test picture")
    personal = evaluation.get("personal_accuracy")
    own = f", {percent(personal)} with its own layers" if personal is not None else ""
    return f"{percent(evaluation['accuracy'])} of its {pictures}{own}"


def _counted(result: Mapping[str, Any], name: str, noun: str) -> str | None:
    number = result.get(name)
    return None if number is None else count(number, noun)
