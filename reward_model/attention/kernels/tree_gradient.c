// Gradients of attention over a packed prefix tree on a CPU, after tree_attention.c: token q sees token k exactly when
// k <= q < end[k] and, in a layer with a sliding window, when position[q] - position[k] < window.
//
// Softmax weights are computed again, from what the forward pass kept of each query (FlashAttention's backward pass,
// arXiv 2205.14135, algorithm 4). With weights p = softmax(s) of products s = factor * q k, and d the gradient of an output o:
//
//     gradient of value k:   the sum over queries of p d
//     gradient of product s: p (d v - d o), in short g, times the soft cap's slope where there is one
//     gradient of query q:   factor * the sum over keys of g k
//     gradient of key k:     factor * the sum over queries of g q
//
// NaN and inf in one sequence may reach the gradients of others, unlike in the forward pass: the gradients of the weights
// that all share are lost then anyway.
//
// A unit of work is the gradient of VECTORS * LANES queries of a head, or that of as many keys and their values. No two
// units write the same row, and none depends on the number of threads, so neither do the sums.
#include "lanes.h"

// The gradients of one layer's attention, in which each of the `tokens` tokens is a query.
struct call {
    struct rows query, output_gradient, query_gradient;                 // [heads][tokens]
    struct rows key, value, key_gradient, value_gradient;               // [key_heads][tokens]
    const float *kept_exponent, *kept_inverse_sum;   // [heads][tokens], as tree_attention.c leaves them
    const float *expected;                  // [heads][tokens]: d o, which is what d v is on average over the keys, by p
    const int32_t *end, *position;          // [tokens]: where a token's subtree ends; its distance from the root
    int64_t tokens, heads, key_heads, width;
    int64_t next_unit;                      // shared by all threads: the unit to compute next
    int32_t window;
    float factor, cap;                      // soft cap; 0 is none
};

// Queries lie in lanes and keys in rows, or the other way round.
struct unit {
    side_by_side product_with[MAX_WIDTH], gradient_with[MAX_WIDTH];     // query and d; or key and value
    side_by_side sum[MAX_WIDTH], value_sum[MAX_WIDTH];                  // gradient of query; or of key, and of value
    side_by_side product[BLOCK], gradient[BLOCK];                       // s and d v, and then p and g, of a block's rows
    ivec token[VECTORS], end[VECTORS], position[VECTORS];
    int32_t first, last, last_end, min_position, max_position;          // over its lanes
};

// Makes the weight p of a product, and g of d v.
INLINE void differentiate(vec *product, vec *gradient, ivec sees, vec exponent, vec inverse_sum, vec expected, float cap) {
    vec s = *product, slope = splat(1);
    if (cap > 0) {
        s = capped(s, cap);
        slope = 1.0f - (s / cap) * (s / cap);
    }
    vec weight = chosen(sees, exponential(s, exponent) * inverse_sum, splat(0));
    *gradient = weight * (*gradient - expected) * slope;
    *product = weight;
}

INLINE vec lanes_of(const float *numbers, int64_t first, int64_t count) {
    vec some;
    for (int lane = 0; lane < LANES; lane++)
        some[lane] = numbers[row_in_lane(first, lane, count)];
    return some;
}

INLINE void open_unit(struct unit *u, const struct call *c, int64_t first) {
    u->first = first;
    u->last_end = u->max_position = 0;
    u->min_position = INT32_MAX;
    for (int v = 0; v < VECTORS; v++)
        for (int lane = 0; lane < LANES; lane++) {
            int32_t token = row_in_lane(first, v * LANES + lane, c->tokens);
            int32_t end = c->end[token], position = c->position[token];
            u->token[v][lane] = u->last = token;
            u->end[v][lane] = end;
            u->position[v][lane] = position;
            u->last_end = end > u->last_end ? end : u->last_end;
            u->min_position = position < u->min_position ? position : u->min_position;
            u->max_position = position > u->max_position ? position : u->max_position;
        }
    memset(u->sum, 0, sizeof *u->sum * c->width);
    memset(u->value_sum, 0, sizeof *u->value_sum * c->width);
}

