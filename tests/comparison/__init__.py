"""Compares this package with the official SDK: one program, both packages, byte for byte.

``python -m tests.comparison`` builds a virtual environment with each of the two, has the same program make the same
calls with each against a neutral local server, and tells every difference in what is sent and in what comes back.
Differences on purpose stand in `known`, with their reasons. It needs the package index and about a minute.
"""
