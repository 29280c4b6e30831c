"""Retrieval: files to passages, passages to ranked hits, hits to answers with sources.

Pure library: it knows no messages, queues, agents or coordinator, so every piece is tested by
itself; the roles are thin wrappers around it. Import the piece you need (this package imports
nothing), so that no process loads what belongs to another role.

Who uses what, each in a process of its own:

    role         holds                          calls
    -----------  -----------------------------  ---------------------------------------------
    retriever    search.Index (SQLite, usearch) ingest, texts, use_embedder, pending,
                                                add_vectors, search, save, stats
    embedder     embed.open_embedder(spec, dir) fit (when embed.fit_due), embed_named; dim
    planner      plan                           split_question, merge
    synthesizer  answer or chat                 synthesize(SearchResult) -> Answer, stream
    evaluator    judge                          judge(Answer, term_idf) -> Judgement

What travels between them is in ``records`` (Hit, SearchResult, Source, Answer: ``to_json`` and
``from_json``), ids as JSON integers (63 bits), and vectors as float32 arrays (n, dim).

Ingest, driven by whoever asks for it::

    report = index.ingest(paths, skip=DEMO_SKIP)            # retriever: files to chunks
    if fit_due(embedder, chunks):                           # embedder: only a fitted backend
        embedder.fit(index.texts())                         #   learns from the corpus
    index.use_embedder(embedder.name, embedder.dim)         # retriever: drops foreign vectors
    while batch := index.pending(256):                      # retriever -> embedder -> retriever
        name, rows = embed_named(embedder, [one.text for one in batch])
        index.add_vectors([one.id for one in batch], rows, name)
    index.save()

Question, after the planner split it::

    name, rows = embed_named(embedder, [question])          # embedder
    result = index.search(question, rows[0], k=10, name=name)           # retriever
    answer = synthesize(result)                             # synthesizer
    verdict = judge(answer, result.term_idf)                # evaluator
    whole = merge(question, answers)                        # planner

Ids of chunks are taken from their content and vectors carry their embedder's fingerprint, so
there is no order of crashes after which a vector belongs to the wrong text: what is missing is
``pending``, what is left over is dropped. Without vectors, search is BM25 alone.

Files: ``errors`` ``terms`` (the analyzer) ``document`` ``readers`` ``markup`` ``roff`` ``pysource``
(files to lines) ``chunks`` ``store`` ``vectors`` ``search`` ``embed`` ``lsa`` ``remote`` (HTTP)
``sentences`` ``answer`` ``chat`` ``judge`` ``plan`` ``records`` ``corpus``. Everything raised on
purpose is an ``errors.RetrievalError``.
"""
