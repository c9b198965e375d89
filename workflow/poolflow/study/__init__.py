"""What the Snakefile reads of a study. Imports nothing heavy, and needs no Snakemake."""
