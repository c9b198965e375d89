"""The one door: python -m poolflow STAGE ..., which the rules call, and what a person may ask for."""

import ast
import sys
from importlib import import_module
from pathlib import Path

PACKAGE = Path(__file__).parent
COMMANDS = {
    "run": "running.door",
    "plan": "running.forecast",
    "repair": "running.repair",
    "status": "running.status",
    "report": "reporting.command",
    "catalogue": "study.catalogue",
}


def stages():
    """Return the names of all stages, sorted."""
    return sorted(path.stem for path in (PACKAGE / "stages").glob("[!_]*.py"))


def first_line(module):
    """Return the first line of a module's docstring, without importing it."""
    path = PACKAGE.joinpath(*module.split(".")).with_suffix(".py")
    line = ast.get_docstring(ast.parse(path.read_text("utf-8"))).partition("\n")[0].removeprefix("Stage: ")
    return line[0].upper() + line[1:]


def usage():
    """Return what there is to ask for, a line each."""
    width = max(map(len, [*COMMANDS, *stages()]))
    lines = ["usage: python -m poolflow NAME [options]", "", "For people:"]
    lines += [f"  {name:{width}}  {first_line(module)}" for name, module in COMMANDS.items()]
    lines += ["", "Stages, one for each kind of job; the workflow calls them (--help says with what):"]
    lines += [f"  {name:{width}}  {first_line(f'stages.{name}')}" for name in stages()]
    return "\n".join([*lines, "", "To run a study: snakemake --cores all (`snakemake --list` has its targets)."])


def main():
    """Call the command or the stage that the first argument names with the arguments after it."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help", "help"):
        print(usage())
    elif name in COMMANDS:
        import_module(f"poolflow.{COMMANDS[name]}").main(sys.argv[2:])
    elif name in stages():
        from poolflow.running.run import run

        run(name, sys.argv[2:])
    else:
        sys.exit(f"poolflow: found {name!r}, expected one of {', '.join([*COMMANDS, *stages()])}")


if __name__ == "__main__":
    main()
