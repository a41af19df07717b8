"""What a deployed model consists of: functions of numpy, scipy and pandas, which `tournament.source` writes into one file."""
