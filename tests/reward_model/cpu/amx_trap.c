// Lets a program with AMX instructions run on a processor without them: each one raises SIGILL, and the handler decodes it,
// does what it would have done, and continues after it. Load it with LD_PRELOAD. So the very library that is shipped can
// be run in tests; how fast the instructions are it does not say.
#define _GNU_SOURCE
#define EMULATED_TILES
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "tiles.h"

static const int registers[16] = {
    REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
    REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};
static _Thread_local int configured;  // whether LDTILECFG set the shapes that the kernel relies on

// One instruction: VEX prefix of three bytes, opcode, ModRM, and what addresses memory.
struct instruction {
    int prefix, opcode, mod, reg, rm, vvvv, length;
    char *memory;
    int64_t stride;
};

static struct instruction decoded(const uint8_t *code, const greg_t *gregs) {
    int base_bit = code[1] & 0x20 ? 0 : 8, index_bit = code[1] & 0x40 ? 0 : 8;
    struct instruction i = {
        .prefix = code[2] & 3, .opcode = code[3], .mod = code[4] >> 6, .reg = code[4] >> 3 & 7, .rm = code[4] & 7,
        .vvvv = ~code[2] >> 3 & 15, .length = 5,
    };
    if (i.mod == 3)
        return i;
    int base = i.rm, index = 4, scale = 0;
    if (i.rm == 4) {
        base = code[5] & 7;
        index = (code[5] >> 3 & 7) | index_bit;
        scale = code[5] >> 6;
        i.length++;
    }
    int32_t offset = 0, size = i.mod == 1 ? 1 : i.mod == 2 || base == 5 ? 4 : 0;
    if (size == 1)
        offset = (int8_t)code[i.length];
    if (size == 4)
        memcpy(&offset, code + i.length, 4);
    i.length += size;
    // Without a register as base, memory is addressed from the next instruction on.
    char *from = i.mod == 0 && base == 5 ? (char *)code + i.length : (char *)gregs[registers[base | base_bit]];
    i.memory = from + offset;
    i.stride = index == 4 ? 0 : gregs[registers[index]] << scale;
    return i;
}

static void configure(const uint8_t *shapes) {
    // Palette, then bytes of a row from byte 16 on, then rows from byte 48 on.
    configured = shapes[0] == 1;
    for (int tile = 0; tile < 8; tile++)
        configured &= shapes[16 + 2 * tile] == 64 && shapes[17 + 2 * tile] == 0 && shapes[48 + tile] == TILE_ROWS;
    for (int tile = 8; tile < 16; tile++)
        configured &= shapes[16 + 2 * tile] == 0 && shapes[48 + tile] == 0;
    memset(emulated_tiles, 0, sizeof emulated_tiles);
}

static int done(const struct instruction *i) {
    enum { NONE, F3 = 2, F2 = 3 };
    if (i->opcode == 0x49 && i->prefix == NONE && i->mod != 3) {
        configure((const uint8_t *)i->memory);
        return configured;
    }
    if (!configured)
        return 0;
    if (i->opcode == 0x49 && i->prefix == NONE)
        configured = 0;
    else if (i->opcode == 0x49 && i->prefix == F2)
        zero_tile(i->reg);
    else if (i->opcode == 0x4b && i->prefix == F2)
        for (int row = 0; row < TILE_ROWS; row++)
            memcpy(emulated_tiles[i->reg][row], i->memory + row * i->stride, 64);
    else if (i->opcode == 0x4b && i->prefix == F3)
        for (int row = 0; row < TILE_ROWS; row++)
            memcpy(i->memory + row * i->stride, emulated_tiles[i->reg][row], 64);
    else if (i->opcode == 0x5c && i->prefix == F3)
        add_products(i->reg, i->rm, i->vvvv);
    else
        return 0;
    return 1;
}

static void handle(int signal_number, siginfo_t *info, void *context) {
    greg_t *gregs = ((ucontext_t *)context)->uc_mcontext.gregs;
    const uint8_t *code = (const uint8_t *)gregs[REG_RIP];
    (void)signal_number, (void)info;
    if (code[0] == 0xc4 && (code[1] & 31) == 2) {
        struct instruction i = decoded(code, gregs);
        if (done(&i)) {
            gregs[REG_RIP] += i.length;
            return;
        }
    }
    static const char message[] = "an illegal instruction that is not one of AMX's\n";
    (void)!write(2, message, sizeof message - 1);
    abort();
}

__attribute__((constructor)) static void install(void) {
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGILL, &action, NULL);
}

// The system has no tiles to permit, so it would refuse. All other calls are passed on.
__attribute__((visibility("default"))) long syscall(long number, ...) {
    va_list list;
    long a[6], result;
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_arch_prctl && a[0] == 0x1023)
        return 0;
    register long r10 __asm__("r10") = a[3];
    register long r8 __asm__("r8") = a[4];
    register long r9 __asm__("r9") = a[5];
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    if (result < 0 && result > -4096) {
        errno = -result;
        return -1;
    }
    return result;
}
