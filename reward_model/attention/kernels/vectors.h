// Vectors of LANES floats, as wide as the processor's registers: selection, transposition, exponentials.
#include <stdint.h>
#include <string.h>
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define LANES 16
#define LANE {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
#elif defined(__AVX2__)
#define LANES 8
#define LANE {0, 1, 2, 3, 4, 5, 6, 7}
#else
#define LANES 4
#define LANE {0, 1, 2, 3}
#endif

#define UNROLLED _Pragma("GCC unroll 16")
#define INLINE static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t ivec __attribute__((vector_size(4 * LANES)));

// Exponents lie between these: e to anything lower is 0, and anything higher counts as overflow, which gives NaN.
#define HIGHEST 0x1p21f
#define LOWEST -HIGHEST

// x in every lane.
INLINE vec splat(float x) {
    return x - (vec){0};
}

// Lane by lane, `yes` where the mask `which` is set, and `no` elsewhere.
INLINE vec chosen(ivec which, vec yes, vec no) {
    return (vec)(((ivec)yes & which) | ((ivec)no & ~which));
}

INLINE vec loaded(const float *from) {
    vec some;
    memcpy(&some, from, sizeof some);
    return some;
}

INLINE void store(float *to, vec some) {
    memcpy(to, &some, sizeof some);
}

// Lane by lane, the element `index` of a followed by b.
INLINE vec shuffled(vec a, vec b, ivec index) {
#if defined(__clang__)
    vec some;
    for (int i = 0; i < LANES; i++)
        some[i] = index[i] < LANES ? a[index[i]] : b[index[i] - LANES];
    return some;
#else
    return __builtin_shuffle(a, b, index);
#endif
}

// One step of a transposition: in each square of 2 * `side` rows and columns, swaps the upper right quarter with the
// lower left one.
INLINE void exchange(vec *rows, int side) {
    const ivec lane = LANE, lower = (lane & side) != 0;
    const ivec upper_row = (lane & ~lower) | ((lane + LANES - side) & lower);
    const ivec lower_row = ((lane + side) & ~lower) | ((lane + LANES) & lower);
    UNROLLED for (int i = 0; i < LANES; i++)
        if (!(i & side)) {
            vec upper = rows[i], other = rows[i + side];
            rows[i] = shuffled(upper, other, upper_row);
            rows[i + side] = shuffled(upper, other, lower_row);
        }
}

// Transposes LANES rows in place: element i of row j becomes element j of row i.
INLINE void transpose(vec *rows) {
    if (LANES > 8)
        exchange(rows, 8);
    if (LANES > 4)
        exchange(rows, 4);
    exchange(rows, 2);
    exchange(rows, 1);
}

// The maximum of a and b; b where either is NaN.
INLINE vec greater(vec a, vec b) {
#if defined(__AVX512F__)
    return (vec)_mm512_max_ps((__m512)a, (__m512)b);
#else
    return chosen(a > b, a, b);
#endif
}

// 2 to the `whole`, an integer up to 127; 0 for one below -126.
INLINE vec two_to(vec whole) {
    ivec some = whole > -127.0f;
    ivec power = __builtin_convertvector(chosen(some, whole, splat(0)), ivec) + 127;
    return (vec)((power << 23) & some);
}

// x times 2 to the `whole`, an integer up to 127; 0 for one below -126.
INLINE vec scaled(vec x, vec whole) {
#if defined(__AVX512F__)
    __mmask16 some = _mm512_cmp_ps_mask((__m512)whole, _mm512_set1_ps(-127), _CMP_GT_OQ);
    return (vec)_mm512_maskz_scalef_ps(some, (__m512)x, (__m512)whole);
#else
    return x * two_to(whole);
#endif
}

// x / ln 2, rounded to an integer.
INLINE vec rounded_log2_of_exp(vec x) {
    const float rounder = 0x1.8p23f;        // floats of this size have no fraction, so adding it rounds
    return (x * 0x1.715476p0f + rounder) - rounder;
}

// e to the x, divided by 2 to the `whole`: Cephes' polynomial, with a relative error of 2e-7. Scaling is exact, so a result
// that is scaled down later has the same bits. NaN gives NaN.
INLINE vec exponential(vec x, vec whole) {
    vec n = rounded_log2_of_exp(x);
    vec r = ((x * 0x1.715476p0f - n) + x * 1.925963e-8f) * 0.6931471806f;
    vec p = 1.9875691500e-4f * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    return chosen(x <= LOWEST, splat(0), chosen(x < HIGHEST, scaled(p, n - whole), splat(__builtin_nanf(""))));
}
