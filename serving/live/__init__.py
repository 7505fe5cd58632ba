"""Live mode: a process beside the workers that keeps the store up to date and watches for changes.

It asks the source after each bar's close, answers for each symbol, writes down what changed, and
tells webhooks. Workers only read what it left: no request ever waits for it.
"""
