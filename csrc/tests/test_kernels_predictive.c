/* The gate against doubles, and streams: views within bounds, both sides in step on any level, losses, hostile bytes. */
#include "kernel_check.h"

#include <float.h>

/* ---- the gate */

static void gate_once(size_t n, size_t skew, float threshold, int odd)
{
    struct guarded x = guarded_new(n * 4, skew), p = guarded_new(n * 4, skew), r = guarded_new(n * 4, 0);
    float *in = (float *)x.data, *was = malloc((n + 1) * sizeof *was), *now = (float *)p.data, *kept = (float *)r.data;
    float rms, again;
    double sum = 0;
    int sent, quiet;
    fill_normal(in, n);
    fill_normal(now, n);
    if (odd && n)
        in[random_u64() % n] = odd == 1 ? NAN : odd == 2 ? INFINITY : 1e30f;
    memcpy(was, now, n * 4);
    memset(kept, 0, n * 4);
    for (size_t i = 0; i < n; i++)
        sum += ((double)in[i] - was[i]) * ((double)in[i] - was[i]);
    CHECK(gn_gate(in, now, n, threshold, 0.25f, kept, &sent, &rms) == GN_K_OK);
    CHECK(gn_gate(in, was, n, INFINITY, 0.25f, NULL, &quiet, &again) == GN_K_OK);
    CHECK(quiet == (odd && n));
    if (!odd || !n) {
        CHECK(fabs(rms - (n ? sqrt(sum / (double)n) : 0)) <= 2e-6 * (rms + 1e-30));
        CHECK(sent == (n && sqrt(sum / (double)n) > threshold));
    } else {
        CHECK(sent && !(rms < 1e9f));
    }
    for (size_t i = 0; i < n && !quiet; i++) {
        float by = in[i] - was[i], moved = 0.25f * by;
        CHECK(kept[i] == (sent ? by : 0));
        CHECK(now[i] == (sent ? was[i] + moved : was[i]));
    }
    for (size_t i = 0; i < n && quiet; i++) /* was has moved too, without a residual: both alike, nothing but numbers */
        CHECK(now[i] == was[i] || (isnan(in[i]) && isnan(now[i]) && isnan(was[i])));
    free(was);
    guarded_free(&x), guarded_free(&p), guarded_free(&r);
}

static void gates(void)
{
    size_t far[] = {1023, 1024, 1025, 5000};
    for (size_t n = 0; n <= 257; n += n < 68 ? 1 : 27)
        for (int odd = 0; odd < 4; odd++)
            gate_once(n, n % 3 ? 0 : 4, n % 2 ? 0.5f : 100.0f, odd);
    for (int i = 0; i < 4; i++)
        for (int odd = 0; odd < 4; odd++) {
            gate_once(far[i], 0, 100.0f, odd);
            gate_once(far[i], 0, 1.0f, odd);
        }
}

static void gate_arguments(void)
{
    float x[4] = {0}, p[4] = {0};
    int sent;
    CHECK(gn_gate(x, p, 4, -1, 1, NULL, &sent, NULL) == GN_K_VALUE);
    CHECK(gn_gate(x, p, 4, NAN, 1, NULL, &sent, NULL) == GN_K_VALUE);
    CHECK(gn_gate(x, p, 4, 1, 1.5f, NULL, &sent, NULL) == GN_K_VALUE);
    CHECK(gn_gate(x, x + 2, 4, 1, 1, NULL, &sent, NULL) == GN_K_OVERLAP);
    CHECK(gn_gate(x, p, 4, 1, 1, p, &sent, NULL) == GN_K_OVERLAP);
    CHECK(gn_gate(NULL, p, 4, 1, 1, NULL, &sent, NULL) == GN_K_NULL);
    CHECK(gn_gate(x, p, 4, 1, 1, NULL, NULL, NULL) == GN_K_NULL);
    CHECK(gn_gate(x, p, SIZE_MAX / 2, 1, 1, NULL, &sent, NULL) == GN_K_SIZE);
}

