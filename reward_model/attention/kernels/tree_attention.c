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
#include "vectors.h"

#define VECTORS 2      // vectors of queries in a unit
#define BLOCK 64       // keys in a block of the softmax
#define TILE 8         // keys, or elements of a value, in a block of a matrix product
#define MAX_WIDTH 256  // elements of a head; a head's width is a multiple of TILE, and LANES at least

// An array [heads][tokens][width] with strides: a row begins at data + head * by_head + token * by_token.
struct rows {
    float *data;
    int64_t by_head, by_token;
};

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
};

struct unit {
    vec query[MAX_WIDTH][VECTORS], output[MAX_WIDTH][VECTORS];
    vec weight[BLOCK][VECTORS];             // of a block's keys: first products with the queries, then softmax weights
    vec scale[VECTORS], sum[VECTORS];       // sum of all weights so far, each divided by 2 to the `scale`
    ivec token[VECTORS], position[VECTORS];
    int64_t first_query[VECTORS], head[VECTORS], key_head;
    int32_t first, last, min_position;      // over its tokens: smallest and largest flat index, smallest position
};

// Products of at most TILE keys with all queries.
INLINE void multiply_tile(struct unit *u, int at, const float *key, int64_t by_token, int keys, int64_t width) {
    vec sums[TILE][VECTORS] = {0};
    for (int64_t d = 0; d < width; d++)
        UNROLLED for (int t = 0; t < keys; t++)
            UNROLLED for (int v = 0; v < VECTORS; v++)
                sums[t][v] += key[t * by_token + d] * u->query[d][v];
    UNROLLED for (int t = 0; t < keys; t++)
        UNROLLED for (int v = 0; v < VECTORS; v++)
            u->weight[at + t][v] = sums[t][v];
}

// A last tile that would be cut short begins early instead: it recomputes some products, with the same result.
INLINE void multiply(struct unit *u, const struct call *c, int32_t start, int keys) {
    int64_t by_token = c->key.by_token;
    const float *key = c->key.data + u->key_head * c->key.by_head + start * by_token;
    if (keys < TILE) {
        for (int k = 0; k < keys; k++)
            multiply_tile(u, k, key + k * by_token, by_token, 1, c->width);
        return;
    }
    for (int k = 0; k < keys; k += TILE) {
        int at = k + TILE <= keys ? k : keys - TILE;
        multiply_tile(u, at, key + at * by_token, by_token, TILE, c->width);
    }
}

// Soft-caps products: limit * tanh(product / limit). The argument is clamped, because e to the 2x would overflow.
INLINE void cap(struct unit *u, float limit, int keys) {
    for (int k = 0; k < keys; k++)
        for (int v = 0; v < VECTORS; v++) {
            vec twice = u->weight[k][v] * (2 / limit);
            twice = chosen(twice > 80.0f, splat(80), twice);
            u->weight[k][v] = limit - 2 * limit / (exponential(twice, splat(0)) + 1);
        }
}

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

