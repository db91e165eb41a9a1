"""Tables as Markdown has them."""


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table of cells that are text already, a line for each row."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