// Gradients of queries `first` and after; keys are rows.
INLINE void query_unit(struct unit *u, const struct call *c, int64_t head, int64_t first) {
    int64_t key_head = head / (c->heads / c->key_heads), at = head * c->tokens;
    vec exponent[VECTORS], inverse_sum[VECTORS], expected[VECTORS];
    open_unit(u, c, first);
    for (int v = 0; v < VECTORS; v++) {
        int64_t lanes = first + v * LANES;
        load_lanes(u->product_with, v, &c->query, head, lanes, c->tokens, c->factor, c->width);
        load_lanes(u->gradient_with, v, &c->output_gradient, head, lanes, c->tokens, 1, c->width);
        exponent[v] = lanes_of(c->kept_exponent + at, lanes, c->tokens);
        inverse_sum[v] = lanes_of(c->kept_inverse_sum + at, lanes, c->tokens);
        expected[v] = lanes_of(c->expected + at, lanes, c->tokens);
    }
    for (int32_t key = 0; key <= u->last;) {
        if (c->end[key] <= u->first || u->min_position - c->position[key] >= c->window) {
            key++;                          // no query of the unit sees it
            continue;
        }
        int keys = key + BLOCK <= u->last ? BLOCK : u->last + 1 - key;
        multiply(u->product, u->product_with, row_of(&c->key, key_head, key), c->key.by_token, keys, c->width);
        multiply(u->gradient, u->gradient_with, row_of(&c->value, key_head, key), c->value.by_token, keys, c->width);
        for (int k = 0; k < keys; k++)
            for (int v = 0; v < VECTORS; v++) {
                int32_t end = c->end[key + k], position = c->position[key + k];
                ivec sees = (u->token[v] >= key + k) & (u->token[v] < end) & (u->position[v] - position < c->window);
                differentiate(&u->product[k][v], &u->gradient[k][v], sees, exponent[v], inverse_sum[v], expected[v], c->cap);
            }
        add_rows(u->sum, u->gradient, row_of(&c->key, key_head, key), c->key.by_token, keys, c->width, 0, 0);
        key += keys;
    }
    for (int v = 0; v < VECTORS; v++)
        store_lanes(u->sum, v, &c->query_gradient, head, first + v * LANES, c->tokens, splat(c->factor), c->width);
}

// Gradients of keys `first` and after and of their values; the queries of each head that uses them are rows.
INLINE void key_unit(struct unit *u, const struct call *c, int64_t key_head, int64_t first) {
    int64_t heads = c->heads / c->key_heads;
    open_unit(u, c, first);
    for (int v = 0; v < VECTORS; v++) {
        load_lanes(u->product_with, v, &c->key, key_head, first + v * LANES, c->tokens, c->factor, c->width);
        load_lanes(u->gradient_with, v, &c->value, key_head, first + v * LANES, c->tokens, 1, c->width);
    }
    for (int64_t head = key_head * heads; head < (key_head + 1) * heads; head++)
        for (int32_t query = u->first; query < u->last_end;) {
            if (c->position[query] - u->max_position >= c->window) {
                query++;                    // it sees no key of the unit
                continue;
            }
            int queries = query + BLOCK <= u->last_end ? BLOCK : u->last_end - query;
            const float *row = row_of(&c->query, head, query), *d = row_of(&c->output_gradient, head, query);
            multiply(u->product, u->product_with, row, c->query.by_token, queries, c->width);
            multiply(u->gradient, u->gradient_with, d, c->output_gradient.by_token, queries, c->width);
            for (int q = 0; q < queries; q++) {
                int32_t token = query + q, position = c->position[token];
                int64_t at = head * c->tokens + token;
                vec exponent = splat(c->kept_exponent[at]), inverse_sum = splat(c->kept_inverse_sum[at]);
                vec expected = splat(c->expected[at]);
                for (int v = 0; v < VECTORS; v++) {
                    ivec sees = (u->token[v] <= token) & (u->end[v] > token) & (position - u->position[v] < c->window);
                    differentiate(&u->product[q][v], &u->gradient[q][v], sees, exponent, inverse_sum, expected, c->cap);
                }
            }
            add_rows(u->sum, u->gradient, row, c->query.by_token, queries, c->width, 0, 0);
            add_rows(u->value_sum, u->product, d, c->output_gradient.by_token, queries, c->width, 0, 0);
            query += queries;
        }
    for (int v = 0; v < VECTORS; v++) {
        int64_t lanes = first + v * LANES;
        store_lanes(u->sum, v, &c->key_gradient, key_head, lanes, c->tokens, splat(c->factor), c->width);
        store_lanes(u->value_sum, v, &c->value_gradient, key_head, lanes, c->tokens, splat(1), c->width);
    }
}

// The work of one thread: it takes units until none is left. Those of keys come first, because they are longer, and among
// them those of the first tokens, which most queries see.
static void work(void *argument) {
    struct call *c = argument;
    struct unit u;
    int64_t ranges = (c->tokens + VECTORS * LANES - 1) / (VECTORS * LANES), key_units = ranges * c->key_heads;
    for (;;) {
        int64_t number = __atomic_fetch_add(&c->next_unit, 1, __ATOMIC_RELAXED);
        if (number < key_units) {
            key_unit(&u, c, number % c->key_heads, number / c->key_heads * VECTORS * LANES);
            continue;
        }
        number -= key_units;
        if (number >= ranges * c->heads)
            return;
        query_unit(&u, c, number % c->heads, (ranges - 1 - number / c->heads) * VECTORS * LANES);
    }
}

// `run` is GOMP_parallel of the OpenMP runtime that torch uses: a second thread pool would compete for the same cores.
typedef void parallel_run(void (*)(void *), void *, unsigned threads, unsigned flags);

__attribute__((visibility("default"))) void differentiate_tree(struct call *c, parallel_run *run, unsigned threads) {
    c->next_unit = 0;
    run(work, c, threads, 0);
}
