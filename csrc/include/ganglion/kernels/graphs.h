/* Graphs: layers over neighbours (GCN, GraphSAGE, GAT), scores of the nodes of a DAG, exact minimum cuts.
 *
 * A graph in CSR form is `starts` (nodes + 1 entries, from 0 to `edges`, never falling) and `targets` (`edges` entries,
 * each a node): row i is targets[starts[i]] up to targets[starts[i + 1]]. For a layer, row i lists the nodes that node i
 * reads; for a DAG, those that come after i. An edge may stand several times and counts each time. At most INT32_MAX
 * nodes and edges (GN_K_SIZE). Every function checks the whole graph: GN_K_VALUE when it is not of that form.
 *
 * Edge weights are weights: more counts more. To use distances, turn them into weights first (exp(-distance), say).
 */
#ifndef GANGLION_KERNELS_GRAPHS_H
#define GANGLION_KERNELS_GRAPHS_H
#include "ganglion/kernels/base.h"

// <cdef>
/* ---- Layers. x[nodes, in], matrices [out, in] as a linear layer holds them; sums in float32, in the row's order. */

enum gn_aggregation { GN_AGGREGATE_SUM = 0, GN_AGGREGATE_MEAN = 1, GN_AGGREGATE_MAX = 2 };

/* out[nodes, width]: the weighted sum, the weighted mean (by the sum of the weights) or the largest of the rows of x
 * that each node reads; weights[edges] may be NULL: all 1; GN_AGGREGATE_MAX does not look at them. A node that reads
 * none, or a mean whose weights sum to 0: zeros. A NaN among the values is the largest. */
int gn_graph_aggregate(const int32_t *starts, const int32_t *targets, const float *weights, size_t nodes, size_t edges,
                       const float *x, size_t width, int aggregation, float *out, gn_pool *pool);

/* Bytes of scratch for gn_gcn and gn_sage: `in` and `out` the widths, `middle` that of gn_sage's pool_w (else 0). */
size_t gn_graph_layer_scratch(size_t nodes, size_t edges, size_t in, size_t middle, size_t out, int threads);

/* Graph convolution (Kipf and Welling, ICLR 2017, eq. 2 and 8): out[nodes, out] = D^-1/2 (A + s I) D^-1/2 x w^T + bias.
 * D is the diagonal of the rows' sums of A + s I; where it is not above 0, D^-1/2 is 0. s = self_weight, 1 in the
 * paper; 0 when the graph lists its own loops. weights and bias[out] may be NULL. No activation. */
int gn_gcn(const int32_t *starts, const int32_t *targets, const float *weights, size_t nodes, size_t edges,
           const float *x, size_t in, const float *w, const float *bias, size_t out_width, float self_weight,
           float *out, void *scratch, gn_pool *pool);

/* GraphSAGE (Hamilton, Ying, Leskovec, NeurIPS 2017, algorithm 1): out = x w_self^T + g w_neighbour^T + bias, g what
 * gn_graph_aggregate gives for x; with pool_w[middle, in] (and pool_bias[middle] or NULL) for max(0, x pool_w^T +
 * pool_bias), the paper's pooling (section 3.3), and then w_neighbour is [out, middle]; pool_w NULL: [out, in], and
 * `middle` is not read. normalise: rows of length 1 (a row of zeros stays). No activation. */
int gn_sage(const int32_t *starts, const int32_t *targets, const float *weights, size_t nodes, size_t edges,
            const float *x, size_t in, const float *pool_w, const float *pool_bias, size_t middle, const float *w_self,
            const float *w_neighbour, const float *bias, size_t out_width, int aggregation, int normalise, float *out,
            void *scratch, gn_pool *pool);

/* Graph attention (Velickovic et al., ICLR 2018, eq. 1 to 6). z = x w^T, w[heads * each, in]; the weight of neighbour j
 * for node i and head h is the softmax over what i reads of leaky(a_self[h] . z[i, h] + a_neighbour[h] . z[j, h]),
 * leaky(e) = e or slope * e below 0. out[nodes, heads * each], or with `mean` the heads' mean [nodes, each]; bias as
 * wide, or NULL. self_loops: a node also reads itself once, and an edge to itself is not counted. A node that reads
 * none: zeros and bias. attention[edges, heads] takes the weights of the listed edges, or NULL. No activation and no
 * dropout: this is inference. GN_K_SIZE: heads or each is 0. */
