/* cron.c - cron(5) without a clock: an expression is five sets of bits, and the next time is looked for day by day.
 *
 * No search looks at more than 400 years: the Gregorian calendar, weekdays included, repeats after 146,097 days, so what
 * does not come in that time never comes. Months that do not match are passed over whole.
 */
#include "ganglion/cron.h"

#include <string.h>

#define DAY_MINUTES 1440
#define CYCLE_DAYS 146097

static const struct {
    int least, most;
    const char *names; /* three letters each, the first standing for `least` */
    const char *wrong;
} FIELDS[5] = {
    {0, 59, "", "cron, minute: 0 to 59, as * 1,2 1-5 or with steps */5 0-30/5"},
    {0, 23, "", "cron, hour: 0 to 23, as * 1,2 1-5 or with steps */5 0-12/3"},
    {1, 31, "", "cron, day of month: 1 to 31, as * 1,2 1-5 or with steps */5 1-15/2"},
    {1, 12, "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC", "cron, month: 1 to 12 or JAN to DEC, as * 1,2 1-5 or with steps */3"},
    {0, 7, "SUNMONTUEWEDTHUFRISAT", "cron, day of week: 0 to 7 or SUN to SAT (0 and 7 are Sunday), as * 1,2 1-5 or with steps */2"},
};

static const struct {
    const char *word, *fields;
} MACROS[] = {
    {"@hourly", "0 * * * *"},  {"@daily", "0 0 * * *"},   {"@midnight", "0 0 * * *"}, {"@weekly", "0 0 * * 0"},
    {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"},
};

const char *gn_cron_words(int wrong)
{
    return wrong >= 1 && wrong <= 5 ? FIELDS[wrong - 1].wrong
                                    : "cron: minute hour day-of-month month day-of-week, or @hourly @daily @weekly @monthly @yearly";
}

/* ---- reading ---------------------------------------------------------------------------------- */

struct reader {
    const char *at, *end;
};

static int take(struct reader *r, char c)
{
    if (r->at == r->end || *r->at != c)
        return 0;
    r->at++;
    return 1;
}

static int number(struct reader *r, int *value)
{
    const char *start = r->at;
    for (*value = 0; r->at < r->end && r->at - start < 4 && *r->at >= '0' && *r->at <= '9'; r->at++)
        *value = *value * 10 + (*r->at - '0');
    return r->at > start;
}

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

/* A number of the field's range, or a name. */
static int value(struct reader *r, int field, int *out)
{
    const char *names = FIELDS[field].names;
    for (int i = 0; names[i] != 0 && r->end - r->at >= 3; i += 3)
        if (upper(r->at[0]) == names[i] && upper(r->at[1]) == names[i + 1] && upper(r->at[2]) == names[i + 2]) {
            r->at += 3;
            *out = FIELDS[field].least + i / 3;
            return 1;
        }
    return number(r, out) && *out >= FIELDS[field].least && *out <= FIELDS[field].most;
}

/* One of a list: * or a or a-b, each perhaps with /step; a/step goes on to the end of the range. */
static int item(struct reader *r, int field, uint64_t *bits)
{
    int first = FIELDS[field].least, last = FIELDS[field].most, step = 1;
    int star = take(r, '*');
    if (!star) {
        if (!value(r, field, &first))
            return 0;
        int range = take(r, '-');
        if (range && !value(r, field, &last))
            return 0;
        if (range && field == 4 && last == 0 && first > 0)
            last = 7; /* FRI-SUN */
        if (!range && (r->at == r->end || *r->at != '/'))
            last = first;
    }
    if (take(r, '/') && (!number(r, &step) || step == 0))
        return 0;
    if (last < first)
        return 0;
    for (int i = first; i <= last; i += step)
        *bits |= UINT64_C(1) << i;
    return 1;
}

static int field_bits(const char *text, size_t len, int field, uint64_t *bits)
{
    struct reader r = {text, text + len};
    *bits = 0;
    do
        if (!item(&r, field, bits))
            return 0;
    while (take(&r, ','));
    return r.at == r.end;
}

static int blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The next field at *at, its length; 0 at the end. */
static size_t field_next(const char **at, const char *end)
{
    while (*at < end && blank(**at))
        (*at)++;
    const char *start = *at, *stop = start;
    while (stop < end && !blank(*stop))
        stop++;
    return (size_t)(stop - start);
}

int gn_cron_read(gn_cron *cron, const char *text, size_t len)
{
    const char *at = text, *end = text + len;
    uint64_t bits[5];
    int stars = 0;
    size_t n = field_next(&at, end);
    if (n > 0 && *at == '@')
        for (size_t i = 0; i < sizeof MACROS / sizeof *MACROS; i++)
            if (strlen(MACROS[i].word) == n && memcmp(MACROS[i].word, at, n) == 0) {
                const char *rest = at + n;
                return field_next(&rest, end) > 0 ? 6 : gn_cron_read(cron, MACROS[i].fields, strlen(MACROS[i].fields));
            }
    for (int field = 0; field < 5; field++, at += n) {
        n = field_next(&at, end);
        if (n == 0)
            return 6;
        if (!field_bits(at, n, field, &bits[field]))
            return field + 1;
        stars |= (field == 2 || field == 4) && *at == '*';
    }
    if (field_next(&at, end) > 0)
        return 6;
    *cron = (gn_cron){.minutes = bits[0], .hours = (uint32_t)bits[1], .days = (uint32_t)bits[2], .months = (uint16_t)bits[3]};
    cron->weekdays = (uint8_t)((bits[4] | bits[4] >> 7) & 0x7f);
    cron->either = !stars;
    return 0;
}

/* ---- the calendar ------------------------------------------------------------------------------- */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

struct date {
    int month, day;    /* from 1 */
    int days_in_month;
};

/* Of the day so many days after 1970-01-01. Years are counted from March, so that a leap day is a year's last. */
static struct date date_of(int64_t days)
{
    static const int LENGTHS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t since = days + 719468, era = floor_div(since, CYCLE_DAYS), of_era = since - era * CYCLE_DAYS;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / (CYCLE_DAYS - 1)) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100), m = (5 * of_year + 2) / 153;
    struct date d = {(int)(m < 10 ? m + 3 : m - 9), (int)(of_year - (153 * m + 2) / 5 + 1), 0};
    int64_t civil = year + (d.month <= 2);
    int leap = civil % 4 == 0 && (civil % 100 != 0 || civil % 400 == 0);
    d.days_in_month = LENGTHS[d.month - 1] + (d.month == 2 && leap);
    return d;
}

