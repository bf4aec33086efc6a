"""The values that hold recordings and trials."""
