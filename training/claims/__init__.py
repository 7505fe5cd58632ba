"""What traders say of this strategy, held against real history: ``python -m training.claims``.

Online regimes wherever a trader would have acted on one; hindsight only where a claim is about what
the market was, and then it says so.
"""
