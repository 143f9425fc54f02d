// Elementwise arithmetic of two operands. Half types compute in f32; integers wrap.
#include "binary.cuh"

namespace pergola {
namespace {

template <typename F>
void map_floats(const Call& call, const char* op) {
  const auto& p = call.as<BinaryParams>();
  with_float(p.dtype, [&](auto zero) { launch_two<F, decltype(zero), decltype(zero)>(call, p); });
  check_launch(op);
}

template <typename F>
void map_numbers(const Call& call, const char* op) {
  const auto& p = call.as<BinaryParams>();
  with_number(p.dtype, [&](auto zero) { launch_two<F, decltype(zero), decltype(zero)>(call, p); });
  check_launch(op);
}

struct Add {
  static __device__ float apply(float a, float b) { return a + b; }
  static __device__ uint32_t apply(uint32_t a, uint32_t b) { return a + b; }
  static __device__ int32_t apply(int32_t a, int32_t b) { return static_cast<uint32_t>(a) + static_cast<uint32_t>(b); }
};

struct Sub {
  static __device__ float apply(float a, float b) { return a - b; }
  static __device__ uint32_t apply(uint32_t a, uint32_t b) { return a - b; }
  static __device__ int32_t apply(int32_t a, int32_t b) { return static_cast<uint32_t>(a) - static_cast<uint32_t>(b); }
};

struct Mul {
  static __device__ float apply(float a, float b) { return a * b; }
  static __device__ uint32_t apply(uint32_t a, uint32_t b) { return a * b; }
  static __device__ int32_t apply(int32_t a, int32_t b) { return static_cast<uint32_t>(a) * static_cast<uint32_t>(b); }
};

struct Div {
  static __device__ float apply(float a, float b) { return a / b; }
};

struct Pow {
  static __device__ float apply(float a, float b) { return powf(a, b); }
};

// fminf and fmaxf would drop a NaN.
struct Minimum {
  static __device__ float apply(float a, float b) { return a != a ? a : (b != b ? b : fminf(a, b)); }
  template <typename C>
  static __device__ C apply(C a, C b) {
    return a < b ? a : b;
  }
};

struct Maximum {
  static __device__ float apply(float a, float b) { return a != a ? a : (b != b ? b : fmaxf(a, b)); }
  template <typename C>
  static __device__ C apply(C a, C b) {
    return a > b ? a : b;
  }
};

// The least i32 divided by -1 has no i32; it wraps to itself.
struct FloorDivide {
  // In f64: an f32 quotient may round up to the next integer.
  static __device__ float apply(float a, float b) {
    return static_cast<float>(floor(static_cast<double>(a) / static_cast<double>(b)));
  }
  static __device__ uint32_t apply(uint32_t a, uint32_t b) { return b == 0 ? 0 : a / b; }
  static __device__ int32_t apply(int32_t a, int32_t b) {
    if (b == 0) return 0;
    if (b == -1) return static_cast<int32_t>(0u - static_cast<uint32_t>(a));
    return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
  }
};

struct Remainder {
  static __device__ float apply(float a, float b) {
    const float rest = fmodf(a, b);
    return rest != 0.f && (rest < 0.f) != (b < 0.f) ? rest + b : rest;
  }
  static __device__ uint32_t apply(uint32_t a, uint32_t b) { return b == 0 ? 0 : a % b; }
  static __device__ int32_t apply(int32_t a, int32_t b) {
    if (b == 0 || b == -1) return 0;
    const int32_t rest = a % b;
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
  }
};

}  // namespace

// Buffers of each: a, b (null when a number stands in for it), out.
PERGOLA_LAUNCHER(add) { map_numbers<Add>(call, "add"); }
PERGOLA_LAUNCHER(sub) { map_numbers<Sub>(call, "sub"); }
PERGOLA_LAUNCHER(mul) { map_numbers<Mul>(call, "mul"); }
PERGOLA_LAUNCHER(div) { map_floats<Div>(call, "div"); }
PERGOLA_LAUNCHER(pow) { map_floats<Pow>(call, "pow"); }
PERGOLA_LAUNCHER(minimum) { map_numbers<Minimum>(call, "minimum"); }
PERGOLA_LAUNCHER(maximum) { map_numbers<Maximum>(call, "maximum"); }
PERGOLA_LAUNCHER(floorDivide) { map_numbers<FloorDivide>(call, "floorDivide"); }
PERGOLA_LAUNCHER(remainder) { map_numbers<Remainder>(call, "remainder"); }

}  // namespace pergola
