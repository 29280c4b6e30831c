/* Telemetry streams. Behind the head of a frame (frame.h):
 *
 *     delta    varint time since the frame before, places (frame.h: none for a beat), for each: varint code, [float]
 *     key      4 bytes epoch, 8 bytes time, varint fields, float trend, for each field: float bound, float level,
 *              and with a trend float slope
 *
 * code: 0, and the field's value follows; else zigzag of how many steps the level goes on from the prediction. A step is
 * 2 bound, or 1 for bound 0. A float is a byte, how many of its 8 IEEE bytes follow (the highest, little-endian; the
 * others are 0): whole numbers and powers of two are short.
 */
#include "predictive/frame.h"

#include "ganglion/kernels/predictive.h"

#include <math.h>
#include <string.h>

enum { FIELDS_MAX = 65536, LINE = 64, ENCODER = 0x47505433, DECODER = 0x47505434, FIELD_BYTES_MAX = 28 };
#define STEPS_MAX 0x1p53

struct model {
    size_t fields;
    double trend;
    int64_t time; /* of the last frame */
    size_t arrays; /* bytes from here to four arrays, bounds, levels, slopes, stamps: a state may be moved */
};

struct gn_telemetry_encoder {
    uint32_t magic, key_every, beat, want_key;
    struct place place;
    struct model model;
    uint64_t silent, since_key;
    int64_t seen; /* the time of the last sample */
};

struct gn_telemetry_decoder {
    uint32_t magic, unused;
    struct place place;
    struct model model;
};

static size_t lines(size_t bytes) { return (bytes + LINE - 1) / LINE * LINE; }

static double *array_of(const struct model *model, size_t which)
{
    return (double *)((uintptr_t)model + model->arrays + which * lines(model->fields * sizeof(double)));
}

static double *bounds_of(const struct model *model) { return array_of(model, 0); }
static double *levels_of(const struct model *model) { return array_of(model, 1); }
static double *slopes_of(const struct model *model) { return array_of(model, 2); }

/* When a field was last set right. */
static int64_t *stamps_of(const struct model *model) { return (int64_t *)array_of(model, 3); }

size_t gn_telemetry_encoder_size(size_t fields)
{
    if (fields < 1 || fields > FIELDS_MAX)
        return SIZE_MAX;
    return lines(sizeof(struct gn_telemetry_encoder)) + 5 * lines(fields * sizeof(double));
}

size_t gn_telemetry_decoder_size(size_t fields)
{
    if (fields < 1 || fields > FIELDS_MAX)
        return SIZE_MAX;
    return lines(sizeof(struct gn_telemetry_decoder)) + 4 * lines(fields * sizeof(double));
}

size_t gn_telemetry_frame_max(size_t fields)
{
    return fields < 1 || fields > FIELDS_MAX ? SIZE_MAX : FRAME_OVERHEAD_MAX + FIELD_BYTES_MAX * fields;
}

static void put_float(struct writer *to, double x)
{
    uint64_t bits;
    int bytes = 8;
    memcpy(&bits, &x, sizeof bits);
    for (; bytes && (bits & 255) == 0; bytes--)
        bits >>= 8;
    *to->at++ = (uint8_t)bytes;
    put_bytes(to, bits, bytes);
}

