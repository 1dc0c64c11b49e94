// Products of float32 matrices on a unit that multiplies bfloat16: output = rows * transposed weight, "bf16x3".
//
// A float a is split into two bfloat16 numbers: a1 is a rounded, and a2 is a - a1 rounded. Then
//
//     a * b = a1 * b1 + a1 * b2 + a2 * b1 + (a2 * b2, which is at most 2^-16 of a * b and is left out)
//
// and sums are kept in float32. Three products on the matrix unit are faster than one in float32 beside it, and err by a
// few times as much as float32 does, where a single bfloat16 product errs a thousand times as much.
//
// A weight is split and packed once, in strips of 32 columns. A unit of work is some panels of 32 rows times some strips:
// its rows are split and packed into scratch memory, and each 32 x 32 results are four tiles, which stay in registers from
// the first inner element to the last. So a result depends on its own row and column alone, bit for bit: neither on the
// number of rows, nor on that of threads.
//
// scripts/build-kernels compiles it for processors with AMX; tests compile it with EMULATED_TILES for any.
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../attention/kernels/vectors.h"
#include "tiles.h"

#define SIDE 32                      // rows of a panel, columns of a strip, and inner elements of a step
#define STEP_BYTES (4 * TILE_BYTES)  // a step of a panel or strip: two tiles of first parts, then two of second parts
#define MAX_PANELS 4                 // in a unit of work

typedef uint32_t uvec __attribute__((vector_size(4 * LANES)));

enum { NOTHING, SILU, ADD, MULTIPLY };  // what is done with a result: the last two take `other`

struct product {
    const float *rows;              // [count][inner], a row every `by_row` floats
    const char *weight;             // [strips][steps][STEP_BYTES], as `pack_weight` leaves them
    const float *bias, *other;      // [columns], and [count][columns] with a row every `other_by_row` floats; or NULL
    float *output;                  // [count][columns]
    char *scratch;                  // [threads][panels_in_unit][steps][STEP_BYTES], aligned to 64 bytes
    int64_t by_row, other_by_row, count, inner, columns;
    int64_t panels_in_unit, strips_in_unit, epilogue;
    int64_t next_unit, next_block;  // shared by all threads: the unit to compute next, the next free block of scratch
};

struct packing {
    const float *weight;            // [columns][inner], finite numbers
    char *packed;                   // [strips][steps][STEP_BYTES], aligned to 64 bytes
    int64_t columns, inner;
    int64_t next_strip;             // shared by all threads
};

INLINE int64_t parts_of(int64_t whole, int64_t part) {
    return (whole + part - 1) / part;
}

INLINE int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

// The first `count` elements, and zeros after them.
INLINE vec loaded_part(const float *from, int64_t count) {
    vec some = {0};
    if (count >= LANES)
        return loaded(from);
    for (int64_t i = 0; i < count; i++)
        some[i] = from[i];
    return some;
}

INLINE void store_part(float *to, vec some, int64_t count) {
    if (count >= LANES)
        store(to, some);
    else
        memcpy(to, &some, 4 * count);
}

// Adding half of what is cut off rounds to the nearest. inf stays inf; NaN may become anything.
INLINE uvec rounded_to_bf16(vec x) {
    return ((uvec)x + 0x8000) & 0xffff0000;
}

// Splits SIDE elements of a row. A pair holds elements i and i + 16: inner elements may have any order, as long as rows and
// weight have the same one, and this one needs no shuffles. Returns whether one was NaN, in any lane.
INLINE ivec split(const float *from, int64_t count, uint32_t *first_pairs, uint32_t *second_pairs) {
    ivec nan = {0};
    UNROLLED for (int i = 0; i < 16; i += LANES) {
        vec low = loaded_part(from + i, count - i), high = loaded_part(from + i + 16, count - i - 16);
        uvec low_first = rounded_to_bf16(low), high_first = rounded_to_bf16(high);
        uvec low_second = rounded_to_bf16(low - (vec)low_first), high_second = rounded_to_bf16(high - (vec)high_first);
        uvec first = low_first >> 16 | high_first, second = low_second >> 16 | high_second;
        memcpy(first_pairs + i, &first, sizeof first);
        memcpy(second_pairs + i, &second, sizeof second);
        nan |= (low != low) | (high != high);
    }
    return nan;
}

INLINE int any(ivec some) {
    int found = 0;
    for (int lane = 0; lane < LANES; lane++)
        found |= some[lane];
    return found != 0;
}

