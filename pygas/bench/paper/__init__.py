"""``pygas bench paper``: the paper's evaluation, on the machine at hand, against today's peers.

What is compared is run in turns, in several rounds. A folder gets the report (Markdown), its plots
(PNG) and every single measurement (JSON). The programs are those of ``examples/`` and
``benchmarks/`` in a clone of PyGAS; they are run as their own first lines say.
"""