size_t gn_gat_scratch(size_t nodes, size_t edges, size_t in, size_t heads, size_t each, int threads);
int gn_gat(const int32_t *starts, const int32_t *targets, size_t nodes, size_t edges, const float *x, size_t in,
           const float *w, const float *a_self, const float *a_neighbour, const float *bias, size_t heads, size_t each,
           float slope, int self_loops, int mean, float *out, float *attention, void *scratch, gn_pool *pool);

/* ---- Scores of the nodes of a DAG. One convention: the graph, what the score reads, scores[nodes], scratch of
 * gn_dag_scratch bytes. Scores are >= 0 and sum to 1; a cycle (a loop too) is GN_K_VALUE, and so is a scalar out of the
 * range given. The depth of a node is the number of edges of the longest path to it; a root has none before it, a leaf
 * none after it. Each takes O(nodes + edges) unless it says more. */

/* width: of the features of gn_dag_lorentz, 0 for the others. */
size_t gn_dag_scratch(size_t nodes, size_t edges, size_t width);

/* depths[nodes]; the deepest + 1 levels. */
int gn_dag_depths(const int32_t *starts, const int32_t *targets, size_t nodes, size_t edges, int32_t *depths,
                  void *scratch);

/* cone[nodes]: 1 for what comes before `node` by any path, 2 for what comes after it, 3 for itself, else 0. */
int gn_dag_cone(const int32_t *starts, const int32_t *targets, size_t nodes, size_t edges, size_t node, uint8_t *cone,
                void *scratch);

/* Proportional to e^(-decay * depth); any finite decay, below 0 the deepest count most. */
int gn_dag_topological(const int32_t *starts, const int32_t *targets, size_t nodes, size_t edges, float decay,
                       float *scores, void *scratch);

/* Proportional to 1 + past * P + future * F: P the sum over the node's distinct ancestors a of discount^(its depth
 * less a's), F the same over its descendants. past, future >= 0, 0 < discount <= 1. Ancestors are found 512 at a time
 * as bits: O((nodes + edges) nodes / 512 + nodes levels / 64), with each depth computed once. */
int gn_dag_causal_cone(const int32_t *starts, const int32_t *targets, size_t nodes, size_t edges, float past,
                       float future, float discount, float *scores, void *scratch);

/* Proportional to e^(-sharpness * slack / length): length is the heaviest path's cost, slack how much less the heaviest
 * path through the node costs. cost[nodes] >= 0 and finite, NULL: all 1. sharpness >= 0. slack[nodes] or NULL takes the
 * slacks, *length or NULL the length. */
int gn_dag_critical_path(const int32_t *starts, const int32_t *targets, size_t nodes, size_t edges, const float *cost,
                         float sharpness, float *scores, float *slack, double *length, void *scratch);

/* Attention divides at forks and meets at joins: 1 enters, split over the roots; each node passes all it has to its
 * successors; a split is proportional to (cost of the heaviest path from there on) ^ balance. Scores are proportional
 * to what passed. 0 <= balance <= 16; cost as above (a split over costs of 0 is even). */
int gn_dag_parallel_branch(const int32_t *starts, const int32_t *targets, size_t nodes, size_t edges, const float *cost,
                           float balance, float *scores, void *scratch);

/* Points on the hyperboloid: the direction of a node's features[nodes, width], at the distance radius * (depth + 1) /
 * levels from the origin (features of length 0: the origin). Scores are proportional to e^(-distance / temperature) to
 * the point in the direction of query[width] at query_radius; query NULL: to the nodes' Lorentz centroid (Law et al.,
 * ICML 2019). 0 < radius <= 30, 0 <= query_radius <= 30, temperature > 0. Also GN_K_VALUE: a feature or query
 * that is not finite. O(nodes width + edges). */
int gn_dag_lorentz(const int32_t *starts, const int32_t *targets, size_t nodes, size_t edges, const float *features,
                   size_t width, const float *query, float radius, float query_radius, float temperature,
                   float *scores, void *scratch);

/* Eligibility times credit: e^(-(now - when) / tau) * (1 + gain * credit). when[nodes] in the unit of tau; a node that
 * was never active (NaN, -infinity) or lies after now has no eligibility. credit is the node's signal[nodes] >= 0 or
 * `discount` times its largest successor's credit, whichever is more, so that what led to an event shares in it and
 * no number of paths can multiply it. tau > 0, gain >= 0, 0 <= discount <= 1. No eligibility anywhere: all the same. */
