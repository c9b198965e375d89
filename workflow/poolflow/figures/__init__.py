"""Figures of a study's results, one file each; they become `results/<study>/figures/<FILE>.png`, or .svg.

A file has `draw(results, **settings)`, which returns a matplotlib figure; `results` is a `poolflow.results.Results`,
and settings are keys of the study's `figures` of the same names. Literals:

- NEEDS, what it reads: tables, such as `curves.csv`, or what tables may read (see `poolflow.tables`). It is drawn for a
  study that has these tables.
- FILE, where it lies: its wildcards {dataset}, {learner}, {initial_pool}, {strategy}, {clustering} and {embedding} (a
  pretext task) say once for what it is drawn, and `results.names` what this one is of; {view} is each of the literal
  VIEWS.
- AT_LEAST, WITH and DATASETS as for tables; SEEDS = "first" for a figure of the first seed; PIXELS = True for one that
  is drawn in pixels of its own number.

The first line of the docstring says what the figure is for.
"""
