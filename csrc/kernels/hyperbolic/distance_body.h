/* Distances of a few points to many, VL others at a time.
 *
 * Sums go along the dimensions, a vector register for each (other, sum). STEP others are in work at once, so that a part
 * of a point is loaded once for them; step_sums folds their STEP registers into one, join_sums those of a group into
 * one that has each other's total in its lane.
 * |x - y|^2 is summed as it stands: the form |x|^2 + |y|^2 - 2xy loses all digits of near points.
 */
enum { STEPS = VL / STEP };

struct near {
    const float *points, *others;
    size_t dim, count, at; /* others at, at + 1, ... are this group's */
};

/* Folded sums of STEP others from `first` of the group on: squares[q] = |x_q - y|^2, *norm = |y|^2. */
SIMD __attribute__((always_inline)) void some(const struct near *it, size_t rows, size_t first, vf *squares, vf *norm)
{
    vf square[MANY][STEP], sum[STEP];
    const float *other[STEP];
    for (size_t r = 0; r < STEP; r++) {
        size_t j = it->at + first + r;
        other[r] = it->others + (j < it->count ? j : it->count - 1) * it->dim;
        sum[r] = vf_zero();
        for (size_t q = 0; q < rows; q++)
            square[q][r] = vf_zero();
    }
    for (size_t i = 0; i < it->dim; i += VL) {
        size_t n = it->dim - i;
        vf x[MANY];
        for (size_t q = 0; q < rows; q++)
            x[q] = n >= VL ? vf_load(it->points + q * it->dim + i) : vf_load_n(it->points + q * it->dim + i, n);
        for (size_t r = 0; r < STEP; r++) {
            vf y = n >= VL ? vf_load(other[r] + i) : vf_load_n(other[r] + i, n);
            sum[r] = vf_fma(y, y, sum[r]);
            for (size_t q = 0; q < rows; q++) {
                vf d = vf_sub(x[q], y);
                square[q][r] = vf_fma(d, d, square[q][r]);
            }
        }
    }
    *norm = step_sums(sum);
    for (size_t q = 0; q < rows; q++)
        squares[q] = step_sums(square[q]);
}

/* The group's sums by other: square[q], *norm. */
SIMD __attribute__((always_inline)) void group(const struct near *it, size_t rows, vf *square, vf *norm)
{
    vf squares[MANY][STEPS], norms[STEPS], found[MANY];
    for (size_t i = 0; i < STEPS; i++) {
        some(it, rows, i * STEP, found, norms + i);
        for (size_t q = 0; q < rows; q++)
            squares[q][i] = found[q];
    }
    *norm = join_sums(norms);
    for (size_t q = 0; q < rows; q++)
        square[q] = join_sums(squares[q]);
}

/* arccosh(1 + u) = ln(1 + x), x = u + sqrt(u (u + 2)). What 1 + x rounds off is put back where it shows: below 1, and
 * 1 - x stands for 1 / (1 + x) there, which is near enough for a correction. */
SIMD vf arccosh1p(vf u)
{
    vf root = vf_sqrt(vf_mul(u, vf_add(u, vf_set1(2.0f)))), x, w, lost;
    x = vf_add(u, vf_pick(vf_lt(vf_set1(1e18f), u), u, root)); /* u (u + 2) may overflow */
    w = vf_add(vf_set1(1.0f), x);
    lost = vf_mul(vf_sub(x, vf_sub(w, vf_set1(1.0f))), vf_sub(vf_set1(1.0f), x));
    return vf_add(vf_log(w), vf_pick(vf_lt(x, vf_set1(1.0f)), lost, vf_zero()));
}

/* u becomes root * arccosh(1 + u). A pass of its own, so that the chain of root, quotient and logarithm is done for
 * several u at a time and not once behind each group's sums. */
static void finish(float *u, size_t n, float root)
{
    for (size_t i = 0; i < n; i += VL) {
        size_t lanes = n - i < VL ? n - i : VL;
        vf_store_n(u + i, vf_mul(vf_set1(root), arccosh1p(vf_load_n(u + i, lanes))), lanes);
    }
}

