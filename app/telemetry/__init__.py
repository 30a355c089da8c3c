"""What a fleet tells of itself: logs, traces, and numbers that only grow."""