/* ---- vector streams */

struct ends {
    size_t n;
    struct guarded encoder, decoder, frame;
};

static struct ends ends_new(size_t n, float bound, float trend, uint32_t key_every, uint32_t beat, uint32_t epoch)
{
    struct ends it = {.n = n,
                      .encoder = guarded_new(gn_vector_encoder_size(n), 0),
                      .decoder = guarded_new(gn_vector_decoder_size(n), 0),
                      .frame = guarded_new(gn_vector_frame_max(n), 0)};
    CHECK(gn_vector_encoder_init((void *)it.encoder.data, n, bound, trend, key_every, beat, epoch) == GN_K_OK);
    CHECK(gn_vector_decoder_init((void *)it.decoder.data, n) == GN_K_OK);
    return it;
}

static void ends_free(struct ends *it)
{
    guarded_free(&it->encoder), guarded_free(&it->decoder), guarded_free(&it->frame);
}

static size_t encode(struct ends *it, const float *x)
{
    size_t length;
    CHECK(gn_vector_encode((void *)it->encoder.data, x, it->frame.data, gn_vector_frame_max(it->n), &length) == GN_K_OK);
    CHECK(length <= gn_vector_frame_max(it->n));
    return length;
}

static int decode(struct ends *it, size_t length)
{
    int outcome = -1;
    struct guarded copy = guarded_new(length, 0); /* ends at a page nobody may touch */
    memcpy(copy.data, it->frame.data, length);
    CHECK(gn_vector_decode((void *)it->decoder.data, copy.data, length, &outcome) == GN_K_OK);
    guarded_free(&copy);
    return outcome;
}

static void next_sample(float *x, size_t n, int tick)
{
    static const float odd[] = {NAN, INFINITY, -INFINITY, 3e38f, -3e38f, 1e-42f, 0.0f, -0.0f};
    for (size_t i = 0; i < n; i++) {
        if (i % 4 == 0)
            x[i] += 0.02f * random_normal();
        else if (i % 4 == 1)
            x[i] = (float)tick * 0.37f; /* a ramp */
        else if (i % 4 == 2 && random_u64() % 16 == 0)
            x[i] = 100 * random_normal();
        else if (random_u64() % 64 == 0)
            x[i] = odd[random_u64() % 8];
    }
}

/* Encoder on one level, decoder on another: the view is within the bound at every tick, whether a frame came or not. */
static void stay_in_step(size_t n, float trend, int encoder_level, int decoder_level)
{
    enum { TICKS = 120 };
    const float bound = 0.05f;
    struct ends it = ends_new(n, bound, trend, 40, 7, 1);
    float *x = calloc(n, sizeof *x), *view = malloc(n * sizeof *view);
    uint64_t silent = 0;
    for (int tick = 0; tick < TICKS; tick++) {
        size_t length;
        next_sample(x, n, tick);
        gn_isa_force(encoder_level);
        length = encode(&it, x);
        gn_isa_force(decoder_level);
        silent = length ? 0 : silent + 1;
        CHECK(silent < 7);
        if (length)
            CHECK(decode(&it, length) == GN_FRAME_APPLIED);
        CHECK(gn_vector_view((void *)it.decoder.data, silent, view) == GN_K_OK);
        for (size_t i = 0; i < n; i++)
            CHECK(fabsf(x[i] - view[i]) <= bound || x[i] == view[i] || (isnan(x[i]) && isnan(view[i])));
    }
    CHECK(gn_vector_in_step((void *)it.decoder.data) == 1);
    free(x), free(view);
    ends_free(&it);
}

static void all_in_step(void)
{
    size_t sizes[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 64, 129, 257};
    int best = gn_isa_best();
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int level = 0; level < GN_ISA_COUNT; level++)
            if (gn_isa_has(level)) {
                stay_in_step(sizes[s], 0, level, best);
                stay_in_step(sizes[s], 0.5f, best, level);
            }
    gn_isa_force(best);
}

