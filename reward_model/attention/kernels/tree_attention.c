// Attention over a packed prefix tree on a CPU: token q sees token k exactly when k <= q < end[k]
// and, in a layer with a sliding window, when position[q] - position[k] < window.
//
// A unit of work is VECTORS * LANES queries that read the same keys and values: LANES tokens of two
// heads that share a key's head, or twice as many of one head. Queries lie across the lanes, so masks,
// greatest products and sums of weights are found lane by lane, and keys and values are read where they
// are, each number once for all lanes. The softmax is FlashAttention's, block by block of keys
// (arXiv 2205.14135, algorithm 1).
//
// Compiled once for each width of vectors that processors have: scripts/build-kernels.
#include "vectors.h"

#define VECTORS 2    // vectors of queries in a unit
#define BLOCK 64     // keys that are weighed at a time
#define TILE 8       // keys, or numbers of a value, that are multiplied at a time
#define WIDEST 256   // numbers of a head, at most; always a multiple of TILE, and LANES at least

// Row `token` of head `head` begins at data + head * by_head + token * by_token.
struct rows {
    float *data;
    int64_t by_head, by_token;
};

// One layer's attention of `queries` tokens, which are some or all of the tree's.
struct call {
    struct rows query, key, value, output;  // query and output [heads][queries], key and value [key_heads][tokens]
    const int32_t *token;                   // [queries]: which of the tree's tokens each one is
    const int32_t *end, *position;          // [tokens]
    const int32_t *first_end, *last_end;    // [blocks]: least and greatest end of a block's tokens
    int64_t queries, heads, key_heads, width;
    int64_t next_unit;                      // what threads share: which unit is computed next
    int32_t window;
    float scale, cap;                       // products are squashed into (-cap, cap) before the softmax; 0: they are not
};

struct unit {
    vec query[WIDEST][VECTORS], output[WIDEST][VECTORS];
    vec weight[BLOCK][VECTORS];             // of a block's keys; their products with the queries, to begin with
    vec scale[VECTORS], sum[VECTORS];       // of weights so far: a power of 2 that they are divided by
    ivec token[VECTORS], position[VECTORS];
    int64_t first_query[VECTORS], head[VECTORS], key_head;
    int32_t first, last, least_position;    // of its tokens
};

// Products of some keys, TILE at most, with all queries.
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

// The last tile begins early where it would be cut short: what it computes again comes out the same.
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

// limit * tanh(product / limit)
INLINE void cap(struct unit *u, float limit, int keys) {
    for (int k = 0; k < keys; k++)
        for (int v = 0; v < VECTORS; v++) {
            vec twice = u->weight[k][v] * (2 / limit);
            twice = chosen(twice > 80.0f, splat(80), twice);
            u->weight[k][v] = limit - 2 * limit / (exponential(twice, splat(0)) + 1);
        }
}

INLINE void mask(struct unit *u, const struct call *c, int32_t start, int keys) {
    for (int k = 0; k < keys; k++) {
        int32_t key = start + k, end = c->end[key], position = c->position[key];
        for (int v = 0; v < VECTORS; v++) {
            ivec sees = (u->token[v] >= key) & (u->token[v] < end) & (u->position[v] - position < c->window);
            u->weight[k][v] = chosen(sees, u->weight[k][v], splat(LEAST));
        }
    }
}

// Products become weights, and what was summed up before decays by the factor that is returned. Both are scaled by a
// power of 2, which is exact: a text's digits do not depend on how its keys fall into blocks, and so not on its company.
INLINE vec weigh(struct unit *u, int keys, int v) {
    vec greatest = splat(LEAST), before = u->scale[v];
    for (int k = 0; k < keys; k++)
        greatest = greater(u->weight[k][v], greatest);
    vec scale = rounded_log2_of_exp(greatest), decay;
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

// `spotless` keeps values that are no numbers from queries that do not see them: 0 times such a value is none, too.
INLINE void add_values(
    struct unit *u, const struct call *c, int32_t start, int keys, const vec *decay, int spotless
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
                    sums[t][v] = spotless ? chosen(u->weight[k][v] == 0.0f, sums[t][v], sum) : sum;
                }
        UNROLLED for (int t = 0; t < TILE; t++)
            UNROLLED for (int v = 0; v < VECTORS; v++)
                u->output[d + t][v] = sums[t][v];
    }
}

// Whether no query of the unit sees this key, as far as one look at all of them tells.
INLINE int hidden(const struct unit *u, const struct call *c, int32_t key) {
    return c->end[key] <= u->first || u->least_position - c->position[key] >= c->window;
}

INLINE void read_block(struct unit *u, const struct call *c, int32_t block, int spotless) {
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
    add_values(u, c, start, keys, decay, spotless);
}

