"""Trials and rows as TensorFlow data sets."""
