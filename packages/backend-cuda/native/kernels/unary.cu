// Elementwise functions of one operand: arithmetic, functions, activations and tests. Half types compute in f32.
#include "broadcast.cuh"

namespace pergola {
namespace {

struct UnaryParams {
  int32_t dtype;
  BroadcastShape<1> shape;
};

// Applies a function of Arith<T> to elements of T.
template <typename F, typename T, typename Out>
struct Elementwise {
  __device__ Out operator()(T x) const { return static_cast<Out>(F::apply(widen(x))); }
};

template <typename F, typename T, typename Out = T>
void map(const Call& call, const UnaryParams& p) {
  launch_map(call, p.shape, call.in<T>(0), call.out<Out>(1), Elementwise<F, T, Out>{});
}

template <typename F>
void map_floats(const Call& call, const char* op) {
  const auto& p = call.as<UnaryParams>();
  with_float(p.dtype, [&](auto zero) { map<F, decltype(zero)>(call, p); });
  check_launch(op);
}

template <typename F>
void map_signed(const Call& call, const char* op) {
  const auto& p = call.as<UnaryParams>();
  if (p.dtype != I32) return map_floats<F>(call, op);
  map<F, int32_t>(call, p);
  check_launch(op);
}

}  // namespace

// A function of floats.
#define PERGOLA_FLOAT_FUNCTION(name, expression) \
  namespace { \
  struct name##_function { \
    static __device__ float apply(float x) { return expression; } \
  }; \
  } \
  PERGOLA_LAUNCHER(name) { map_floats<name##_function>(call, #name); }

// A function of floats with its counterpart on i32, which wraps.
#define PERGOLA_SIGNED_FUNCTION(name, expression, integer_expression) \
  namespace { \
  struct name##_function { \
    static __device__ float apply(float x) { return expression; } \
    static __device__ int32_t apply(int32_t x) { return integer_expression; } \
  }; \
  } \
  PERGOLA_LAUNCHER(name) { map_signed<name##_function>(call, #name); }

PERGOLA_SIGNED_FUNCTION(neg, -x, static_cast<int32_t>(0u - static_cast<uint32_t>(x)))
PERGOLA_SIGNED_FUNCTION(abs, fabsf(x), x < 0 ? static_cast<int32_t>(0u - static_cast<uint32_t>(x)) : x)
// Zeros of both signs and NaN pass through.
PERGOLA_SIGNED_FUNCTION(sign, x > 0.f ? 1.f : (x < 0.f ? -1.f : x), (x > 0) - (x < 0))
PERGOLA_SIGNED_FUNCTION(square, x* x, static_cast<int32_t>(static_cast<uint32_t>(x) * static_cast<uint32_t>(x)))

PERGOLA_FLOAT_FUNCTION(exp, expf(x))
PERGOLA_FLOAT_FUNCTION(expm1, expm1f(x))
PERGOLA_FLOAT_FUNCTION(log, logf(x))
PERGOLA_FLOAT_FUNCTION(log1p, log1pf(x))
PERGOLA_FLOAT_FUNCTION(sqrt, sqrtf(x))
PERGOLA_FLOAT_FUNCTION(rsqrt, rsqrtf(x))
PERGOLA_FLOAT_FUNCTION(reciprocal, 1.f / x)
PERGOLA_FLOAT_FUNCTION(sin, sinf(x))
PERGOLA_FLOAT_FUNCTION(cos, cosf(x))
PERGOLA_FLOAT_FUNCTION(tanh, tanhf(x))
PERGOLA_FLOAT_FUNCTION(sigmoid, 1.f / (1.f + expf(-x)))
PERGOLA_FLOAT_FUNCTION(relu, x < 0.f ? 0.f : x)
// log1p of a power of at most 1 keeps digits for negative x and never overflows for positive x.
PERGOLA_FLOAT_FUNCTION(softplus, fmaxf(x, 0.f) + log1pf(expf(-fabsf(x))))
PERGOLA_FLOAT_FUNCTION(erf, erff(x))
PERGOLA_FLOAT_FUNCTION(floor, floorf(x))
PERGOLA_FLOAT_FUNCTION(ceil, ceilf(x))
PERGOLA_FLOAT_FUNCTION(round, rintf(x))
PERGOLA_FLOAT_FUNCTION(gelu_none, 0.5f * x * (1.f + erff(x * 0.70710678118654752f)))
PERGOLA_FLOAT_FUNCTION(gelu_tanh, 0.5f * x * (1.f + tanhf(0.7978845608028654f * (x + 0.044715f * x * x * x))))
PERGOLA_FLOAT_FUNCTION(gelu_quick, x / (1.f + expf(-1.702f * x)))

namespace {
// An exact division costs as much as all the rest; half types round its last bits away.
template <typename T>
struct Silu {
  __device__ T operator()(T element) const {
    const float x = widen(element);
    const float divisor = 1.f + expf(-x);
    return static_cast<T>(std::is_same_v<T, float> ? x / divisor : __fdividef(x, divisor));
  }
};

struct IsNaN {
  static __device__ bool apply(float x) { return x != x; }
};
struct IsFinite {
  static __device__ bool apply(float x) { return fabsf(x) < INFINITY; }
};
struct IsZero {
  template <typename C>
  static __device__ bool apply(C x) {
    return x == C(0);
  }
};

struct ClampParams {
  int32_t dtype;
  // Bounds for floats, infinite where there is none; bounds for integers within the range of the dtype.
  float low, high;
  int32_t integer_low, integer_high;
  BroadcastShape<1> shape;
};

template <typename T>
struct Clamp {
  Arith<T> low, high;
  __device__ T operator()(T element) const {
    const Arith<T> x = widen(element);
    // Comparisons, not fmin: NaN passes through.
    return x < low ? static_cast<T>(low) : (x > high ? static_cast<T>(high) : element);
  }
};
}  // namespace

PERGOLA_LAUNCHER(silu) {
  const auto& p = call.as<UnaryParams>();
  with_float(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch_map(call, p.shape, call.in<T>(0), call.out<T>(1), Silu<T>{});
  });
  check_launch("silu");
}

PERGOLA_LAUNCHER(isNaN) {
  const auto& p = call.as<UnaryParams>();
  with_float(p.dtype, [&](auto zero) { map<IsNaN, decltype(zero), bool>(call, p); });
  check_launch("isNaN");
}

PERGOLA_LAUNCHER(isFinite) {
  const auto& p = call.as<UnaryParams>();
  with_float(p.dtype, [&](auto zero) { map<IsFinite, decltype(zero), bool>(call, p); });
  check_launch("isFinite");
}

PERGOLA_LAUNCHER(logicalNot) {
  const auto& p = call.as<UnaryParams>();
  with_any(p.dtype, [&](auto zero) { map<IsZero, decltype(zero), bool>(call, p); });
  check_launch("logicalNot");
}

PERGOLA_LAUNCHER(clamp) {
  const auto& p = call.as<ClampParams>();
  with_number(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Clamp<T> clamp{kIsFloat<T> ? Arith<T>(p.low) : Arith<T>(p.integer_low),
                         kIsFloat<T> ? Arith<T>(p.high) : Arith<T>(p.integer_high)};
    launch_map(call, p.shape, call.in<T>(0), call.out<T>(1), clamp);
  });
  check_launch("clamp");
}

}  // namespace pergola
