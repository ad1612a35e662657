"""Tests and intervals for comparisons of training procedures. Free of torch; numpy and scipy alone.

``scores`` gathers per-clip scores of runs (``outcomes`` makes them from logits), ``engine`` estimates a contrast of
configurations, ``comparisons`` does what a table of comparisons needs. Unless a function says otherwise the question is
how training procedures differ on data like these: clips and runs are random, the overlap of training sets is not
modelled.
"""
