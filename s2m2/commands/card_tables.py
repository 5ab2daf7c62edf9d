# shim
from s2m2.reports.exporting import card_datasets as card_tables  # noqa: F401
from s2m2.runs.sharing import missing_datasets  # noqa: F401
from s2m2.runs.sharing import shareable_path as bare  # noqa: F401