static void losses(void)
{
    enum { N = 20 };
    struct ends it = ends_new(N, 0.5f, 0.25f, 0, 0, 7), other = ends_new(N, 0.5f, 0.25f, 0, 0, 9);
    float x[N] = {0}, view[N], expected[N];
    unsigned char old[1024];
    size_t length = encode(&it, x), old_length = length;
    int outcome;
    memcpy(old, it.frame.data, length);
    CHECK(decode(&it, length) == GN_FRAME_APPLIED);
    CHECK(decode(&it, length) == GN_FRAME_OLD);
    CHECK(encode(&it, x) == 0); /* nothing new, nothing said */
    x[3] = 5;
    CHECK(decode(&it, encode(&it, x)) == GN_FRAME_APPLIED);
    x[4] = 5;
    CHECK(encode(&it, x) > 0); /* lost on its way */
    CHECK(gn_vector_view((void *)it.decoder.data, 0, expected) == GN_K_OK);
    x[5] = 5;
    CHECK(decode(&it, encode(&it, x)) == GN_FRAME_LOST);
    CHECK(!gn_vector_in_step((void *)it.decoder.data));
    CHECK(gn_vector_view((void *)it.decoder.data, 0, view) == GN_K_OK && memcmp(view, expected, sizeof view) == 0);
    x[6] = 5;
    CHECK(decode(&it, encode(&it, x)) == GN_FRAME_LOST);
    CHECK(gn_vector_encoder_key((void *)it.encoder.data) == GN_K_OK);
    CHECK(decode(&it, encode(&it, x)) == GN_FRAME_APPLIED);
    CHECK(gn_vector_in_step((void *)it.decoder.data));
    CHECK(gn_vector_view((void *)it.decoder.data, 0, view) == GN_K_OK && memcmp(view, x, sizeof x) == 0);
    CHECK(gn_vector_decode((void *)it.decoder.data, old, old_length, &outcome) == GN_K_OK);
    CHECK(outcome == GN_FRAME_OLD);
    /* An encoder that began anew has a later epoch: its deltas are lost until its keyframe comes. */
    length = encode(&other, x);
    x[1] = 50;
    memcpy(old, other.frame.data, old_length = length);
    length = encode(&other, x);
    CHECK(gn_vector_decode((void *)it.decoder.data, other.frame.data, length, &outcome) == GN_K_OK);
    CHECK(outcome == GN_FRAME_LOST);
    CHECK(gn_vector_decode((void *)it.decoder.data, old, old_length, &outcome) == GN_K_OK);
    CHECK(outcome == GN_FRAME_APPLIED);
    CHECK(gn_vector_decode((void *)it.decoder.data, other.frame.data, length, &outcome) == GN_K_OK);
    CHECK(outcome == GN_FRAME_APPLIED);
    x[2] = 9;
    CHECK(decode(&it, encode(&it, x)) == GN_FRAME_OLD); /* the old encoder goes on */
    ends_free(&it), ends_free(&other);
}

enum { FRAME_ROOM = 4096 };

static uint32_t crc_of(const unsigned char *p, size_t n)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

/* From bytes that end at a page nobody may touch. */
static int decode_any(int telemetry, struct guarded *decoder, const unsigned char *frame, size_t length)
{
    static struct guarded room;
    unsigned char *at;
    int outcome;
    if (!room.map)
        room = guarded_new(FRAME_ROOM, 0);
    at = room.data + FRAME_ROOM - length;
    memcpy(at, frame, length);
    return telemetry ? gn_telemetry_decode((void *)decoder->data, at, length, &outcome)
                     : gn_vector_decode((void *)decoder->data, at, length, &outcome);
}