static double get_float(struct reader *from)
{
    uint64_t bytes = get_bytes(from, 1), bits;
    double x;
    if (bytes > 8)
        from->bad = 1;
    bits = from->bad || !bytes ? 0 : get_bytes(from, (int)bytes) << 8 * (8 - bytes);
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* ---- the model: both sides, in single operations of IEEE double, so all machines round alike */

static double step_of(const struct model *model, size_t i) { return bounds_of(model)[i] > 0 ? 2 * bounds_of(model)[i] : 1; }

static double predicted(const struct model *model, size_t i, uint64_t dt)
{
    double moved;
    if (slopes_of(model)[i] == 0 || dt == 0)
        return levels_of(model)[i];
    moved = slopes_of(model)[i] * (double)dt;
    moved = levels_of(model)[i] + moved;
    return bounds_of(model)[i] > 0 ? moved : rint(moved);
}

static void forward(struct model *model, uint64_t dt)
{
    for (size_t i = 0; i < model->fields; i++)
        levels_of(model)[i] = predicted(model, i, dt);
    model->time = (int64_t)((uint64_t)model->time + dt);
}

/* The slope learns by how much the level was off in the time since it was last right, not since the last frame: that may
 * have been about others. The model's time is the frame's. */
static void take_step(struct model *model, size_t i, int64_t steps)
{
    uint64_t age = (uint64_t)model->time - (uint64_t)stamps_of(model)[i];
    double off = (double)steps * step_of(model, i);
    levels_of(model)[i] = levels_of(model)[i] + off;
    if (model->trend > 0 && age) {
        double slope = off / (double)age;
        slope = slope * model->trend;
        slope = slopes_of(model)[i] + slope;
        slopes_of(model)[i] = isfinite(slope) ? slope : 0;
    }
    stamps_of(model)[i] = model->time;
}

static void take_whole(struct model *model, size_t i, double x)
{
    levels_of(model)[i] = x;
    slopes_of(model)[i] = 0;
    stamps_of(model)[i] = model->time;
}

/* ---- the encoder */

static int as_told(double x, double told, double bound)
{
    return fabs(x - told) <= bound || x == told || (isnan(x) && isnan(told));
}

static int64_t steps_to(const struct model *model, size_t i, double x)
{
    double off = x - levels_of(model)[i], step = step_of(model, i), steps = off / step, told;
    if (!(fabs(steps) <= STEPS_MAX))
        return 0;
    steps = rint(steps);
    if (steps == 0)
        steps = off > 0 ? 1 : -1;
    told = steps * step;
    told = levels_of(model)[i] + told;
    return as_told(x, told, bounds_of(model)[i]) ? (int64_t)steps : 0;
}

static size_t key_frame(struct gn_telemetry_encoder *encoder, int64_t time, const double *values, uint8_t *frame)
{
    struct model *model = &encoder->model;
    struct place *place = &encoder->place;
    struct writer to = frame_begin(frame, FRAME_TELEMETRY, FRAME_KEY, place->epoch, place->next);
    put_bytes(&to, place->epoch, 4);
    put_bytes(&to, (uint64_t)time, 8);
    put_varint(&to, model->fields);
    put_float(&to, model->trend);
    for (size_t i = 0; i < model->fields; i++) {
        levels_of(model)[i] = values[i];
        stamps_of(model)[i] = time;
        put_float(&to, bounds_of(model)[i]);
        put_float(&to, values[i]);
        if (model->trend > 0)
            put_float(&to, slopes_of(model)[i]);
    }
    model->time = time;
    encoder->since_key = 0;
    encoder->want_key = 0;
    return frame_end(&to);
}

static size_t delta_frame(struct gn_telemetry_encoder *encoder, int64_t time, const double *values, const int32_t *at,
                          size_t count, uint8_t *frame)
{
    struct model *model = &encoder->model;
    int kind = places_kind(count, model->fields);
    struct writer to = frame_begin(frame, FRAME_TELEMETRY, kind, encoder->place.epoch, encoder->place.next);
    uint64_t dt = (uint64_t)time - (uint64_t)model->time;
    put_varint(&to, dt);
    put_places(&to, kind, at, count, model->fields);
    forward(model, dt);
    for (size_t j = 0; j < count; j++) {
        size_t i = (size_t)at[j];
        int64_t steps = steps_to(model, i, values[i]);
        put_varint(&to, steps ? zigzag(steps) : 0);
        if (steps) {
            take_step(model, i, steps);
        } else {
            put_float(&to, values[i]);
            take_whole(model, i, values[i]);
        }
    }
    encoder->since_key++;
    return frame_end(&to);
}

int gn_telemetry_encoder_init(gn_telemetry_encoder *encoder, size_t fields, const double *bounds, double trend,
                              uint32_t key_every, uint32_t beat, uint32_t epoch)
{
    size_t size = gn_telemetry_encoder_size(fields);
    if (size == SIZE_MAX)
        return GN_K_SIZE;
    if (!encoder || !bounds)
        return GN_K_NULL;
    if (!(trend >= 0 && trend <= 1) || (uintptr_t)encoder % 8)
        return GN_K_VALUE;
    for (size_t i = 0; i < fields; i++)
        if (!(bounds[i] >= 0) || !isfinite(2 * bounds[i]))
            return GN_K_VALUE;
    memset(encoder, 0, size);
    encoder->magic = ENCODER;
    encoder->key_every = key_every;
    encoder->beat = beat;
    encoder->want_key = 1;
    encoder->place.epoch = epoch;
    encoder->seen = INT64_MIN;
    encoder->model = (struct model){.fields = fields, .trend = trend};
    encoder->model.arrays = lines(sizeof *encoder) - offsetof(gn_telemetry_encoder, model);
    memcpy(bounds_of(&encoder->model), bounds, fields * sizeof *bounds);
    return GN_K_OK;
}

static size_t surprises(const struct model *model, int64_t time, const double *values, int32_t *at)
{
    uint64_t dt = (uint64_t)time - (uint64_t)model->time;
    size_t count = 0;
    for (size_t i = 0; i < model->fields; i++) {
        at[count] = (int32_t)i;
        count += !as_told(values[i], predicted(model, i, dt), bounds_of(model)[i]);
    }
    return count;
}

int gn_telemetry_encode(gn_telemetry_encoder *encoder, int64_t time, const double *values, uint8_t *frame, size_t room,
                        size_t *length)
{
    struct model *model;
    int32_t *at;
    size_t count = 0;
    if (!encoder || !values || !frame || !length)
        return GN_K_NULL;
    if (encoder->magic != ENCODER)
        return GN_K_FORMAT;
    model = &encoder->model;
    if (room < gn_telemetry_frame_max(model->fields))
        return GN_K_SIZE;
    if (time < encoder->seen)
        return GN_K_VALUE;
    at = (int32_t *)array_of(model, 4);
    encoder->seen = time;
    encoder->silent++;
    *length = 0;
    if (!encoder->want_key) {
        count = surprises(model, time, values, at);
        if (!count && !(encoder->beat && encoder->silent >= encoder->beat))
            return GN_K_OK;
    }
    if (encoder->want_key || (encoder->key_every && encoder->since_key + 1 >= encoder->key_every))
        *length = key_frame(encoder, time, values, frame);
    else
        *length = delta_frame(encoder, time, values, at, count, frame);
    encoder->place.next++;
    encoder->silent = 0;
    return GN_K_OK;
}

int gn_telemetry_encoder_key(gn_telemetry_encoder *encoder)
{
    if (!encoder)
        return GN_K_NULL;
    if (encoder->magic != ENCODER)
        return GN_K_FORMAT;
    encoder->want_key = 1;
    return GN_K_OK;
}

/* ---- the decoder */

int gn_telemetry_decoder_init(gn_telemetry_decoder *decoder, size_t fields)
{
    size_t size = gn_telemetry_decoder_size(fields);
    if (size == SIZE_MAX)
        return GN_K_SIZE;
    if (!decoder)
        return GN_K_NULL;
    if ((uintptr_t)decoder % 8)
        return GN_K_VALUE;
    memset(decoder, 0, size);
    decoder->magic = DECODER;
    decoder->model.fields = fields;
    decoder->model.arrays = lines(sizeof *decoder) - offsetof(gn_telemetry_decoder, model);
    return GN_K_OK;
}

/* Read once to see that all is well, once more to apply it. */
static int take_fields(struct reader from, struct model *model, int kind, int apply)
{
    struct places places;
    if (!places_open(&places, &from, kind, model->fields))
        return 0;
    for (size_t i; (i = places_next(&places)) < model->fields;) {
        uint64_t code = get_varint(&from);
        int64_t steps = zagzig(code);
        double x = code || from.bad ? 0 : get_float(&from);
        if (from.bad || !(fabs((double)steps) <= STEPS_MAX))
            return 0;
        if (apply && code)
            take_step(model, i, steps);
        else if (apply)
            take_whole(model, i, x);
    }
    return from.at == from.end;
}

static int decode_delta(gn_telemetry_decoder *decoder, const struct frame_head *head, struct reader from, int *outcome)
{
    struct model *model = &decoder->model;
    uint64_t dt = get_varint(&from);
    int place = place_of(&decoder->place, head, 0);
    if (from.bad)
        return GN_K_FORMAT;
    if (place == GN_FRAME_APPLIED) {
        if (dt > (uint64_t)INT64_MAX - (uint64_t)model->time || !take_fields(from, model, head->kind, 0))
            return GN_K_FORMAT;
        forward(model, dt);
        take_fields(from, model, head->kind, 1);
        decoder->place.next++;
    } else if (place == GN_FRAME_LOST) {
        decoder->place.in_step = 0;
    }
    *outcome = place;
    return GN_K_OK;
}

/* The fields of a keyframe, read once to see that all is well, once more to apply them. */
static int take_key(struct reader from, struct model *model, double trend, int64_t time, int apply)
{
    for (size_t i = 0; i < model->fields; i++) {
        double bound = get_float(&from), level = get_float(&from), slope = trend > 0 ? get_float(&from) : 0;
        if (from.bad || !(bound >= 0) || !isfinite(2 * bound) || !isfinite(slope))
            return 0;
        if (apply) {
            bounds_of(model)[i] = bound;
            levels_of(model)[i] = level;
            slopes_of(model)[i] = slope;
            stamps_of(model)[i] = time;
        }
    }
    return from.at == from.end;
}

static int decode_key(gn_telemetry_decoder *decoder, const struct frame_head *head, struct reader from, int *outcome)
{
    struct model *model = &decoder->model;
    uint32_t epoch = (uint32_t)get_bytes(&from, 4);
    int64_t time = (int64_t)get_bytes(&from, 8);
    uint64_t fields = get_varint(&from);
    double trend = get_float(&from);
    if (from.bad || fields != model->fields || (uint16_t)epoch != head->epoch || !(trend >= 0 && trend <= 1) ||
        !take_key(from, model, trend, time, 0))
        return GN_K_FORMAT;
    *outcome = place_of(&decoder->place, head, epoch);
    if (*outcome != GN_FRAME_APPLIED)
        return GN_K_OK;
    take_key(from, model, trend, time, 1);
    model->trend = trend;
    model->time = time;
    decoder->place = (struct place){epoch, head->number + 1, 1, 1};
    return GN_K_OK;
}

int gn_telemetry_decode(gn_telemetry_decoder *decoder, const uint8_t *frame, size_t length, int *outcome)
{
    struct frame_head head;
    struct reader from;
    if (!decoder || !outcome || (length && !frame))
        return GN_K_NULL;
    if (decoder->magic != DECODER || !frame_open(frame, length, FRAME_TELEMETRY, &head, &from))
        return GN_K_FORMAT;
    return head.kind == FRAME_KEY ? decode_key(decoder, &head, from, outcome)
                                  : decode_delta(decoder, &head, from, outcome);
}

int gn_telemetry_view(const gn_telemetry_decoder *decoder, int64_t time, double *out)
{
    const struct model *model;
    int begun;
    if (!decoder || !out)
        return GN_K_NULL;
    if (decoder->magic != DECODER)
        return GN_K_FORMAT;
    model = &decoder->model;
    begun = decoder->place.begun;
    if (begun && time < model->time)
        return GN_K_VALUE;
    for (size_t i = 0; i < model->fields; i++)
        out[i] = predicted(model, i, begun ? (uint64_t)time - (uint64_t)model->time : 0);
    return GN_K_OK;
}

int gn_telemetry_last(const gn_telemetry_decoder *decoder, int64_t *time)
{
    if (!decoder || !time)
        return GN_K_NULL;
    if (decoder->magic != DECODER)
        return GN_K_FORMAT;
    *time = decoder->model.time;
    return decoder->place.begun ? GN_K_OK : GN_K_VALUE;
}

int gn_telemetry_in_step(const gn_telemetry_decoder *decoder)
{
    return decoder && decoder->magic == DECODER && decoder->place.in_step;
}
