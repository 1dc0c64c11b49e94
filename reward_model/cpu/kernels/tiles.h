// The tiles of a matrix unit (Intel AMX): eight registers of 16 rows of 64 bytes, which hold 16 x 16 floats or 16 x 32
// bfloat16 numbers. Four operations suffice for a product of matrices: zero, load, store, and dot products of pairs.
//
// With EMULATED_TILES they are plain C that gives the same bits, so that tests of everything around the instructions run
// on any processor.
#include <stdint.h>

#define TILE_ROWS 16
#define TILE_BYTES (TILE_ROWS * 64)

#ifdef EMULATED_TILES
#include <float.h>
#include <math.h>
#include <string.h>

static _Thread_local uint32_t emulated_tiles[8][TILE_ROWS][16];

static inline void begin_tiles(void) {}
static inline void end_tiles(void) {}

#define zero_tile(tile) memset(emulated_tiles[tile], 0, TILE_BYTES)
#define load_tile(tile, from) memcpy(emulated_tiles[tile], from, TILE_BYTES)
#define store_tile(tile, to) memcpy(to, emulated_tiles[tile], TILE_BYTES)
#define add_products(sums, left, right) emulate_tdpbf16ps(emulated_tiles[sums], emulated_tiles[left], emulated_tiles[right])

static inline float float_of(uint32_t bits) {
    float number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

// The units read and write denormal numbers as 0 with the same sign.
static inline float flushed(float x) {
    return fabsf(x) < FLT_MIN ? copysignf(0, x) : x;
}

// TDPBF16PS of Intel's manual: every 32 bits of `left` and `right` are a pair of bfloat16 numbers. Products of the first
// numbers and of the second ones are summed apart, each by fused multiply-add, before both sums are added to `sums`.
static void emulate_tdpbf16ps(uint32_t sums[][16], uint32_t left[][16], uint32_t right[][16]) {
    for (int m = 0; m < TILE_ROWS; m++) {
        float first[16] = {0}, second[16] = {0};
        for (int k = 0; k < 16; k++) {
            float a = flushed(float_of(left[m][k] << 16)), b = flushed(float_of(left[m][k] & 0xffff0000));
            for (int n = 0; n < 16; n++) {
                first[n] = flushed(fmaf(a, flushed(float_of(right[k][n] << 16)), first[n]));
                second[n] = flushed(fmaf(b, flushed(float_of(right[k][n] & 0xffff0000)), second[n]));
            }
        }
        for (int n = 0; n < 16; n++) {
            float sum = flushed(flushed(float_of(sums[m][n])) + flushed(first[n] + second[n]));
            memcpy(&sums[m][n], &sum, sizeof sum);
        }
    }
}

#else
#include <immintrin.h>

// All eight tiles have 16 rows of 64 bytes: palette 1 of LDTILECFG.
static const struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes_of_row[16];
    uint8_t rows[16];
} tile_shapes __attribute__((aligned(64))) = {
    .palette = 1, .bytes_of_row = {64, 64, 64, 64, 64, 64, 64, 64}, .rows = {16, 16, 16, 16, 16, 16, 16, 16}};

static inline void begin_tiles(void) {
    _tile_loadconfig(&tile_shapes);
}

// Without it the system would save and restore eight kilobytes at every change of threads from now on.
static inline void end_tiles(void) {
    _tile_release();
}

// The compiler does not know that a load of a tile reads memory: without the barrier it might write that memory later.
#define load_tile(tile, from)                 \
    do {                                      \
        __asm__ volatile("" ::: "memory");    \
        _tile_loadd(tile, from, 64);          \
    } while (0)
#define zero_tile(tile) _tile_zero(tile)
#define store_tile(tile, to) _tile_stored(tile, to, 64)
#define add_products(sums, left, right) _tile_dpbf16ps(sums, left, right)
#endif
