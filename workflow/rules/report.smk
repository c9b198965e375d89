"""What people open: the tables and the figures, each kind by one rule."""


rule table:
    """A table of the results, by the plugin that it is named after."""
    input:
        lambda w: reports.inputs(STUDY, "tables", w.table),
    output:
        report("<results>/{table}.csv", category="Tables", caption="../report/table.rst"),
    log:
        "<logs>/{table}.log",
        cost="<benchmarks>/{table}.tsv",
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 2000,
        runtime=lambda w, attempt: attempt * 30,
    params:
        code=lambda w: reports.plugin_code(STUDY, "tables", w.table),
        cfg=lambda w: reports.settings(STUDY, "tables", w.table),
    message:
        "{wildcards.table}.csv (log: {log[0]})"
    shell:
        "python -m poolflow table --name {wildcards.table} --config {params.cfg:q} --code {params.code}"
        " --out {output} --cost {log.cost} 2> {log[0]}"


rule figure:
    """A figure of the results, by the plugin that draws it; as .svg or .pdf for whoever asks for that."""
    input:
        lambda w: reports.inputs(STUDY, "figures", w.figure),
    output:
        report("<results>/figures/{figure}.{format}", category="Figures", caption="../report/figure.rst"),
    log:
        "<logs>/figures/{figure}.{format}.log",
        cost="<benchmarks>/figures/{figure}.{format}.tsv",
    wildcard_constraints:
        format="png|svg|pdf",
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 2000,
        runtime=lambda w, attempt: attempt * 30,
    params:
        code=lambda w: reports.plugin_code(STUDY, "figures", w.figure),
        cfg=lambda w: reports.settings(STUDY, "figures", w.figure),
    message:
        "figures/{wildcards.figure}.{wildcards.format} (log: {log[0]})"
    shell:
        "python -m poolflow figure --name {wildcards.figure} --config {params.cfg:q} --code {params.code}"
        " --out {output} --cost {log.cost} 2> {log[0]}"


rule tsne:
    """A sample of one data set in two dimensions, by the features of a pretext task."""
    input:
        pool="<results>/{dataset}/pool/seed{seed}.h5",
        features="<results>/{dataset}/pretext/{task}/seed{seed}/features.h5",
        labeled=lambda w: reports.initial_sets(STUDY, w),
    output:
        "<results>/{dataset}/pretext/{task}/seed{seed}/tsne.h5",
    log:
        "<logs>/{dataset}/pretext/{task}/seed{seed}/tsne.log",
        cost="<benchmarks>/{dataset}/pretext/{task}/seed{seed}/tsne.tsv",
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 4000,
        runtime=lambda w, attempt: attempt * 30,
    params:
        code=settings.code("tsne"),
        cfg=settings.block(rows=5000, seed=STUDY["seed"]),
    message:
        "t-SNE of {wildcards.task} on {wildcards.dataset}, seed {wildcards.seed} (log: {log[0]})"
    shell:
        "python -m poolflow tsne --name {wildcards.dataset}/pretext/{wildcards.task}/seed{wildcards.seed}"
        " --config {params.cfg:q} --code {params.code} --pool {input.pool} --features {input.features}"
        " --labeled {input.labeled} --out {output} --cost {log.cost} 2> {log[0]}"


rule report:
    """The report: the answers, the curves and what was asked for, in one HTML file."""
    input:
        expand("<results>/{table}.csv", table=TABLES),
        expand("<results>/figures/{figure}.png", figure=FIGURES),
    output:
        "<results>/report.html",
    log:
        "<logs>/report.log",
        cost="<benchmarks>/report.tsv",
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 2000,
        runtime=lambda w, attempt: attempt * 30,
    params:
        code=lambda w: reports.report_code(),
        cfg=lambda w: reports.report_settings(STUDY, config),
    message:
        "report.html (log: {log[0]})"
    shell:
        "python -m poolflow study_report --name report --config {params.cfg:q} --code {params.code} --out {output}"
        " --cost {log.cost} 2> {log[0]}"
