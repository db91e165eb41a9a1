"""What is kept of a device's answer to a step, and the sentence that tells of it in the log."""

from collections.abc import Mapping
from typing import Any

from main_server.store.evaluations import FederatedEvaluation
from main_server.store.round_steps import StepEnd

#: What people call the steps, where one fails.
_NOUNS = {
    "modeltrain": "Training",
    "sendmodel": "Sending",
    "aggregate_models": "Aggregation",
    "send_model_clients": "Installing",
}


def end_of(step: str, device: str, answer: Mapping[str, Any]) -> StepEnd:
    """How ``step`` ended on ``device``.

    Args:
        answer: the device's own, or ``{"error": problem details}``.
    """
    if "error" in answer:
        return failure(step, device, answer["error"])
    if step == "modeltrain":
        result = _trained(answer)
        return StepEnd(result, event=("device_trained", f"{device} {_in_words(result)}"))
    if step == "sendmodel":
        return StepEnd({name: answer[name] for name in ("num_samples", "bytes")})
    kept = without_confusion(answer)
    result = {name: kept[name] for name in ("version", "evaluation", "reservation")}
    return StepEnd(result | {"skipped": answer["skipped"]})


def failure(step: str, device: str, problem: Mapping[str, Any]) -> StepEnd:
    """The end of a step that failed, with its problem details."""
    kept = {name: problem[name] for name in ("type", "title", "detail")}
    place = f" on {device}" if device else ""
    told = f"{_NOUNS[step]}{place} failed: {problem['detail']}"
    return StepEnd(problem=kept, event=("step_failed", told))


def without_confusion(answer: Mapping[str, Any]) -> dict[str, Any]:
    """A device's answer for people: the cells of its confusion are told with the round."""
    evaluation = answer.get("evaluation")
    if not evaluation:
        return dict(answer)
    kept = {
        name: value
        for name, value in evaluation.items()
        if name != "confusion" and value is not None
    }
    return {**answer, "evaluation": kept}


def measured(version: int, evaluation: FederatedEvaluation) -> str:
    """A federated evaluation in words."""
    return (
        f"version {version}: federated accuracy {_percent(evaluation.accuracy)}, loss "
        f"{evaluation.loss:.3g} on {_count(evaluation.num_samples, 'test picture')}"
    )


def _trained(answer: Mapping[str, Any]) -> dict[str, Any]:
    names = ("base_version", "epochs", "num_samples", "history", "evaluation", "seconds")
    kept = {name: without_confusion(answer)[name] for name in names}
    metrics = {name: values[-1] for name, values in answer["history"].items() if values}
    return kept | {"metrics": metrics, "skipped": answer["skipped"]}


def _in_words(result: Mapping[str, Any]) -> str:
    metrics = result["metrics"]
    told = [
        words.format(_percent(metrics[name]) if "accuracy" in name else f"{metrics[name]:.3g}")
        for name, words in (
            ("loss", "loss {}"),
            ("accuracy", "accuracy {}"),
            ("val_accuracy", "validation accuracy {}"),
        )
        if name in metrics
    ]
    epochs, pictures = _count(result["epochs"], "epoch"), _count(result["num_samples"], "picture")
    return f"trained {epochs} on {pictures}" + (f": {', '.join(told)}" if told else "")


def _percent(fraction: float) -> str:
    return f"{fraction * 100:.1f} %"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
