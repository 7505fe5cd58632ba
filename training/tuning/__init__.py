"""Settings of the model, searched for inside the rows that it may learn from."""
