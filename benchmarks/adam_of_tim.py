"""Agreement and speed of `tim_fast` and `alpha_tim_fast`, with one average of squared gradients a class, and TIM-GD and alpha-TIM.

Made-up features of 20 classes, 640 dimensions that end in a ReLU: classes and their spread lie mostly in 60 directions of falling
strength, as those of networks do. 5-way, 15 queries. Agreement is the fraction of queries that both predict alike.
"""

import argparse
import time

import torch
import torch.nn.functional as F

from s2m2.classifiers import TIM, AlphaTIM, FastAlphaTIM, FastTIM
from s2m2.classifiers.base import ScoresTasks
from s2m2.evaluation.map_tasks import TaskGatherer
from s2m2.random import generator_for
from s2m2.tasks.episodes import EpisodeIndices, EpisodeSpec
from s2m2.tasks.sampler import sample_tasks

PART = 48
"""Tasks that are computed together."""


def features(spread: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Features and labels; the larger the spread, the more the classes overlap."""
    generator = generator_for(0, "benchmark", str(spread))
    labels = torch.arange(20).repeat_interleave(600)
    directions = torch.randn(60, 640, generator=generator) * 60**-0.5 * torch.linspace(2, 0.3, 60)[:, None]
    centers = torch.randn(20, 60, generator=generator)[labels]
    values = (centers + spread * torch.randn(12_000, 60, generator=generator)) @ directions
    return F.relu(0.3 + values + 0.5 * torch.randn(12_000, 640, generator=generator)), labels


def predictions(classifier: ScoresTasks, values: torch.Tensor, episodes: EpisodeIndices) -> tuple[torch.Tensor, float]:
    """Predicted ways, and tasks per second of one thread."""
    gather, parts, began = TaskGatherer(values), [], time.process_time()
    with torch.inference_mode():
        for start in range(0, len(episodes), PART):
            parts.append(classifier(gather(episodes.part(start, start + PART)), generator_for(0)).argmax(-1))
    return torch.cat(parts), len(episodes) / (time.process_time() - began)


def main() -> None:
    """Measure and print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=480, help="tasks of each kind")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| spread | shots | classifier | as published, % | fast, % | agreement, % | tasks per second of one thread |")
    print("|---|---|---|---|---|---|---|")
    for spread in (1.0, 1.6):
        values, labels = features(spread)
        for shots in (1, 5):
            episodes = sample_tasks(labels, EpisodeSpec(ways=5, shots=shots, queries=15, tasks=options.tasks))
            for classifiers in ((TIM(), FastTIM()), (AlphaTIM(), FastAlphaTIM())):
                (published, published_rate), (fast, fast_rate) = (predictions(one, values, episodes) for one in classifiers)
                right = [float((predicted == episodes.query_ways).double().mean()) for predicted in (published, fast)]
                agreement = float((published == fast).double().mean())
                print(
                    f"| {spread} | {shots} | {classifiers[0].name} | {100 * right[0]:.2f} | {100 * right[1]:.2f} | {100 * agreement:.2f} "
                    f"| {published_rate:.0f}, {fast_rate:.0f} |"
                )


if __name__ == "__main__":
    main()
