"""What people are shown of the marts."""

EXAMPLE_QUERY = (
    "select rank, display_name, commits from analytics.leaderboard "
    "where scope = 'overall' and time_window = 'all_time' order by rank limit 10"
)