/* Bytes changed, cut and added, with the checksum set right again half of the time. */
static void hostile(int telemetry, struct guarded *decoder, size_t decoder_bytes, const unsigned char *frame, size_t length)
{
    unsigned char bad[FRAME_ROOM] = {0}, *before = malloc(decoder_bytes);
    CHECK(length + 8 < sizeof bad);
    for (int times = 0; times < 400; times++) {
        size_t now = length, changes = 1 + random_u64() % 4;
        memcpy(bad, frame, length);
        for (size_t i = 0; i < changes; i++)
            bad[random_u64() % length] = (unsigned char)random_u64();
        if (times % 4 == 1)
            now = random_u64() % (length + 1);
        if (times % 4 == 2)
            now += random_u64() % 8;
        if (times % 2 && now >= 8) {
            uint32_t crc = crc_of(bad, now - 4);
            for (int i = 0; i < 4; i++)
                bad[now - 4 + (size_t)i] = (unsigned char)(crc >> 8 * i);
        }
        memcpy(before, decoder->data, decoder_bytes);
        if (decode_any(telemetry, decoder, bad, now) == GN_K_FORMAT)
            CHECK(memcmp(before, decoder->data, decoder_bytes) == 0);
        memcpy(decoder->data, before, decoder_bytes);
    }
    free(before);
}

static void vector_hostile(void)
{
    enum { N = 37 };
    struct ends it = ends_new(N, 0.01f, 0.5f, 0, 3, 1);
    float x[N] = {0};
    for (int tick = 0; tick < 12; tick++) {
        size_t length = encode(&it, x);
        if (length) {
            hostile(0, &it.decoder, gn_vector_decoder_size(N), it.frame.data, length);
            CHECK(decode(&it, length) == GN_FRAME_APPLIED);
        }
        for (size_t i = 0; i < N; i++)
            if (tick > 8 || random_u64() % 10 == 0)
                x[i] = random_normal();
    }
    ends_free(&it);
}

static size_t sealed(unsigned char *frame, size_t length)
{
    uint32_t crc = crc_of(frame, length);
    for (int i = 0; i < 4; i++)
        frame[length + (size_t)i] = (unsigned char)(crc >> 8 * i);
    return length + 4;
}

/* Frames with a right checksum that are wrong inside; by hand, after README.md and frame.h. */
static void crafted(void)
{
    enum { N = 37 };
    struct ends it = ends_new(N, 0.5f, 0, 0, 0, 1);
    float x[N] = {0}, view[N];
    struct {
        unsigned char bytes[16];
        size_t length;
        int status;
    } cases[] = {
        {{0xA0, 1, 0, 1, 1, 1, N, 2}, 8, GN_K_FORMAT},            /* behind the last element */
        {{0xA0, 1, 0, 1, 1, 2, 0, N - 1, 2, 2}, 10, GN_K_FORMAT}, /* the second is */
        {{0xA0, 1, 0, 1, 1, 1, N}, 7, GN_K_FORMAT},               /* and nothing about it */
        {{0xA0, 1, 0, 1, 0, 1, 0, 2}, 8, GN_K_FORMAT},            /* no ticks */
        {{0xA0, 1, 0, 1, 1, 1, 0}, 7, GN_K_FORMAT},               /* no code */
        {{0xA0, 1, 0, 1, 1, 1, 0, 2, 2}, 9, GN_K_FORMAT},         /* a code too many */
        {{0xA0, 1, 0, 1, 1, 1, 0, 0, 9, 9, 9}, 11, GN_K_FORMAT},  /* half a float */
        {{0xA0, 1, 0, 1, 1, 1, 0, 0xff, 0xff, 0xff, 0x7f}, 11, GN_K_FORMAT}, /* steps beyond 2^24 */
        {{0xA1, 1, 0, 1, 1, 0, 0, 0, 0, 0x20}, 10, GN_K_FORMAT},  /* a place behind the last element */
        {{0xA4, 1, 0, 1, 1}, 5, GN_K_FORMAT},                     /* no such kind */
        {{0xB0, 1, 0, 1, 1}, 5, GN_K_FORMAT},                     /* telemetry */
        {{0xA0, 1, 0, 1, 1, 1, N - 1, 2}, 8, GN_K_OK},
        {{0xA1, 1, 0, 2, 1, 0, 0, 0, 0, 0x10, 1}, 11, GN_K_OK},
        {{0xA3, 1, 0, 3, 9}, 5, GN_K_OK},
    };
    CHECK(decode(&it, encode(&it, x)) == GN_FRAME_APPLIED);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int outcome;
        size_t length = sealed(cases[i].bytes, cases[i].length);
        CHECK(gn_vector_decode((void *)it.decoder.data, cases[i].bytes, length, &outcome) == cases[i].status);
        CHECK(gn_vector_view((void *)it.decoder.data, 0, view) == GN_K_OK);
        CHECK(view[N - 1] == (i == 11 ? 1.0f : 0.0f) && view[0] == 0);
    }
    ends_free(&it);
}

