"""What ``petl-bench init`` makes: a study's folder, and the table of its clips."""
