"""From a finished run to the tournament: files, keys, Numerai's API, submissions, model uploads and schedules."""
