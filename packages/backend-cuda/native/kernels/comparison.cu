// Elementwise comparisons and logic, whose results are bool.
#include "binary.cuh"

namespace pergola {
namespace {

template <typename F>
void compare(const Call& call, const char* op) {
  const auto& p = call.as<BinaryParams>();
  with_any(p.dtype, [&](auto zero) { launch_two<F, decltype(zero), bool>(call, p); });
  check_launch(op);
}

}  // namespace

#define PERGOLA_COMPARISON(name, expression) \
  namespace { \
  struct name##_function { \
    template <typename C> \
    static __device__ bool apply(C a, C b) { \
      return expression; \
    } \
  }; \
  } \
  PERGOLA_LAUNCHER(name) { compare<name##_function>(call, #name); }

PERGOLA_COMPARISON(equal, a == b)
PERGOLA_COMPARISON(notEqual, a != b)
PERGOLA_COMPARISON(less, a < b)
PERGOLA_COMPARISON(lessEqual, a <= b)
PERGOLA_COMPARISON(greater, a > b)
PERGOLA_COMPARISON(greaterEqual, a >= b)
// NaN differs from 0, so it counts as true.
PERGOLA_COMPARISON(logicalAnd, a != C(0) && b != C(0))
PERGOLA_COMPARISON(logicalOr, a != C(0) || b != C(0))

}  // namespace pergola
