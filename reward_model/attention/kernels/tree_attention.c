// Attention over a packed prefix tree on a CPU: token q sees token k exactly when k <= q < end[k]
// and, in a layer with a sliding window, when position[q] - position[k] < window.
//
// A unit of work is VECTORS * LANES queries that use the same keys and values: LANES tokens of two
// query heads that share a key head, or twice as many tokens of one head. Each lane of a vector is one
// query, so masks, maxima and sums are computed lane by lane, and keys and values are read in place,
// each number once for all lanes. The softmax is FlashAttention's, one block of keys after another
// (arXiv 2205.14135, algorithm 1).
//
// scripts/build-kernels compiles it once for each vector width that processors have.
#include "lanes.h"

// The attention of one layer for `queries` tokens, which are some or all of the tree's.
struct call {
    struct rows query, key, value, output;  // query and output [heads][queries], key and value [key_heads][tokens]
    const int32_t *token;                   // [queries]: flat index of each query in the tree
    const int32_t *end, *position;          // [tokens]: where a token's subtree ends; its distance from the root
    const int32_t *first_end, *last_end;    // [blocks]: smallest and largest end of a block's tokens
    int64_t queries, heads, key_heads, width;
    int64_t next_unit;                      // shared by all threads: the unit to compute next
    int32_t window;
    float scale, cap;                       // soft cap: products are squashed into (-cap, cap) before the softmax; 0 is none
    float *kept_exponent, *kept_inverse_sum;  // [heads][queries], for the gradients: a unit's `scale`, and 1 / `sum`; or null
};

struct unit {
    side_by_side query[MAX_WIDTH], output[MAX_WIDTH];
    side_by_side weight[BLOCK];             // of a block's keys: first products with the queries, then softmax weights
    vec scale[VECTORS], sum[VECTORS];       // sum of all weights so far, each divided by 2 to the `scale`
    ivec token[VECTORS], position[VECTORS];
    int64_t first_query[VECTORS], head[VECTORS], key_head;
    int32_t first, last, min_position;      // over its tokens: smallest and largest flat index, smallest position
};

// Gives keys that a query does not see the lowest product, whose weight is exactly 0.
INLINE void mask(struct unit *u, const struct call *c, int32_t start, int keys) {
    for (int k = 0; k < keys; k++) {
        int32_t key = start + k, end = c->end[key], position = c->position[key];
        for (int v = 0; v < VECTORS; v++) {
            ivec sees = (u->token[v] >= key) & (u->token[v] < end) & (u->position[v] - position < c->window);
            u->weight[k][v] = chosen(sees, u->weight[k][v], splat(LOWEST));
        }
    }
}

// Turns products into softmax weights, and returns the factor by which earlier sums decay. FlashAttention divides weights
// by e to the maximum; here it is a power of 2, which is exact. So a text's bits do not depend on how its keys fall into
// blocks, and therefore not on the other texts of the batch.
INLINE vec weigh(struct unit *u, int keys, int v) {
    vec maximum = splat(LOWEST), before = u->scale[v];
    for (int k = 0; k < keys; k++)
        maximum = greater(u->weight[k][v], maximum);
    vec scale = rounded_log2_of_exp(maximum), decay;
    scale = chosen(scale > before, scale, before);
    decay = two_to(before - scale);
    u->sum[v] *= decay;
    for (int k = 0; k < keys; k++) {
        u->weight[k][v] = exponential(u->weight[k][v], scale);
        u->sum[v] += u->weight[k][v];
    }
    u->scale[v] = scale;
    return decay;
}

// Whether certainly no query of the unit sees this key; one test for the whole unit.
INLINE int hidden(const struct unit *u, const struct call *c, int32_t key) {
    return c->end[key] <= u->first || u->min_position - c->position[key] >= c->window;
}

INLINE void read_block(struct unit *u, const struct call *c, int32_t block, int skip_unseen) {
    int32_t start = block * BLOCK, stop = start + BLOCK <= u->last ? start + BLOCK : u->last + 1;
    while (start < stop && hidden(u, c, start))
        start++;
    while (start < stop && hidden(u, c, stop - 1))
        stop--;
    int keys = stop - start;
    if (!keys)
        return;
    const float *key = row_of(&c->key, u->key_head, start), *value = row_of(&c->value, u->key_head, start);
    multiply(u->weight, u->query, key, c->key.by_token, keys, c->width);
    if (c->cap > 0)
        for (int k = 0; k < keys; k++)
            for (int v = 0; v < VECTORS; v++)
                u->weight[k][v] = capped(u->weight[k][v], c->cap);
    int all_seen = stop <= u->first + 1 && c->first_end[block] > u->last && c->window == INT32_MAX;
    if (!all_seen)
        mask(u, c, start, keys);
    vec decay[VECTORS];
    for (int v = 0; v < VECTORS; v++)
        decay[v] = weigh(u, keys, v);
    add_rows(u->output, u->weight, value, c->value.by_token, keys, c->width, decay, skip_unseen);
}

