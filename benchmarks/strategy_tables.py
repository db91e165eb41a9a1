"""The tables of benchmarks/heterogeneity.py and benchmarks/robustness.py."""

from typing import Any

from benchmarks.markdown import table

#: Losing less than this, a rule holds.
_HOLDS = 0.02


def heterogeneity(result: dict[str, Any]) -> str:
    """Strategies against data sets and partitions, beside what was published."""
    settings, told = result["settings"], result["accuracy"]
    places = list(dict.fromkeys((each["data"], each["alpha"]) for each in told))
    cells = {(each["strategy"], each["data"], each["alpha"]): each for each in told}
    rows = []
    for strategy in dict.fromkeys(each["strategy"] for each in told):
        row = [f"`{strategy}`"]
        for place in places:
            cell = cells[strategy, *place]
            best = max(cells[name, *place]["mean"] for name, *_ in cells if (name, *place) in cells)
            mean = f"{cell['mean']:.3f}"
            row.append(
                f"{f'**{mean}**' if cell['mean'] == best else mean} ± {cell['deviation'] or 0:.3f}"
            )
        published = result["published"].get(strategy)
        rows.append([*row, "–" if published is None else f"{published:.3f}"])
    head = ["strategy", *(f"{data}, α {alpha:g}" for data, alpha in places), "published, α 0.1"]
    each = settings["training"]
    training = next(iter(each.values()))
    rates = ", ".join(f"{told['learning_rate']:g} ({data})" for data, told in each.items())
    return (
        "## Devices that are not alike\n\n"
        f"Test accuracy after {settings['rounds']} rounds, mean and deviation of "
        f"{len(settings['seeds'])} seeds: {settings['devices']} devices, "
        f"{settings['training_pictures']:,} training pictures, {training['epochs']} local epochs, "
        f"batches of {training['batch_size']}, {training['optimizer']}, learning rate {rates}. "
        f"{result['hours']} hours on two cores.\n\n"
        f"![Accuracy by round](heterogeneity.svg)\n\n{table(head, rows)}"
    )


def robustness(result: dict[str, Any]) -> str:
    """Strategies against attacks with two of ten poisoned, and which rules hold."""
    settings, told = result["settings"], result["accuracy"]
    parts = [
        "## Poisoned devices\n",
        f"Test accuracy after {settings['rounds']} rounds, mean of {len(settings['seeds'])} seeds: "
        f"{settings['devices']} devices with equal shares of the pictures. {result['hours']} hours "
        "on two cores.\n",
        "![Accuracy of each strategy under each attack](robustness.svg)\n",
    ]
    for task in settings["tasks"]:
        found = {
            (each["strategy"], each["attack"], each["poisoned"]): each["accuracy"]
            for each in told
            if each["task"] == task
        }
        attacks = list(dict.fromkeys(attack for _, attack, poisoned in found if poisoned))
        rows = []
        clean = found["fedavg", "none", 0]
        for strategy in dict.fromkeys(name for name, *_ in found):
            row = [f"`{strategy}`", f"{found[strategy, 'none', 0]:.3f}"]
            for attack in attacks:
                accuracy = found[strategy, attack, 2]
                holds = clean - accuracy < _HOLDS
                row.append(f"**{accuracy:.3f}**" if holds else f"{accuracy:.3f}")
            rows.append(row)
        parts.append(
            f"{task}, two of ten poisoned; bold: less than 2 points below FedAvg with nobody "
            "poisoned.\n"
        )
        parts.append(table(["strategy", "nobody", *attacks], rows))
    return "\n".join(parts)
