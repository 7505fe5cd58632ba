"""What each feature is worth: plots, coverage, drift, relations, and the ablation on the folds."""
