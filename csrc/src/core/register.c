/* register.c - peers come and go: REGISTER, HEARTBEAT, BYE, DRAIN. */
#include <stdlib.h>

#include "core/internal.h"

/* What a REGISTER says. */
struct enrolment {
    char inbox[256], run[GN_TASK_BYTES_MAX + 1];
    uint64_t slots, holds;
    struct gn_json_value actions; /* a list, or text NULL */
};

#define NOT_JSON "not a flat JSON object"
_Static_assert(GN_REGISTER_BYTES_MAX == 1024 && GN_SLOTS_MAX == 65535 && GN_SERVES_MAX == 64, "as the words say");

static int read_run(const struct gn_json_value *v, struct enrolment *e)
{
    if (v->kind == GN_JSON_STRING)
        return gn_json_string(v, e->run, sizeof e->run) >= 0;
    if (v->kind != GN_JSON_NUMBER || v->len >= sizeof e->run)
        return 0;
    memcpy(e->run, v->text, v->len);
    e->run[v->len] = 0;
    return 1;
}

static int actions_are_sane(struct gn_json_value list)
{
    struct gn_json_value item;
    char name[256];
    int n = 0;
    for (; gn_json_item(&list, &item); n++) {
        ptrdiff_t len = gn_json_string(&item, name, sizeof name);
        if (len < 0 || !gn_is_action(name, (size_t)len))
            return 0;
    }
    return n <= GN_SERVES_MAX;
}

/* NULL, or what is wrong. */
static const char *read_enrolment(const struct gn_ctx *x, struct enrolment *e)
{
    struct gn_json j;
    struct gn_json_value v;
    char key[32];
    int more;
    *e = (struct enrolment){.slots = 1};
    if (x->m->payload.len > GN_REGISTER_BYTES_MAX)
        return "at most 1024 bytes";
    if (!gn_json_open(&j, x->buf + x->m->payload.off, x->m->payload.len))
        return NOT_JSON;
    while ((more = gn_json_next(&j, key, sizeof key, &v)) > 0) {
        int ok = 1;
        const char *wrong = NULL;
        if (strcmp(key, "inbox") == 0) {
            ok = gn_json_string(&v, e->inbox, sizeof e->inbox) > 0;
            wrong = "inbox: the name of a queue, less than 252 bytes";
        } else if (strcmp(key, "run") == 0) {
            ok = read_run(&v, e);
            wrong = "run: text or a number, at most 60 bytes";
        } else if (strcmp(key, "slots") == 0) {
            ok = v.kind == GN_JSON_NUMBER && gn_read_u64((const char *)v.text, v.len, &e->slots) && e->slots >= 1 &&
                 e->slots <= GN_SLOTS_MAX;
            wrong = "slots: 1 to 65535";
        } else if (strcmp(key, "holds") == 0) {
            ok = v.kind == GN_JSON_NUMBER && gn_read_u64((const char *)v.text, v.len, &e->holds);
            wrong = "holds: how many tasks";
        } else if (strcmp(key, "actions") == 0) {
            ok = v.kind == GN_JSON_LIST && actions_are_sane(v);
            wrong = "actions: at most 64, a list of action names (A-Z 0-9 _)";
            e->actions = v;
        }
        if (!ok)
            return wrong;
    }
    return more == 0 ? NULL : NOT_JSON;
}

/* The actions of e, each once and each counted as served; or GN_BUSY and nothing counted. */
static int get_actions(gn_core *core, const struct enrolment *e, uint32_t *out, uint32_t *count)
{
    struct gn_json_value list = e->actions, item;
    char name[256];
    *count = 0;
    while (list.text != NULL && gn_json_item(&list, &item)) {
        ptrdiff_t len = gn_json_string(&item, name, sizeof name);
        uint32_t action = gn_action_get(core, name, (size_t)len), i = 0;
        while (i < *count && out[i] != action)
            i++;
        if (i < *count)
            continue;
        if (action == GN_NIL) {
            while (*count > 0)
                gn_action_at(core, out[--*count])->agents--;
            return GN_BUSY;
        }
        gn_action_at(core, action)->agents++;
        out[(*count)++] = action;
    }
    return 0;
}

/* Kept for AGENTS on one line: what is registered is JSON, so an LF in it is between two tokens. */
static int keep_info(struct gn_peer *p, const struct gn_ctx *x)
{
    size_t len = x->m->payload.len;
    char *info = malloc(len + 1);
    if (info == NULL)
        return 0;
    memcpy(info, x->buf + x->m->payload.off, len);
    for (size_t i = 0; i < len; i++)
        if (info[i] == '\n' || info[i] == '\r')
            info[i] = ' ';
    free(p->info);
    p->info = info;
    p->info_len = (uint32_t)len;
    return 1;
}

