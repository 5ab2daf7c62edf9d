"""Measure a frozen backbone: features, few-shot heads on them, and accuracies with their intervals."""
