"""poolflow: pool-based deep active learning on images, from the data to the learning curves."""

from snakemake.utils import min_version

min_version("9.14")


# For --software-deployment-method conda apptainer only: where conda makes the environments of envs/.
container: "docker://condaforge/miniforge3:26.3.2-3"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/pretext.smk"
include: "workflow/rules/initial_pool.smk"
include: "workflow/rules/cycle.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/cluster.smk"


rule all:
    """The whole study: its report, its tables and its figures."""
    default_target: True
    input:
        "<results>/report.html",
        expand("<results>/{table}.csv", table=TABLES),
        expand(f"<results>/figures/{{figure}}.{STUDY['figures']['format']}", figure=FIGURES),


rule data:
    """The study's data sets and pools only."""
    input:
        expand("<results>/{dataset}/dataset.h5", dataset=STUDY["datasets"]),
        expand("<results>/{dataset}/pool/seed{seed}.h5", dataset=STUDY["datasets"], seed=STUDY["seeds"]),


rule curves:
    """The learning curves only: curves.csv and summary.csv."""
    input:
        expand("<results>/{table}.csv", table=["curves", "summary"]),


rule to_label:
    """What to label next: the table of its files, and sheets of the images."""
    input:
        # A file that cannot be: whoever asks for this target is told so before any job.
        reports.to_label(STUDY) or "no data set of the study knows the files of its images, as image_folder does",