static int same_start(const gn_core *core, const struct gn_peer *p, const struct gn_ctx *x, const struct enrolment *e)
{
    const struct gn_conn *c = gn_conn_at(core, p->conn);
    if (strcmp(p->run, e->run) != 0)
        return 0;
    if (gn_conn_at(core, x->link)->kind == GN_LINK_STREAM)
        return p->conn == x->link;
    return c->kind == GN_CONN_OPENED && strcmp(c->address, e->inbox) == 0;
}

/* The earlier start of the same name, and the earlier name of the same connection, are gone. */
static void clear_way(gn_core *core, const struct gn_ctx *x, struct gn_peer *old)
{
    struct gn_conn *in = gn_conn_at(core, x->link);
    if (old != NULL && old->conn != x->link) {
        struct gn_conn *c = gn_conn_at(core, old->conn);
        if (c->kind == GN_CONN_OPENED)
            gn_out_discard(core, c); /* its queue may already be read by the new one */
        gn_conn_close(core, c);
    }
    if (in->kind == GN_LINK_STREAM && in->peer != GN_NIL)
        gn_peer_gone(core, gn_peer_at(core, in->peer), 0);
}

/* A new peer on its link. */
static struct gn_peer *admit(gn_core *core, const struct gn_ctx *x, struct gn_peer *old, const struct enrolment *e, int *code)
{
    int stream = gn_conn_at(core, x->link)->kind == GN_LINK_STREAM;
    *code = GN_BUSY;
    if ((old == NULL && core->peers.live >= core->config.peers_max) ||
        (!stream && core->conns.live >= core->config.links_max))
        return NULL;
    struct gn_conn *other = stream ? NULL : gn_conn_by_address(core, e->inbox);
    if (other != NULL && (old == NULL || other->self != old->conn)) {
        *code = GN_BAD_PAYLOAD; /* a queue has one owner */
        return NULL;
    }
    clear_way(core, x, old);
    struct gn_peer *p = gn_peer_new(core, gn_chars(x->buf, x->m->task), x->m->task.len);
    if (p == NULL)
        return NULL;
    struct gn_conn *c = stream ? gn_conn_at(core, x->link) : gn_conn_ask_open(core, e->inbox);
    if (c == NULL) {
        gn_peer_free(core, p);
        return NULL;
    }
    c->peer = p->self;
    p->conn = c->self;
    strcpy(p->run, e->run);
    *code = 0;
    return p;
}

static void welcome(gn_core *core, const struct gn_peer *p)
{
    char params[32] = "epoch=", text[160];
    params[6 + gn_u64(params + 6, core->config.epoch)] = 0;
    size_t n = 10;
    memcpy(text, "{\"inline\":", n);
    n += gn_u64(text + n, core->config.inline_bytes_max);
    memcpy(text + n, ",\"heartbeat_ms\":", 16);
    n += 16;
    n += gn_u64(text + n, core->config.heartbeat_ms);
    if (core->facts.journal[0] != 0) {
        memcpy(text + n, ",\"journal\":\"", 12);
        n += 12;
        memcpy(text + n, core->facts.journal, strlen(core->facts.journal));
        n += strlen(core->facts.journal);
        text[n++] = '"';
    }
    text[n++] = '}';
    gn_say(core, p->conn, "ACK:WELCOME", p->name, p->name_len, params, text, n);
}

static int enrol(gn_core *core, const struct gn_ctx *x, const struct enrolment *e)
{
    uint32_t actions[GN_SERVES_MAX], count, i = gn_peer_find(core, gn_chars(x->buf, x->m->task), x->m->task.len);
    struct gn_peer *p = i == GN_NIL ? NULL : gn_peer_at(core, i);
    int code = get_actions(core, e, actions, &count);
    if (code != 0)
        return code;
    int again = p != NULL && same_start(core, p, x, e);
    if (!again)
        p = admit(core, x, p, e, &code);
    if (p != NULL)
        code = gn_peer_serve(core, p, actions, count);
    if (code != 0)
        for (uint32_t k = 0; k < count; k++)
            gn_action_at(core, actions[k])->agents--;
    if (code == 0 && !keep_info(p, x))
        code = GN_NO_MEMORY;
    if (code != 0) {
        if (p != NULL && !again)
            gn_peer_free(core, p);
        return code;
    }
    p->slots = (uint32_t)e->slots;
    p->beat_us = core->now;
    p->claiming = e->holds > 0;
    gn_peer_heard(core, p);
    gn_agent_relist(core, p);
    gn_agent_arm(core, p);
    welcome(core, p);
    gn_agent_mark(core, p);
    return 0;
}