int gn_dag_temporal(const int32_t *starts, const int32_t *targets, size_t nodes, size_t edges, const double *when,
                    const float *signal, double now, double tau, float gain, float discount, float *scores,
                    void *scratch);

/* Attention gated by the bottleneck: the maximum flow from all roots to all leaves by capacity[edges] (in 0..1e298; NULL: 1),
 * over residual edges both ways, and the minimum cut next to the roots. Proportional to leak + (1 - leak) * share, share
 * a node's capacity of cut edges (leaving or entering) by the largest node's; no cut edge at all: all the same.
 * 0 <= leak <= 1. *flow, side[nodes] (1: the roots' side) or NULL. A root that is a leaf takes no part in the flow.
 * O(nodes^2 edges) at worst (Dinic 1970), in practice near O(edges). */
int gn_dag_min_cut_gated(const int32_t *starts, const int32_t *targets, size_t nodes, size_t edges,
                         const double *capacity, float leak, float *scores, double *flow, uint8_t *side,
                         void *scratch);

/* ---- Minimum cuts. An edge is sources[i], targets[i], weights[i] (NULL: all 1), each undirected edge once; parallel
 * edges add, loops do not matter. Weights are in 0..1e298, else GN_K_VALUE. Exact when all sums of weights are exact, as
 * those of integers below 2^53 are; else every sum and comparison is right to a factor 1 +- (edges + nodes) 2^-53:
 * values are sums of weights >= 0, never differences. */

size_t gn_st_min_cut_scratch(size_t nodes, size_t edges);

/* *value: the least weight of edges that keeps `sink` from `source`, which is the maximum flow; side[nodes] (or NULL) is
 * 1 for the source's side, the smallest there is. directed: edges carry from sources[i] to targets[i] only.
 * GN_K_VALUE: source or sink is no node, or they are the same. */
int gn_st_min_cut(const int32_t *sources, const int32_t *targets, const double *weights, size_t edges, size_t nodes,
                  size_t source, size_t sink, int directed, double *value, uint8_t *side, void *scratch);

size_t gn_min_cut_scratch(size_t nodes, size_t edges);

/* The global minimum cut: *value, and side[nodes] (or NULL) with 1 for the side node 0 is not on. A graph in several
 * pieces has 0. GN_K_SIZE: fewer than 2 nodes. Maximum adjacency orders that contract every edge they prove to be in no
 * smaller cut (Nagamochi and Ibaraki 1992; Nagamochi, Ono, Ibaraki 1994; bounded queue: Henzinger, Noe, Schulz 2019;
 * pairs: Padberg and Rinaldi 1990), on a matrix when the graph is dense and on lists when it is sparse. At
 * worst O(nodes^3) or O(nodes edges log nodes), as Stoer and Wagner's. */
int gn_min_cut(const int32_t *sources, const int32_t *targets, const double *weights, size_t edges, size_t nodes,
               double *value, uint8_t *side, void *scratch);

/* A graph whose minimum cut is kept while its edges change. The state is the caller's: gn_cut_state_bytes bytes aligned
 * to 64, room for edges_max edges between distinct pairs; it may be copied as bytes. 2 <= nodes. */
enum gn_cut_work {
    GN_CUT_KEPT = 0,   /* a known cut was proved minimal without a search */
    GN_CUT_FLOW = 1,   /* one flow between the edge's ends, stopped at the known minimum, decided */
    GN_CUT_SEARCH = 2, /* a search from the known bounds */
    GN_CUT_WORK_COUNT = 3
};
size_t gn_cut_state_bytes(size_t nodes, size_t edges_max);
size_t gn_cut_scratch(size_t nodes, size_t edges_max);
int gn_cut_open(void *state, size_t nodes, size_t edges_max);
/* Adds these weights to the edges there are, then searches. GN_K_SIZE: more edges than there is room for, even if some
 * are parallel (loops aside). On an error the state is as it was. */
int gn_cut_load(void *state, const int32_t *sources, const int32_t *targets, const double *weights, size_t edges,
                void *scratch);
/* The edge u, v gets this weight; 0 removes it. *work (or NULL) says what it took. GN_K_VALUE: u or v no node or u = v,
 * a weight out of 0..1e298. GN_K_SIZE: no room for another edge. On an error the state is as it was. */
int gn_cut_set(void *state, size_t u, size_t v, double weight, int *work, void *scratch);
/* *value and side[nodes] (or NULL), as gn_min_cut's. */
int gn_cut_read(const void *state, double *value, uint8_t *side);
// </cdef>
#endif
