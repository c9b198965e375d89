"""Stages, one file a job: `main(job, ...)`, whose other parameters are the options of its command line."""
