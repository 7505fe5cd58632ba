"""How the squeeze model is made and proven: quantiles of the adverse excursion of shorts and longs.

Outcomes, volatility base, quantile trees, tail, conformal offsets, the graph, and what all that is worth.
"""
