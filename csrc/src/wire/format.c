/* format.c - one message to bytes. What it writes, gn_parse reads back as the same fields. */
#include "ganglion/wire.h"

#include <string.h>

#include "wire/chars.h"

#define FAULT(code) (-(100 + (ptrdiff_t)(code)))
#define COUNT_BYTES_MAX 16 /* ";len=65536" with room */

struct field {
    const void *text;
    size_t len;
};

static int action_is_good(const char *action, size_t len)
{
    if (!len || len > GN_ACTION_BYTES_MAX || !gn_is((uint8_t)action[0], GN_CHAR_ACTION_FIRST))
        return 0;
    for (size_t i = 1; i < len; i++)
        if (!gn_is((uint8_t)action[i], GN_CHAR_ACTION))
            return 0;
    return 1;
}

static int task_is_good(const char *task, size_t len)
{
    if (len > GN_TASK_BYTES_MAX)
        return 0;
    for (size_t i = 0; i < len; i++)
        if (!gn_is((uint8_t)task[i], GN_CHAR_TASK))
            return 0;
    return 1;
}

/* 0 or the code of what is wrong with params; a len= is not the caller's to write. */
static int check_params(const char *params, size_t len)
{
    struct gn_walk walk;
    int code;

    if (!len)
        return GN_OK;
    if (len > GN_HEADER_BYTES_MAX)
        return GN_HEADER_TOO_BIG;
    code = gn_params_walk((const uint8_t *)params, (uint32_t)len, &walk);
    if (!code && (walk.at != len || walk.len_off != UINT32_MAX))
        return GN_BAD_PARAM;
    return code;
}

/* Would gn_parse take this payload, standing in the third field, for a task field? */
static int looks_like_task(const uint8_t *payload, size_t len)
{
    size_t i = 0;

    while (i < len && gn_is(payload[i], GN_CHAR_TASK))
        i++;
    return (i < len && payload[i] == ';') || (i <= GN_TASK_BYTES_MAX && (i == len || payload[i] == ':'));
}

static size_t write_count(char *text, size_t n)
{
    char digits[COUNT_BYTES_MAX];
    size_t k = 0, len = 5;

    memcpy(text, ";len=", 5);
    do
        digits[k++] = (char)('0' + n % 10);
    while (n /= 10);
    while (k)
        text[len++] = digits[--k];
    return len;
}

static int check(int type, struct field action, struct field task, struct field params, struct field payload)
{
    if (type < GN_CONTROL || type > GN_ACK)
        return GN_BAD_TYPE;
    if (!action_is_good(action.text, action.len))
        return GN_BAD_ACTION;
    if (task.text && !task_is_good(task.text, task.len))
        return GN_BAD_TASK;
    if (!task.text && params.len)
        return GN_BAD_PARAM;
    if (payload.text && payload.len > GN_INLINE_BYTES_MAX)
        return GN_TOO_BIG;
    return check_params(params.text, params.len);
}

static uint8_t *append(uint8_t *to, const void *text, size_t len)
{
    if (len)
        memcpy(to, text, len);
    return to + len;
}

ptrdiff_t gn_format(uint8_t *dst, size_t cap, int type, const char *action, size_t action_len,
                    const char *task, size_t task_len, const char *params, size_t params_len,
                    const uint8_t *payload, size_t payload_len)
{
    char count[5 + COUNT_BYTES_MAX];
    size_t count_len = 0, head, type_len;
    int has_task = task != NULL;
    uint8_t *to = dst;
    int code = check(type, (struct field){action, action_len}, (struct field){task, task_len},
                     (struct field){params, params_len}, (struct field){payload, payload_len});

    if (code)
        return FAULT(code);
    if (payload && payload_len && (!payload[payload_len - 1] || memchr(payload, '\n', payload_len)))
        count_len = write_count(count, payload_len);
    if (!has_task) {
        task_len = 0;
        has_task = count_len || (payload && looks_like_task(payload, payload_len));
    }
    type_len = strlen(gn_type_name(type));
    head = type_len + 1 + action_len + (has_task ? 1 + task_len : 0) + (params_len ? 1 + params_len : 0) + count_len;
    if (head > GN_HEADER_BYTES_MAX)
        return FAULT(GN_HEADER_TOO_BIG);
    if (head + (payload ? 1 + payload_len : 0) + 1 > cap)
        return -1;
    to = append(to, gn_type_name(type), type_len);
    *to++ = ':';
    to = append(to, action, action_len);
    if (has_task) {
        *to++ = ':';
        to = append(to, task, task_len);
    }
    if (params_len) {
        *to++ = ';';
        to = append(to, params, params_len);
    }
    to = append(to, count, count_len);
    if (payload) {
        *to++ = ':';
        to = append(to, payload, payload_len);
    }
    *to++ = '\n';
    return to - dst;
}