// The columns of one strip; in a tile, row p holds pair p of 16 columns.
static void pack_strip(const struct packing *p, int64_t strip) {
    uint32_t first_pairs[16], second_pairs[16];
    int64_t steps = parts_of(p->inner, SIDE);
    uint32_t *packed = (uint32_t *)(p->packed + strip * steps * STEP_BYTES);
    for (int64_t step = 0; step < steps; step++, packed += STEP_BYTES / 4)
        for (int64_t c = 0; c < SIDE; c++) {
            int64_t column = strip * SIDE + c, at = step * SIDE;
            uint32_t *first = packed + c / 16 * TILE_BYTES / 4 + c % 16, *second = first + 2 * TILE_BYTES / 4;
            // Columns past the last one are zeros.
            int64_t count = column < p->columns ? p->inner - at : 0;
            split(p->weight + column * p->inner + at, count, first_pairs, second_pairs);
            for (int i = 0; i < 16; i++) {
                first[16 * i] = first_pairs[i];
                second[16 * i] = second_pairs[i];
            }
        }
}

// Splits and packs a panel of rows; notes which rows have NaN, and returns whether any has.
static int pack_panel(const struct product *p, int64_t panel, char *packed, int *nan) {
    int found = 0;
    for (int64_t r = 0; r < SIDE; r++) {
        int64_t row = panel * SIDE + r;
        const float *from = p->rows + row * p->by_row;
        char *to = packed + r * 64;         // the second tile of 16 rows follows the first
        ivec seen = {0};
        for (int64_t at = 0; at < p->inner; at += SIDE, to += STEP_BYTES)
            // Rows past the last one are zeros.
            seen |= split(
                from + at, row < p->count ? p->inner - at : 0, (uint32_t *)to, (uint32_t *)(to + 2 * TILE_BYTES)
            );
        found |= nan[r] = any(seen);
    }
    return found;
}

// The product of a panel with a strip, as four tiles. Small terms are added first in each step. A tile is used by four
// products in a row, so that none waits for the sum that the one before it makes.
static void multiply(const char *panel, const char *strip, int64_t steps, float results[4][16][16]) {
    zero_tile(0);
    zero_tile(1);
    zero_tile(2);
    zero_tile(3);
    for (int64_t step = 0; step < steps; step++, panel += STEP_BYTES, strip += STEP_BYTES) {
        load_tile(4, panel + 2 * TILE_BYTES);   // second parts of rows, first parts of columns
        load_tile(5, panel + 3 * TILE_BYTES);
        load_tile(6, strip);
        load_tile(7, strip + TILE_BYTES);
        add_products(0, 4, 6);
        add_products(1, 4, 7);
        add_products(2, 5, 6);
        add_products(3, 5, 7);
        load_tile(4, panel);                    // first parts of both
        load_tile(5, panel + TILE_BYTES);
        add_products(0, 4, 6);
        add_products(1, 4, 7);
        add_products(2, 5, 6);
        add_products(3, 5, 7);
        load_tile(6, strip + 2 * TILE_BYTES);   // first parts of rows, second parts of columns
        load_tile(7, strip + 3 * TILE_BYTES);
        add_products(0, 4, 6);
        add_products(1, 4, 7);
        add_products(2, 5, 6);
        add_products(3, 5, 7);
    }
    store_tile(0, results[0]);
    store_tile(1, results[1]);
    store_tile(2, results[2]);
    store_tile(3, results[3]);
}

// x - x is 0 for a finite x, and NaN otherwise.
static int all_finite(float results[4][16][16]) {
    vec residue = splat(0);
    for (const float *at = **results; at < **results + SIDE * SIDE; at += LANES)
        residue += loaded(at) - loaded(at);
    return !any(residue != 0.0f);
}

// Results of one row with LANES columns without the matrix unit. `pairs` are the columns' first parts in the first step.
static vec multiply_plainly(const float *row, const uint32_t *pairs, int64_t inner) {
    vec sum = splat(0);
    for (int64_t k = 0; k < inner; k++) {
        const uint32_t *at = pairs + k / SIDE * (STEP_BYTES / 4) + k % 16 * 16;
        uvec first, second;
        memcpy(&first, at, sizeof first);
        memcpy(&second, at + 2 * TILE_BYTES / 4, sizeof second);
        if (k % SIDE < 16)
            first <<= 16, second <<= 16;
        sum += row[k] * ((vec)(first & 0xffff0000) + (vec)(second & 0xffff0000));
    }
    return sum;
}

// x / (1 + e^-x); the exponent is clamped because it would overflow.
INLINE vec silu(vec x) {
    vec exponent = chosen(x < -80.0f, splat(80), -x);
    return x / (1 + exponential(exponent, splat(0)));
}

