/* partials.c - what is kept of a running task's PARTIALs and PROGRESS, so that who watches later hears it again.
 *
 * A courtesy: bounded per task, not in the journal, and the first to go when something else needs the room.
 */
#include <stdlib.h>

#include "core/internal.h"

#define NODE offsetof(struct gn_stream, node)
#define PIECE sizeof(struct gn_piece)

static void count(gn_core *core, uint64_t more, uint64_t less)
{
    core->bytes += more - less;
    core->partial_bytes += more - less;
}

void gn_partials_drop(gn_core *core, struct gn_task *t)
{
    if (t->stream == GN_NIL)
        return;
    struct gn_stream *s = gn_stream_at(core, t->stream);
    count(core, 0, (uint64_t)s->bytes + s->progress_len);
    free(s->buf);
    free(s->progress);
    gn_list_drop(&core->streams, NODE, &core->kept_streams, s->self);
    gn_pool_give(&core->streams, s->self);
    t->stream = GN_NIL;
}

void gn_partials_yield(gn_core *core, uint64_t bytes)
{
    while (core->bytes + bytes > core->config.bytes_max && core->kept_streams.head != GN_NIL)
        gn_partials_drop(core, gn_task_at(core, gn_stream_at(core, core->kept_streams.head)->task));
}

/* t's, made when it has none. NULL: a line of len bytes cannot be kept. */
static struct gn_stream *stream_for(gn_core *core, struct gn_task *t, size_t len)
{
    if (len > core->config.partial_bytes_max)
        return NULL;
    gn_partials_yield(core, len);
    if (core->bytes + len > core->config.bytes_max)
        return NULL;
    if (t->stream == GN_NIL) {
        uint32_t i = gn_pool_take(&core->streams);
        if (i == GN_NIL)
            return NULL;
        struct gn_stream *s = gn_stream_at(core, i);
        s->self = i;
        s->task = t->self;
        gn_list_push(&core->streams, NODE, &core->kept_streams, i);
        t->stream = i;
    }
    return gn_stream_at(core, t->stream);
}

static void drop_lines(gn_core *core, struct gn_stream *s, uint32_t until)
{
    struct gn_piece piece;
    while (s->bytes > until) {
        memcpy(&piece, s->buf + s->head, PIECE);
        s->head += PIECE + piece.len;
        s->bytes -= piece.len;
        count(core, 0, piece.len);
    }
    if (s->head == s->tail)
        s->head = s->tail = 0;
}

/* Room for n bytes behind the last line. */
static int grow(struct gn_stream *s, size_t n)
{
    size_t used = s->tail - s->head, cap = s->cap == 0 ? 512 : s->cap;
    if (s->tail + n <= s->cap)
        return 1;
    if (used + n > s->cap / 2) { /* else there is as much in front: moving it is paid for */
        while (cap < (used + n) * 2)
            cap *= 2;
        uint8_t *buf = malloc(cap);
        if (buf == NULL)
            return 0;
        if (used > 0)
            memcpy(buf, s->buf + s->head, used);
        free(s->buf);
        s->buf = buf;
        s->cap = cap;
    } else if (used > 0) {
        memmove(s->buf, s->buf + s->head, used);
    }
    s->head = 0;
    s->tail = used;
    return 1;
}

static void drop_if_empty(gn_core *core, struct gn_task *t)
{
    const struct gn_stream *s = t->stream == GN_NIL ? NULL : gn_stream_at(core, t->stream);
    if (s != NULL && s->bytes + s->progress_len == 0)
        gn_partials_drop(core, t);
}

void gn_partials_keep_line(gn_core *core, struct gn_task *t, uint64_t seq)
{
    struct gn_piece piece = {seq, (uint32_t)core->line.len};
    struct gn_stream *s = stream_for(core, t, piece.len);
    if (s != NULL)
        drop_lines(core, s, core->config.partial_bytes_max - piece.len);
    if (s != NULL && grow(s, PIECE + piece.len)) {
        memcpy(s->buf + s->tail, &piece, PIECE);
        memcpy(s->buf + s->tail + PIECE, core->line.p, piece.len);
        s->tail += PIECE + piece.len;
        s->bytes += piece.len;
        count(core, piece.len, 0);
    } else if (t->stream != GN_NIL) {
        drop_lines(core, gn_stream_at(core, t->stream), 0); /* what is kept has no gap but at its beginning */
    }
    drop_if_empty(core, t);
}

void gn_partials_keep_progress(gn_core *core, struct gn_task *t)
{
    size_t len = core->line.len;
    if (t->stream != GN_NIL) { /* the one before is out of date, kept or not */
        struct gn_stream *old = gn_stream_at(core, t->stream);
        count(core, 0, old->progress_len);
        free(old->progress);
        old->progress = NULL;
        old->progress_len = 0;
    }
    struct gn_stream *s = stream_for(core, t, len);
    if (s != NULL && (s->progress = malloc(len)) != NULL) {
        memcpy(s->progress, core->line.p, len);
        s->progress_len = (uint32_t)len;
        count(core, len, 0);
    }
    drop_if_empty(core, t);
}

static void say(gn_core *core, struct gn_conn *c, const uint8_t *line, size_t len)
{
    if (gn_out_room(core, c))
        gn_say_line(core, c, line, len);
    else
        core->n.progress_dropped++;
}

void gn_partials_say(gn_core *core, const struct gn_task *t, struct gn_conn *c, uint64_t from)
{
    if (t->stream == GN_NIL)
        return;
    const struct gn_stream *s = gn_stream_at(core, t->stream);
    struct gn_piece piece;
    if (s->progress != NULL)
        say(core, c, s->progress, s->progress_len);
    for (size_t at = s->head; at < s->tail; at += PIECE + piece.len) {
        memcpy(&piece, s->buf + at, PIECE);
        if (piece.seq >= from)
            say(core, c, s->buf + at + PIECE, piece.len);
    }
}
