"""Inspection of a dataset: every image is read once, and what was seen becomes findings that name files and classes."""

from s2m2.data.inspection.diagnosis import Diagnosis, PartCount, diagnose
from s2m2.data.inspection.findings import Finding, Severity
from s2m2.data.inspection.observation import Observations, observe
from s2m2.data.inspection.subject import Subject, dataset_subject, folder_subject, subject_of

__all__ = [
    "Diagnosis",
    "Finding",
    "Observations",
    "PartCount",
    "Severity",
    "Subject",
    "dataset_subject",
    "diagnose",
    "folder_subject",
    "observe",
    "subject_of",
]
