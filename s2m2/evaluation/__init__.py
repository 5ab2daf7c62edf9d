"""Measure a frozen backbone: features, few-shot classifiers on them, and accuracies with their intervals.

Where an evaluation begins: `api` (arrays in Python), `run_evaluation` (a run), `file_evaluation` (a feature file), `validation_tasks` (a
training stage). What it needs: `features`, from a run (`run_features`) or files (`feature_files` in all `feature_formats`);
`preparation`, the classifiers and
transforms; `task_kinds`. What it does: `score_all` scores every classifier on every kind of task, `measure_details` and `accuracies` one on
one, with and without details; `map_tasks` distributes the tasks; `outcomes`, `calibration` and `open_set` reduce scores to numbers. What
remains: `results` with their `details` and `intervals`, which `compare` compares in pairs, and `ranking` the best with all others.
`learn2learn_tasksets` takes tasks of that package.
"""

from s2m2.evaluation.api import compare as compare
from s2m2.evaluation.api import evaluate as evaluate
