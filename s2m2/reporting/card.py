# shim
# ruff: noqa
from s2m2.reports.card import ExportedModel as ExportedModel  # noqa: F401
from s2m2.reports.card import front_matter as front_matter  # noqa: F401
from s2m2.reports.card import model_card as model_card  # noqa: F401
from s2m2.reports.card import score_command as score_command  # noqa: F401
__all__ = ['ExportedModel', 'front_matter', 'model_card', 'score_command']