void gn_verb_register(gn_core *core, const struct gn_ctx *x)
{
    struct enrolment e;
    if (x->m->task.len == 0) {
        gn_reject(core, x, GN_BAD_TASK);
        return;
    }
    const char *wrong = read_enrolment(x, &e);
    int stream = gn_conn_at(core, x->link)->kind == GN_LINK_STREAM;
    if (wrong == NULL && !stream && e.inbox[0] == 0)
        wrong = "inbox: the queue to answer to is not given";
    if (wrong != NULL) {
        gn_reject_words(core, x, GN_BAD_PAYLOAD, wrong, strlen(wrong));
        return;
    }
    int code = enrol(core, x, &e);
    if (code == 0)
        return;
    wrong = code == GN_BAD_PAYLOAD ? "inbox: another peer has this queue" : gn_code_text(code);
    if (stream || x->conn != GN_NIL)
        gn_reject_words(core, x, code, wrong, strlen(wrong));
    else
        gn_reject_inbox(core, x, e.inbox, code, wrong);
}

/* The peer a HEARTBEAT or BYE is about: the one it names; on a stream that must be the one registered there. */
static struct gn_peer *about(const gn_core *core, const struct gn_ctx *x)
{
    uint32_t i = x->m->task.len == 0 ? x->peer : gn_peer_find(core, gn_chars(x->buf, x->m->task), x->m->task.len);
    const struct gn_conn *in = gn_conn_at(core, x->link);
    if (i == GN_NIL || (in->kind == GN_LINK_STREAM && in->peer != i))
        return NULL;
    return gn_peer_at(core, i);
}

static void nobody_known(gn_core *core, const struct gn_ctx *x)
{
    gn_span inbox;
    uint8_t address[256];
    ptrdiff_t n = -1;
    if (x->conn == GN_NIL && gn_param_find(x->buf, x->m, "inbox", &inbox) && inbox.len > 0 && inbox.len < sizeof address)
        n = gn_unescape(x->buf + inbox.off, inbox.len, address, sizeof address - 1);
    if (n > 0 && memchr(address, 0, (size_t)n) == NULL) {
        address[n] = 0;
        gn_reject_inbox(core, x, (const char *)address, GN_UNKNOWN_SENDER, gn_code_text(GN_UNKNOWN_SENDER));
    } else {
        gn_reject(core, x, GN_UNKNOWN_SENDER);
    }
}

void gn_verb_heartbeat(gn_core *core, const struct gn_ctx *x)
{
    struct gn_peer *p = about(core, x);
    if (p == NULL) {
        nobody_known(core, x);
        return;
    }
    if (!gn_list_is_sane(x)) {
        gn_reject(core, x, GN_BAD_PAYLOAD);
        return;
    }
    gn_peer_heard(core, p);
    p->beat_us = core->now;
    p->lists = (x->m->flags & GN_MSG_PAYLOAD) != 0;
    char params[32] = "epoch=";
    params[6 + gn_u64(params + 6, core->config.epoch)] = 0;
    gn_say(core, p->conn, "ACK:PONG", p->name, p->name_len, params, NULL, 0);
    if (x->m->flags & GN_MSG_PAYLOAD)
        gn_lease_list(core, x, p);
}

void gn_verb_bye(gn_core *core, const struct gn_ctx *x)
{
    struct gn_peer *p = about(core, x);
    if (p == NULL) {
        nobody_known(core, x);
        return;
    }
    struct gn_conn *c = gn_conn_at(core, p->conn);
    gn_say(core, c->self, "ACK:DONE", p->name, p->name_len, NULL, NULL, 0);
    gn_peer_gone(core, p, 1);
    gn_conn_close(core, c);
}

void gn_verb_drain(gn_core *core, const struct gn_ctx *x)
{
    uint32_t i = x->m->task.len == 0 ? GN_NIL : gn_peer_find(core, gn_chars(x->buf, x->m->task), x->m->task.len);
    struct gn_peer *p = i == GN_NIL ? NULL : gn_peer_at(core, i);
    gn_done(core, x);
    if (p == NULL || p->serve_count == 0) {
        core->draining = 1;
        return;
    }
    p->draining = 1;
    gn_agent_relist(core, p);
    if (x->peer != i)
        gn_say(core, p->conn, "CONTROL:DRAIN", p->name, p->name_len, NULL, NULL, 0);
}
