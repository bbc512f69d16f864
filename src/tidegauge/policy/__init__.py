"""Policy: from values and drift verdicts to judgements, incidents and alerts."""
