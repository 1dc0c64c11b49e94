// Products and sums of rows in memory with VECTORS * LANES other rows, each of which lies in one lane: a number of a row
// is read once for all lanes, in place.
#include "vectors.h"

#define VECTORS 2      // vectors side by side; with one, half of the processor's registers would lie idle
#define BLOCK 64       // rows in a block of the softmax
#define TILE 8         // rows, or elements of a row, in a block of a matrix product
#define MAX_WIDTH 256  // elements of a head; a head's width is a multiple of TILE, and LANES at least

// An array [heads][tokens][width] with strides: a row begins at data + head * by_head + token * by_token.
struct rows {
    float *data;
    int64_t by_head, by_token;
};

INLINE float *row_of(const struct rows *rows, int64_t head, int64_t token) {
    return rows->data + head * rows->by_head + token * rows->by_token;
}

typedef vec side_by_side[VECTORS];

// Products of at most TILE rows with all lanes.
INLINE void multiply_tile(
    side_by_side *products, const side_by_side *lanes, const float *row, int64_t by_row, int rows, int64_t width
) {
    side_by_side sums[TILE] = {0};
    for (int64_t d = 0; d < width; d++)
        UNROLLED for (int t = 0; t < rows; t++)
            UNROLLED for (int v = 0; v < VECTORS; v++)
                sums[t][v] += row[t * by_row + d] * lanes[d][v];
    UNROLLED for (int t = 0; t < rows; t++)
        UNROLLED for (int v = 0; v < VECTORS; v++)
            products[t][v] = sums[t][v];
}

// A last tile that would be cut short begins early instead: it recomputes some products, with the same result.
INLINE void multiply(
    side_by_side *products, const side_by_side *lanes, const float *row, int64_t by_row, int rows, int64_t width
) {
    if (rows < TILE) {
        for (int r = 0; r < rows; r++)
            multiply_tile(products + r, lanes, row + r * by_row, by_row, 1, width);
        return;
    }
    for (int r = 0; r < rows; r += TILE) {
        int at = r + TILE <= rows ? r : rows - TILE;
        multiply_tile(products + at, lanes, row + at * by_row, by_row, TILE, width);
    }
}

// Multiplies sums by `decay`, if there is one, and adds weight * row for each row. `skip_unseen` ignores rows of weight 0,
// because 0 times NaN or inf is NaN: so the forward pass keeps one sequence's NaN and inf from the others.
INLINE void add_rows(
    side_by_side *sums, const side_by_side *weights, const float *row, int64_t by_row, int rows, int64_t width,
    const vec *decay, int skip_unseen
) {
    for (int64_t d = 0; d < width; d += TILE) {
        side_by_side tile[TILE];
        UNROLLED for (int t = 0; t < TILE; t++)
            UNROLLED for (int v = 0; v < VECTORS; v++)
                tile[t][v] = decay ? sums[d + t][v] * decay[v] : sums[d + t][v];
        for (int r = 0; r < rows; r++)
            UNROLLED for (int t = 0; t < TILE; t++)
                UNROLLED for (int v = 0; v < VECTORS; v++) {
                    vec sum = tile[t][v] + row[r * by_row + d + t] * weights[r][v];
                    tile[t][v] = skip_unseen ? chosen(weights[r][v] == 0.0f, tile[t][v], sum) : sum;
                }
        UNROLLED for (int t = 0; t < TILE; t++)
            UNROLLED for (int v = 0; v < VECTORS; v++)
                sums[d + t][v] = tile[t][v];
    }
}

// Lanes past the last of `count` rows repeat it; their results are not stored.
INLINE int64_t row_in_lane(int64_t first, int lane, int64_t count) {
    return first + lane < count ? first + lane : count - 1;
}

// Rows are read in parts of LANES elements. A last part that would be cut short begins early instead.
INLINE int64_t part_of(int64_t d, int64_t width) {
    return d + LANES <= width ? d : width - LANES;
}

// Loads rows `first` and after of a head, times `factor`, and transposes them: each lane of vector v holds one row.
INLINE void load_lanes(
    side_by_side *lanes, int v, const struct rows *from, int64_t head, int64_t first, int64_t count, float factor,
    int64_t width
) {
    for (int64_t d = 0; d < width; d += LANES) {
        int64_t part = part_of(d, width);
        vec some[LANES];
        UNROLLED for (int lane = 0; lane < LANES; lane++)
            some[lane] = factor * loaded(row_of(from, head, row_in_lane(first, lane, count)) + part);
        transpose(some);
        UNROLLED for (int i = 0; i < LANES; i++)
            lanes[part + i][v] = some[i];
    }
}

// Transposes the lanes of vector v, times `factor`, and stores them as rows `first` and after of a head.
INLINE void store_lanes(
    const side_by_side *lanes, int v, const struct rows *to, int64_t head, int64_t first, int64_t count, vec factor,
    int64_t width
) {
    for (int64_t d = 0; d < width; d += LANES) {
        int64_t part = part_of(d, width);
        vec some[LANES];
        UNROLLED for (int i = 0; i < LANES; i++)
            some[i] = lanes[part + i][v] * factor;
        transpose(some);
        for (int lane = 0; lane < LANES && first + lane < count; lane++)
            store(row_of(to, head, first + lane) + part, some[lane]);
    }
}

// Soft-caps a product: limit * tanh(product / limit). The argument is clamped, because e to the 2x would overflow.
INLINE vec capped(vec product, float limit) {
    vec twice = product * (2 / limit);
    twice = chosen(twice > 80.0f, splat(80), twice);
    return limit - 2 * limit / (exponential(twice, splat(0)) + 1);
}
