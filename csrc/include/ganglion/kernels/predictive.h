/* Predictive coding: send what a prediction did not foresee, and nothing else.
 *
 * The gate is the bare operation. The streams are encoder and decoder that stay in step by construction: both predict
 * from what was sent and only from that, with the same additions and multiplications on every processor, so their
 * states are equal bit for bit. States are the caller's memory; they hold no pointers. Formulas, the layout of frames,
 * sources: csrc/kernels/predictive/README.md.
 */
#ifndef GANGLION_KERNELS_PREDICTIVE_H
#define GANGLION_KERNELS_PREDICTIVE_H
#include "ganglion/kernels/base.h"

// <cdef>
/* The gate: r = x - prediction; is its root mean square above the threshold? Then *sent = 1, residual (n, or NULL) is r
 * and prediction += rate * r; else *sent = 0, and prediction and residual are left as they are. *rms (or NULL): the
 * root mean square. A residual that is not finite, or so large that its square is not (1.8e19), is a surprise at any
 * threshold (rms NaN or infinity), and an element whose prediction would become NaN or infinite takes x itself. 0 <= rate <= 1,
 * threshold >= 0. n = 0: not sent, rms 0. GN_K_NULL, GN_K_VALUE, GN_K_OVERLAP. */
int gn_gate(const float *x, float *prediction, size_t n, float threshold, float rate, float *residual, int *sent,
            float *rms);

/* What became of a frame that was read without an error. */
enum gn_frame_outcome {
    GN_FRAME_APPLIED = 0,
    GN_FRAME_OLD = 1, /* a copy, or overtaken: the state is as before */
    GN_FRAME_LOST = 2 /* frames before it are missing: the decoder waits for a keyframe, its view is out of date */
};

/* A vector stream: n float32 a tick. The decoder's view is within `bound` of x at every tick, element by element: an
 * element is sent when |x - prediction| > bound, as a whole number of steps of 2 bound, or as it is where that would not
 * do (NaN, infinities, magnitudes whose own rounding is coarser than the bound; those are exact, bit for bit).
 * Prediction: level + slope * ticks since the last frame; trend 0: the level alone.
 *
 * bound > 0; 0 <= trend <= 1: the share of a surprise that goes into the slope; 1 <= n <= 2^24.
 * key_every: a keyframe after that many frames (0: only the first and those asked for). beat: a frame at the latest
 * after that many silent ticks, so that a loss is noticed (0: never). epoch: larger for each encoder of a stream
 * (seconds since 1970 will do): frames of an epoch before the decoder's are old. */
typedef struct gn_vector_encoder gn_vector_encoder;
typedef struct gn_vector_decoder gn_vector_decoder;
size_t gn_vector_encoder_size(size_t n); /* bytes, aligned to 64; SIZE_MAX: n is out of range. The decoder's likewise */
size_t gn_vector_decoder_size(size_t n);
size_t gn_vector_frame_max(size_t n); /* bytes that no frame exceeds */
int gn_vector_encoder_init(gn_vector_encoder *encoder, size_t n, float bound, float trend, uint32_t key_every,
                           uint32_t beat, uint32_t epoch);
/* A tick. *length: bytes written to frame (room: gn_vector_frame_max), 0 when there is nothing to say. */
int gn_vector_encode(gn_vector_encoder *encoder, const float *x, uint8_t *frame, size_t room, size_t *length);
int gn_vector_encoder_key(gn_vector_encoder *encoder); /* the next tick sends a keyframe: a decoder asked for it */
int gn_vector_decoder_init(gn_vector_decoder *decoder, size_t n);
/* Any bytes may be given: what is not a frame of such a stream is GN_K_FORMAT and changes nothing. */
int gn_vector_decode(gn_vector_decoder *decoder, const uint8_t *frame, size_t length, int *outcome);
/* What the stream is thought to be `ticks` after the last frame applied (0: at it). Zeros before the first. */
int gn_vector_view(const gn_vector_decoder *decoder, uint64_t ticks, float *out);
int gn_vector_in_step(const gn_vector_decoder *decoder); /* 1; 0: none read yet, or lost */

/* A telemetry stream: samples of `fields` float64 at times that need not be regular (int64, any unit). Each field has
 * its own bound; 0 sends a field that is a whole number below 2^53 as a difference, exactly, and any other as it is.
 * NaN stands for "not in this sample". The rest is as for vectors, with time in the place of ticks: prediction is
 * level + slope * (time - time of the last frame). Times must not fall. 1 <= fields <= 65536. */
typedef struct gn_telemetry_encoder gn_telemetry_encoder;
typedef struct gn_telemetry_decoder gn_telemetry_decoder;
size_t gn_telemetry_encoder_size(size_t fields);
size_t gn_telemetry_decoder_size(size_t fields);
size_t gn_telemetry_frame_max(size_t fields);
int gn_telemetry_encoder_init(gn_telemetry_encoder *encoder, size_t fields, const double *bounds, double trend,
                              uint32_t key_every, uint32_t beat, uint32_t epoch);
int gn_telemetry_encode(gn_telemetry_encoder *encoder, int64_t time, const double *values, uint8_t *frame, size_t room,
                        size_t *length);
int gn_telemetry_encoder_key(gn_telemetry_encoder *encoder);
int gn_telemetry_decoder_init(gn_telemetry_decoder *decoder, size_t fields);
int gn_telemetry_decode(gn_telemetry_decoder *decoder, const uint8_t *frame, size_t length, int *outcome);
/* The fields as thought to be at a time (not before the last frame's: GN_K_VALUE); *last, or NULL: that time. */
int gn_telemetry_view(const gn_telemetry_decoder *decoder, int64_t time, double *out);
int gn_telemetry_last(const gn_telemetry_decoder *decoder, int64_t *time); /* GN_K_VALUE before the first frame */
int gn_telemetry_in_step(const gn_telemetry_decoder *decoder);
// </cdef>
#endif
