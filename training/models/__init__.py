"""Models and baselines: each learns from the rows it is given and answers with probabilities."""
