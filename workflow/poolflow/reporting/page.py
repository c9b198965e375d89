"""The page of a report: its template filled, with style and script inside."""

import json
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

FOLDER = Path(__file__).parent


def page(studies):
    """Return the HTML of a report over the contents of one or more sources (see `content.content_of`)."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    data = json.dumps([study["data"] for study in studies], separators=(",", ":"))
    return environment.get_template("page.html").render(
        studies=studies,
        style=(FOLDER / "page.css").read_text("utf-8"),
        script=(FOLDER / "page.js").read_text("utf-8"),
        data=data.replace("<", "\\u003c"),  # nothing in it ends the script
    )
