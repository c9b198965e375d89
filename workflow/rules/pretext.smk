"""Pretext tasks: what is learned of the images without a label, once for a data set and seed."""


rule pretrain:
    """What a pretext task learns from the images of a pool. A killed run goes on from its last checkpoint."""
    input:
        dataset="<results>/{dataset}/dataset.h5",
        pool="<results>/{dataset}/pool/seed{seed}.h5",
        of=partial(chains.pretext_base, STUDY),
    output:
        model="<results>/{dataset}/pretext/{task}/seed{seed}/model.pt",
        losses="<results>/{dataset}/pretext/{task}/seed{seed}/losses.csv",
    log:
        "<logs>/{dataset}/pretext/{task}/seed{seed}/pretrain.log",
        cost="<benchmarks>/{dataset}/pretext/{task}/seed{seed}/pretrain.tsv",
    cache: CACHED
    conda:
        "../../envs/training.yaml"
    threads: STUDY["threads"]
    resources:
        mem_mb=lambda w, attempt: attempt * 8000,
        runtime=lambda w, attempt: attempt * 1440,
        gpu=gpu(STUDY["device"]),
    params:
        name="{dataset}/pretext/{task}/seed{seed}",
        code=lambda w: settings.pretext_code(STUDY, "pretrain", w.task),
        cfg=lambda w: settings.pretext(STUDY, w.task),
    message:
        "pretext task {wildcards.task}: {wildcards.dataset}, seed {wildcards.seed} (log: {log[0]})"
    shell:
        "python -m poolflow pretrain --name {params.name}"
        " --config {params.cfg:q} --code {params.code} --dataset {input.dataset} --pool {input.pool} --of {input.of}"
        " --model {output.model} --losses {output.losses} --cost {log.cost} 2> {log[0]}"


rule pretext_output:
    """One output of a pretext task for every image of the pool: features, scores or clusters."""
    input:
        dataset="<results>/{dataset}/dataset.h5",
        pool="<results>/{dataset}/pool/seed{seed}.h5",
        of=partial(chains.pretext_base, STUDY),
        model=partial(chains.pretext_model, STUDY),
    output:
        "<results>/{dataset}/pretext/{task}/seed{seed}/{need}.h5",
    log:
        "<logs>/{dataset}/pretext/{task}/seed{seed}/{need}.log",
        cost="<benchmarks>/{dataset}/pretext/{task}/seed{seed}/{need}.tsv",
    wildcard_constraints:
        need="features|scores|clusters",
    cache: CACHED
    conda:
        "../../envs/training.yaml"
    threads: STUDY["threads"]
    resources:
        mem_mb=lambda w, attempt: attempt * 8000,
        runtime=lambda w, attempt: attempt * 240,
        gpu=gpu(STUDY["device"]),
    params:
        name="{dataset}/pretext/{task}/seed{seed}",
        need="{need}",
        code=lambda w: settings.pretext_code(STUDY, "pretext_output", w.task),
        cfg=lambda w: settings.pretext(STUDY, w.task, w.need),
    message:
        "{wildcards.need} of the pretext task {wildcards.task}: {wildcards.dataset}, seed {wildcards.seed} (log: {log[0]})"
    shell:
        "python -m poolflow pretext_output --name {params.name}"
        " --config {params.cfg:q} --code {params.code} --need {params.need} --dataset {input.dataset}"
        " --pool {input.pool} --model {input.model} --of {input.of} --out {output} --cost {log.cost} 2> {log[0]}"
