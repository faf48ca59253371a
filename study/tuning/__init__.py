"""Hyper-parameter suggestions; the only package that imports Optuna."""
