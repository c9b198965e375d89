"""The report of a study, or of several: one HTML file that needs nothing else.

`sources` finds what there is to show, `content` says it, and `page` makes the file of it.
"""