// Adds weight * value. `skip_unseen` ignores the values of keys with weight 0, because 0 times NaN or inf is NaN: NaN and
// inf in one sequence never reach another.
INLINE void add_values(
    struct unit *u, const struct call *c, int32_t start, int keys, const vec *decay, int skip_unseen
) {
    int64_t by_token = c->value.by_token;
    const float *values = c->value.data + u->key_head * c->value.by_head + start * by_token;
    for (int64_t d = 0; d < c->width; d += TILE) {
        vec sums[TILE][VECTORS];
        UNROLLED for (int t = 0; t < TILE; t++)
            UNROLLED for (int v = 0; v < VECTORS; v++)
                sums[t][v] = u->output[d + t][v] * decay[v];
        for (int k = 0; k < keys; k++)
            UNROLLED for (int t = 0; t < TILE; t++)
                UNROLLED for (int v = 0; v < VECTORS; v++) {
                    vec sum = sums[t][v] + values[k * by_token + d + t] * u->weight[k][v];
                    sums[t][v] = skip_unseen ? chosen(u->weight[k][v] == 0.0f, sums[t][v], sum) : sum;
                }
        UNROLLED for (int t = 0; t < TILE; t++)
            UNROLLED for (int v = 0; v < VECTORS; v++)
                u->output[d + t][v] = sums[t][v];
    }
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
    multiply(u, c, start, keys);
    if (c->cap > 0)
        cap(u, c->cap, keys);
    int all_seen = stop <= u->first + 1 && c->first_end[block] > u->last && c->window == INT32_MAX;
    if (!all_seen)
        mask(u, c, start, keys);
    vec decay[VECTORS];
    for (int v = 0; v < VECTORS; v++)
        decay[v] = weigh(u, keys, v);
    add_values(u, c, start, keys, decay, skip_unseen);
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

// The index of a lane's query. Lanes past the last query repeat it; their results are not stored.
INLINE int64_t query_of(const struct unit *u, const struct call *c, int v, int lane) {
    int64_t query = u->first_query[v] + lane;
    return query < c->queries ? query : c->queries - 1;
}

INLINE void add_token(struct unit *u, const struct call *c, int v, int lane) {
    int32_t token = c->token[query_of(u, c, v, lane)], position = c->position[token];
    u->token[v][lane] = token;
    u->position[v][lane] = position;
    u->min_position = position < u->min_position ? position : u->min_position;
    u->first = token < u->first ? token : u->first;
    u->last = token > u->last ? token : u->last;
}

// Rows are read in parts of LANES elements. A last part that would be cut short begins early instead.
INLINE int64_t part_of(const struct call *c, int64_t d) {
    return d + LANES <= c->width ? d : c->width - LANES;
}

// Loads elements d to d + LANES of LANES queries and transposes them, so that each lane holds one query.
INLINE void load_queries(struct unit *u, const struct call *c, int v, int64_t d) {
    const float *from = c->query.data + u->head[v] * c->query.by_head + d;
    vec rows[LANES];
    UNROLLED for (int lane = 0; lane < LANES; lane++)
        rows[lane] = c->scale * loaded(from + query_of(u, c, v, lane) * c->query.by_token);
    transpose(rows);
    UNROLLED for (int i = 0; i < LANES; i++)
        u->query[d + i][v] = rows[i];
}

INLINE void open_unit(struct unit *u, const struct call *c) {
    u->first = u->min_position = INT32_MAX;
    u->last = 0;
    for (int v = 0; v < VECTORS; v++) {
        for (int lane = 0; lane < LANES; lane++)
            add_token(u, c, v, lane);
        for (int64_t d = 0; d < c->width; d += LANES)
            load_queries(u, c, v, part_of(c, d));
        for (int64_t d = 0; d < c->width; d++)
            u->output[d][v] = splat(0);
        u->scale[v] = splat(2 * LOWEST);
        u->sum[v] = splat(0);
    }
}

// Divides elements d to d + LANES of LANES outputs by the sums of their weights, transposes and stores them.
INLINE void store_outputs(const struct unit *u, const struct call *c, int v, int64_t d) {
    float *to = c->output.data + u->head[v] * c->output.by_head + d;
    vec share = 1.0f / u->sum[v], rows[LANES];
    UNROLLED for (int i = 0; i < LANES; i++)
        rows[i] = u->output[d + i][v] * share;
    transpose(rows);
    int64_t queries = c->queries - u->first_query[v];
    for (int lane = 0; lane < LANES && lane < queries; lane++)
        store(to + (u->first_query[v] + lane) * c->output.by_token, rows[lane]);
}

INLINE void close_unit(const struct unit *u, const struct call *c) {
    for (int v = 0; v < VECTORS; v++)
        for (int64_t d = 0; d < c->width; d += LANES)
            store_outputs(u, c, v, part_of(c, d));
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
