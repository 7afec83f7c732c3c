"""Benchmarks: programs with which PyGAS proves itself, ``pygas bench NAME``.

Every figure is to be read as a ratio to another one of the same run: what is compared is measured
in turns, in several rounds, and the median of all rounds is shown.
"""
