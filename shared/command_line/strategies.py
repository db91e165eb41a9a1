"""``fedbell strategies``: what there is to choose from, and what each does. Asks no server."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from shared.federated.aggregation import (
    ASYNCHRONOUS_STRATEGIES,
    STRATEGIES,
    AsynchronousStrategy,
)
from shared.federated.strategy_words import (
    KINDS,
    bounds_in_words,
    plain,
    unknown,
    value_in_words,
)

#: By name, those of asynchronous tasks.
_RULES: Mapping[str, AsynchronousStrategy] = {
    str(name): rule for name, rule in ASYNCHRONOUS_STRATEGIES.items()
}


@click.command("strategies")
@click.argument("name", required=False)
def strategies(name: str | None) -> None:
    """List the strategies; with NAME, all there is to know of one, and its lines for tasks.toml."""
    if name is None:
        _list()
    elif name in STRATEGIES:
        click.echo("\n".join(_described(STRATEGIES[name].described(), _of_task(name))))
    elif name in _RULES:
        click.echo("\n".join(_described(_RULES[name].described(), _of_rule(name))))
    else:
        raise click.BadParameter(f"{unknown(name)}.", param_hint="NAME")


def _list() -> None:
    console = Console(highlight=False)
    for kind, (heading, _) in KINDS.items():
        rows = {name: each.described() for name, each in STRATEGIES.items() if each.kind == kind}
        if rows:
            console.print(f"[bold]{heading}[/bold]", _table(rows))
    rules = {name: each.described() for name, each in _RULES.items()}
    console.print("[bold]Rules of asynchronous tasks[/bold]", _table(rules))
    console.print("All of one: fedbell strategies NAME")


def _table(rows: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, told in rows.items():
        table.add_row(f"  {name}", told["summary"])
    return table


def _described(told: Mapping[str, Any], lines: Iterable[str]) -> Iterator[str]:
    """All there is to know of a strategy, line by line."""
    yield f"{told['title']}: {told['summary']}"
    yield f"\n{told['explanation']}"
    if told["paper"]:
        yield f"\nPaper: {told['paper']}" + (f"\n       {told['link']}" if told["link"] else "")
    if carried := told.get("carries"):
        yield f"An update brings besides weights: {', '.join(carried)}."
    if kept := told.get("keeps"):
        yield f"A device keeps {kept}."
    if told["parameters"]:
        yield "\nParameters:"
    for field in map(plain, told["parameters"]):
        default, bounds = value_in_words(field.get("default")), bounds_in_words(field)
        yield f"  {field['name']} = {default}" + (f"  ({bounds})" if bounds else "")
        yield f"      {field.get('description', '')}"
    yield "\nIn main_server/tasks.toml, with its defaults:"
    yield from (f"  {line}" for line in ["[tasks.NAME]", *lines])


def _of_task(name: str) -> Iterator[str]:
    yield f'strategy = "{name}"'
    fields = STRATEGIES[name].described()["parameters"]
    if given := _pairs({field["name"]: field.get("default") for field in fields}):
        yield f"strategy_parameters = {{ {given} }}"


def _of_rule(name: str) -> Iterator[str]:
    yield 'mode = "async"'
    fields = _RULES[name].described()["parameters"]
    settings = {"rule": name} | {field["name"]: field["default"] for field in fields}
    yield f"asynchronous = {{ {_pairs(settings)} }}"


def _pairs(values: Mapping[str, Any]) -> str:
    """For TOML, in which numbers, texts and lists of them are written as in JSON; None is left
    out."""
    told = {name: value for name, value in values.items() if value is not None}
    return ", ".join(f"{name} = {json.dumps(value)}" for name, value in told.items())