/* 1 - c |p|^2 from |p|^2: NaN outside the ball. */
SIMD vf inside(vf square, float c)
{
    vf left = vf_fnma(vf_set1(c), square, vf_set1(1.0f));
    return vf_pick(vf_lt(left, vf_zero()), vf_set1(NAN), left);
}

/* In float64: a point near the sphere has few digits of 1 - c |p|^2 left, and this one is met by all the others. */
static float inside_one(const float *p, size_t dim, float c)
{
    double square = 0;
    for (size_t i = 0; i < dim; i++)
        square += (double)p[i] * p[i];
    square = 1 - c * square;
    return square < 0 ? NAN : (float)square;
}

SIMD __attribute__((always_inline)) void poincare_rows(const float *points, size_t rows, const float *others,
                                                       size_t count, size_t dim, float c, float *out)
{
    struct near it = {points, others, dim, count, 0};
    vf twice = vf_set1(2.0f * c), mine[MANY], square[MANY], norm;
    for (size_t q = 0; q < rows; q++)
        mine[q] = vf_set1(inside_one(points + q * dim, dim, c));
    for (; it.at < count; it.at += VL) {
        size_t n = count - it.at < VL ? count - it.at : VL;
        vf theirs;
        group(&it, rows, square, &norm);
        theirs = inside(norm, c);
        for (size_t q = 0; q < rows; q++) {
            vf under = vf_mul(mine[q], theirs), u = vf_div(vf_mul(twice, square[q]), under);
            u = vf_pick(vf_eq(under, vf_zero()), vf_set1(INFINITY), u);
            vf_store_n(out + q * count + it.at, u, n);
        }
    }
}

static void poincare(const float *points, size_t rows, const float *others, size_t count, size_t dim, float c,
                     float *out)
{
    size_t q = 0;
    for (; q + MANY <= rows; q += MANY)
        poincare_rows(points + q * dim, MANY, others, count, dim, c, out + q * count);
    for (; q < rows; q++)
        poincare_rows(points + q * dim, 1, others, count, dim, c, out + q * count);
    finish(out, rows * count, 1.0f / sqrtf(c));
}

SIMD __attribute__((always_inline)) void lorentz_rows(const float *points, size_t rows, const float *others,
                                                      size_t count, size_t dim, float c, float *out)
{
    struct near it = {points, others, dim, count, 0};
    vf half = vf_set1(0.5f * c), square[MANY], norm;
    for (; it.at < count; it.at += VL) {
        size_t n = count - it.at < VL ? count - it.at : VL;
        float times[VL];
        for (size_t r = 0; r < VL; r++)
            times[r] = others[(it.at + (r < n ? r : n - 1)) * dim];
        group(&it, rows, square, &norm);
        for (size_t q = 0; q < rows; q++) {
            vf t = vf_sub(vf_set1(points[q * dim]), vf_load(times));
            vf u = vf_mul(half, vf_fnma(vf_add(t, t), t, square[q]));
            vf_store_n(out + q * count + it.at, vf_max(vf_zero(), u), n);
        }
    }
}

static void lorentz(const float *points, size_t rows, const float *others, size_t count, size_t dim, float c, float *out)
{
    size_t q = 0;
    for (; q + MANY <= rows; q += MANY)
        lorentz_rows(points + q * dim, MANY, others, count, dim, c, out + q * count);
    for (; q < rows; q++)
        lorentz_rows(points + q * dim, 1, others, count, dim, c, out + q * count);
    finish(out, rows * count, 1.0f / sqrtf(c));
}

static void factors(const float *points, size_t count, size_t dim, float c, float *to)
{
    struct near it = {NULL, points, dim, count, 0};
    for (; it.at < count; it.at += VL) {
        size_t n = count - it.at < VL ? count - it.at : VL;
        vf left, norm;
        group(&it, 0, NULL, &norm);
        left = inside(norm, c);
        left = vf_pick(vf_eq(left, vf_zero()), vf_set1(NAN), left);
        vf_store_n(to + it.at, vf_div(vf_set1(2.0f), left), n);
    }
}
