"""The roles that come with Ganglion, a small file each: ``build(config) -> Agent``.

A question's way: ASK (planner) -> EMBED_QUERY (embedder) -> RETRIEVE (retriever) -> SYNTHESIZE
(synthesizer) -> EVALUATE (evaluator); a compound question becomes one such task a part, and MERGE
(planner) once all parts are done. An ingest's way: INGEST (retriever) -> EMBEDDER (embedder) ->
REFRESH (retriever) -> FIT or EMBED_CHUNKS (embedder) -> REFRESH ... until nothing is left to embed.
Each agent hands the task on with ``Continue``; none waits for another.
"""