// Which heads and queries a unit has; 0 when there is none of this number. Late queries come first: most see most.
INLINE int place(struct unit *u, const struct call *c, int64_t number) {
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

// A lane without a query of its own repeats the last one.
INLINE int64_t query_of(const struct unit *u, const struct call *c, int v, int lane) {
    int64_t query = u->first_query[v] + lane;
    return query < c->queries ? query : c->queries - 1;
}

INLINE void note_token(struct unit *u, const struct call *c, int v, int lane) {
    int32_t token = c->token[query_of(u, c, v, lane)], position = c->position[token];
    u->token[v][lane] = token;
    u->position[v][lane] = position;
    u->least_position = position < u->least_position ? position : u->least_position;
    u->first = token < u->first ? token : u->first;
    u->last = token > u->last ? token : u->last;
}

// Where the part of a row begins of which `d` is the first number: the last part begins early where it would be cut short.
INLINE int64_t part_of(const struct call *c, int64_t d) {
    return d + LANES <= c->width ? d : c->width - LANES;
}

// LANES numbers of LANES queries, from `d` on.
INLINE void turn_queries(struct unit *u, const struct call *c, int v, int64_t d) {
    const float *numbers = c->query.data + u->head[v] * c->query.by_head + d;
    vec rows[LANES];
    UNROLLED for (int lane = 0; lane < LANES; lane++)
        rows[lane] = c->scale * loaded(numbers + query_of(u, c, v, lane) * c->query.by_token);
    transpose(rows);
    UNROLLED for (int i = 0; i < LANES; i++)
        u->query[d + i][v] = rows[i];
}

INLINE void open_unit(struct unit *u, const struct call *c) {
    u->first = u->least_position = INT32_MAX;
    u->last = 0;
    for (int v = 0; v < VECTORS; v++) {
        for (int lane = 0; lane < LANES; lane++)
            note_token(u, c, v, lane);
        for (int64_t d = 0; d < c->width; d += LANES)
            turn_queries(u, c, v, part_of(c, d));
        for (int64_t d = 0; d < c->width; d++)
            u->output[d][v] = splat(0);
        u->scale[v] = splat(2 * LEAST);
        u->sum[v] = splat(0);
    }
}

// LANES numbers of the outputs of LANES queries, from `d` on.
INLINE void turn_outputs(const struct unit *u, const struct call *c, int v, int64_t d) {
    float *numbers = c->output.data + u->head[v] * c->output.by_head + d;
    vec share = 1.0f / u->sum[v], rows[LANES];
    UNROLLED for (int i = 0; i < LANES; i++)
        rows[i] = u->output[d + i][v] * share;
    transpose(rows);
    int64_t queries = c->queries - u->first_query[v];
    for (int lane = 0; lane < LANES && lane < queries; lane++)
        store(numbers + (u->first_query[v] + lane) * c->output.by_token, rows[lane]);
}

INLINE void close_unit(const struct unit *u, const struct call *c) {
    for (int v = 0; v < VECTORS; v++)
        for (int64_t d = 0; d < c->width; d += LANES)
            turn_outputs(u, c, v, part_of(c, d));
}

INLINE void read_blocks(struct unit *u, const struct call *c, int spotless) {
    open_unit(u, c);
    for (int32_t block = 0; block * BLOCK <= u->last; block++)
        if (c->last_end[block] > u->first)
            read_block(u, c, block, spotless);
}

INLINE int all_numbers(const struct unit *u, int64_t width) {
    vec spots = splat(0);                   // a number that is finite leaves 0 of itself
    for (int64_t d = 0; d < width; d++)
        for (int v = 0; v < VECTORS; v++)
            spots += u->output[d][v] - u->output[d][v];
    ivec clean = spots == 0.0f;
    for (int lane = 0; lane < LANES; lane++)
        if (!clean[lane])
            return 0;
    return 1;
}

// What each thread does.
static void work(void *argument) {
    struct call *c = argument;
    struct unit u;
    while (place(&u, c, __atomic_fetch_add(&c->next_unit, 1, __ATOMIC_RELAXED))) {
        read_blocks(&u, c, 0);
        if (!all_numbers(&u, c->width))
            read_blocks(&u, c, 1);
        close_unit(&u, c);
    }
}

// `run` is GOMP_parallel of OpenMP's runtime, torch's own: another pool of threads would wait for its cores.
typedef void parallel_run(void (*)(void *), void *, unsigned threads, unsigned flags);

__attribute__((visibility("default"))) void attend_to_tree(struct call *c, parallel_run *run, unsigned threads) {
    c->next_unit = 0;
    run(work, c, threads, 0);
}
