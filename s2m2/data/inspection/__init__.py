"""Inspection of a dataset: every image is read once, and observations become findings that name files and classes."""

from s2m2.data.inspection.diagnosis import Diagnosis, Finding, PartCount, Severity, counts_table, diagnose
from s2m2.data.inspection.observation import Observations, observe
from s2m2.data.inspection.subject import Subject, dataset_subject, folder_subject, page_path, subject_of

__all__ = [
    "Diagnosis",
    "Finding",
    "Observations",
    "PartCount",
    "Severity",
    "Subject",
    "counts_table",
    "dataset_subject",
    "diagnose",
    "folder_subject",
    "observe",
    "page_path",
    "subject_of",
]
