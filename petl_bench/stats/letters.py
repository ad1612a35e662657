"""What many pairwise tests say about the methods: the compact letter display, and who is not worse than the best."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from string import ascii_lowercase

from petl_bench.stats.availability import NotAvailable
from petl_bench.stats.estimate import negligible

MOST_METHODS = 8


def compact_letters(scores: Mapping[str, float], different: Iterable[tuple[str, str]]) -> dict[str, str] | NotAvailable:
    """Letters by method, best first: methods that share a letter are not significantly different.

    ``different`` are the pairs that are, from all-pairs adjusted p-values. A letter is a maximal clique of the graph of
    "not different" pairs (Piepho, J. Comput. Graph. Stat. 2004), so a letter may skip a method where standard errors
    differ by pair. Not available above 8 methods, where nobody can read it.
    """
    if len(scores) > MOST_METHODS:
        return NotAvailable(f"letters are for {MOST_METHODS} methods at most")
    names = sorted(scores, key=lambda name: -scores[name])
    apart = {frozenset(pair) for pair in different}
    cliques: list[tuple[str, ...]] = []
    for size in range(len(names), 0, -1):
        for group in combinations(names, size):
            alike = all(frozenset(pair) not in apart for pair in combinations(group, 2))
            if alike and not any(set(group) <= set(clique) for clique in cliques):
                cliques.append(group)
    cliques.sort(key=lambda clique: [names.index(name) for name in clique])
    return {
        name: "".join(letter for letter, clique in zip(ascii_lowercase, cliques, strict=False) if name in clique)
        for name in names
    }


def not_worse_than_best(scores: Mapping[str, float], different: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Methods that are not significantly worse than the one with the highest score, itself among them.

    ``different`` as for ``compact_letters``: all pairs, because the data chose the best. Where several share the
    highest score, a method is left out only if it differs from all of them.
    """
    apart = {frozenset(pair) for pair in different}
    top = max(scores.values(), default=0.0)
    best = [name for name in scores if negligible(top - scores[name])]
    return tuple(name for name in scores if any(frozenset((name, top)) not in apart for top in best))