// Assigns heads and queries to unit `number`; returns 0 when there are no more. Late queries see the most keys, so they
// come first: the longest units must not start last.
INLINE int assign_unit(struct unit *u, const struct call *c, int64_t number) {
    int64_t group = c->heads / c->key_heads;
    int in_pairs = group % VECTORS == 0;
    int64_t parts = in_pairs ? group / VECTORS : group, queries = in_pairs ? LANES : LANES * VECTORS;
    int64_t ranges = (c->queries + queries - 1) / queries, range = ranges - 1 - number / parts / c->key_heads;
    u->key_head = number / parts % c->key_heads;
    for (int v = 0; v < VECTORS; v++) {
        int64_t part = number % parts;
        u->head[v] = u->key_head * group + (in_pairs ? part * VECTORS + v : part);
        u->first_query[v] = range * queries + (in_pairs ? 0 : v * LANES);
    }
    return range >= 0;
}

INLINE void add_token(struct unit *u, const struct call *c, int v, int lane) {
    int32_t token = c->token[row_in_lane(u->first_query[v], lane, c->queries)], position = c->position[token];
    u->token[v][lane] = token;
    u->position[v][lane] = position;
    u->min_position = position < u->min_position ? position : u->min_position;
    u->first = token < u->first ? token : u->first;
    u->last = token > u->last ? token : u->last;
}

INLINE void open_unit(struct unit *u, const struct call *c) {
    u->first = u->min_position = INT32_MAX;
    u->last = 0;
    for (int v = 0; v < VECTORS; v++) {
        for (int lane = 0; lane < LANES; lane++)
            add_token(u, c, v, lane);
        load_lanes(u->query, v, &c->query, u->head[v], u->first_query[v], c->queries, c->scale, c->width);
        for (int64_t d = 0; d < c->width; d++)
            u->output[d][v] = splat(0);
        u->scale[v] = splat(2 * LOWEST);
        u->sum[v] = splat(0);
    }
}

// Divides the outputs by the sums of their weights, and stores them.
INLINE void close_unit(const struct unit *u, const struct call *c) {
    for (int v = 0; v < VECTORS; v++) {
        int64_t first = u->first_query[v], at = u->head[v] * c->queries + first;
        vec share = 1.0f / u->sum[v];
        store_lanes(u->output, v, &c->output, u->head[v], first, c->queries, share, c->width);
        for (int lane = 0; c->kept_exponent && lane < LANES && first + lane < c->queries; lane++) {
            c->kept_exponent[at + lane] = u->scale[v][lane];
            c->kept_inverse_sum[at + lane] = share[lane];
        }
    }
}

INLINE void read_blocks(struct unit *u, const struct call *c, int skip_unseen) {
    open_unit(u, c);
    for (int32_t block = 0; block * BLOCK <= u->last; block++)
        if (c->last_end[block] > u->first)
            read_block(u, c, block, skip_unseen);
}

INLINE int all_finite(const struct unit *u, int64_t width) {
    vec residue = splat(0);                 // x - x is 0 for a finite x, and NaN otherwise
    for (int64_t d = 0; d < width; d++)
        for (int v = 0; v < VECTORS; v++)
            residue += u->output[d][v] - u->output[d][v];
    ivec clean = residue == 0.0f;
    for (int lane = 0; lane < LANES; lane++)
        if (!clean[lane])
            return 0;
    return 1;
}

// The work of one thread: it takes units until none is left.
static void work(void *argument) {
    struct call *c = argument;
    struct unit u;
    while (assign_unit(&u, c, __atomic_fetch_add(&c->next_unit, 1, __ATOMIC_RELAXED))) {
        read_blocks(&u, c, 0);
        // The check is cheaper than careful sums, which only NaN and inf need.
        if (!all_finite(&u, c->width))
            read_blocks(&u, c, 1);
        close_unit(&u, c);
    }
}

// `run` is GOMP_parallel of the OpenMP runtime that torch uses: a second thread pool would compete for the same cores.
typedef void parallel_run(void (*)(void *), void *, unsigned threads, unsigned flags);

__attribute__((visibility("default"))) void attend_to_tree(struct call *c, parallel_run *run, unsigned threads) {
    c->next_unit = 0;
    run(work, c, threads, 0);
}
