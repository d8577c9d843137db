"""The page in a real headless Chromium, on the demo's recording and the real server."""
