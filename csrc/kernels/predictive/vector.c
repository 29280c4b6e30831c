/* Vector streams. Behind the head of a frame (frame.h):
 *
 *     delta    varint ticks, places (frame.h: none for a beat), for each place: varint code, [4 bytes]
 *     key      4 bytes epoch, varint n, 4 bytes bound, 4 bytes trend, n x 4 bytes levels, and with a trend n slopes
 *
 * ticks: since the frame before, 1 or more. code: 0, and the element's 4 bytes follow; else zigzag of how many steps of
 * 2 bound the level goes on from the prediction. floats are their IEEE bits.
 */
#include "predictive/frame.h"
#include "predictive/ops.h"

#include "ganglion/kernels/predictive.h"

#include <math.h>
#include <string.h>

static const struct gn_predictive_ops *const levels[GN_ISA_COUNT] = GN_LEVELS(gn_predictive);

enum { N_MAX = 1 << 24, STEPS_MAX = 1 << 24, LINE = 64, ENCODER = 0x47505631, DECODER = 0x47505632 };

/* What both sides know, and change in the same way. */
struct model {
    size_t n;
    float bound, trend;
    size_t level_at, slope_at, stamp_at; /* bytes from here to the arrays: a state may be moved */
    uint64_t clock; /* ticks since the keyframe; an element's stamp: when it was last set right */
};

struct gn_vector_encoder {
    uint32_t magic, key_every, beat, want_key;
    struct place place; /* next: the number of the next frame */
    struct model model;
    size_t places_at; /* int32_t, n of them */
    uint64_t ticks, since_key; /* since the last frame; frames since the last keyframe */
};

struct gn_vector_decoder {
    uint32_t magic, unused;
    struct place place;
    struct model model;
};

static size_t lines(size_t bytes) { return (bytes + LINE - 1) / LINE * LINE; }

/* Bytes from a state's model to one of the arrays behind the state. */
static size_t offset(size_t head, size_t model, size_t n, size_t which)
{
    return lines(head) - model + which * lines((n + PACK_ROOM) * sizeof(float));
}

static float *level_of(const struct model *model) { return (float *)((uintptr_t)model + model->level_at); }

static float *slopes_of(const struct model *model) { return (float *)((uintptr_t)model + model->slope_at); }

static uint32_t *stamps_of(const struct model *model) { return (uint32_t *)((uintptr_t)model + model->stamp_at); }

/* NULL: the prediction is the level alone. */
static const float *slope_of(const struct model *model) { return model->trend > 0 ? slopes_of(model) : NULL; }

size_t gn_vector_encoder_size(size_t n)
{
    if (n < 1 || n > N_MAX)
        return SIZE_MAX;
    return lines(sizeof(struct gn_vector_encoder)) + 4 * lines((n + PACK_ROOM) * sizeof(float));
}

size_t gn_vector_decoder_size(size_t n)
{
    if (n < 1 || n > N_MAX)
        return SIZE_MAX;
    return lines(sizeof(struct gn_vector_decoder)) + 3 * lines((n + PACK_ROOM) * sizeof(float));
}

