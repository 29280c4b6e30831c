/* What each level of this family offers: rows that have been checked, scratch that has been cut. */
#ifndef GN_SELECTION_OPS_H
#define GN_SELECTION_OPS_H
#include "base/isa.h"

/* Scratch of one worker. The lengths are in gn_kwta_room; every array has PACK_ROOM elements to spare. */
struct kwta_room {
    float *values;    /* n: candidates */
    int32_t *map;     /* n: their indices */
    float *work;      /* n: what a threshold search narrows */
    float *shown;     /* n: elements that the mask lets through */
    int32_t *shown_at;
    float *maxima;    /* n / 4: of groups */
    float *won;       /* k */
    int32_t *won_at;  /* k */
    uint32_t *keys;   /* 4 k: for sorting many winners */
};

enum { PACK_ROOM = 32 };

struct gn_selection_ops {
    /* The winners into room->won and room->won_at; how many there are. */
    size_t (*kwta)(const float *x, const uint8_t *mask, size_t n, size_t k, int sorted, const struct kwta_room *room);
    void (*soft)(const float *x, size_t n, float scale, float *out);
    void (*inhibit)(const float *x, size_t n, float strength, size_t rounds, float *out);
    void (*near)(const float *x, size_t n, size_t radius, float strength, size_t rounds, float *out, float *room);
    void (*mean_phase)(float *phases, size_t n, float *room, float *c, float *s);
    void (*turn)(float *phases, const float *frequencies, size_t n, const float *room, float pull_c, float pull_s,
                 float dt);
    void (*gains)(const float *phases, size_t n, float phase, float *gains);
};

extern const struct gn_selection_ops gn_selection_serial, gn_selection_haswell, gn_selection_skylake, gn_selection_neon;

/* Sorting many winners, the same on every level: by value, larger first; equals keep their order. */
void gn_kwta_sort(float *won, int32_t *won_at, size_t count, uint32_t *keys);
#endif
