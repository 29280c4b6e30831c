/* C = A B for the chunks of linear attention: a few rows of A by one panel of B, all of it in registers.
 *
 * A is read by broadcast at a[i * across + p * along], so its transpose costs nothing; a row of B is `ldb` floats from
 * the next. PRODUCT_ROWS x PRODUCT_VECTORS accumulators; both are set by the level's file.
 */
enum { PANEL = PRODUCT_VECTORS * VL };
_Static_assert((int)PANEL <= (int)GN_LINEAR_PANEL, "a row of features is padded to the widest panel");

struct operand {
    const float *at;
    size_t across, along;
};

/* How an element of C begins. */
struct start {
    const float *row;    /* its row's number, or NULL */
    const float *column; /* its column's number, or NULL */
    int add;             /* C itself */
};

SIMD __attribute__((always_inline)) void block(size_t rows, size_t vectors, struct operand a, const float *b, size_t ldb,
                                               size_t depth, size_t last, float *c, size_t ldc, struct start start)
{
    vf sum[PRODUCT_ROWS][PRODUCT_VECTORS];
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < vectors; j++) {
            size_t n = j + 1 == vectors ? last : VL;
            vf begin = start.row ? vf_set1(start.row[i]) : vf_zero();
            if (start.column)
                begin = n == VL ? vf_load(start.column + j * VL) : vf_load_n(start.column + j * VL, n);
            if (start.add)
                begin = n == VL ? vf_load(c + i * ldc + j * VL) : vf_load_n(c + i * ldc + j * VL, n);
            sum[i][j] = begin;
        }
    for (size_t p = 0; p < depth; p++) {
        const float *from = b + p * ldb, *scalar = a.at + p * a.along;
        vf line[PRODUCT_VECTORS];
        for (size_t j = 0; j < vectors; j++)
            line[j] = j + 1 < vectors || last == VL ? vf_load(from + j * VL) : vf_load_n(from + j * VL, last);
        for (size_t i = 0; i < rows; i++) {
            vf x = vf_set1(scalar[i * a.across]);
            for (size_t j = 0; j < vectors; j++)
                sum[i][j] = vf_fma(x, line[j], sum[i][j]);
        }
    }
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < vectors; j++)
            if (j + 1 < vectors || last == VL)
                vf_store(c + i * ldc + j * VL, sum[i][j]);
            else
                vf_store_n(c + i * ldc + j * VL, sum[i][j], last);
}

/* One panel of at most PANEL columns, any number of rows. Constant arguments make each call its own loop. */
static void panel(size_t rows, struct operand a, const float *b, size_t ldb, size_t depth, size_t columns, float *c,
                  size_t ldc, struct start start)
{
    for (size_t i = 0; i < rows;) {
        size_t left = rows - i, step = left >= PRODUCT_ROWS ? PRODUCT_ROWS : left >= 2 ? 2 : 1;
        struct operand from = {a.at + i * a.across, a.across, a.along};
        struct start begin = {start.row ? start.row + i : NULL, start.column, start.add};
        if (columns == PANEL && step == PRODUCT_ROWS)
            block(PRODUCT_ROWS, PRODUCT_VECTORS, from, b, ldb, depth, VL, c + i * ldc, ldc, begin);
        else if (columns == PANEL && step == 2)
            block(2, PRODUCT_VECTORS, from, b, ldb, depth, VL, c + i * ldc, ldc, begin);
        else if (columns == PANEL)
            block(1, PRODUCT_VECTORS, from, b, ldb, depth, VL, c + i * ldc, ldc, begin);
        else
            for (size_t j = 0; j < columns; j += VL) {
                size_t last = columns - j < VL ? columns - j : VL;
                struct start here = {begin.row, begin.column ? begin.column + j : NULL, begin.add};
                if (step == PRODUCT_ROWS)
                    block(PRODUCT_ROWS, 1, from, b + j, ldb, depth, last, c + i * ldc + j, ldc, here);
                else if (step == 2)
                    block(2, 1, from, b + j, ldb, depth, last, c + i * ldc + j, ldc, here);
                else
                    block(1, 1, from, b + j, ldb, depth, last, c + i * ldc + j, ldc, here);
            }
        i += step;
    }
}

/* All columns; b's next panel lies `next` floats on. */
static void product(size_t rows, struct operand a, const float *b, size_t ldb, size_t next, size_t depth,
                    size_t columns, float *c, size_t ldc, struct start start)
{
    for (size_t j = 0; j < columns; j += PANEL, b += next) {
        size_t width = columns - j < PANEL ? columns - j : PANEL;
        struct start here = {start.row, start.column ? start.column + j : NULL, start.add};
        panel(rows, a, b, ldb, depth, width, c + j, ldc, here);
    }
}