/* A gap of up to 4 bytes, a code of 1 and 4 bytes; a keyframe has 8 bytes an element. */
size_t gn_vector_frame_max(size_t n) { return n < 1 || n > N_MAX ? SIZE_MAX : FRAME_OVERHEAD_MAX + 9 * n; }

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float from_bits(uint64_t given)
{
    uint32_t bits = (uint32_t)given;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* ---- the model: these lines run on both sides, and levels must not round them otherwise */

static void forward(struct model *model, uint64_t ticks)
{
    if (model->trend > 0)
        levels[gn_isa_level]->predict(level_of(model), slopes_of(model), model->n, (float)ticks, level_of(model));
    model->clock += ticks;
}

static void begin(struct model *model)
{
    model->clock = 0;
    memset(stamps_of(model), 0, model->n * sizeof(uint32_t));
}

/* Element i, whose level is already its prediction, was off by `steps` steps. */
static float stepped(const struct model *model, size_t i, int64_t steps)
{
    float off = (float)steps * (2 * model->bound);
    return level_of(model)[i] + off;
}

/* The slope learns by how much the level was off in the ticks since it was last right, not since the last frame: that
 * may have been about others. */
static void take_step(struct model *model, size_t i, int64_t steps)
{
    float off = (float)steps * (2 * model->bound);
    level_of(model)[i] = level_of(model)[i] + off;
    if (model->trend > 0) {
        uint32_t age = (uint32_t)model->clock - stamps_of(model)[i];
        float slope = off / (float)(age ? age : 1);
        slope = slope * model->trend;
        slope = slopes_of(model)[i] + slope;
        slopes_of(model)[i] = isfinite(slope) ? slope : 0;
        stamps_of(model)[i] = (uint32_t)model->clock;
    }
}

static void take_whole(struct model *model, size_t i, float x)
{
    level_of(model)[i] = x;
    if (model->trend > 0) {
        slopes_of(model)[i] = 0;
        stamps_of(model)[i] = (uint32_t)model->clock;
    }
}

/* ---- the encoder */

static int as_told(float x, float told, float bound)
{
    return fabsf(x - told) <= bound || x == told || (isnan(x) && isnan(told));
}

/* The steps to send, not 0; or 0: send x itself. */
static int64_t steps_to(const struct model *model, size_t i, float x)
{
    float off = x - level_of(model)[i], steps = off / (2 * model->bound);
    int64_t whole;
    if (!(fabsf(steps) <= (float)STEPS_MAX))
        return 0;
    whole = (int64_t)rintf(steps);
    if (whole == 0)
        whole = off > 0 ? 1 : -1;
    return as_told(x, stepped(model, i, whole), model->bound) ? whole : 0;
}

static void put_code(struct writer *to, struct model *model, size_t i, float x)
{
    int64_t steps = steps_to(model, i, x);
    put_varint(to, steps ? zigzag(steps) : 0);
    if (steps) {
        take_step(model, i, steps);
    } else {
        put_bytes(to, bits_of(x), 4);
        take_whole(model, i, x);
    }
}

static size_t key_frame(struct gn_vector_encoder *encoder, const float *x, uint8_t *frame)
{
    struct model *model = &encoder->model;
    struct place *place = &encoder->place;
    struct writer to = frame_begin(frame, FRAME_VECTOR, FRAME_KEY, place->epoch, place->next);
    put_bytes(&to, place->epoch, 4);
    put_varint(&to, model->n);
    put_bytes(&to, bits_of(model->bound), 4);
    put_bytes(&to, bits_of(model->trend), 4);
    memcpy(level_of(model), x, model->n * sizeof *x);
    for (size_t i = 0; i < model->n; i++)
        put_bytes(&to, bits_of(x[i]), 4);
    for (size_t i = 0; model->trend > 0 && i < model->n; i++)
        put_bytes(&to, bits_of(slopes_of(model)[i]), 4);
    begin(model);
    encoder->since_key = 0;
    encoder->want_key = 0;
    return frame_end(&to);
}

static size_t delta_frame(struct gn_vector_encoder *encoder, const float *x, const int32_t *at, size_t count,
                          uint8_t *frame)
{
    struct model *model = &encoder->model;
    int kind = places_kind(count, model->n);
    struct writer to = frame_begin(frame, FRAME_VECTOR, kind, encoder->place.epoch, encoder->place.next);
    put_varint(&to, encoder->ticks);
    put_places(&to, kind, at, count, model->n);
    forward(model, encoder->ticks);
    for (size_t i = 0; i < count; i++)
        put_code(&to, model, (size_t)at[i], x[at[i]]);
    encoder->since_key++;
    return frame_end(&to);
}

int gn_vector_encoder_init(gn_vector_encoder *encoder, size_t n, float bound, float trend, uint32_t key_every,
                           uint32_t beat, uint32_t epoch)
{
    size_t size = gn_vector_encoder_size(n);
    if (size == SIZE_MAX)
        return GN_K_SIZE;
    if (!encoder)
        return GN_K_NULL;
    if (!(bound > 0) || !isfinite(2 * bound) || !(trend >= 0 && trend <= 1) || (uintptr_t)encoder % 8)
        return GN_K_VALUE;
    memset(encoder, 0, size);
    encoder->magic = ENCODER;
    encoder->key_every = key_every;
    encoder->beat = beat;
    encoder->want_key = 1;
    encoder->place.epoch = epoch;
    encoder->model = (struct model){.n = n, .bound = bound, .trend = trend};
    encoder->model.level_at = offset(sizeof *encoder, offsetof(gn_vector_encoder, model), n, 0);
    encoder->model.slope_at = offset(sizeof *encoder, offsetof(gn_vector_encoder, model), n, 1);
    encoder->model.stamp_at = offset(sizeof *encoder, offsetof(gn_vector_encoder, model), n, 2);
    encoder->places_at = offset(sizeof *encoder, offsetof(gn_vector_encoder, model), n, 3);
    return GN_K_OK;
}

int gn_vector_encode(gn_vector_encoder *encoder, const float *x, uint8_t *frame, size_t room, size_t *length)
{
    struct model *model;
    int32_t *at;
    size_t count = 0;
    if (!encoder || !x || !frame || !length)
        return GN_K_NULL;
    if (encoder->magic != ENCODER)
        return GN_K_FORMAT;
    model = &encoder->model;
    if (room < gn_vector_frame_max(model->n))
        return GN_K_SIZE;
    at = (int32_t *)((char *)model + encoder->places_at);
    encoder->ticks++;
    *length = 0;
    if (!encoder->want_key) {
        count = levels[gn_isa_level]->surprises(x, level_of(model), slope_of(model), model->n,
                                                (float)encoder->ticks, model->bound, at);
        if (!count && !(encoder->beat && encoder->ticks >= encoder->beat))
            return GN_K_OK;
    }
    if (encoder->want_key || (encoder->key_every && encoder->since_key + 1 >= encoder->key_every))
        *length = key_frame(encoder, x, frame);
    else
        *length = delta_frame(encoder, x, at, count, frame);
    encoder->place.next++;
    encoder->ticks = 0;
    return GN_K_OK;
}

int gn_vector_encoder_key(gn_vector_encoder *encoder)
{
    if (!encoder)
        return GN_K_NULL;
    if (encoder->magic != ENCODER)
        return GN_K_FORMAT;
    encoder->want_key = 1;
    return GN_K_OK;
}

/* ---- the decoder */

int gn_vector_decoder_init(gn_vector_decoder *decoder, size_t n)
{
    size_t size = gn_vector_decoder_size(n);
    if (size == SIZE_MAX)
        return GN_K_SIZE;
    if (!decoder)
        return GN_K_NULL;
    if ((uintptr_t)decoder % 8)
        return GN_K_VALUE;
    memset(decoder, 0, size);
    decoder->magic = DECODER;
    decoder->model = (struct model){.n = n, .bound = 1};
    decoder->model.level_at = offset(sizeof *decoder, offsetof(gn_vector_decoder, model), n, 0);
    decoder->model.slope_at = offset(sizeof *decoder, offsetof(gn_vector_decoder, model), n, 1);
    decoder->model.stamp_at = offset(sizeof *decoder, offsetof(gn_vector_decoder, model), n, 2);
    return GN_K_OK;
}

/* Reads a code and, with `apply`, does what it says. 0: no such thing. */
static int take_code(struct reader *from, struct model *model, size_t i, uint64_t code, int apply)
{
    int64_t steps = zagzig(code);
    if (code == 0) {
        float x = from_bits(get_bytes(from, 4));
        if (apply)
            take_whole(model, i, x);
        return !from->bad;
    }
    if (steps < -STEPS_MAX || steps > STEPS_MAX)
        return 0;
    if (apply)
        take_step(model, i, steps);
    return 1;
}

/* The elements of a delta: read once to see that all is well, once more to apply it. */
static int take_elements(struct reader from, struct model *model, int kind, int apply)
{
    struct places places;
    if (!places_open(&places, &from, kind, model->n))
        return 0;
    for (size_t i; (i = places_next(&places)) < model->n;) {
        uint64_t code = get_varint(&from);
        if (from.bad || !take_code(&from, model, i, code, apply))
            return 0;
    }
    return from.at == from.end;
}

static int decode_delta(gn_vector_decoder *decoder, const struct frame_head *head, struct reader from, int *outcome)
{
    uint64_t ticks = get_varint(&from);
    int place = place_of(&decoder->place, head, 0);
    if (from.bad || ticks == 0)
        return GN_K_FORMAT;
    if (place == GN_FRAME_APPLIED) {
        if (!take_elements(from, &decoder->model, head->kind, 0))
            return GN_K_FORMAT;
        forward(&decoder->model, ticks);
        take_elements(from, &decoder->model, head->kind, 1);
        decoder->place.next++;
    } else if (place == GN_FRAME_LOST) {
        decoder->place.in_step = 0;
    }
    *outcome = place;
    return GN_K_OK;
}

static int decode_key(gn_vector_decoder *decoder, const struct frame_head *head, struct reader from, int *outcome)
{
    struct model *model = &decoder->model;
    uint32_t epoch = (uint32_t)get_bytes(&from, 4);
    uint64_t n = get_varint(&from);
    float bound = from_bits(get_bytes(&from, 4)), trend = from_bits(get_bytes(&from, 4));
    size_t arrays = trend > 0 ? 2 : 1;
    if (from.bad || n != model->n || (uint16_t)epoch != head->epoch || !(bound > 0) || !isfinite(2 * bound) ||
        !(trend >= 0 && trend <= 1) || (size_t)(from.end - from.at) != arrays * 4 * model->n)
        return GN_K_FORMAT;
    *outcome = place_of(&decoder->place, head, epoch);
    if (*outcome != GN_FRAME_APPLIED)
        return GN_K_OK;
    for (size_t i = 0; i < model->n; i++)
        level_of(model)[i] = from_bits(get_bytes(&from, 4));
    for (size_t i = 0; i < model->n; i++)
        slopes_of(model)[i] = arrays == 2 ? from_bits(get_bytes(&from, 4)) : 0;
    begin(model);
    model->bound = bound;
    model->trend = trend;
    decoder->place = (struct place){epoch, head->number + 1, 1, 1};
    return GN_K_OK;
}

int gn_vector_decode(gn_vector_decoder *decoder, const uint8_t *frame, size_t length, int *outcome)
{
    struct frame_head head;
    struct reader from;
    if (!decoder || !outcome || (length && !frame))
        return GN_K_NULL;
    if (decoder->magic != DECODER || !frame_open(frame, length, FRAME_VECTOR, &head, &from))
        return GN_K_FORMAT;
    return head.kind == FRAME_KEY ? decode_key(decoder, &head, from, outcome)
                                  : decode_delta(decoder, &head, from, outcome);
}

int gn_vector_view(const gn_vector_decoder *decoder, uint64_t ticks, float *out)
{
    const struct model *model;
    if (!decoder || !out)
        return GN_K_NULL;
    if (decoder->magic != DECODER)
        return GN_K_FORMAT;
    model = &decoder->model;
    levels[gn_isa_level]->predict(level_of(model), slope_of(model), model->n, (float)ticks, out);
    return GN_K_OK;
}

int gn_vector_in_step(const gn_vector_decoder *decoder)
{
    return decoder && decoder->magic == DECODER && decoder->place.in_step;
}
