"""The loop around training: gate, promotion journal, rollback, pruning, backup.

A challenger becomes champion only by what it showed on bars that it did not know.
"""
