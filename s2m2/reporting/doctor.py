# shim
# ruff: noqa
from s2m2.reports.dataset_page import rgb_text as triple  # noqa: F401
from s2m2.reports.dataset_page import verdict as verdict  # noqa: F401
from s2m2.reports.dataset_page import write_dataset_page as write_doctor_page  # noqa: F401
__all__ = ['triple', 'verdict', 'write_doctor_page']