static int day_matches(const gn_cron *cron, int64_t days, const struct date *d)
{
    int weekday = (int)(((days + 4) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */
    int by_date = cron->days >> d->day & 1, by_weekday = cron->weekdays >> weekday & 1;
    return cron->either ? by_date || by_weekday : by_date && by_weekday;
}

/* The first matching day from `days` on (step 1) or back (-1), not behind `limit`. 1 or 0. */
static int day_seek(const gn_cron *cron, int64_t *days, int step, int64_t limit)
{
    int64_t at = *days, stop = at + (int64_t)step * CYCLE_DAYS;
    if (step > 0 ? stop > limit : stop < limit)
        stop = limit;
    while (step > 0 ? at <= stop : at >= stop) {
        struct date d = date_of(at);
        if (!(cron->months >> d.month & 1)) {
            at += step > 0 ? d.days_in_month - d.day + 1 : -d.day;
        } else if (day_matches(cron, at, &d)) {
            *days = at;
            return 1;
        } else {
            at += step;
        }
    }
    return 0;
}

/* The first matching minute of a day from m on, or back; -1: none. */
static int minute_seek(const gn_cron *cron, int m, int step)
{
    while (m >= 0 && m < DAY_MINUTES) {
        if (!(cron->hours >> m / 60 & 1))
            m = step > 0 ? (m / 60 + 1) * 60 : m / 60 * 60 - 1;
        else if (cron->minutes >> m % 60 & 1)
            return m;
        else
            m += step;
    }
    return -1;
}

/* From local minute `at` (since 1970) on or back; INT64_MIN: none in the years 1970 to 9999, give or take the offset. */
static int64_t seek(const gn_cron *cron, int64_t at, int step)
{
    int64_t limit = step > 0 ? GN_CRON_LAST_S / 86400 + 1 : -1, days = floor_div(at, DAY_MINUTES);
    int m = (int)(at - days * DAY_MINUTES);
    struct date d = date_of(days);
    if (cron->months >> d.month & 1 && day_matches(cron, days, &d) && (m = minute_seek(cron, m, step)) >= 0)
        return days * DAY_MINUTES + m;
    days += step;
    if (!day_seek(cron, &days, step, limit))
        return INT64_MIN;
    return days * DAY_MINUTES + minute_seek(cron, step > 0 ? 0 : DAY_MINUTES - 1, step);
}

static int64_t to_utc(int64_t minute, int offset_minutes)
{
    int64_t s = minute == INT64_MIN ? -1 : (minute - offset_minutes) * 60;
    return s > GN_CRON_LAST_S || s < 0 ? -1 : s;
}

int64_t gn_cron_next(const gn_cron *cron, int64_t at_s, int offset_minutes)
{
    if (at_s >= GN_CRON_LAST_S)
        return -1;
    if (at_s < -1)
        at_s = -1;
    return to_utc(seek(cron, floor_div(at_s, 60) + 1 + offset_minutes, 1), offset_minutes);
}

int64_t gn_cron_previous(const gn_cron *cron, int64_t at_s, int offset_minutes)
{
    if (at_s <= 0)
        return -1;
    if (at_s > GN_CRON_LAST_S + 1)
        at_s = GN_CRON_LAST_S + 1;
    return to_utc(seek(cron, floor_div(at_s - 1, 60) + offset_minutes, -1), offset_minutes);
}

static uint64_t minutes_between(const gn_cron *cron, int from, int to)
{
    uint64_t n = 0;
    for (int m = minute_seek(cron, from, 1); m >= 0 && m <= to; m = minute_seek(cron, m + 1, 1))
        n++;
    return n;
}

uint64_t gn_cron_count(const gn_cron *cron, int64_t from_s, int64_t to_s, int offset_minutes)
{
    if (from_s < 0)
        from_s = 0;
    if (to_s > GN_CRON_LAST_S)
        to_s = GN_CRON_LAST_S;
    if (from_s > to_s)
        return 0;
    int64_t first = floor_div(from_s + 59, 60) + offset_minutes, last = floor_div(to_s, 60) + offset_minutes;
    int64_t last_day = floor_div(last, DAY_MINUTES), days = floor_div(first, DAY_MINUTES), first_day = days;
    uint64_t whole = minutes_between(cron, 0, DAY_MINUTES - 1), n = 0;
    for (; days <= last_day && day_seek(cron, &days, 1, last_day); days++) {
        int from = days == first_day ? (int)(first - days * DAY_MINUTES) : 0;
        int to = days == last_day ? (int)(last - days * DAY_MINUTES) : DAY_MINUTES - 1;
        n += from == 0 && to == DAY_MINUTES - 1 ? whole : minutes_between(cron, from, to);
    }
    return n;
}