static void vector_arguments(void)
{
    enum { N = 4 };
    struct ends it = ends_new(N, 0.5f, 0, 0, 0, 1);
    float x[N] = {0}, view[N];
    size_t length;
    int outcome;
    void *encoder = it.encoder.data, *decoder = it.decoder.data;
    CHECK(gn_vector_encoder_size(0) == SIZE_MAX && gn_vector_decoder_size((1u << 24) + 1) == SIZE_MAX);
    CHECK(gn_vector_frame_max(0) == SIZE_MAX);
    CHECK(gn_vector_encoder_init(encoder, 0, 1, 0, 0, 0, 0) == GN_K_SIZE);
    CHECK(gn_vector_encoder_init(NULL, 4, 1, 0, 0, 0, 0) == GN_K_NULL);
    CHECK(gn_vector_encoder_init(encoder, 4, 0, 0, 0, 0, 0) == GN_K_VALUE);
    CHECK(gn_vector_encoder_init(encoder, 4, NAN, 0, 0, 0, 0) == GN_K_VALUE);
    CHECK(gn_vector_encoder_init(encoder, 4, FLT_MAX, 0, 0, 0, 0) == GN_K_VALUE);
    CHECK(gn_vector_encoder_init(encoder, 4, 1, 1.5f, 0, 0, 0) == GN_K_VALUE);
    CHECK(gn_vector_encode(encoder, x, it.frame.data, 10, &length) == GN_K_SIZE);
    CHECK(gn_vector_encode(decoder, x, it.frame.data, 1000, &length) == GN_K_FORMAT);
    CHECK(gn_vector_encode(NULL, x, it.frame.data, 1000, &length) == GN_K_NULL);
    CHECK(gn_vector_encoder_key(decoder) == GN_K_FORMAT && gn_vector_encoder_key(NULL) == GN_K_NULL);
    CHECK(gn_vector_decode(encoder, it.frame.data, 10, &outcome) == GN_K_FORMAT);
    CHECK(gn_vector_decode(decoder, NULL, 0, &outcome) == GN_K_FORMAT);
    CHECK(gn_vector_decode(decoder, NULL, 5, &outcome) == GN_K_NULL);
    CHECK(gn_vector_view(decoder, 3, view) == GN_K_OK && view[0] == 0);
    CHECK(!gn_vector_in_step(decoder) && !gn_vector_in_step(NULL));
    ends_free(&it);
}

/* ---- telemetry streams */