// Writes the results of a panel and a strip, with what follows a product.
static void write_results(
    const struct product *p, int64_t panel, int64_t strip, float results[4][16][16], const int *nan, int careful
) {
    int64_t steps = parts_of(p->inner, SIDE), rows = least(SIDE, p->count - panel * SIDE);
    const uint32_t *weight = (const uint32_t *)(p->weight + strip * steps * STEP_BYTES);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < SIDE; c += LANES) {
            int64_t row = panel * SIDE + r, column = strip * SIDE + c, count = p->columns - column;
            if (count <= 0)
                break;
            vec result = loaded(&results[r / 16 * 2 + c / 16][r % 16][c % 16]);
            if (careful && nan[r])
                result = splat(__builtin_nanf(""));
            // inf - inf is NaN, so what inf makes of a product has to be found without splitting.
            else if (careful && any(result - result != 0.0f))
                result = multiply_plainly(
                    p->rows + row * p->by_row, weight + c / 16 * TILE_BYTES / 4 + c % 16, p->inner
                );
            if (p->bias)
                result += loaded_part(p->bias + column, count);
            if (p->epilogue == SILU)
                result = silu(result);
            if (p->epilogue == ADD)
                result += loaded_part(p->other + row * p->other_by_row + column, count);
            if (p->epilogue == MULTIPLY)
                result *= loaded_part(p->other + row * p->other_by_row + column, count);
            store_part(p->output + row * p->columns + column, result, count);
        }
}

// Computes some panels times some strips. A strip is used by all panels before the next one comes from memory.
static void compute(const struct product *p, int64_t first_panel, int64_t first_strip, char *block) {
    int64_t panel_bytes = parts_of(p->inner, SIDE) * STEP_BYTES;
    int64_t panels = least(p->panels_in_unit, parts_of(p->count, SIDE) - first_panel);
    int64_t last_strip = least(first_strip + p->strips_in_unit, parts_of(p->columns, SIDE));
    int nan[MAX_PANELS][SIDE], has_nan[MAX_PANELS];
    float results[4][16][16] __attribute__((aligned(64)));
    for (int64_t i = 0; i < panels; i++)
        has_nan[i] = pack_panel(p, first_panel + i, block + i * panel_bytes, nan[i]);
    for (int64_t strip = first_strip; strip < last_strip; strip++)
        for (int64_t i = 0; i < panels; i++) {
            multiply(block + i * panel_bytes, p->weight + strip * panel_bytes, panel_bytes / STEP_BYTES, results);
            int careful = has_nan[i] || !all_finite(results);
            write_results(p, first_panel + i, strip, results, nan[i], careful);
        }
}

// The work of one thread: it takes units until none is left.
static void work(void *argument) {
    struct product *p = argument;
    int64_t block_bytes = p->panels_in_unit * parts_of(p->inner, SIDE) * STEP_BYTES;
    char *block = p->scratch + block_bytes * __atomic_fetch_add(&p->next_block, 1, __ATOMIC_RELAXED);
    int64_t across = parts_of(parts_of(p->columns, SIDE), p->strips_in_unit);
    int64_t units = across * parts_of(parts_of(p->count, SIDE), p->panels_in_unit), unit;
    begin_tiles();
    while ((unit = __atomic_fetch_add(&p->next_unit, 1, __ATOMIC_RELAXED)) < units)
        compute(p, unit / across * p->panels_in_unit, unit % across * p->strips_in_unit, block);
    end_tiles();
}

// `run` is GOMP_parallel of the OpenMP runtime that torch uses: a second thread pool would compete for the same cores.
typedef void parallel_run(void (*)(void *), void *, unsigned threads, unsigned flags);

__attribute__((visibility("default"))) void multiply_rows(struct product *p, parallel_run *run, unsigned threads) {
    p->next_unit = p->next_block = 0;
    run(work, p, threads, 0);
}

static void pack_strips(void *argument) {
    struct packing *p = argument;
    int64_t strips = parts_of(p->columns, SIDE), strip;
    while ((strip = __atomic_fetch_add(&p->next_strip, 1, __ATOMIC_RELAXED)) < strips)
        pack_strip(p, strip);
}

__attribute__((visibility("default"))) void pack_weight(struct packing *p, parallel_run *run, unsigned threads) {
    p->next_strip = 0;
    run(pack_strips, p, threads, 0);
}

// Asks Linux to let this process use tiles, whose registers it saves only for those who asked. Returns 0 or the error.
__attribute__((visibility("default"))) int request_tiles(void) {
#ifdef EMULATED_TILES
    return 0;
#else
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) ? errno : 0;
#endif
}
