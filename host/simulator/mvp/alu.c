/* The operations one by one; every sum and product is rounded on its own, nothing is fused. */
#include "alu.h"

#include "mvp.h"

/* Tests against zero look at the sign bit only: minus zero is negative. */
static inline int is_negative(float x)
{
    return (half_float_bits(x) >> 31) != 0;
}

/* The larger of two zeros is the positive one, the smaller the negative. A NaN makes the result the
 * extreme NaN on the operation's side. */
static float larger(float x, float y, uint32_t *events)
{
    if (half_is_nan(x) || half_is_nan(y)) {
        *events |= HALF_NAN;
        return half_from_float_bits(HALF_NAN_BITS);
    }
    return x < y || (x == y && is_negative(x)) ? y : x;
}

static float smaller(float x, float y, uint32_t *events)
{
    if (half_is_nan(x) || half_is_nan(y)) {
        *events |= HALF_NAN;
        return half_from_float_bits(HALF_NAN_BITS | 0x80000000u);
    }
    return y < x || (x == y && is_negative(y)) ? y : x;
}

static float clipped(float x, float low, float high, uint32_t *events)
{
    return smaller(larger(x, low, events), high, events);
}

/* What a test of `a` selects; neither if `a` is no number. */
static float selected(float a, float if_positive, float if_negative, uint32_t *events)
{
    if (half_is_nan(a)) {
        *events |= HALF_NAN;
        return half_from_float_bits(HALF_NAN_BITS);
    }
    return is_negative(a) ? if_negative : if_positive;
}

static alu_value_t complex_product(alu_value_t x, alu_value_t y, uint32_t *events)
{
    alu_value_t z;
    z.real = half_add(half_multiply(x.real, y.real, events),
                      -half_multiply(x.imaginary, y.imaginary, events), events);
    z.imaginary = half_add(half_multiply(x.real, y.imaginary, events),
                           half_multiply(x.imaginary, y.real, events), events);
    return z;
}

#define MUL(p, q) half_multiply(p, q, events)
#define ADD(p, q) half_add(p, q, events)
#define SELECT(p, q, r) selected(p, q, r, events)
/* These operations end in an addition of plus zero: they never give minus zero. */
#define PLUS_ZERO(p) ((p) + 0.0f)
#define MAX(p, q) larger(p, q, events)
#define MIN(p, q) smaller(p, q, events)

