"""Data sets, and the pool that each repetition may label from."""


localrules:
    download,


rule download:
    """A data set's published files, fetched into data_root unless they are there; run where Snakemake runs."""
    output:
        "<results>/{dataset}/source.json",
    log:
        "<logs>/{dataset}/download.log",
    benchmark:
        "<benchmarks>/{dataset}/download.tsv"
    conda:
        "../../envs/training.yaml"
    threads: 1
    params:
        code=lambda w: code("download", "datasets", STUDY["datasets"][w.dataset]),
        cfg=lambda w: dataset_block(w.dataset),
    message:
        "files of {wildcards.dataset}"
    shell:
        "python -m poolflow.download --name {wildcards.dataset} --config {params.cfg:q} --code {params.code}"
        ' --root "$POOLFLOW_DATA" --out {output} 2> {log}'


rule dataset:
    """One data set as images or features, and labels, in HDF5."""
    input:
        # Ancient: what was fetched has the published checksum, whenever it was fetched.
        lambda w: ancient(published(w.dataset)),
    output:
        "<results>/{dataset}/dataset.h5",
    log:
        "<logs>/{dataset}/dataset.log",
    benchmark:
        "<benchmarks>/{dataset}/dataset.tsv"
    conda:
        "../../envs/training.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 4000,
        runtime=lambda w, attempt: attempt * 60,
    params:
        code=lambda w: code("dataset", "datasets", STUDY["datasets"][w.dataset]),
        cfg=lambda w: dataset_block(w.dataset),
    message:
        "data set {wildcards.dataset}"
    shell:
        "python -m poolflow.dataset --name {wildcards.dataset} --config {params.cfg:q} --code {params.code}"
        ' --root "$POOLFLOW_DATA" --out {output} 2> {log}'


rule pool:
    """The rows of a data set that one repetition may label, and its validation split."""
    input:
        "<results>/{dataset}/dataset.h5",
    output:
        "<results>/{dataset}/pool/seed{seed}.h5",
    log:
        "<logs>/{dataset}/pool/seed{seed}.log",
    benchmark:
        "<benchmarks>/{dataset}/pool/seed{seed}.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 1000,
        runtime=lambda w, attempt: attempt * 10,
    params:
        code=code("pool"),
        cfg=lambda w: pool_block(w.dataset),
    message:
        "pool of {wildcards.dataset}, seed {wildcards.seed}"
    shell:
        "python -m poolflow.pool --name {wildcards.dataset}/seed{wildcards.seed} --config {params.cfg:q}"
        " --code {params.code} --dataset {input} --out {output} 2> {log}"
