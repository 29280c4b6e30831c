/* cron.h - cron(5) as arithmetic: which minutes an expression names, and the next and last of them.
 *
 * Owns: the expression and the calendar. Knows no clock and no time zone: times are Unix seconds, and "local" is UTC
 * plus a number of minutes that the caller gives. Every call is bounded work, whatever the expression.
 */
#ifndef GANGLION_CRON_H
#define GANGLION_CRON_H

#include <stddef.h>
#include <stdint.h>

// <cdef>
/* Bit n: n matches. */
typedef struct gn_cron {
    uint64_t minutes;
    uint32_t hours, days; /* days: of the month, from bit 1 */
    uint16_t months;      /* from bit 1 */
    uint8_t weekdays;     /* bit 0: Sunday */
    uint8_t either;       /* neither day field begins with a star: one of the two is enough */
} gn_cron;

#define GN_CRON_OFFSET_MAX 1439      /* minutes east or west of UTC */
#define GN_CRON_LAST_S 253402300799 /* 9999-12-31T23:59:59Z: no time after it is ever due */

/* "minute hour day-of-month month day-of-week": lists, ranges, steps, stars, names of months and weekdays, 7 as Sunday;
 * or @hourly @daily @midnight @weekly @monthly @yearly @annually. 0, or which field is wrong (1 to 5), 6: not five fields. */
int gn_cron_read(gn_cron *cron, const char *text, size_t len);
/* What a number of gn_cron_read means, in words for people. */
const char *gn_cron_words(int wrong);
/* The first matching minute after at_s, or the last one before it (Unix seconds); -1: there is none (a 30 February, or
 * behind the year 9999, or before 1970). */
int64_t gn_cron_next(const gn_cron *cron, int64_t at_s, int offset_minutes);
int64_t gn_cron_previous(const gn_cron *cron, int64_t at_s, int offset_minutes);
/* How many match from from_s to to_s, both included. Linear in the days between them. */
uint64_t gn_cron_count(const gn_cron *cron, int64_t from_s, int64_t to_s, int offset_minutes);
// </cdef>

#endif