bool alu_execute(uint32_t operation, alu_value_t x, alu_value_t y, alu_value_t a, alu_value_t *z,
                 uint32_t *events)
{
    float re = 0.0f;
    float im = 0.0f;

    switch (operation) {
    case ALU_NOOP: return true;
    case ALU_CLEAR: break;
    case ALU_COPY: *z = a; return true;
    case ALU_SWAP: re = a.imaginary, im = a.real; break;
    case ALU_DBL: re = ADD(a.real, a.real), im = ADD(a.imaginary, a.imaginary); break;
    case ALU_FANA: re = im = a.real; break;
    case ALU_FANB: re = im = a.imaginary; break;
    case ALU_RELU2: re = MAX(a.real, 0.0f), im = MAX(a.imaginary, 0.0f); break;
    case ALU_NRELU2: re = MIN(a.real, -0.0f), im = MIN(a.imaginary, -0.0f); break;
    case ALU_INC2: re = ADD(a.real, 1.0f), im = ADD(a.imaginary, 1.0f); break;
    case ALU_DEC2: re = ADD(a.real, -1.0f), im = ADD(a.imaginary, -1.0f); break;
    case ALU_ADDR: re = im = ADD(a.real, a.imaginary); break;
    case ALU_MAX: re = im = MAX(a.real, a.imaginary); break;
    case ALU_MIN: re = im = MIN(a.real, a.imaginary); break;
    case ALU_RSQR2B: re = MUL(x.real, x.real), im = MUL(x.imaginary, x.imaginary); break;
    case ALU_ADDC:
        re = PLUS_ZERO(ADD(x.real, a.real)), im = PLUS_ZERO(ADD(x.imaginary, a.imaginary));
        break;
    case ALU_MAX2A: re = MAX(x.real, a.real), im = MAX(x.imaginary, a.imaginary); break;
    case ALU_MIN2A: re = MIN(x.real, a.real), im = MIN(x.imaginary, a.imaginary); break;
    case ALU_XREALC2: re = a.real, im = x.real; break;
    case ALU_XIMAGC2: re = a.imaginary, im = x.imaginary; break;
    case ALU_ADDR2B: re = ADD(x.real, x.imaginary), im = ADD(a.real, a.imaginary); break;
    case ALU_MAX2B: re = MAX(x.real, x.imaginary), im = MAX(a.real, a.imaginary); break;
    case ALU_MIN2B: re = MIN(x.real, x.imaginary), im = MIN(a.real, a.imaginary); break;
    case ALU_MULC: {
        alu_value_t product = complex_product(x, y, events);
        re = PLUS_ZERO(product.real), im = PLUS_ZERO(product.imaginary);
        break;
    }
    case ALU_MULR2A:
        re = PLUS_ZERO(MUL(x.real, y.real)), im = PLUS_ZERO(MUL(x.imaginary, y.imaginary));
        break;
    case ALU_MULR2B:
        re = PLUS_ZERO(MUL(x.real, x.imaginary)), im = PLUS_ZERO(MUL(y.real, y.imaginary));
        break;
    case ALU_ADDR4: re = im = ADD(ADD(x.real, x.imaginary), ADD(y.real, y.imaginary)); break;
    case ALU_MAX4: re = im = MAX(MAX(x.real, x.imaginary), MAX(y.real, y.imaginary)); break;
    case ALU_MIN4: re = im = MIN(MIN(x.real, x.imaginary), MIN(y.real, y.imaginary)); break;
    case ALU_SQRMAGC2:
        re = ADD(MUL(x.real, x.real), MUL(x.imaginary, x.imaginary));
        im = ADD(MUL(y.real, y.real), MUL(y.imaginary, y.imaginary));
        break;
    case ALU_PRELU2B:
        re = is_negative(x.real) ? MUL(x.real, x.imaginary) : MUL(x.real, 1.0f);
        im = is_negative(y.real) ? MUL(y.real, y.imaginary) : MUL(y.real, 1.0f);
        break;
    case ALU_MACC: {
        alu_value_t product = complex_product(x, y, events);
        re = ADD(product.real, a.real), im = ADD(product.imaginary, a.imaginary);
        break;
    }
    case ALU_AACC:
        re = ADD(ADD(x.real, y.real), a.real);
        im = ADD(ADD(x.imaginary, y.imaginary), a.imaginary);
        break;
    case ALU_ELU2A:
        re = SELECT(a.real, a.real, MUL(x.real, y.real));
        im = SELECT(a.imaginary, a.imaginary, MUL(x.imaginary, y.imaginary));
        break;
    case ALU_ELU2B:
        re = SELECT(a.real, a.real, MUL(x.real, x.imaginary));
        im = SELECT(a.imaginary, a.imaginary, MUL(y.real, y.imaginary));
        break;
    case ALU_IFR2A:
        re = SELECT(a.real, x.real, y.real);
        im = SELECT(a.imaginary, x.imaginary, y.imaginary);
        break;
    case ALU_IFR2B:
        re = SELECT(a.real, x.real, x.imaginary);
        im = SELECT(a.imaginary, y.real, y.imaginary);
        break;
    case ALU_MAXAC2:
        re = MAX(MAX(x.real, y.real), a.real);
        im = MAX(MAX(x.imaginary, y.imaginary), a.imaginary);
        break;
    case ALU_MINAC2:
        re = MIN(MIN(x.real, y.real), a.real);
        im = MIN(MIN(x.imaginary, y.imaginary), a.imaginary);
        break;
    case ALU_CLIP2A:
        re = clipped(a.real, x.real, y.real, events);
        im = clipped(a.imaginary, x.imaginary, y.imaginary, events);
        break;
    case ALU_CLIP2B:
        re = clipped(a.real, x.real, x.imaginary, events);
        im = clipped(a.imaginary, y.real, y.imaginary, events);
        break;
    case ALU_MACR2A:
        re = ADD(MUL(x.real, y.real), a.real);
        im = ADD(MUL(x.imaginary, y.imaginary), a.imaginary);
        break;
    case ALU_MACR2B:
        re = ADD(MUL(x.real, x.imaginary), a.real);
        im = ADD(MUL(y.real, y.imaginary), a.imaginary);
        break;
    case ALU_IFC:
        re = SELECT(a.real, x.real, y.real);
        im = SELECT(a.real, x.imaginary, y.imaginary);
        break;
    default: return false;
    }
    z->real = re;
    z->imaginary = im;
    return true;
}

uint32_t mvp_alu(uint32_t operation, uint32_t x, uint32_t y, uint32_t a, uint32_t *z)
{
    const uint32_t in[3] = {x, y, a};
    alu_value_t v[3];
    alu_value_t result = {half_widen(*z & 0xFFFFu), half_widen(*z >> 16)};
    uint32_t events = 0;

    for (unsigned k = 0; k < 3; k++) {
        v[k].real = half_widen(in[k] & 0xFFFFu);
        v[k].imaginary = half_widen(in[k] >> 16);
    }
    if (!alu_execute(operation, v[0], v[1], v[2], &result, &events))
        return MVP_IF_ALUFAULT;
    *z = half_narrow(result.real) | half_narrow(result.imaginary) << 16;
    return (events & HALF_NAN ? MVP_IF_ALUNAN : 0) | (events & HALF_OVERFLOW ? MVP_IF_ALUOF : 0) |
           (events & HALF_UNDERFLOW ? MVP_IF_ALUUF : 0);
}
