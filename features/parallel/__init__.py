"""One task for each symbol: in this process, in processes of its own, or on a Dask cluster.

No pickle is read from anybody else, and an error of one symbol leaves the others alone.
"""
