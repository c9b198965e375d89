"""What there is to name in a config and to open in the results, read from the plugins' own files.

PYTHONPATH=workflow python -m poolflow catalogue writes docs/plugins.md, and the list of tables and figures in README.md
"""

import re

from poolflow.data.store import replacing
from poolflow.study import plugins
from poolflow.study.config import RECIPES, WORKFLOW

PAGE, README = WORKFLOW.parent / "docs" / "plugins.md", WORKFLOW.parent / "README.md"
HEADINGS = {
    "datasets": "Data sets",
    "networks": "Networks",
    "learners": "Learners",
    "pretext": "Pretext tasks",
    "initial_pools": "Initial pools",
    "strategies": "Query strategies",
    "outputs": "Outputs of a network, which strategies need",
    "variants": "Variants of a network, which outputs take",
    "tables": "Tables",
    "figures": "Figures",
}
BEGIN, END = "<!-- tables and figures: made by `python -m poolflow catalogue` -->\n", "<!-- end -->\n"


def main(arguments):
    """Write the page, and the list in the README."""
    for path, text in ((PAGE, page()), (README, readme())):
        with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
        print(f"wrote {path}")


def page():
    """Return the page as Markdown."""
    parts = ["# What a config can name", "Made from the files in `workflow/` by `python -m poolflow catalogue`."]
    for kind, heading in HEADINGS.items():
        parts += [f"## {heading}", markdown([columns(kind, name) for name in plugins.names(kind)])]
    for heading, folder in (("training", RECIPES), ("pretext tasks", RECIPES / "pretext")):
        rows = [{"name": f"`{path.stem}`", "what": about(path)} for path in sorted(folder.glob("*.yaml"))]
        parts += [f"## Recipes of the {heading}", markdown(rows)]
    return "\n\n".join(parts) + "\n"


def readme():
    """Return the README with its list of tables and figures made anew."""
    before, _, rest = README.read_text("utf-8").partition(BEGIN)
    rows = []
    for kind, pattern in (("tables", "{}.csv"), ("figures", "figures/{}.png")):
        for name in plugins.names(kind):
            facts = plugins.literals(kind, name)
            files = [facts.get("FILE", name).replace("{view}", view) for view in facts.get("VIEWS", ("",))]
            paths = ", ".join(f"`{pattern.format(file)}`" for file in files)
            rows.append({"file in `results/<study>/`": paths, "what it shows": docstring(kind, name)[0]})
    return before + BEGIN + markdown(rows) + "\n" + END + rest.partition(END)[2]


def columns(kind, name):
    """Return the row of a plugin: {column: text}."""
    first, rest = docstring(kind, name)
    facts, taken = plugins.literals(kind, name), plugins.parameters(kind, name)
    row = {"name": f"`{name}`", "what": first}
    if "NEEDS" in facts:
        row["needs"] = needs(facts, plugins.variant(name) if kind == "strategies" else "")
    if "GIVES" in facts:
        row["gives"] = ", ".join(f"`{output}`" for output in facts["GIVES"])
        row["builds on"] = f"`{facts['OF']}`" if "OF" in facts else "the network" if "NETWORK" in facts else ""
    if kind == "outputs":
        row["variant"] = f"`{facts['VARIANT']}`" if "VARIANT" in facts else "any"
    row["cost"] = cost(rest)
    if plugins.KINDS[kind][1]:
        row["parameters"] = ", ".join(parameter(key, facts.get("BOUNDS", {})) for key in taken)
    if kind == "strategies":
        row["reference"] = reference(rest)
    return row


def needs(facts, variant):
    """Return what a plugin needs, and of what."""
    text = ", ".join(f"`{need}`" for need in facts["NEEDS"]) or "nothing"
    text += f" of a network with `{variant}`" if variant else ""
    return text + (f" of `{facts['PRETEXT']}`" if "PRETEXT" in facts else "")


def parameter(name, bounds):
    """Return a parameter and what it accepts, such as `epochs: >= 1`."""
    return f"`{name}: {bounds[name]}`" if name in bounds else f"`{name}`"


def markdown(rows):
    """Return rows, {column: text}, as a Markdown table; a column that has nothing in it is left out."""
    names = [name for name in max(rows, key=len) if any(row.get(name) for row in rows)]
    lines = [names, ["---"] * len(names), *([row.get(name, "") for name in names] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


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
    lines = path.read_text("utf-8").splitlines()
    return " ".join(line.removeprefix("# ") for line in lines if line.startswith("# "))
