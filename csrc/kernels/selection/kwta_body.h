/* K winners take all, one row: exact, linear in n whatever the order of the input.
 *
 * What decides is the cut: the value of the last winner, and how many of those equal to it win too. It is searched in
 * the order of floats as integers, by counting. Three things keep the counting short:
 * - few winners of many: maxima of groups first. The k-th largest of them is a lower bound of the k-th largest element;
 *   what reaches it are about k candidates, and fewer than k groups can exceed it, so no input makes many of them but
 *   one full of ties;
 * - many winners of many: two pivots from a sample hold the cut between them (Floyd and Rivest 1975);
 * - the rest is halved until a count is k, or a single value is left.
 * NaN is smaller than nothing in a comparison, so it is counted nowhere and added at the end where numbers run out.
 */
#ifndef GN_SELECTION_KWTA_BODY_H
#define GN_SELECTION_KWTA_BODY_H
#include "selection/ops.h"
#include "simd/pack.h"

enum { SAMPLE = 1024, SEARCH_MAX = 4 * SAMPLE, RANK_MAX = 128, GROUP_WIDTH = 16 };

struct cut {
    float at;
    size_t ties; /* how many equal to `at` win, from the first on */
};

/* Floats in the order of integers: -0 is one below +0, which no comparison of floats ever tells apart. */
static int64_t order_of(float x)
{
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits >= 0 ? bits : bits ^ 0x7fffffff;
}

