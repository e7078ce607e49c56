"""Policies of other systems as models in our own simulator (tests/sim/policy.c), as rows of the benchmark."""


def rows(sim, scenario, image, nodes):
    """None yet."""
    return []
