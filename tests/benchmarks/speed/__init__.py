"""How fast this package is, beside the official SDK and bare HTTP libraries, all measured in one run.

``python -m tests.benchmarks.speed`` builds the virtual environments of the contestants, starts one neutral server, lets
the contestants take turns, and prints medians and ratios.
"""
