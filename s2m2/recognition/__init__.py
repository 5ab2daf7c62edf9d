"""One's own classes: an image classifier from a few labeled images, its predictions, and what they are worth."""

from s2m2.recognition.classifier import ImageClassifier
from s2m2.recognition.fitted import Answers

__all__ = ["Answers", "ImageClassifier"]
