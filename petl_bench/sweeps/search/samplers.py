"""What a search tries next. A proposal's randomness comes from the search's seed and the number of trials before it.

So a search that goes on in another process does not repeat its first proposals, and one process with one worker
proposes the same however often it was stopped.
"""

from __future__ import annotations

import warnings

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler

from petl_bench.seeds import derive_seed
from petl_bench.sweeps.card import Search
from petl_bench.sweeps.search.space import Space, Values

STARTUP_TRIALS = 10
"""Random trials before tpe models what is good."""


def sampler_for(search: Search, study: str, before: int) -> BaseSampler:
    """The sampler that proposes the trial after so many others, lost ones not counted."""
    seed = derive_seed(search.seed, study, "proposal", before) % 2**32
    if search.sampler == "tpe":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return optuna.samplers.TPESampler(
                n_startup_trials=STARTUP_TRIALS, multivariate=True, constant_liar=True, seed=seed
            )
    if search.sampler == "nsga2":
        return optuna.samplers.NSGAIISampler(population_size=search.population, seed=seed)
    return optuna.samplers.RandomSampler(seed=seed)


def grid_of(search: Search, study: str, space: Space) -> list[Values]:
    """All combinations in the order in which a grid search tries them: shuffled, as a search may end early."""
    every = space.every()
    order = np.random.default_rng(derive_seed(search.seed, study, "grid")).permutation(len(every))
    return [every[at] for at in order]
