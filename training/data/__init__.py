"""The jobs around the store: fetch, update, audit, and a symbol's history as a file."""