static void telemetry(double trend)
{
    enum { FIELDS = 11, SAMPLES = 400 };
    struct guarded encoder = guarded_new(gn_telemetry_encoder_size(FIELDS), 0);
    struct guarded decoder = guarded_new(gn_telemetry_decoder_size(FIELDS), 0);
    struct guarded frame = guarded_new(gn_telemetry_frame_max(FIELDS), 0);
    double x[FIELDS] = {0}, view[FIELDS], bounds[FIELDS];
    int64_t time = -1000, last;
    size_t length, total = 0;
    for (int i = 0; i < FIELDS; i++)
        bounds[i] = i % 3 == 0 ? 0 : i % 3 == 1 ? 0.5 : 1e-3;
    CHECK(gn_telemetry_encoder_init((void *)encoder.data, FIELDS, bounds, trend, 50, 9, 3) == GN_K_OK);
    CHECK(gn_telemetry_decoder_init((void *)decoder.data, FIELDS) == GN_K_OK);
    CHECK(gn_telemetry_last((void *)decoder.data, &last) == GN_K_VALUE);
    for (int tick = 0; tick < SAMPLES; tick++) {
        time += (int64_t)(random_u64() % 5);
        for (int i = 0; i < FIELDS; i++)
            if (random_u64() % 3 == 0)
                x[i] = i == 9   ? (random_u64() % 2 ? NAN : 0.1)
                       : i == 6 ? (random_u64() % 2 ? INFINITY : 9007199254740993.0)
                       : i == 3 ? x[i] + (double)(random_u64() % 1000)
                       : i == 0 ? (double)time * 3
                                : x[i] + random_normal();
        CHECK(gn_telemetry_encode((void *)encoder.data, time, x, frame.data, gn_telemetry_frame_max(FIELDS), &length) ==
              GN_K_OK);
        if (length) {
            int outcome = -1;
            if (tick % 8 == 0)
                hostile(1, &decoder, gn_telemetry_decoder_size(FIELDS), frame.data, length);
            CHECK(gn_telemetry_decode((void *)decoder.data, frame.data, length, &outcome) == GN_K_OK);
            CHECK(outcome == GN_FRAME_APPLIED);
        }
        total += length;
        CHECK(gn_telemetry_view((void *)decoder.data, time, view) == GN_K_OK);
        for (int i = 0; i < FIELDS; i++)
            CHECK(fabs(x[i] - view[i]) <= bounds[i] || x[i] == view[i] || (isnan(x[i]) && isnan(view[i])));
    }
    CHECK(total < SAMPLES * FIELDS * 8);
    CHECK(gn_telemetry_last((void *)decoder.data, &last) == GN_K_OK && last <= time);
    CHECK(gn_telemetry_view((void *)decoder.data, last - 1, view) == GN_K_VALUE);
    CHECK(gn_telemetry_encode((void *)encoder.data, time - 1, x, frame.data, gn_telemetry_frame_max(FIELDS), &length) ==
          GN_K_VALUE);
    guarded_free(&encoder), guarded_free(&decoder), guarded_free(&frame);
}

static void telemetry_arguments(void)
{
    double bounds[2] = {0, NAN};
    static char state[4096] __attribute__((aligned(64)));
    CHECK(gn_telemetry_encoder_size(0) == SIZE_MAX && gn_telemetry_decoder_size(65537) == SIZE_MAX);
    CHECK(gn_telemetry_encoder_init((void *)state, 2, bounds, 0, 0, 0, 0) == GN_K_VALUE);
    CHECK(gn_telemetry_encoder_init((void *)state, 1, bounds, 2, 0, 0, 0) == GN_K_VALUE);
    CHECK(gn_telemetry_encoder_init((void *)state, 1, NULL, 0, 0, 0, 0) == GN_K_NULL);
    CHECK(gn_telemetry_encoder_init((void *)state, 0, bounds, 0, 0, 0, 0) == GN_K_SIZE);
    CHECK(gn_telemetry_encoder_key((void *)state) == GN_K_FORMAT);
}

int main(void)
{
    gate_arguments();
    vector_arguments();
    telemetry_arguments();
    gn_isa_force(GN_ISA_SERIAL);
    gates();
    FOR_LEVELS(level)
        gates();
    gn_isa_force(gn_isa_best());
    all_in_step();
    losses();
    vector_hostile();
    crafted();
    telemetry(0);
    telemetry(0.5);
    printf("test_kernels_predictive: ok\n");
    return 0;
}
