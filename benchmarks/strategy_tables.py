"""The tables of benchmarks/heterogeneity.py and benchmarks/robustness.py."""

from typing import Any

from benchmarks.markdown import table

_UNLIKE_CANNOT_SHOW = """\
What the table cannot show: strategies train with the learning rate with which FedAvg is best (but
SCAFFOLD, which diverges with it on MNIST), and a rate of their own might make some better. MNIST is
a small network trained from scratch; CIFAR-10 is the head of a backbone alone, whose loss has one
minimum, so that what devices disagree about is mild. Everybody takes part in every round: who is
away now and then is not in it. Three partitions are few: compare differences with the deviations
beside them. Of the published numbers (another network, eight sites, 50 rounds, another deal) only
the order can be compared.
"""

_POISON_CANNOT_SHOW = """\
What the table cannot show: the pictures are dealt evenly. Where honest devices differ much, robust
rules take some of them for bad ones, and lose what only they know. Attackers here do not know which
rule they face. "A little is enough" is made to be noticed by none, and with ten devices too little
to do harm; who knows the rule can stay just below what it notices, round after round, or aim at
single pictures (a backdoor), which the accuracy of all hardly shows. One layer is trained, a
problem with one minimum: it forgets poison in a round or two, and flipped labels hardly move it, so
FedAvg does not collapse there and nothing is won by a rule. Of ten updates Bulyan can stand one,
and holds here beyond what it promises. Krum takes one device's update in each round, and is a point
or two worse for it, poisoned or not.
"""

#: Losing less than this, a rule holds.
_HOLDS = 0.02


def heterogeneity(result: dict[str, Any]) -> str:
    """Strategies against data sets and partitions, beside what was published."""
    settings, told = result["settings"], result["accuracy"]
    places = list(dict.fromkeys((each["data"], each["alpha"]) for each in told))
    cells = {(each["strategy"], each["data"], each["alpha"]): each for each in told}
    rows, chosen = [], []
    for strategy in dict.fromkeys(each["strategy"] for each in told):
        row = [f"`{strategy}`"]
        parameters = [
            cells[strategy, *place]["parameters"] | _own_rate(cells, strategy, place)
            for place in places
        ]
        if any(parameters):
            chosen.append([*row, *(in_words(each) for each in parameters)])
        for place in places:
            cell = cells[strategy, *place]
            best = max(cells[name, *place]["mean"] for name, *_ in cells if (name, *place) in cells)
            mean = f"{cell['mean']:.3f}"
            row.append(
                f"{f'**{mean}**' if cell['mean'] == best else mean} ± {cell['deviation'] or 0:.3f}"
            )
        published = result["published"].get(strategy)
        rows.append([*row, "–" if published is None else f"{published:.3f}"])
    columns = ["strategy", *(f"{data}, α {alpha:g}" for data, alpha in places)]
    each = settings["training"]
    training = next(iter(each.values()))
    rates = ", ".join(f"{told['learning_rate']:g} ({data})" for data, told in each.items())
    return (
        "## Devices that are not alike\n\n"
        f"Test accuracy after {settings['rounds']} rounds, mean and deviation of "
        f"{len(settings['seeds'])} seeds: {settings['devices']} devices, "
        f"{settings['training_pictures']:,} training pictures, {training['epochs']} local epochs, "
        f"batches of {training['batch_size']}, {training['optimizer']}, learning rate {rates}. The "
        f"runs took {result['hours']} hours together, without the tuning.\n\n"
        "![Accuracy by round](heterogeneity.svg)\n\n"
        f"{table([*columns, 'published, α 0.1'], rows)}\n"
        f"The parameters, tuned on {settings['tuning']['pictures']:,} training pictures that no "
        "device has, with another partition:\n\n"
        f"{table(columns, chosen)}\n{_UNLIKE_CANNOT_SHOW}"
    )


def _own_rate(cells: dict[Any, dict[str, Any]], strategy: str, place: Any) -> dict[str, float]:
    """The learning rate of devices, where it is not that of FedAvg."""
    rate, usual = (cells[name, *place]["learning_rate"] for name in (strategy, "fedavg"))
    return {} if rate == usual else {"training.learning_rate": rate}


def in_words(parameters: dict[str, Any]) -> str:
    """Parameters in a cell."""
    return ", ".join(f"`{name}` {value:g}" for name, value in parameters.items()) or "–"


def robustness(result: dict[str, Any]) -> str:
    """Strategies against attacks, and which rules hold."""
    settings, told = result["settings"], result["accuracy"]
    found = {
        (each["task"], each["strategy"], each["attack"], each["poisoned"]): each["accuracy"]
        for each in told
    }
    attacks = list(dict.fromkeys(each["attack"] for each in told if each["poisoned"]))
    counts = sorted({each["poisoned"] for each in told if each["poisoned"]})
    rows = []
    for task in settings["tasks"]:
        clean = found[task, "fedavg", "none", 0]
        for strategy in settings["strategies"]:
            alone = found[task, strategy, "none", 0]
            row = [task, f"`{strategy}`", _cell(alone, clean)]
            for attack in attacks:
                accuracies = [found[task, strategy, attack, count] for count in counts]
                row.append(" / ".join(_cell(each, clean) for each in accuracies))
            rows.append(row)
    every = " / ".join(map(str, counts))
    return (
        "## Poisoned devices\n\n"
        f"Test accuracy in % after {settings['rounds']} rounds, mean of {len(settings['seeds'])} "
        f"seeds: {settings['devices']} devices with equal shares of the pictures, {every} of them "
        "poisoned. Bold: less than 2 points below FedAvg with nobody poisoned. The runs took "
        f"{result['hours']} hours together.\n\n"
        "![Accuracy of each strategy under each attack](robustness.svg)\n\n"
        f"{table(['task', 'strategy', 'nobody', *attacks], rows)}\n{_POISON_CANNOT_SHOW}"
    )


def _cell(accuracy: float, clean: float) -> str:
    percent = f"{100 * accuracy:.1f}"
    return f"**{percent}**" if clean - accuracy < _HOLDS else percent
