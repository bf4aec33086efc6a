"""Builder functions and the models that train what they assemble."""
