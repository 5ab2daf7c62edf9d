"""Measure a frozen backbone: features, few-shot classifiers on them, and accuracies with their intervals."""
