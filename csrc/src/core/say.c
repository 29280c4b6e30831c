/* say.c - answers: one line to one link. */
#include "core/internal.h"

static size_t put(uint8_t *dst, const void *src, size_t n)
{
    if (n > 0)
        memcpy(dst, src, n);
    return n;
}

int gn_must_count(const char *payload, size_t len)
{
    return len > 0 && (memchr(payload, '\n', len) != NULL || payload[len - 1] == 0);
}

/* The line of gn_say into dst; its length, at most the sum of those given and 32. */
static size_t put_line(uint8_t *dst, const char *verb, const char *task, size_t task_len, const char *params, size_t params_len,
                       const char *payload, size_t payload_len)
{
    size_t n = put(dst, verb, strlen(verb));
    if (task_len > 0 || params_len > 0 || payload != NULL) {
        dst[n++] = ':';
        n += put(dst + n, task, task_len);
    }
    if (params_len > 0) {
        dst[n++] = ';';
        n += put(dst + n, params, params_len);
    }
    if (payload != NULL) {
        if (gn_must_count(payload, payload_len)) {
            n += put(dst + n, ";len=", 5);
            n += gn_u64((char *)dst + n, payload_len);
        }
        dst[n++] = ':';
        n += put(dst + n, payload, payload_len);
    }
    dst[n++] = '\n';
    return n;
}

void gn_say(gn_core *core, uint32_t conn, const char *verb, const char *task, size_t task_len, const char *params,
            const char *payload, size_t payload_len)
{
    if (conn == GN_NIL)
        return;
    struct gn_conn *c = gn_conn_at(core, conn);
    size_t params_len = params == NULL ? 0 : strlen(params);
    uint8_t *dst = gn_out_reserve(core, c, strlen(verb) + task_len + params_len + payload_len + 32);
    if (dst != NULL)
        gn_out_plain(core, c, put_line(dst, verb, task, task_len, params, params_len, payload, payload_len));
}

int gn_say_make(gn_core *core, const char *verb, const struct gn_task *t, const char *params, const char *payload, size_t payload_len)
{
    struct gn_text *line = &core->line;
    size_t params_len = strlen(params);
    line->len = 0;
    if (!gn_text_reserve(line, strlen(verb) + t->name_len + params_len + payload_len + 32))
        return 0;
    line->len = put_line((uint8_t *)line->p, verb, gn_task_name(t), t->name_len, params, params_len, payload, payload_len);
    return 1;
}

void gn_say_line(gn_core *core, struct gn_conn *c, const void *line, size_t len)
{
    uint8_t *dst = gn_out_reserve(core, c, len);
    if (dst != NULL)
        gn_out_plain(core, c, put(dst, line, len));
}

void gn_say_held(gn_core *core, uint32_t conn, uint64_t batch, const char *verb, const struct gn_task *t, const char *params)
{
    char with[64];
    if (conn == GN_NIL)
        return;
    if (core->facts.journal[0] != 0) {
        size_t n = params == NULL ? 0 : strlen(params) + 1;
        memcpy(with + n, "journal=", 9);
        if (n > 0) {
            memcpy(with, params, n - 1);
            with[n - 1] = ';';
        }
        strcat(with, core->facts.journal);
        params = with;
    }
    gn_out_hold(core, gn_conn_at(core, conn), batch);
    gn_say(core, conn, verb, gn_task_name(t), t->name_len, params, NULL, 0);
}

static void refuse(gn_core *core, const struct gn_ctx *x, uint32_t conn, int code, const char *words, size_t len)
{
    core->n.rejected++;
    core->n.busy += code == GN_BUSY;
    core->n.stale += code == GN_STALE;
    if (conn == GN_NIL)
        return;
    char text[32 + GN_WHY_BYTES_MAX]; /* the registry's words and texts are far shorter */
    size_t n = strlen(gn_code_word(code));
    memcpy(text, gn_code_word(code), n);
    text[n++] = ' ';
    memcpy(text + n, words, len);
    gn_say(core, conn, "RESPONSE:REJECTED", gn_chars(x->buf, x->m->task), x->m->task.len, NULL, text, n + len);
}

void gn_reject_words(gn_core *core, const struct gn_ctx *x, int code, const char *words, size_t len)
{
    refuse(core, x, x->conn, code, words, len);
}

void gn_reject(gn_core *core, const struct gn_ctx *x, int code)
{
    refuse(core, x, x->conn, code, gn_code_text(code), strlen(gn_code_text(code)));
}

void gn_reject_why(gn_core *core, const struct gn_ctx *x, int code)
{
    char words[GN_WHY_BYTES_MAX];
    refuse(core, x, x->conn, code, words, gn_why(core, x, code, words));
}

void gn_done(gn_core *core, const struct gn_ctx *x)
{
    if (x->conn != GN_NIL)
        gn_out_hold(core, gn_conn_at(core, x->conn), gn_journal_pending(core));
    gn_say(core, x->conn, "ACK:DONE", gn_chars(x->buf, x->m->task), x->m->task.len, NULL, NULL, 0);
}

void gn_reject_inbox(gn_core *core, const struct gn_ctx *x, const char *inbox, int code, const char *words)
{
    struct gn_conn *c = gn_conn_by_address(core, inbox);
    struct gn_conn *fresh = NULL;
    if (c == NULL)
        c = fresh = gn_conn_ask_open(core, inbox);
    refuse(core, x, c == NULL ? GN_NIL : c->self, code, words, strlen(words));
    if (fresh != NULL)
        gn_conn_close(core, fresh);
}
