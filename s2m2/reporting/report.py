# shim
# ruff: noqa
from s2m2.reports.html import SELECTION as SELECTION  # noqa: F401
from s2m2.reports.html import command_again as command_again  # noqa: F401
from s2m2.reports.html import duration as duration  # noqa: F401
from s2m2.reports.html import flag_words as flag_words  # noqa: F401
from s2m2.reports.html import stopping_sentence as stopping_sentence  # noqa: F401
from s2m2.reports.html import write_report as write_report  # noqa: F401
from s2m2.reports.scores import read_results as read_results  # noqa: F401
__all__ = ['SELECTION', 'command_again', 'duration', 'flag_words', 'read_results', 'stopping_sentence', 'write_report']
