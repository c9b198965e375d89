"""Tables of a study's results, one file each; they become `results/<study>/<name>.csv`.

A file has `table(results)`, which returns a data frame; `results` is a `poolflow.results.Results`. Literals:

- NEEDS, what it reads: other tables, by their names; `pools` (data sets, pools and true classes), `initial_pools`,
  `labeled` (the labelled sets after the last cycle), `metrics` (of all cycles), `probs` (the class probabilities before
  each acquisition, of the strategies that use them), `passive` (the metrics of the training on the whole pool),
  `clusters` and `embeddings` (of the pretext tasks that the study uses).
- AT_LEAST, from how many on there is something to say: {"initial_pools": 2}; also datasets, learners, strategies,
  seeds, cycles, clusterings, embeddings, references (the strategy random), predicting (strategies whose class
  probabilities are kept), guessing (learners that make pseudo-labels), and passive (the training on the whole pool). A
  study that does not have a table has none that is made of it, and no figure.
- WITH, tables that it reads as well where the study has them (`results.has`).
- DATASETS, of which data sets: "images" for those of images, "named" for those whose images have file names,
  "discovery" for those with novel classes in the pool; all without.

The first line of the docstring says what the table is for, the rest what its columns are.
"""
