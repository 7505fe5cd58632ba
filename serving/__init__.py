"""What a user gets: the verified bundle, the predictor, the advice and the service around them.

Imports ``features`` alone; at run time it needs neither lightgbm, scikit-learn nor mlflow.
"""
