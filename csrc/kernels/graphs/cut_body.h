/* A step of a maximum adjacency order on a matrix. n is a multiple of GN_CUT_LANES, so no tails. Every level gives the
 * same bits: an addition a key, and a maximum. */

static struct gn_cut_step cut_step(double *keys, const double *row, size_t n, double bound, int32_t *crossed,
                                   size_t *crossings)
{
    struct gn_cut_step step = {-INFINITY, 0};
    vd limit = vd_set1(bound), most = vd_set1(-INFINITY), top;
    size_t found = 0;
    for (size_t j = 0; j < n; j += VD) {
        vd old = vd_load(keys + j), now = vd_add(old, vd_load(row + j));
        unsigned over = vd_le(limit, now);
        vd_store(keys + j, now);
        most = vd_max(most, now);
        if (over)
            for (over &= ~vd_le(limit, old); over; over &= over - 1)
                crossed[found++] = (int32_t)(j + (size_t)__builtin_ctz(over));
    }
    *crossings = found;
    step.largest = vd_hmax(most);
    top = vd_set1(step.largest);
    for (size_t j = 0; j < n; j += VD) {
        unsigned equal = vd_le(top, vd_load(keys + j));
        if (equal) {
            step.at = j + (size_t)__builtin_ctz(equal);
            break;
        }
    }
    return step;
}

static void cut_add(double *to, const double *from, size_t n)
{
    for (size_t j = 0; j < n; j += VD)
        vd_store(to + j, vd_add(vd_load(to + j), vd_load(from + j)));
}
