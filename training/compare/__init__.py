"""``bearmode compare``: the project's model and every baseline on the same folds, side by side."""
