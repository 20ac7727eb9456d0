"""The program that is run with both packages; it uses only names that both have.

It runs as ``python -m program`` in either environment, where this checkout cannot be imported, and prints what it
observed as JSON. The packages are `Any` to it: it is run with both, and checked with one.
"""
