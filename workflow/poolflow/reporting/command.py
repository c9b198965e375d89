"""Report: one HTML file of a study as far as it is, of several, or of a curves.csv alone.

PYTHONPATH=workflow python -m poolflow report [PATH ...] [--out FILE] [--configfile FILE] [--config KEY=VALUE ...]

A PATH is the folder of a finished study or a curves.csv; without one it is the study of the config file, finished or
not, and what is missing is named. The verdicts are printed as well.
"""

import argparse
import sys
from pathlib import Path

from poolflow.data import store
from poolflow.job import StageError
from poolflow.reporting.content import content_of
from poolflow.reporting.page import page
from poolflow.reporting.sources import of_file, of_folder, of_study
from poolflow.study import plugins, reports
from poolflow.study.config import ConfigError
from poolflow.study.files import study_of


def main(arguments):
    """Write a report, print the verdicts and where it is."""
    parser = argparse.ArgumentParser("python -m poolflow report", description=__doc__.partition("\n")[0])
    parser.add_argument("paths", nargs="*", metavar="PATH", help="results/<study>, or a curves.csv")
    parser.add_argument("--out", help="the file to write (default: report.html beside what it is of)")
    parser.add_argument("--configfile", default="config.yaml", help="the study, where no PATH is given")
    parser.add_argument("--config", nargs="*", default=[], metavar="KEY=VALUE", help="keys that differ from it")
    args = parser.parse_args(arguments)
    try:
        if args.paths:
            sources = [of_file(path) if path.endswith(".csv") else of_folder(path) for path in args.paths]
            first = Path(args.paths[0])
            stem = f"{first.with_suffix('')}-report.html" if first.suffix == ".csv" else f"{first}/report.html"
            out = args.out or (stem if len(sources) == 1 else str(first.parent / "report.html"))
        else:
            study, config = study_of(args.configfile, args.config)
            folder = f"results/{study['study']}"
            of, settings = reports.of_all_chains(study), reports.compared_by(study)
            sources, out = [of_study(of, settings, config, folder)], args.out or f"{folder}/report.html"
        contents = [content_of(source) for source in sources]
        with store.replacing(out) as temporary:
            Path(temporary).write_text(page(contents), "utf-8")
    except (StageError, ConfigError, plugins.PluginError, OSError) as error:
        sys.exit(str(error))
    for content in contents:
        print(content["name"])
        for line in content["missing"]:
            print(f"  missing: {line}")
        for answer in content["answers"]:
            print(f"  {answer['title']} ({answer['note']})")
            for word, sentence in answer["verdicts"]:
                print(f"    {word:9}  {sentence}")
    print(f"\n{out}")
