// Vectors of LANES numbers, as wide as the processor's registers, and e to the power of them.
#include <stdint.h>

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX2__)
#define LANES 8
#else
#define LANES 4
#endif

#define INLINE static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t ivec __attribute__((vector_size(4 * LANES)));

// What e is raised to lies between these: of less nothing is left, and more is no number any longer.
#define GREATEST 0x1p21f
#define LEAST -GREATEST

INLINE vec splat(float x) {
    return x - (vec){0};
}

INLINE vec chosen(ivec which, vec yes, vec no) {
    return (vec)(((ivec)yes & which) | ((ivec)no & ~which));
}

// 2 to a whole number up to 127; 0 below -126.
INLINE vec two_to(vec whole) {
    ivec some = whole > -127.0f;
    ivec power = __builtin_convertvector(chosen(some, whole, splat(0)), ivec) + 127;
    return (vec)((power << 23) & some);
}

// x / ln 2, rounded.
INLINE vec rounded_log2_of_exp(vec x) {
    const float rounder = 0x1.8p23f;        // adding it leaves a whole number
    return (x * 0x1.715476p0f + rounder) - rounder;
}

// e to the x, over 2 to the `whole`, within 2e-7 of itself: Cephes' polynomial. Scaling is exact, so one that was scaled
// down later has the same digits. What is no number stays none.
INLINE vec exponential(vec x, vec whole) {
    vec n = rounded_log2_of_exp(x);
    vec r = ((x * 0x1.715476p0f - n) + x * 1.925963e-8f) * 0.6931471806f;
    vec p = 1.9875691500e-4f * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    return chosen(x <= LEAST, splat(0), chosen(x < GREATEST, p * two_to(n - whole), splat(__builtin_nanf(""))));
}
