"""The tables of docs/plugins.md: what there is to name in a config, read from the plugins' own files.

PYTHONPATH=workflow python -m poolflow catalogue > docs/plugins.md
"""

import re

from poolflow.study import plugins
from poolflow.study.config import RECIPES

HEADINGS = {
    "datasets": "Data sets",
    "networks": "Networks",
    "pretext": "Pretext tasks",
    "initial_pools": "Initial pools",
    "strategies": "Query strategies",
}


def page():
    """Return the page as Markdown."""
    parts = ["# What a config can name", "Made from the files in `workflow/` by `python -m poolflow catalogue`."]
    for kind, heading in HEADINGS.items():
        parts += [f"## {heading}", table(kind)]
    for heading, folder in (("training", RECIPES), ("pretext tasks", RECIPES / "pretext")):
        rows = [f"| `{path.stem}` | {about(path)} |" for path in sorted(folder.glob("*.yaml"))]
        parts += [f"## Recipes of the {heading}", "\n".join(["| name | what |", "|---|---|", *rows])]
    return "\n\n".join(parts) + "\n"


def table(kind):
    """Return the table of a kind of plugins."""
    selecting = kind in ("initial_pools", "strategies")
    more = ["needs", "cost"] if selecting else ["gives", "builds on", "cost"] if kind == "pretext" else []
    columns = ["name", "what", *more, "parameters"]
    columns += ["reference"] if kind == "strategies" else []
    rows = [columns, ["---"] * len(columns)]
    for name in plugins.names(kind):
        first, rest = docstring(kind, name)
        row = [f"`{name}`", first]
        if selecting:
            facts = plugins.literals(kind, name)
            needs = ", ".join(f"`{need}`" for need in facts["NEEDS"]) or "nothing"
            needs += f" of a network with `{facts['LEARNER']}`" if "LEARNER" in facts else ""
            needs += f" of `{facts['PRETEXT']}`" if "PRETEXT" in facts else ""
            row += [needs, cost(rest)]
        elif kind == "pretext":
            facts = plugins.literals(kind, name)
            base = f"`{facts['OF']}`" if "OF" in facts else "the network" if "NETWORK" in facts else ""
            row += [", ".join(f"`{output}`" for output in facts["GIVES"]), base, cost(rest)]
        row.append(", ".join(f"`{key}`" for key in plugins.parameters(kind, name)))
        rows.append([*row, reference(rest)][: len(columns)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def docstring(kind, name):
    """Return the first line of a plugin's docstring, and the rest on one line."""
    first, _, rest = plugins.docstring(kind, name).partition("\n")
    return first.strip(), " ".join(rest.split()).replace("|", "\\|")


def reference(text):
    """Return what the docstring says before the score and the cost: the literature."""
    return re.split(r" ?(?:Score|Cost): ", text)[0].rstrip(".")


def cost(text):
    """Return what the docstring says of the cost."""
    return text.partition("Cost: ")[2].rstrip(".")


def about(path):
    """Return the comment at the top of a recipe."""
    lines = path.read_text().splitlines()
    return " ".join(line.removeprefix("# ") for line in lines if line.startswith("# "))


def main(arguments):
    """Print the page."""
    print(page(), end="")
