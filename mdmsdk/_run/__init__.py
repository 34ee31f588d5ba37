"""What performs the flows: the HTTP library, retries, tokens, limits, clocks; in sync and in async.

Everything is written once, as coroutines. ``waits_aio.py`` and ``waits_sync.py`` are the two ways to wait;
the sync classes of client and federation are written from the async ones (``python -m mdmsdk._run.twins``).
"""
