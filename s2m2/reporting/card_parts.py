# shim
# ruff: noqa
from s2m2.reports.card_parts import STAGE_NAMES as STAGE_NAMES  # noqa: F401
from s2m2.reports.card_parts import code as code  # noqa: F401
from s2m2.reports.card_parts import data_table as data_table  # noqa: F401
from s2m2.reports.card_parts import fact_rows as fact_rows  # noqa: F401
from s2m2.reports.card_parts import mix_words as mix_words  # noqa: F401
from s2m2.reports.card_parts import plain as plain  # noqa: F401
from s2m2.reports.card_parts import recipe_sentences as recipe_sentences  # noqa: F401
from s2m2.reports.card_parts import score_rows as score_rows  # noqa: F401
from s2m2.reports.card_parts import selection_sentence as selection_sentence  # noqa: F401
__all__ = ['STAGE_NAMES', 'code', 'data_table', 'fact_rows', 'mix_words', 'plain', 'recipe_sentences', 'score_rows', 'selection_sentence']
