"""What can go wrong with jobs.

MeterwayError
├── TooManyJobsError   429  the user has as many unfinished ones as it may
└── JobLostError       409  the job is gone, or somebody else's by now
"""

from meterway.kit.errors import MeterwayError


class TooManyJobsError(MeterwayError):
    """The user has too many jobs that are not done."""

    status, code = 429, "too_many_background_jobs"
    retryable = True


class JobLostError(MeterwayError):
    """Who works on a job has lost it: it was cancelled, deleted, or taken over."""

    status, code = 409, "job_lost"
