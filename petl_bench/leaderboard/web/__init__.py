"""The leaderboard as one page for a browser: no request leaves it, so it works from a file, a mail or a web server."""
