"""Early stopping, as a pure function of the scores so far (S2M2, Algorithm 1, with patience)."""

from dataclasses import replace

from s2m2.runs.checkpoint import Progress


def judge(progress: Progress, score: float, epoch: int) -> Progress:
    """The progress after a validation: a new best, or one more validation waited. An equal score is not above."""
    if score > progress.best_score:
        return replace(progress, best_score=score, best_epoch=epoch, waited=0)
    return replace(progress, waited=progress.waited + 1)


def out_of_patience(progress: Progress, patience: int) -> bool:
    """Whether the stage stops; patience 0 never does."""
    return 0 < patience <= progress.waited
