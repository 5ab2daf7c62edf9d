"""Inspection of a data set: every picture is read once, and what was seen becomes findings that name files and classes."""

from s2m2.data.inspection.diagnosis import Diagnosis, PartCount, diagnose
from s2m2.data.inspection.findings import Finding, Severity
from s2m2.data.inspection.observation import Observations, observe
from s2m2.data.inspection.subject import Subject, folder_subject, subject_of, table_subject

__all__ = [
    "Diagnosis",
    "Finding",
    "Observations",
    "PartCount",
    "Severity",
    "Subject",
    "diagnose",
    "folder_subject",
    "observe",
    "subject_of",
    "table_subject",
]
