/* watches.c - who waits for which task, and results that wait for room on a slow link. */
#include "core/internal.h"

#define ON_CONN offsetof(struct gn_watch, on_conn)
#define ON_TASK offsetof(struct gn_watch, on_task)
#define EVENT_NODE offsetof(struct gn_conn, event_node)

static struct gn_list *conn_list(gn_core *core, const struct gn_watch *w)
{
    struct gn_conn *c = gn_conn_at(core, w->conn);
    return w->waiting ? &c->waiting : &c->watching;
}

static void set_waiting(gn_core *core, struct gn_watch *w, int waiting)
{
    gn_list_drop(&core->watches, ON_CONN, conn_list(core, w), w->self);
    w->waiting = (uint8_t)waiting;
    gn_list_push(&core->watches, ON_CONN, conn_list(core, w), w->self);
}

int gn_watch_add(gn_core *core, struct gn_task *t, uint32_t conn)
{
    for (uint32_t i = t->watchers.head; i != GN_NIL; i = gn_watch_at(core, i)->on_task.next)
        if (gn_watch_at(core, i)->conn == conn)
            return 0;
    uint32_t i = gn_pool_take(&core->watches);
    if (i == GN_NIL)
        return GN_BUSY;
    struct gn_watch *w = gn_watch_at(core, i);
    w->self = i;
    w->task = t->self;
    w->conn = conn;
    gn_list_push(&core->watches, ON_TASK, &t->watchers, i);
    gn_list_push(&core->watches, ON_CONN, conn_list(core, w), i);
    gn_result_spent(core, t);
    return 0;
}

void gn_watch_free(gn_core *core, struct gn_watch *w)
{
    struct gn_task *t = gn_task_at(core, w->task);
    gn_list_drop(&core->watches, ON_TASK, &t->watchers, w->self);
    gn_list_drop(&core->watches, ON_CONN, conn_list(core, w), w->self);
    gn_pool_give(&core->watches, w->self);
    gn_result_spent(core, t);
}

void gn_watch_deliver(gn_core *core, struct gn_task *t)
{
    uint32_t i = t->watchers.head;
    while (i != GN_NIL) {
        struct gn_watch *w = gn_watch_at(core, i);
        struct gn_conn *c = gn_conn_at(core, w->conn);
        i = w->on_task.next;
        if (w->waiting)
            continue;
        /* Behind what already waits there, so that outcomes keep their order. */
        if (c->waiting.head == GN_NIL && gn_out_room(core, c) && gn_result_write(core, t, c))
            gn_watch_free(core, w);
        else
            set_waiting(core, w, 1);
    }
    gn_result_spent(core, t);
}

void gn_watch_room(gn_core *core, struct gn_conn *c)
{
    while (c->waiting.head != GN_NIL && gn_out_room(core, c)) {
        struct gn_watch *w = gn_watch_at(core, c->waiting.head);
        struct gn_task *t = gn_task_at(core, w->task);
        if (!gn_task_ended(t))
            set_waiting(core, w, 0); /* it was kicked meanwhile */
        else if (gn_result_write(core, t, c))
            gn_watch_free(core, w);
        else
            break;
    }
}

/* PROGRESS and PARTIAL to everybody who waits, and kept for who comes later; who is behind misses them, never the outcome. */
void gn_watch_forward(gn_core *core, struct gn_task *t, const struct gn_ctx *x)
{
    const gn_msg *m = x->m;
    char params[GN_HEADER_BYTES_MAX + 1];
    ptrdiff_t n = gn_pairs_copy(params, 0, GN_HEADER_BYTES_MAX, gn_chars(x->buf, m->params), m->params.len, GN_TAKEN_OUT);
    params[n] = 0; /* never over: it is what came in, or less */
    int progress = m->verb == GN_VERB_PROGRESS;
    int made = gn_say_make(core, progress ? "RESPONSE:PROGRESS" : "RESPONSE:PARTIAL", t, params,
                           m->flags & GN_MSG_PAYLOAD ? gn_chars(x->buf, m->payload) : NULL, m->payload.len);
    if (made && progress)
        gn_partials_keep_progress(core, t);
    else if (made && x->p.present & GN_BIT(SEQ))
        gn_partials_keep_line(core, t, x->p.seq);
    for (uint32_t i = t->watchers.head; i != GN_NIL; i = gn_watch_at(core, i)->on_task.next) {
        struct gn_conn *c = gn_conn_at(core, gn_watch_at(core, i)->conn);
        if (made && gn_out_room(core, c))
            gn_say_line(core, c, core->line.p, core->line.len);
        else
            core->n.progress_dropped++; /* the gap shows in seq= */
    }
}

static void put_event(gn_core *core, const struct gn_task *t, int event, int state)
{
    struct gn_text *text = &core->text;
    const struct gn_action *a = gn_action_at(core, t->action);
    text->len = 0;
    text->failed = 0;
    gn_text_str(text, "{\"event\":\"");
    for (const char *s = gn_event_name(event); *s != 0; s++) {
        char lower = (char)(*s >= 'A' && *s <= 'Z' ? *s - 'A' + 'a' : *s);
        gn_text_put(text, &lower, 1);
    }
    gn_text_str(text, "\",\"state\":");
    gn_text_json(text, gn_state_word(state), strlen(gn_state_word(state)));
    gn_text_str(text, ",\"action\":");
    gn_text_json(text, a->name, a->name_len);
    gn_text_str(text, ",\"agent\":");
    if (t->agent != GN_NIL)
        gn_text_json(text, gn_peer_at(core, t->agent)->name, gn_peer_at(core, t->agent)->name_len);
    else
        gn_text_str(text, "null");
}

void gn_events_tell(gn_core *core, const struct gn_task *t, int event, int state)
{
    put_event(core, t, event, state);
    size_t common = core->text.len;
    for (uint32_t i = core->event_conns.head; i != GN_NIL; i = gn_conn_at(core, i)->event_node.next) {
        struct gn_conn *c = gn_conn_at(core, i);
        if (gn_out_bytes(c) * 2 >= core->config.out_bytes_max || core->text.failed) {
            c->events_lost++;
            core->n.events_lost++;
            continue;
        }
        core->text.len = common;
        if (c->events_lost > 0) {
            gn_text_str(&core->text, ",\"lost\":");
            gn_text_u64(&core->text, c->events_lost);
            c->events_lost = 0;
        }
        gn_text_str(&core->text, "}");
        gn_say(core, i, "RESPONSE:EVENT", gn_task_name(t), t->name_len, "ct=json", core->text.p, core->text.len);
    }
}
