// sum, mean, max, min, prod, any, all and variance. Floats accumulate in f32, integers wrap.
#include "reduce.cuh"

#include "moments.cuh"

namespace pergola {
namespace {

// What integers are added and multiplied in: unsigned words, which wrap.
template <typename T>
using Word = std::conditional_t<kIsFloat<T>, float, uint32_t>;

template <typename T>
struct Sum {
  using Value = T;
  using Out = T;
  using Total = Word<T>;
  static __device__ Total start() { return Total(0); }
  static __device__ Total step(Total total, T value) { return total + static_cast<Total>(widen(value)); }
  static __device__ Total merge(Total a, Total b) { return a + b; }
  static __device__ T finish(Total total, uint32_t) { return static_cast<T>(total); }
};

template <typename T>
struct Mean : Sum<T> {
  static __device__ T finish(float total, uint32_t count) { return static_cast<T>(total / static_cast<float>(count)); }
};

template <typename T>
struct Prod {
  using Value = T;
  using Out = T;
  using Total = Word<T>;
  static __device__ Total start() { return Total(1); }
  static __device__ Total step(Total total, T value) { return total * static_cast<Total>(widen(value)); }
  static __device__ Total merge(Total a, Total b) { return a * b; }
  static __device__ T finish(Total total, uint32_t) { return static_cast<T>(total); }
};

// The larger number by sign 1, the smaller by sign -1; NaN wins.
template <typename T, int Sign>
struct Extreme {
  using Value = T;
  using Out = T;
  using Total = Arith<T>;
  static __device__ Total start() {
    if constexpr (kIsFloat<T>) return Sign > 0 ? -INFINITY : INFINITY;
    else if constexpr (std::is_same_v<T, int32_t>) return Sign > 0 ? INT32_MIN : INT32_MAX;
    else return Sign > 0 ? 0u : UINT32_MAX;
  }
  static __device__ Total merge(Total a, Total b) {
    const bool other = Sign > 0 ? b > a : b < a;
    return other || b != b ? b : a;
  }
  static __device__ Total step(Total total, T value) { return merge(total, widen(value)); }
  static __device__ T finish(Total total, uint32_t) { return static_cast<T>(total); }
};

template <typename T>
struct Any {
  using Value = T;
  using Out = bool;
  using Total = uint32_t;
  static __device__ Total start() { return 0; }
  static __device__ Total step(Total total, T value) { return total | (widen(value) != Arith<T>(0) ? 1u : 0u); }
  static __device__ Total merge(Total a, Total b) { return a | b; }
  static __device__ bool finish(Total total, uint32_t) { return total != 0; }
};

template <typename T>
struct All : Any<T> {
  using Total = uint32_t;
  static __device__ Total start() { return 1; }
  static __device__ Total step(Total total, T value) { return total & (widen(value) != Arith<T>(0) ? 1u : 0u); }
  static __device__ Total merge(Total a, Total b) { return a & b; }
};

template <typename T>
struct Variance {
  using Value = T;
  using Out = T;
  using Total = Moments;
  static __device__ Total start() { return {0.f, 0.f, 0.f}; }
  static __device__ Total step(Total total, T value) {
    add_value(total, widen(value), 1.f / (total.count + 1.f));
    return total;
  }
  static __device__ Total merge(Total a, Total b) { return ::pergola::merge(a, b); }
  static __device__ T finish(Total total, uint32_t count) {
    return static_cast<T>(total.squares / static_cast<float>(count));
  }
};

template <typename T>
using Max = Extreme<T, 1>;
template <typename T>
using Min = Extreme<T, -1>;

template <template <typename> typename R>
void reduce_floats(const Call& call, const char* op) {
  const auto& p = call.as<ReduceParams>();
  with_float(p.dtype, [&](auto zero) { reduce<R<decltype(zero)>>(call, p); });
  check_launch(op);
}

template <template <typename> typename R>
void reduce_numbers(const Call& call, const char* op) {
  const auto& p = call.as<ReduceParams>();
  with_number(p.dtype, [&](auto zero) { reduce<R<decltype(zero)>>(call, p); });
  check_launch(op);
}

template <template <typename> typename R>
void reduce_any(const Call& call, const char* op) {
  const auto& p = call.as<ReduceParams>();
  with_any(p.dtype, [&](auto zero) { reduce<R<decltype(zero)>>(call, p); });
  check_launch(op);
}

}  // namespace

PERGOLA_LAUNCHER(sum) { reduce_numbers<Sum>(call, "sum"); }
PERGOLA_LAUNCHER(mean) { reduce_floats<Mean>(call, "mean"); }
PERGOLA_LAUNCHER(max) { reduce_numbers<Max>(call, "max"); }
PERGOLA_LAUNCHER(min) { reduce_numbers<Min>(call, "min"); }
PERGOLA_LAUNCHER(prod) { reduce_numbers<Prod>(call, "prod"); }
PERGOLA_LAUNCHER(variance) { reduce_floats<Variance>(call, "variance"); }
PERGOLA_LAUNCHER(any) { reduce_any<Any>(call, "any"); }
PERGOLA_LAUNCHER(all) { reduce_any<All>(call, "all"); }

}  // namespace pergola
