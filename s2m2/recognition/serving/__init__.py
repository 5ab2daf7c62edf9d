"""A page and a REST interface for a saved `ImageClassifier`: `s2m2 serve`. Needs the extra `serve`.

How a photo flows: `access.py` decides whether a request may be answered, `uploads.py` takes photos out of it, `decoding.py` makes pixels
of them in threads, `batching.py` runs the network on photos of several requests at once, and `shared_model.py` names them. A change of
the model is made on a copy, saved, and put in the place of the old one, so that no answer waits for it.
"""
