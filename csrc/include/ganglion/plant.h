/* plant.h - faults put in on purpose, to see that the simulator finds them. Nothing of it is in a normal build.
 *
 * Built with -DGN_PLANTS, the fault whose number gn_planted holds is there; the rest of the code is as ever. To plant
 * another: a name here, `if (GN_PLANTED(NAME))` where it belongs, and a line in tests/simulation/test_planted.py.
 */
#ifndef GANGLION_PLANT_H
#define GANGLION_PLANT_H

// <cdef>
enum gn_plant {
    GN_PLANT_NONE,
    GN_PLANT_ACK_EARLY,     /* promises leave before their batch is committed */
    GN_PLANT_UNFENCED,      /* an outcome counts whatever its token */
    GN_PLANT_TAIL,          /* the torn end of a journal is read as if it had been closed */
    GN_PLANT_CHECKSUM,      /* a batch is good whatever its checksum */
    GN_PLANT_KEY,           /* key= orders nothing */
    GN_PLANT_RETRY,         /* after a restart a delayed task, be it for a retry, is not due any more */
    GN_PLANT_ONCE,          /* the lease of a once=1 task is not journalled before it leaves */
    GN_PLANT_CANCEL,        /* a CANCEL is not journalled */
    GN_PLANT_DEPS,          /* after a restart nobody waits for anybody */
    GN_PLANT_LIMIT,         /* a bound of running tasks lets one too many run */
    GN_PLANT_ORPHAN,        /* a lease that the journal kept and nobody claims never ends */
    GN_PLANT_COUNT
};

extern int gn_planted; /* one of these; 0: none */
// </cdef>

#ifdef GN_PLANTS
#define GN_PLANTED(name) (gn_planted == GN_PLANT_##name)
#else
#define GN_PLANTED(name) 0
#endif

#endif
