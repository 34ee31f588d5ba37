"""What performs the flows: the HTTP library, retries, tokens, limits, clocks; in sync and in async.

``aio.py`` and ``waits_aio.py`` are the originals; ``sync.py`` is ``aio.py`` with a few words
substituted (``python -m mdmsdk._run.twins``), ``waits_sync.py`` has the same names over threads.
"""
