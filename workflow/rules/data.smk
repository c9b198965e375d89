"""Data sets, and the pool that each repetition may label from."""

import os

from snakemake.caching import LOCATION_ENVVAR

# With --cache, and SNAKEMAKE_OUTPUT_CACHE naming a folder, what the rules with `cache:` make is kept in that folder, and
# other studies take it from there. Snakemake finds it by its shell command and params and those of all that it was made
# from, not by wildcards: so a job's name, which its random numbers depend on, is one of its params.
CACHE = os.environ.get(LOCATION_ENVVAR)
CACHED = CACHE is not None and workflow.workflow_settings.cache is not None
if CACHED and not workflow.storage_settings.default_storage_provider:
    if not (Path(CACHE).is_absolute() and Path(CACHE).is_dir()):
        stop(f"{LOCATION_ENVVAR}: found {CACHE!r}, expected the absolute path of a folder that is there")


localrules:
    download,


rule download:
    """A data set's published files, fetched into data_root unless they are there; run where Snakemake runs."""
    output:
        "<results>/{dataset}/source.json",
    log:
        "<logs>/{dataset}/download.log",
        cost="<benchmarks>/{dataset}/download.tsv",
    conda:
        "../../envs/training.yaml"
    threads: 1
    params:
        # No digest of code: what was fetched has the published checksum, whatever fetched it.
        cfg=lambda w: settings.published(STUDY, "datasets", w.dataset),
    message:
        "files of {wildcards.dataset} (log: {log[0]})"
    shell:
        "python -m poolflow download --name {wildcards.dataset} --config {params.cfg:q} --code any"
        ' --root "$POOLFLOW_DATA" --out {output} --cost {log.cost} 2> {log[0]}'


rule dataset:
    """One data set as images or features, and labels, in HDF5."""
    input:
        lambda w: chains.published(STUDY, "datasets", w.dataset),
    output:
        "<results>/{dataset}/dataset.h5",
    log:
        "<logs>/{dataset}/dataset.log",
        cost="<benchmarks>/{dataset}/dataset.tsv",
    cache: CACHED
    conda:
        "../../envs/training.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 4000,
        runtime=lambda w, attempt: attempt * 60,
    params:
        name="{dataset}",
        code=lambda w: settings.dataset_code(STUDY, "dataset", w.dataset),
        cfg=lambda w: settings.dataset(STUDY, w.dataset, workflow.remote_exec),
    message:
        "data set {wildcards.dataset} (log: {log[0]})"
    shell:
        "python -m poolflow dataset --name {params.name} --config {params.cfg:q} --code {params.code}"
        ' --root "$POOLFLOW_DATA" --out {output} --cost {log.cost} 2> {log[0]}'


rule pool:
    """The rows of a data set that one repetition may label, and its validation split."""
    input:
        "<results>/{dataset}/dataset.h5",
    output:
        "<results>/{dataset}/pool/seed{seed}.h5",
    log:
        "<logs>/{dataset}/pool/seed{seed}.log",
        cost="<benchmarks>/{dataset}/pool/seed{seed}.tsv",
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 1000,
        runtime=lambda w, attempt: attempt * 10,
    params:
        name="{dataset}/seed{seed}",
        code=settings.code("pool"),
        cfg=lambda w: settings.pool(STUDY, w.dataset),
    message:
        "pool of {wildcards.dataset}, seed {wildcards.seed} (log: {log[0]})"
    shell:
        "python -m poolflow pool --name {params.name} --config {params.cfg:q} --code {params.code}"
        " --dataset {input} --asked $POOLFLOW_ASKED --out {output} --cost {log.cost} 2> {log[0]}"