static float in_order(int64_t order)
{
    int32_t bits = (int32_t)order;
    float x;
    bits = bits >= 0 ? bits : bits ^ 0x7fffffff;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static size_t count_from(const float *x, size_t n, float least)
{
    vf t = vf_set1(least);
    size_t i = 0, a = 0, b = 0;
    for (; i + 4 * VL <= n; i += 4 * VL) {
        a += vm_count(vf_le(t, vf_load(x + i))) + vm_count(vf_le(t, vf_load(x + i + VL)));
        b += vm_count(vf_le(t, vf_load(x + i + 2 * VL))) + vm_count(vf_le(t, vf_load(x + i + 3 * VL)));
    }
    for (; i + VL <= n; i += VL)
        a += vm_count(vf_le(t, vf_load(x + i)));
    if (i < n)
        b += vm_count(vf_le(t, vf_load_or(x + i, n - i, NAN)));
    return a + b;
}

/* 1 <= k <= how many are >= low; none is above high. Stops at a cut that lets through k to k + slack. */
static struct cut halve(const float *x, size_t n, size_t k, size_t slack, float low, float high)
{
    int64_t lo = order_of(low), hi = order_of(high) + 1;
    size_t above = 0;
    while (hi - lo > 1) {
        int64_t mid = lo + (hi - lo) / 2;
        size_t count = count_from(x, n, in_order(mid));
        if (count >= k && count <= k + slack)
            return (struct cut){in_order(mid), SIZE_MAX};
        if (count < k) {
            hi = mid;
            above = count;
        } else {
            lo = mid;
        }
    }
    return (struct cut){in_order(lo), k - above};
}

struct range {
    size_t numbers; /* that are not NaN */
    float low, high;
};

static struct range look(const float *x, size_t n)
{
    vf low = vf_set1(INFINITY), high = vf_set1(-INFINITY), v;
    size_t i = 0, nans = 0;
    for (; i + VL <= n; i += VL) {
        v = vf_load(x + i);
        nans += vm_count(vf_isnan(v));
        low = vf_min(v, low); /* the second operand when v is NaN */
        high = vf_max(v, high);
    }
    if (i < n) {
        v = vf_load_n(x + i, n - i);
        nans += vm_count(vf_isnan(v));
        low = vf_min(vf_load_or(x + i, n - i, INFINITY), low);
        high = vf_max(vf_load_or(x + i, n - i, -INFINITY), high);
    }
    return (struct range){n - nans, vf_hmin(low), vf_hmax(high)};
}

/* VL blocks from all over x, without NaN. */
static size_t sample_of(const float *x, size_t n, float *sample)
{
    size_t blocks = SAMPLE / VL, step = n / blocks, taken = 0;
    for (size_t b = 0; b < blocks; b++) {
        vf v = vf_load(x + b * step);
        taken += pack_f(sample + taken, v, vm_not(vf_isnan(v)));
    }
    return taken;
}

/* Those in [low, high] into work; *above: how many are larger. work may be x itself. */
static size_t between(const float *x, size_t n, float low, float high, float *work, size_t *above)
{
    vf l = vf_set1(low), h = vf_set1(high);
    size_t kept = 0, over = 0;
    for (size_t i = 0; i < n; i += VL) {
        vf v = i + VL <= n ? vf_load(x + i) : vf_load_or(x + i, n - i, NAN);
        vm from = vf_le(l, v), more = vf_lt(h, v);
        over += vm_count(more);
        kept += pack_f(work + kept, v, vm_and(from, vm_not(more)));
    }
    *above = over;
    return kept;
}

static struct cut search(const float *x, size_t n, size_t k, struct range range, float *work)
{
    float sample[SAMPLE + PACK_ROOM];
    while (n > SEARCH_MAX) {
        size_t taken = sample_of(x, n, sample), above, kept, before = n;
        double share = (double)k / (double)range.numbers, at = share * (double)taken;
        double margin = 3 * sqrt((double)taken * share * (1 - share)) + 4;
        float low = range.low, high = range.high;
        if (taken < SAMPLE / 4)
            break;
        if (at + margin < (double)taken)
            low = halve(sample, taken, (size_t)(at + margin) + 1, 2, range.low, range.high).at;
        if (at - margin >= 1)
            high = halve(sample, taken, (size_t)(at - margin), 2, range.low, range.high).at;
        kept = between(x, n, low, high, work, &above);
        if (above >= k || above + kept < k) /* the sample lied */
            break;
        x = work;
        range = (struct range){n = kept, low, high};
        k -= above;
        if (n > before / 2)
            break;
    }
    return halve(x, n, k, 0, range.low, range.high);
}

/* Lane by lane the maxima of `width` vectors of x at a time, without NaN. How many: a multiple of VL. */
static size_t group_maxima(const float *x, size_t n, size_t width, float *maxima)
{
    size_t i = 0, groups = 0;
    for (; i + width * VL <= n; i += width * VL, groups += VL) {
        vf a = vf_set1(-INFINITY), b = a, c = a, d = a;
        for (size_t j = 0; j < width * VL; j += 4 * VL) { /* width is 4, 8 or 16 */
            a = vf_max(vf_load(x + i + j), a);
            b = vf_max(vf_load(x + i + j + VL), b);
            c = vf_max(vf_load(x + i + j + 2 * VL), c);
            d = vf_max(vf_load(x + i + j + 3 * VL), d);
        }
        vf_store(maxima + groups, vf_max(vf_max(a, b), vf_max(c, d)));
    }
    if (i < n) {
        vf a = vf_set1(-INFINITY);
        for (; i < n; i += VL)
            a = vf_max(vf_load_or(x + i, n - i < VL ? n - i : VL, -INFINITY), a);
        vf_store(maxima + groups, a);
        groups += VL;
    }
    return groups;
}

/* What is >= least into room->values and room->map, from the groups whose maximum is. */
static size_t collect(const float *x, size_t n, size_t width, const float *maxima, float least,
                      const struct kwta_room *room)
{
    vf t = vf_set1(least);
    size_t found = 0;
    for (size_t begin = 0; begin < n; begin += width * VL, maxima += VL) {
        size_t end = begin + width * VL < n ? begin + width * VL : n;
        if (!vm_any(vf_le(t, vf_load(maxima))))
            continue;
        for (size_t i = begin; i < end; i += VL) {
            vf v = i + VL <= n ? vf_load(x + i) : vf_load_or(x + i, n - i, NAN);
            vm m = vf_le(t, v);
            if (!vm_any(m))
                continue;
            pack_i(room->map + found, vi_add(vi_set1((int32_t)i), vi_iota()), m);
            found += pack_f(room->values + found, v, m);
        }
    }
    return found;
}

/* Few of many: candidates that hold the k winners; 0 when groups do not tell (many winners, or -infinity wins). */
static size_t candidates(const float *x, size_t n, size_t k, const struct kwta_room *room)
{
    size_t width = GROUP_WIDTH, groups, whole;
    float *top = room->maxima;
    struct range range;
    struct cut cut;
    while (width >= 4 && n / width < 4 * k)
        width /= 2;
    if (width < 4 || n < 8 * VL)
        return 0;
    groups = group_maxima(x, n, width, top);
    whole = n / (width * VL) * VL; /* without the last ones, of which some may be empty */
    while (groups / GROUP_WIDTH >= 4 * k && groups > SAMPLE / 2) {
        float *next = top + groups;
        whole = groups / (GROUP_WIDTH * VL) * VL;
        groups = group_maxima(top, groups, GROUP_WIDTH, next);
        top = next;
    }
    groups = whole >= 2 * k ? whole : groups;
    range = look(top, groups);
    cut = halve(top, groups, k, k / 4, range.low, range.high);
    return cut.at == -INFINITY ? 0 : collect(x, n, width, room->maxima, cut.at, room);
}

/* The winners by the cut, in order of index, with their places in x. */
static size_t emit(const float *x, size_t n, struct cut cut, const struct kwta_room *room)
{
    vf at = vf_set1(cut.at);
    size_t won = 0;
    for (size_t i = 0; i < n; i += VL) {
        vf v = i + VL <= n ? vf_load(x + i) : vf_load_or(x + i, n - i, NAN);
        vm wins = vf_le(at, v);
        unsigned equal;
        if (!vm_any(wins))
            continue;
        equal = vm_count(vf_eq(at, v));
        if (equal > cut.ties) { /* only the first of them */
            for (size_t j = i; j < n && j < i + VL; j++) {
                if (!(x[j] > cut.at || (x[j] == cut.at && cut.ties && cut.ties--)))
                    continue;
                room->won[won] = x[j];
                room->won_at[won++] = (int32_t)j;
            }
            continue;
        }
        cut.ties -= equal;
        pack_i(room->won_at + won, vi_add(vi_set1((int32_t)i), vi_iota()), wins);
        won += pack_f(room->won + won, v, wins);
    }
    return won;
}

/* A winner's rank is how many come before it: larger, or equal and earlier. */
static void sort_few(float *won, int32_t *won_at, size_t count)
{
    float values[RANK_MAX];
    int32_t at[RANK_MAX];
    uint8_t ranks[RANK_MAX];
    for (size_t j = count; j % VL; j++)
        won[j] = NAN;
    for (size_t i = 0; i < count; i++) {
        vf v = vf_set1(won[i]), mid = vf_load(won + i / VL * VL);
        vm before = vm_first(i % VL);
        unsigned rank = vm_count(vm_or(vf_lt(v, mid), vm_and(before, vf_eq(v, mid))));
        for (size_t j = 0; j + VL <= i; j += VL)
            rank += vm_count(vf_le(v, vf_load(won + j)));
        for (size_t j = i / VL * VL + VL; j < count; j += VL)
            rank += vm_count(vf_lt(v, vf_load(won + j)));
        ranks[i] = (uint8_t)rank;
    }
    memcpy(values, won, count * sizeof *won);
    memcpy(at, won_at, count * sizeof *won_at);
    for (size_t i = 0; i < count; i++) {
        won[ranks[i]] = values[i];
        won_at[ranks[i]] = at[i];
    }
}

/* What the mask lets through, into room->shown and room->shown_at. */
static size_t let_through(const float *x, const uint8_t *mask, size_t n, const struct kwta_room *room)
{
    size_t shown = 0;
    for (size_t i = 0; i < n; i += VL) {
        size_t lanes = n - i < VL ? n - i : VL;
        vf v = vf_load_n(x + i, lanes), off = vf_load_i8_n((const int8_t *)mask + i, lanes);
        vm on = vm_and(vm_not(vf_eq(off, vf_zero())), vm_first(lanes));
        if (!vm_any(on))
            continue;
        pack_i(room->shown_at + shown, vi_add(vi_set1((int32_t)i), vi_iota()), on);
        shown += pack_f(room->shown + shown, v, on);
    }
    return shown;
}

/* Where numbers run out, NaN in order of index. */
static size_t add_nans(const float *x, size_t n, size_t k, size_t won, const struct kwta_room *room)
{
    for (size_t i = 0; i < n && won < k; i++)
        if (isnan(x[i])) {
            room->won[won] = x[i];
            room->won_at[won++] = (int32_t)i;
        }
    return won;
}

static size_t kwta_row(const float *x, const uint8_t *mask, size_t n, size_t k, int sorted, const struct kwta_room *room)
{
    const int32_t *map = NULL, *shown_at = NULL;
    size_t found, won;
    struct range range;
    struct cut cut = {-INFINITY, SIZE_MAX};
    if (mask) {
        n = let_through(x, mask, n, room);
        x = room->shown;
        shown_at = room->shown_at;
    }
    if (k > n)
        k = n;
    found = k ? candidates(x, n, k, room) : 0;
    if (found) {
        x = room->values;
        map = room->map;
        n = found;
    }
    range = look(x, n);
    if (range.numbers > k)
        cut = search(x, n, k, range, room->work);
    won = k ? emit(x, n, cut, room) : 0;
    if (sorted && won <= RANK_MAX)
        sort_few(room->won, room->won_at, won);
    else if (sorted)
        gn_kwta_sort(room->won, room->won_at, won, room->keys);
    won = add_nans(x, n, k, won, room);
    for (size_t i = 0; map && i < won; i++)
        room->won_at[i] = map[room->won_at[i]];
    for (size_t i = 0; shown_at && i < won; i++)
        room->won_at[i] = shown_at[room->won_at[i]];
    return won;
}
#endif
